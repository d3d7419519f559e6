"""From files to embeddings: reading and inference side by side, in bounded memory. Knows nothing of FiftyOne."""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..arrays import Vectors
from ..differences import normalize
from ..errors import EmbeddingError
from ..preprocessing import MAX_PIXELS
from ..system import usable_cores
from .concurrency import Budget, Channel, Turns
from .reading import Extracted, Item, Reader

MEMORY = 1 << 30
"""Bytes that the decoded images in work may take by default; more are not decoded at once."""


BATCH_SIZE = 32
WAITING_RESULTS = 1024


class Embedder(Protocol):
    """What is needed of an :class:`ccip_plugin.core.encoder.encoder.Encoder`."""

    @property
    def is_cpu(self) -> bool:
        """Whether single images are run by many threads, and not batches by one."""
        ...

    def embed_tensor(self, tensor: Vectors) -> Vectors:
        """``(3, 384, 384)`` -> ``(dim,)``, for any number of threads at once."""
        ...

    def embed_tensors(self, tensors: Vectors) -> Vectors:
        """``(n, 3, 384, 384)`` -> ``(n, dim)``."""
        ...


def extract(
    items: Iterable[Item],
    encoder: Embedder,
    *,
    workers: int | None = None,
    alpha: float = 0.0,
    force_square: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    memory: int = MEMORY,
    batch_size: int = BATCH_SIZE,
) -> Generator[Extracted, None, None]:
    """Embeds images and crops, in the order in which they get ready.

    On the CPU each worker reads an image and runs the model on it; one more reads ahead, and where no number of workers
    was asked for it runs the model, too, while other programs take a part of the cores. On an accelerator workers read,
    and one more thread runs batches of what is ready. A file is decoded once, however many boxes it has. Items are
    taken from ``items`` when a worker is free, by one worker at a time; what is kept does not grow with their number.

    The work ends when the iterator is closed: each worker finishes the image in its hands, and nothing else.

    Args:
        items: what to embed
        encoder: the model
        workers (None): how many images are worked on at once: on the CPU by the model, on an accelerator by readers;
            by default one per usable core, and one more while other programs take a part of these
        alpha (0.0): by which share boxes are enlarged
        force_square (False): whether boxes are made square
        max_pixels: larger images fail, None for no limit
        memory: bytes that images may take together while they are read, at most; an image larger than that is worked
            on alone. Less is taken where this is more than ``workers`` x (48 MiB + twice the largest decoded image)
        batch_size: images per run of an accelerator

    Yields:
        an :class:`Extracted` per key of an item

    Raises:
        ValueError: ``workers`` or ``batch_size`` below 1
        CCIPError: the model could not be run; the results before it are yielded first
    """
    spare = int(workers is None)  # what was asked for is a limit, of memory too
    workers = usable_cores() if workers is None else workers
    if min(workers, batch_size) < 1:
        raise ValueError(f"workers is {workers} and batch_size {batch_size}; at least 1 is needed")
    reader = Reader(Budget(memory, workers), alpha=alpha, force_square=force_square, max_pixels=max_pixels)
    line = (
        _Line(items, reader, encoder, workers, spare)
        if encoder.is_cpu
        else _BatchLine(items, reader, encoder, workers, batch_size=batch_size)
    )
    try:
        line.start()
        yield from line.results()
    finally:
        line.stop()


class _Line:
    """Threads that take items, each reading an image and running the model on it in its turn, and their results.

    There is one more of them than usually may run the model at once: it reads ahead.
    """

    def __init__(self, items: Iterable[Item], reader: Reader, encoder: Embedder, workers: int, spare: int = 0):
        self._items, self._reader, self._encoder, self._workers = iter(items), reader, encoder, workers
        self._turns = Turns(workers, spare)
        self._taking = threading.Lock()
        self._results: Channel[Extracted] = Channel(WAITING_RESULTS)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the threads."""
        self._results.expect(self._workers + 1)
        self._start(self._workers + 1, self._work)

    def results(self) -> Iterator[Extracted]:
        """The results, as they come."""
        while found := self._results.take():
            yield from found

    def stop(self) -> None:
        """Ends the threads, each after the image in its hands."""
        self._stopped.set()
        self._reader.budget.close()
        self._results.close()
        for thread in self._threads:
            thread.join()

    def _start(self, n: int, work: Callable[[], None]) -> None:
        for _ in range(n):
            self._threads.append(threading.Thread(target=work, name=f"ccip-{len(self._threads)}", daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        with self._results.writing():
            self._read_all(self._embed)

    def _read_all(self, use: Callable[[Extracted, Vectors], None]) -> None:
        try:
            while (item := self._take()) is not None:
                with contextlib.closing(self._reader.read(item)) as found:
                    for result, tensor in found:
                        if tensor is None:
                            self._results.put(result)
                        else:
                            use(result, tensor)
                        if self._stopped.is_set():
                            return
        except BaseException:
            self._stopped.set()
            raise

    def _take(self) -> Item | None:
        with self._taking:
            return None if self._stopped.is_set() else next(self._items, None)

    def _embed(self, found: Extracted, tensor: Vectors) -> None:
        try:
            with self._turns.take():
                vector = self._encoder.embed_tensor(tensor)
            found = replace(found, vector=normalize(vector))
        except EmbeddingError as error:
            found = replace(found, error=str(error))
        self._results.put(found)


class _BatchLine(_Line):
    """Threads read images, one more runs the model on batches, of whichever images."""

    def __init__(self, items: Iterable[Item], reader: Reader, encoder: Embedder, workers: int, *, batch_size: int):
        super().__init__(items, reader, encoder, workers)
        self._batch_size = batch_size
        self._ready: Channel[tuple[Extracted, Vectors]] = Channel(2 * batch_size)

    def start(self) -> None:
        self._ready.expect(self._workers)
        self._results.expect(1)
        self._start(self._workers, self._prepare)
        self._start(1, self._run)

    def stop(self) -> None:
        self._ready.close()
        super().stop()

    def _prepare(self) -> None:
        with self._ready.writing():
            self._read_all(lambda found, tensor: self._ready.put((found, tensor)))

    def _run(self) -> None:
        with self._results.writing():
            try:
                while batch := self._ready.take(self._batch_size):
                    self._embed_batch(batch)
            finally:
                self._stopped.set()
                self._ready.close()

    def _embed_batch(self, batch: list[tuple[Extracted, Vectors]]) -> None:
        try:
            vectors = self._encoder.embed_tensors(np.stack([tensor for _, tensor in batch]))
        except EmbeddingError:  # one of them; find out which
            for found, tensor in batch:
                self._embed(found, tensor)
            return
        for (found, _), vector in zip(batch, vectors, strict=True):
            self._results.put(replace(found, vector=normalize(vector)))
