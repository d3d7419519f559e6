"""Runs a download in a thread, with progress in bytes and cancellation by the caller."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

THREAD = "ccip-download"

_POLL_SECONDS = 0.2  # how often the caller reports progress
_LEAVE_SECONDS = 1.0  # time for a stopped thread to clean up before it is abandoned


class Stopped(BaseException):
    """Ends the thread of a download. A ``BaseException``, so that no library handles it as a failed connection."""


class Transfer:
    """Progress of one download, shared by the downloading thread and the waiting caller.

    Attributes:
        total: the size of the file, None while it is unknown
        is_stopped: whether the caller has cancelled the download
        bars: the progress bars of the library, which count bytes
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self.is_stopped = False
        self.bars: list[Any] = []

    def check(self) -> None:
        """Ends the thread if the caller has cancelled the download."""
        if self.is_stopped:
            raise Stopped

    @property
    def done(self) -> int:
        """Number of bytes received.

        A library may open several bars for one file (with Xet: bytes received, bytes written); this is their maximum,
        not their sum.
        """
        done = max((int(bar.n) for bar in self.bars), default=0)
        return done if self.total is None else min(done, self.total)

    def bar_class(self) -> type:
        """Creates a subclass of ``tqdm`` that lets a library count bytes and displays nothing.

        Its ``update`` ends the download if the caller has cancelled it, or if more bytes arrive than announced.
        """
        from tqdm import tqdm

        transfer = self

        class Bar(tqdm):  # type: ignore[misc, type-arg, unused-ignore]
            monitor_interval = 0  # no thread of its own

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                kwargs.pop("name", None)  # an argument of huggingface_hub's subclass that tqdm does not have
                super().__init__(*args, **{**kwargs, "disable": True})
                transfer.bars.append(self)

            def update(self, n: float | None = 1) -> bool | None:
                transfer.check()
                self.n += n or 0
                if len(transfer.bars) == 1 and transfer.total is not None and self.n > transfer.total:
                    raise OSError(f"more than the announced {transfer.total:,} bytes arrive")
                return None

        return Bar

    def run(self, work: Callable[[], T], waiting: Callable[[], None]) -> T:
        """Runs ``work`` in a thread of its own and returns its result.

        Args:
            work: the function to run; its exceptions are raised here
            waiting: called in the caller's thread, first at once and then several times a second. Its exceptions, and
                Ctrl-C, cancel the download: the thread ends with the next bytes, and is abandoned after a second
                without any
        """
        waiting()
        outcome: Future[T] = Future()
        thread = threading.Thread(target=_settle, args=(outcome, work), name=THREAD, daemon=True)
        thread.start()
        try:
            while not wait([outcome], timeout=_POLL_SECONDS).done:
                waiting()
        except BaseException:
            self.is_stopped = True
            wait([outcome], timeout=_LEAVE_SECONDS)
            raise
        return outcome.result()


def _settle(outcome: "Future[T]", work: Callable[[], T]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:
        outcome.set_exception(error)
