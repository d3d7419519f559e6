"""Memory budget, turns and channels of the threads of a pipeline."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

WORKER_BYTES = 48 << 20
"""What each worker may take beside twice the decoded bytes of the largest image in work."""

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - a signal between threads
    """The consumer has gone."""


class Cost(NamedTuple):
    """Bytes of an image."""

    reading: int = 0
    decoded: int = 0


class Budget:
    """Bytes for images that are read, given out in the order of asking, so that large images get their turn."""

    def __init__(self, total: int, workers: int):
        self._total, self._workers = total, workers
        self._held: list[Cost] = []
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def hold(self, cost: Cost) -> Iterator[None]:
        """Waits until there is room for an image, or for nothing else, and holds it."""
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
        """Lets nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, cost: Cost) -> bool:
        together = [*self._held, cost]
        most = self._workers * (WORKER_BYTES + 2 * max(image.decoded for image in together))
        return len(together) == 1 or sum(image.reading for image in together) <= min(self._total, most)


class Turns:
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


class Channel(Generic[T]):
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
        except Stopped:
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
                raise Stopped
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
