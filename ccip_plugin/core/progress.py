"""Progress reports of long work, and how a caller cancels it."""

import time
from collections.abc import Callable, Mapping
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


class StageClock:
    """Seconds per stage of long work."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = time.perf_counter()

    @property
    def laps(self) -> Mapping[str, float]:
        """The seconds of the stages so far, by name."""
        return dict(self._laps)

    def lap(self, stage: str) -> None:
        """Ends a stage."""
        now = time.perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + now - self._last
        self._last = now
