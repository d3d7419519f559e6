"""Numbers, names and progress as text."""

import datetime
import time
import unicodedata
from collections import deque
from collections.abc import Callable

from tqdm.std import tqdm

from ..core.progress import BYTES, Progress

WINDOW_SECONDS = 20.0
"""The rate of progress is the mean over this time."""
SETTLED_SECONDS = 2.0
"""No rate is shown before this time has passed."""
_STEP_SECONDS = 0.1


def duration(seconds: float) -> str:
    """A rounded forecast: ``45 s``, ``3 min``, ``2 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def local_time(at: str) -> str:
    """A recorded time, ISO 8601 in UTC, as text in the time of this machine: ``2026-01-31 12:30:00``.

    What is no time, as others may have written it, stays as it is.
    """
    try:
        read = datetime.datetime.fromisoformat(at)
    except ValueError:
        return at
    known = read if read.tzinfo is not None else read.replace(tzinfo=datetime.UTC)
    return known.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def printable(text: str) -> str:
    """The text with characters escaped that move the cursor, set colors or break the line, as in names of files."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def columns(text: str) -> int:
    """Columns of a terminal that a text fills: two for a wide East Asian character, none for a combining one."""
    return sum(_columns_of(character) for character in unicodedata.normalize("NFC", text))


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Speed:
    """Measures the rate of progress: items per second over the last :data:`WINDOW_SECONDS` of a stage.

    Args:
        clock: seconds, for tests
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._stage = ""
        self._points: deque[tuple[float, int]] = deque()

    def update(self, progress: Progress) -> float | None:
        """Takes the current progress.

        Returns:
            items per second; None when too little is known
        """
        now, points = self._clock(), self._points
        if progress.stage != self._stage or (points and progress.done < points[-1][1]):
            self._stage = progress.stage
            points.clear()
        if len(points) > 1 and now - points[-2][0] < _STEP_SECONDS:
            points.pop()
        points.append((now, progress.done))
        while len(points) > 2 and now - points[0][0] > WINDOW_SECONDS:
            points.popleft()
        (start, first), (end, last) = points[0], points[-1]
        return (last - first) / (end - start) if end - start >= SETTLED_SECONDS and last > first else None


def describe(progress: Progress, per_second: float | None = None) -> str:
    """Progress as text: ``embedding: 312 of 5,000 (14 images/s, 05:35 left); 3 failed``.

    Args:
        progress: the progress
        per_second (None): items per second, see :class:`Speed`
    """
    state = describe_state(progress, per_second)
    return f"{printable(progress.stage)}: {state}" if state else printable(progress.stage)


def describe_state(progress: Progress, per_second: float | None = None) -> str:
    """The same without the stage; empty when nothing is known yet."""
    text = _count(progress)
    details = [*_rate(progress, per_second), *_time_left(progress, per_second)]
    if details:
        text += f" ({', '.join(details)})"
    return "; ".join(filter(None, (text, printable(progress.note))))


def _count(progress: Progress) -> str:
    if progress.total:
        return f"{_amount(progress.done, progress.unit)} of {_amount(progress.total, progress.unit)}"
    return _amount(progress.done, progress.unit) if progress.done else ""


def _amount(number: int, unit: str) -> str:
    return tqdm.format_sizeof(number, BYTES) if unit == BYTES else f"{number:,}"


def _rate(progress: Progress, per_second: float | None) -> list[str]:
    if not per_second or not progress.unit:
        return []
    if progress.unit == BYTES:
        return [f"{tqdm.format_sizeof(per_second, BYTES)}/s"]
    return [f"{per_second:,.0f} {progress.unit}/s" if per_second >= 10 else f"{per_second:.1f} {progress.unit}/s"]


def _time_left(progress: Progress, per_second: float | None) -> list[str]:
    if not per_second or not progress.total or progress.done >= progress.total:
        return []
    return [f"{tqdm.format_interval((progress.total - progress.done) / per_second)} left"]
