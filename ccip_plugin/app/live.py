"""Work in a thread of its own, and where it is, for callers that must answer while it goes on."""

import logging
import threading
from collections.abc import Callable, Collection, Generator
from typing import Generic, TypeVar

from ..core.progress import Cancelled, Progress, ProgressCallback

logger = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL_SECONDS = 0.3


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


def fraction(progress: Progress | None) -> float | None:
    """How much of the stage is done, from 0 to 1; None when that is not known."""
    if progress is None or not progress.total:
        return None
    return min(1.0, progress.done / progress.total)
