"""How long work tells its caller where it is, and how the caller stops it."""

from collections.abc import Callable
from dataclasses import dataclass

from .errors import CCIPError


@dataclass(frozen=True)
class Progress:
    """Where a piece of work is.

    Attributes:
        stage: what is being done, as a person would say it
        done: how many items are done
        total: how many items there are, None when not known
        note: anything worth saying beside the count
    """

    stage: str
    done: int
    total: int | None
    note: str = ""


ProgressCallback = Callable[[Progress], None]


class Cancelled(CCIPError):  # noqa: N818 - not an error of the work, the caller's wish
    """Raised by a progress callable to stop the work. What was finished stays."""


def report(progress: ProgressCallback | None, stage: str, done: int, total: int | None, note: str = "") -> None:
    """Tells ``progress``, when there is one, where the work is."""
    if progress is not None:
        progress(Progress(stage, done, total, note))
