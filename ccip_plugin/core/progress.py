"""Progress reports of long work, and how a caller cancels it."""

from collections.abc import Callable
from dataclasses import dataclass

from .errors import CCIPError, ParameterError

BYTES = "B"
"""The unit of progress that is counted in bytes."""


@dataclass(frozen=True)
class Progress:
    """State of long work.

    Attributes:
        stage: the current stage, e.g. "embedding"
        done: number of items that are done
        total: number of items, None when unknown
        note: anything else to show, e.g. "3 failed"
        unit: what is counted, where the rate is worth showing: "images", or :data:`BYTES`
    """

    stage: str
    done: int
    total: int | None
    note: str = ""
    unit: str = ""


ProgressCallback = Callable[[Progress], None]


class Cancelled(CCIPError):  # noqa: N818 - not an error of the work, the caller's wish
    """Raised by a progress callable to cancel the work. Finished results are kept."""


def report(
    progress: ProgressCallback | None, stage: str, done: int, total: int | None, note: str = "", unit: str = ""
) -> None:
    """Calls ``progress``, if given, with a :class:`Progress` of these values."""
    if progress is not None:
        if not callable(progress):
            raise ParameterError("progress", progress, "a function of one argument, a Progress, or None")
        progress(Progress(stage, done, total, note, unit))
