"""Work in a thread of its own, and where it is, for callers that must answer while it goes on."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping
from typing import Generic, TypeVar

from ..core.progress import Cancelled, Progress, ProgressCallback
from ..reports.words import duration

logger = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL_SECONDS = 0.3
WINDOW_SECONDS = 20.0
SETTLED_SECONDS = 2.0
BYTES = "bytes"
UNITS = {"embedding": "images"}
"""What is counted in a stage, where the speed is worth saying."""


def run_live(
    work: Callable[[ProgressCallback], T],
    *,
    interval: float = INTERVAL_SECONDS,
    not_stopped_in: Collection[str] = (),
) -> Generator[Progress | None, None, T]:
    """Runs ``work`` in a thread and yields where it is.

    When the generator is closed, the progress callable raises ``Cancelled`` the next time it is called; nobody waits
    for the thread then, as the one who closes may be an event loop.

    Args:
        work: takes a progress callable
        interval (0.3): seconds from one yield to the next, whether there is news or not: who reads the answer can
            only be noticed to have gone by sending something
        not_stopped_in (()): stages that are finished even when the generator is closed

    Yields:
        the newest :class:`~ccip_plugin.core.progress.Progress`, None before the first

    Returns:
        what ``work`` returned

    Raises:
        Exception: what ``work`` raised
    """
    thread = _Worker(work, frozenset(not_stopped_in))
    thread.start()
    try:
        while not thread.wait(interval):
            yield thread.newest
    finally:
        thread.is_stopped = True
    return thread.result()


class _Worker(threading.Thread, Generic[T]):
    """A thread that keeps the newest progress and the outcome of its work."""

    def __init__(self, work: Callable[[ProgressCallback], T], not_stopped_in: frozenset[str]):
        super().__init__(name="ccip-work", daemon=True)  # a server that ends must not wait for hours of work
        self.newest: Progress | None = None
        self.is_stopped = False
        self._work, self._not_stopped_in = work, not_stopped_in
        self._is_done = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._work(self._take))
        except Cancelled:
            logger.info("stopped, as nobody waits for the result any more")
            self._error = Cancelled("stopped")
        except BaseException as error:
            self._error = error
            if self.is_stopped:
                logger.exception("failed after nobody waited for the result any more")
        finally:
            self._is_done.set()

    def wait(self, seconds: float) -> bool:
        """Waits for the end; False when it has not come by then."""
        return self._is_done.wait(seconds)

    def result(self) -> T:
        """The outcome, after the end."""
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _take(self, progress: Progress) -> None:
        self.newest = progress
        if self.is_stopped and progress.stage not in self._not_stopped_in:
            raise Cancelled("stopped")


class Teller:
    """Says in words where work is: "embedding 312 of 5,000 (14 images/s, about 5 min left)".

    Args:
        units: by stage, what is counted
        clock: seconds, for tests
    """

    def __init__(self, units: Mapping[str, str] = UNITS, *, clock: Callable[[], float] = time.monotonic):
        self._units, self._clock = units, clock
        self._stage = ""
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, progress: Progress) -> str:
        """The words for ``progress``; the speed is that of the last seconds, so it needs to be called now and then."""
        self._remember(progress)
        words = f"{progress.stage}{_count(progress)}{self._speed(progress)}"
        is_count_of_bytes = progress.note == BYTES
        return f"{words}; {progress.note}" if progress.note and not is_count_of_bytes else words

    def _remember(self, progress: Progress) -> None:
        now = self._clock()
        if progress.stage != self._stage or (self._seen and progress.done < self._seen[-1][1]):
            self._stage = progress.stage
            self._seen.clear()
        self._seen.append((now, progress.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()

    def _speed(self, progress: Progress) -> str:
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        if end - start < SETTLED_SECONDS or last <= first:
            return ""
        speed = (last - first) / (end - start)
        words = [f"{speed / 1e6:.1f} MB/s"] if progress.note == BYTES else []
        if progress.stage in self._units:
            words = [f"{_rounded(speed)} {self._units[progress.stage]}/s"]
        if progress.total is not None and progress.total > last:
            words.append(f"about {duration((progress.total - last) / speed)} left")
        return f" ({', '.join(words)})" if words else ""


def fraction(progress: Progress | None) -> float | None:
    """How much of the stage is done, from 0 to 1; None when that is not known."""
    if progress is None or not progress.total:
        return None
    return min(1.0, progress.done / progress.total)


def _count(progress: Progress) -> str:
    if progress.note == BYTES:
        total = "" if progress.total is None else f" of {progress.total / 1e6:.0f}"
        return f", {progress.done / 1e6:.0f}{total} MB"
    if progress.total is None:
        return f", {progress.done:,}" if progress.done else ""
    return f" {progress.done:,} of {progress.total:,}"


def _rounded(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
