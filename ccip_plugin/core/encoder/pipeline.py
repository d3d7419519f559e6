"""Extraction pipeline: reads image files and runs the model in parallel, in bounded memory. Independent of FiftyOne."""

import functools
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..arrays import Vectors
from ..differences import normalize
from ..errors import EmbeddingError
from ..preprocessing import MAX_PIXELS
from ..system import usable_cores
from ..thumbnails import Thumbnails
from .concurrency import Budget, Channel
from .reading import BLANK_EMBED, Extracted, Item, Reader
from .workers import Workers

MEMORY = 1 << 30
"""Default memory limit of the images that are read at once, in bytes."""

BATCH_SIZE = 32


class Embedder(Protocol):
    """Interface of :class:`ccip_plugin.core.encoder.encoder.Encoder` that the pipeline uses."""

    @property
    def is_cpu(self) -> bool:
        """Whether many threads run single images; otherwise one thread runs batches."""
        ...

    def embed_tensor(self, tensor: Vectors) -> Vectors:
        """``(3, 384, 384)`` -> ``(dim,)``; thread-safe."""
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
    blank: str = BLANK_EMBED,
    thumbnails: Thumbnails | None = None,
) -> Generator[Extracted, None, None]:
    """Embeds images and crops; yields results in the order of completion.

    On the CPU each worker reads an image and runs the model on it. One more thread reads ahead; without an explicit
    ``workers`` it also runs the model while other programs use the cores. On an accelerator the workers read, and one
    more thread runs the model on batches. Each file is decoded once for all its boxes. ``items`` is consumed lazily, by
    one worker at a time, and memory does not grow with the number of items.

    Closing the iterator ends the work: each worker only finishes its current image.

    Args:
        items: the images and crops to embed
        encoder: the model
        workers (None): number of images processed at once: on the CPU by the model, on an accelerator by readers; by
            default one per usable core, plus one while other programs use these
        alpha (0.0): fraction by which boxes are enlarged
        force_square (False): whether boxes are made square
        max_pixels: larger images fail, None for no limit
        memory: memory limit of the images that are read at once, in bytes; a larger image is read alone. The limit is
            at most ``workers`` x (48 MiB + twice the size of the largest decoded image)
        batch_size: images per batch on an accelerator
        blank: what is done with pictures that show nothing, see :class:`~ccip_plugin.core.encoder.reading.Reader`
        thumbnails (None): where thumbnails of the embedded images and boxes are kept

    Yields:
        an :class:`Extracted` for each key of an item

    Raises:
        ValueError: ``workers`` or ``batch_size`` below 1
        CCIPError: the model failed; earlier results are yielded first
    """
    spare = int(workers is None)  # an explicit number is a limit, also for memory
    workers = usable_cores() if workers is None else workers
    if min(workers, batch_size) < 1:
        raise ValueError(f"workers is {workers}, batch_size is {batch_size}; both must be at least 1")
    budget = Budget(memory, workers)
    reader = Reader(
        budget,
        alpha=alpha,
        force_square=force_square,
        max_pixels=max_pixels,
        blank=blank,
        thumbnails=thumbnails,
    )
    pipeline = (
        Workers(items, reader, functools.partial(_embed, encoder), workers, spare)
        if encoder.is_cpu
        else _BatchPipeline(items, reader, encoder, workers, batch_size=batch_size)
    )
    try:
        pipeline.start()
        yield from pipeline.results()
    finally:
        pipeline.stop()


class _BatchPipeline(Workers[Extracted]):
    """Worker threads read images, one more thread runs the model on batches."""

    def __init__(self, items: Iterable[Item], reader: Reader, encoder: Embedder, workers: int, *, batch_size: int):
        super().__init__(items, reader, functools.partial(_embed, encoder), workers)
        self._encoder, self._batch_size = encoder, batch_size
        self._ready: Channel[tuple[Extracted, Vectors]] = Channel(2 * batch_size)

    def start(self) -> None:
        self._ready.expect(self._workers)
        self._results.expect(1)
        self.start_threads(self._workers, self._prepare)
        self.start_threads(1, self._run)

    def stop(self) -> None:
        self._ready.close()
        super().stop()

    def _prepare(self) -> None:
        with self._ready.writing():
            self.read_all(lambda result, tensor: self._ready.put((result, tensor)))

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
        except EmbeddingError:  # raised for one of the images: run them one by one
            for result, tensor in batch:
                self.process(result, tensor)
            return
        for (result, _), vector in zip(batch, vectors, strict=True):
            self._results.put(replace(result, vector=normalize(vector)))


def _embed(encoder: Embedder, result: Extracted, tensor: Vectors) -> Extracted:
    try:
        return replace(result, vector=normalize(encoder.embed_tensor(tensor)))
    except EmbeddingError as error:
        return replace(result, error=str(error))
