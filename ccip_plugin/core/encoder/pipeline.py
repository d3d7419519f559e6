"""From files to embeddings: reading and inference side by side, in bounded memory. Knows nothing of FiftyOne."""

import contextlib
import ctypes
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from ..arrays import Vectors
from ..differences import normalize
from ..errors import EmbeddingError, EmptyCropError, UnreadableImageError
from ..preprocessing import MAX_PIXELS, crop, image_size, load_image, preprocess
from ..system import usable_cores

MEMORY = 1 << 30
"""Bytes that the decoded images in work may take by default; more are not decoded at once."""

DECODED_BYTES_PER_PIXEL = 4
READING_BYTES_PER_PIXEL = 10  # while Pillow reads: 8 with a second copy (turned, on white), 10 for progressive JPEG,
WEBP_BYTES_PER_PIXEL = 12  # and 12 for WebP
WORKER_BYTES = 48 << 20
"""What each worker may take beside twice the decoded bytes of the largest image in work."""

BATCH_SIZE = 32
WAITING_RESULTS = 1024
LARGE_BYTES = 32 << 20  # decoded: the C library returns the memory of smaller ones soon enough

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """An image file and what to embed of it.

    Attributes:
        key: how the caller knows the image
        filepath: the file
        boxes: relative ``[x, y, width, height]`` of the crops to embed, each by its own key; None for the whole image
    """

    key: Any
    filepath: str
    boxes: Mapping[Any, Sequence[float] | None] | None = None

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys of the results."""
        return (self.key,) if self.boxes is None else tuple(self.boxes)


@dataclass(frozen=True, eq=False)
class Extracted:
    """What became of an image or a crop: an embedding, or the reason why there is none.

    Attributes:
        key: the key of the image or of the box
        vector: the embedding, ``(dim,)``, unit length; None when it failed
        error: why it failed, None when it did not
        source: the state of what was read, see :func:`file_state` and :func:`crop_state`; None when the file could not
            be opened
    """

    key: Any
    vector: Vectors | None = None
    error: str | None = None
    source: str | None = None


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
    reader = _Reader(_Budget(memory, workers), alpha=alpha, force_square=force_square, max_pixels=max_pixels)
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


def file_state(status: os.stat_result) -> str:
    """Size and time of change of a file, as a string to compare with an earlier one."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def crop_state(of_file: str, box: Sequence[float] | None) -> str:
    """The state of a file with the box of a crop, as a string to compare with an earlier one."""
    return f"{of_file}:{box}"


class _Stopped(Exception):  # noqa: N818 - a signal between threads
    """The consumer has gone."""


class _Cost(NamedTuple):
    """Bytes of an image."""

    reading: int = 0
    decoded: int = 0


class _Budget:
    """Bytes for images that are read, given out in the order of asking, so that large images get their turn."""

    def __init__(self, total: int, workers: int):
        self._total, self._workers = total, workers
        self._held: list[_Cost] = []
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def hold(self, cost: _Cost) -> Iterator[None]:
        """Waits until there is room for an image, or for nothing else, and holds it."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._closed or (self._waiting[0] is ticket and self._fits(cost)))
            self._waiting.remove(ticket)
            if self._closed:
                raise _Stopped
            self._held.append(cost)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(cost)
                self._changed.notify_all()

    def close(self) -> None:
        """Lets nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, cost: _Cost) -> bool:
        together = [*self._held, cost]
        most = self._workers * (WORKER_BYTES + 2 * max(image.decoded for image in together))
        return len(together) == 1 or sum(image.reading for image in together) <= min(self._total, most)


class _Turns:
    """How many threads may run the model at once: ``usual``, or ``spare`` more while others use the same cores.

    More threads than cores take the caches of the processor from each other, which costs large models a tenth. But
    where a core is shared with another program, a thread that waits for it holds a turn that nobody makes use of.
    """

    def __init__(self, usual: int, spare: int):
        self._usual, self._spare, self._most, self._running = usual, spare, usual, 0
        self._share = 1.0  # of the time of a run that its thread had a core, smoothed over some runs
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Waits for a turn and takes it."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._most)
            self._running += 1
        began, began_working = _clocks()
        try:
            yield
        finally:
            now, worked = _clocks()
            with self._changed:
                self._running -= 1
                self._note((worked - began_working) / max(now - began, 1e-9))
                self._changed.notify_all()

    def _note(self, share: float) -> None:
        self._share += 0.3 * (share - self._share)
        alone = self._usual / (self._usual + 1)  # the share when one more has turns and there is no other program
        if self._most == self._usual and self._share < 0.75:
            self._most, self._share = self._usual + self._spare, 0.75 * alone
        elif self._most > self._usual and self._share > 0.85 * alone:
            self._most, self._share = self._usual, 1.0


def _clocks() -> tuple[float, float]:
    """Seconds, and those that this thread had a core in."""
    return time.perf_counter(), time.thread_time()


class _Channel(Generic[T]):
    """Hands values from some threads to one other; whoever is too fast waits."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._values: deque[T] = deque()
        self._changed = threading.Condition()
        self._writers = 0
        self._closed = False
        self._error: BaseException | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Marks the time of one writer; an error in it reaches the reader after the values."""
        try:
            yield
        except _Stopped:
            pass
        except BaseException as error:
            self._error = self._error or error
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()

    def expect(self, writers: int) -> None:
        """Says how many writers there will be."""
        self._writers = writers

    def put(self, value: T) -> None:
        """Adds a value, when there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._values) < self._capacity)
            if self._closed:
                raise _Stopped
            self._values.append(value)
            self._changed.notify_all()

    def take(self, n: int = 1) -> list[T]:
        """Waits for ``n`` values; fewer, or none, only when all writers are done.

        Raises:
            BaseException: the first error of a writer
        """
        with self._changed:
            while len(self._values) < n and self._writers and not self._closed:
                self._changed.wait(1.0)  # a wait without end cannot be interrupted on every system
            if not self._values and self._error is not None:
                raise self._error
            taken = [self._values.popleft() for _ in range(min(n, len(self._values)))]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Lets nobody wait any more; writers stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Reader:
    """Turns items into tensors."""

    def __init__(self, budget: _Budget, *, alpha: float, force_square: bool, max_pixels: int | None):
        self.budget, self._alpha, self._force_square, self._max_pixels = budget, alpha, force_square, max_pixels

    def read(self, item: Item) -> Generator[tuple[Extracted, Vectors | None], None, None]:
        """Gives for each key what is known of it, and its tensor unless it failed."""
        try:
            with _open_file(item.filepath) as file:
                source = file_state(os.fstat(file.fileno()))
                yield from self._read_open(item, file, source)
        except _CannotOpenError as error:
            for key in item.keys:
                yield Extracted(key, error=str(error)), None

    def _read_open(self, item: Item, file: BinaryIO, source: str) -> Iterator[tuple[Extracted, Vectors | None]]:
        with contextlib.ExitStack() as holding:
            cost = _cost(file)
            holding.enter_context(self.budget.hold(cost))
            try:
                image = load_image(file, max_pixels=self._max_pixels)
            except UnreadableImageError as error:
                for key in item.keys:
                    yield Extracted(key, error=error.reason, source=source), None
                return
            if item.boxes is None:
                tensor = preprocess(image)
                del image
                _return_memory(cost)
                holding.close()  # the model needs the tensor only
                yield Extracted(item.key, source=source), tensor
                return
            for key, box in item.boxes.items():
                found = Extracted(key, source=crop_state(source, box))
                try:
                    yield found, preprocess(crop(image, _numbers(box), alpha=self._alpha, square=self._force_square))
                except EmptyCropError as error:
                    yield replace(found, error=str(error)), None
            del image
            _return_memory(cost)


class _Line:
    """Threads that take items, each reading an image and running the model on it in its turn, and their results.

    There is one more of them than usually may run the model at once: it reads ahead.
    """

    def __init__(self, items: Iterable[Item], reader: _Reader, encoder: Embedder, workers: int, spare: int = 0):
        self._items, self._reader, self._encoder, self._workers = iter(items), reader, encoder, workers
        self._turns = _Turns(workers, spare)
        self._taking = threading.Lock()
        self._results: _Channel[Extracted] = _Channel(WAITING_RESULTS)
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

    def __init__(self, items: Iterable[Item], reader: _Reader, encoder: Embedder, workers: int, *, batch_size: int):
        super().__init__(items, reader, encoder, workers)
        self._batch_size = batch_size
        self._ready: _Channel[tuple[Extracted, Vectors]] = _Channel(2 * batch_size)

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


class _CannotOpenError(Exception):
    """The file is not there, or not to be read."""


@contextlib.contextmanager
def _open_file(filepath: str) -> Iterator[BinaryIO]:
    try:
        if not stat.S_ISREG(os.stat(filepath).st_mode):  # noqa: PTH116 - a pipe would be opened for ever
            raise _CannotOpenError("not a file")
        file = open(filepath, "rb")  # noqa: PTH123, SIM115 - closed below
    except FileNotFoundError:
        raise _CannotOpenError("the file is not there") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _CannotOpenError(f"cannot open the file: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


def _cost(file: BinaryIO) -> _Cost:
    """About how much memory reading an image takes; nothing for what is no image, which reading it will say."""
    try:
        width, height = image_size(file)
    except UnreadableImageError:
        return _Cost()
    file.seek(0)
    is_webp = file.read(12)[8:] == b"WEBP"
    each = WEBP_BYTES_PER_PIXEL if is_webp else READING_BYTES_PER_PIXEL
    return _Cost(width * height * each, width * height * DECODED_BYTES_PER_PIXEL)


def _return_memory(freed: _Cost) -> None:
    """Has the C library give freed memory back to the system, after a large image: glibc keeps some for each thread."""
    if freed.decoded > LARGE_BYTES and sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)


def _numbers(box: Sequence[float] | None) -> Sequence[float]:
    """A box that can be cropped, or turned down as a box and not as an error of the program."""
    try:
        return [float(number) for number in box or ()]
    except (TypeError, ValueError):
        return ()
