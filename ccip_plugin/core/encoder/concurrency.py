"""Synchronization of the pipeline's threads: memory budget, adaptive semaphore, queue."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

WORKER_BYTES = 48 << 20
"""Memory of a worker in addition to twice the decoded size of the largest image being read."""

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - a signal between threads
    """The consumer has stopped reading."""


class Cost(NamedTuple):
    """Memory of an image, in bytes.

    Attributes:
        reading: peak while the image is read
        decoded: size of the decoded image
    """

    reading: int = 0
    decoded: int = 0


class Budget:
    """Memory budget for images being read; first in, first out, so that large images do not starve."""

    def __init__(self, total: int, workers: int):
        self._total, self._workers = total, workers
        self._held: list[Cost] = []
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def hold(self, cost: Cost) -> Iterator[None]:
        """Waits until an image fits, or no other image is being read, and holds its memory."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._closed or (self._waiting[0] is ticket and self._fits(cost)))
            self._waiting.remove(ticket)
            if self._closed:
                raise Stopped
            self._held.append(cost)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(cost)
                self._changed.notify_all()

    def close(self) -> None:
        """Ends every wait with :class:`Stopped`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, cost: Cost) -> bool:
        images = [*self._held, cost]
        limit = self._workers * (WORKER_BYTES + 2 * max(image.decoded for image in images))
        return len(images) == 1 or sum(image.reading for image in images) <= min(self._total, limit)


class AdaptiveSemaphore:
    """Limits how many threads run the model at once: ``usual``, plus ``spare`` while other programs use the cores.

    More threads than cores evict each other's data from the processor caches, which costs large models a tenth. But if
    another program shares a core, a thread that waits for the core holds a slot without using it.
    """

    def __init__(self, usual: int, spare: int):
        self._usual, self._spare, self._limit, self._running = usual, spare, usual, 0
        self._cpu_share = 1.0  # CPU time divided by wall time of a run, smoothed over several runs
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Waits for a slot and holds it."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self._limit)
            self._running += 1
        wall_start, cpu_start = _clocks()
        try:
            yield
        finally:
            wall_end, cpu_end = _clocks()
            with self._changed:
                self._running -= 1
                self._adapt((cpu_end - cpu_start) / max(wall_end - wall_start, 1e-9))
                self._changed.notify_all()

    def _adapt(self, cpu_share: float) -> None:
        self._cpu_share += 0.3 * (cpu_share - self._cpu_share)
        alone = self._usual / (self._usual + 1)  # the share with one more thread and no other program
        if self._limit == self._usual and self._cpu_share < 0.75:
            self._limit, self._cpu_share = self._usual + self._spare, 0.75 * alone
        elif self._limit > self._usual and self._cpu_share > 0.85 * alone:
            self._limit, self._cpu_share = self._usual, 1.0


def _clocks() -> tuple[float, float]:
    """Wall time and CPU time of this thread, in seconds."""
    return time.perf_counter(), time.thread_time()


class Channel(Generic[T]):
    """Bounded queue from several writer threads to one reader; it ends when all writers are done."""

    def __init__(self, capacity: int):
        self._capacity = capacity
        self._values: deque[T] = deque()
        self._changed = threading.Condition()
        self._writers = 0
        self._closed = False
        self._error: BaseException | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Context of one writer; an exception in it is raised in the reader, after the values."""
        try:
            yield
        except Stopped:
            pass
        except BaseException as error:
            self._error = self._error or error
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()

    def expect(self, writers: int) -> None:
        """Sets the number of writers."""
        self._writers = writers

    def put(self, value: T) -> None:
        """Waits for a free place and adds a value.

        Raises:
            Stopped: the queue was closed
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._values) < self._capacity)
            if self._closed:
                raise Stopped
            self._values.append(value)
            self._changed.notify_all()

    def take(self, n: int = 1) -> list[T]:
        """Waits for ``n`` values and returns them; fewer, or none, only if all writers are done.

        Raises:
            BaseException: the first error of a writer
        """
        with self._changed:
            while len(self._values) < n and self._writers and not self._closed:
                self._changed.wait(1.0)  # on some systems a wait without timeout cannot be interrupted
            if not self._values and self._error is not None:
                raise self._error
            taken = [self._values.popleft() for _ in range(min(n, len(self._values)))]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Ends every wait; writers stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
