"""Runs work in a thread and yields its progress, for callers that must respond meanwhile."""

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
    """Runs ``work`` in a thread and yields its progress.

    When the generator is closed, the progress callable raises ``Cancelled`` the next time it is called. Closing does
    not wait for the thread: it may happen in an event loop.

    Args:
        work: takes a progress callable
        interval (0.3): seconds between two yields, with or without new progress: a server notices that a client has
            disconnected only when it sends something
        not_stopped_in (()): stages that are finished even when the generator is closed

    Yields:
        the latest :class:`~ccip_plugin.core.progress.Progress`, None before the first

    Returns:
        the result of ``work``

    Raises:
        Exception: the error of ``work``
    """
    thread = _Worker(work, frozenset(not_stopped_in))
    thread.start()
    try:
        while not thread.wait(interval):
            yield thread.latest
    finally:
        thread.is_stopped = True
    return thread.result()


class _Worker(threading.Thread, Generic[T]):
    """A thread that keeps the latest progress and the result of its work."""

    def __init__(self, work: Callable[[ProgressCallback], T], not_stopped_in: frozenset[str]):
        super().__init__(name="ccip-work", daemon=True)  # so that a server can exit during hours of work
        self.latest: Progress | None = None
        self.is_stopped = False
        self._work, self._not_stopped_in = work, not_stopped_in
        self._is_done = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._work(self._take))
        except Cancelled:
            logger.info("cancelled: the client has disconnected")
            self._error = Cancelled("stopped")
        except BaseException as error:
            self._error = error
            if self.is_stopped:
                logger.exception("failed after the client had disconnected")
        finally:
            self._is_done.set()

    def wait(self, seconds: float) -> bool:
        """Waits for the end; False when the time is over before."""
        return self._is_done.wait(seconds)

    def result(self) -> T:
        """The result, after the end."""
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _take(self, progress: Progress) -> None:
        self.latest = progress
        if self.is_stopped and progress.stage not in self._not_stopped_in:
            raise Cancelled("stopped")


def fraction(progress: Progress | None) -> float | None:
    """The finished share of a stage, from 0 to 1; None when it is unknown."""
    if progress is None or not progress.total:
        return None
    return min(1.0, progress.done / progress.total)
