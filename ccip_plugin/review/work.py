"""Work that takes longer than a person waits: it is started, asked for, and can be cancelled."""

import contextlib
import contextvars
import itertools
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from ..core.progress import Progress, ProgressCallback
from ..storage.lease import while_waiting
from .problems import ReviewError, problem_of

WAIT_SECONDS = 1.5
"""What is done within this time is answered at once."""
_KEPT = 100  # pieces of work whose result is kept
_POLL_SECONDS = 0.1
_NOT_STOPPED = frozenset({"writing labels"})  # the next change would have to finish it

Task = Callable[[ProgressCallback], dict[str, Any]]

__all__ = ["WORKS", "ProgressCallback", "Task", "Work", "Works", "in_turn"]


@contextlib.contextmanager
def in_turn(lock: threading.Lock, progress: ProgressCallback) -> Iterator[None]:
    """Holds a lock. While it waits for that, or inside for another process that writes, it can be cancelled.

    Args:
        lock: the lock
        progress: called while it waits
    """

    def wait() -> None:
        progress(Progress("waiting for another change", 0, None))

    while not lock.acquire(timeout=_POLL_SECONDS):
        wait()
    try:
        with while_waiting(wait):
            yield
    finally:
        lock.release()


class _CancelledError(Exception):
    """A person cancelled it."""


class Work:
    """A piece of work in a thread of its own.

    Args:
        task: what is done; it takes a progress callable
    """

    def __init__(self, task: Task):
        self.id, self.state = secrets.token_hex(8), "running"
        self._task, self._ended, self._is_cancelled = task, threading.Event(), False
        self._at = Progress("", 0, None)
        self._result: dict[str, Any] = {}
        context = contextvars.copy_context()
        threading.Thread(target=lambda: context.run(self._run), name="ccip-review", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, after at most these seconds."""
        return self._ended.wait(seconds)

    def cancel(self) -> None:
        """Stops it at its next report of progress, unless it is writing labels already."""
        self._is_cancelled = True

    @property
    def result(self) -> dict[str, Any]:
        """What it gave, or its problem."""
        return self._result

    def plain(self) -> dict[str, Any]:
        """As the panel takes it."""
        text = self._result.get("problem", {}).get("message") or self._at.stage
        result = self._result if self.state == "done" else None
        total = self._at.total or 0
        return {
            "id": self.id,
            "state": self.state,
            "done": self._at.done,
            "total": total,
            "text": text,
            "result": result,
        }

    def _run(self) -> None:
        try:
            self._result, self.state = self._task(self._report), "done"
        except _CancelledError:
            self._result, self.state = {"problem": problem_of(ReviewError("failed", "it was cancelled"))}, "cancelled"
        except Exception as error:
            self._result, self.state = {"problem": problem_of(error)}, "failed"
        finally:
            self._ended.set()

    def _report(self, progress: Progress) -> None:
        self._at = progress
        if self._is_cancelled and progress.stage not in _NOT_STOPPED:
            raise _CancelledError


class Works:
    """The work of this process, the newest pieces."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._lock = threading.Lock()

    def do(self, task: Task, *, wait: float = WAIT_SECONDS) -> dict[str, Any]:
        """Does some work: its result or problem; what takes longer is given as ``work``, by its id.

        Args:
            task: what is done; it takes a progress callable
            wait (1.5): seconds
        """
        work = Work(task)
        if work.wait(wait):
            return work.result
        with self._lock:
            self._works[work.id] = work
            ended = [key for key, each in self._works.items() if each.state != "running"]
            for key in itertools.islice(ended, max(0, len(self._works) - _KEPT)):
                del self._works[key]
        return {"work": work.id}

    def get(self, key: str) -> Work:
        """A piece of work.

        Raises:
            ReviewError: there is none of that id, as after a restart of the server
        """
        work = self._works.get(key)
        if work is None:
            raise ReviewError("gone", "this work is not known any more: the history says what was done")
        return work


WORKS = Works()
"""The work of this process."""
