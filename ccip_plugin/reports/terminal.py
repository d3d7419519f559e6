"""What a person sees on a terminal, or in the log of a job, while work goes on."""

import logging
import os
import shutil
import time
import unicodedata
from typing import TextIO

from ..core.progress import Progress
from .words import duration, printable

_EVERY_SECONDS = 0.1
_EVERY_SECONDS_IN_LOG = 30.0
_BAR_CELLS = 20
_CLEAR_LINE = "\r\x1b[K"
_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


class ProgressLine:
    """Shows the latest :class:`~ccip_plugin.core.progress.Progress` in one line that is written over.

    Where the stream is no terminal it writes a line when something begins, and one every half a minute.

    Args:
        stream: where to, usually ``sys.stderr``
        is_quiet: whether to show nothing
    """

    def __init__(self, stream: TextIO, *, is_quiet: bool = False):
        self._stream, self._is_quiet = stream, is_quiet
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = False
        self._stage, self._first, self._started, self._last = "", 0, 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        if self._is_quiet:
            return
        now = time.monotonic()
        is_new = progress.stage != self._stage or progress.done < self._first
        if is_new:
            self._stage, self._first, self._started = progress.stage, progress.done, now
        is_last = self._is_terminal and progress.done == progress.total
        if is_new or is_last or now - self._last >= (_EVERY_SECONDS if self._is_terminal else _EVERY_SECONDS_IN_LOG):
            self._last = now
            self._show(describe(progress, progress.done - self._first, now - self._started, bar=self._is_terminal))

    def write(self, text: str) -> None:
        """Writes lines that stay, above the line of progress."""
        self.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._stream.write(_CLEAR_LINE)
            self._stream.flush()
            self._shown = False

    def _show(self, text: str) -> None:
        if not self._is_terminal:
            self.write(text)
            return
        columns = shutil.get_terminal_size().columns
        self._stream.write(_CLEAR_LINE + cut(text, columns - 1))
        self._stream.flush()
        self._shown = True


class LogLines(logging.Handler):
    """Shows log records above the line of progress."""

    def __init__(self, line: ProgressLine):
        super().__init__()
        self._line = line
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._line.write(printable(self.format(record)))
        except Exception:
            self.handleError(record)


def describe(progress: Progress, n_since: int, seconds: float, *, bar: bool) -> str:
    """A line of text: what is done, how far it is, how fast, how long it will take.

    Args:
        progress: where the work is
        n_since: how many items were done in ``seconds``
        seconds: since this began
        bar: whether to draw a bar
    """
    is_bytes = progress.note == "bytes"
    number = _bytes if is_bytes else "{:,}".format
    parts = [printable(progress.stage)]
    if progress.total:
        share = min(progress.done / progress.total, 1.0)
        if bar:
            full = int(share * _BAR_CELLS)
            parts.append(f"[{'#' * full}{'.' * (_BAR_CELLS - full)}]")
        parts.append(f"{number(progress.done)} of {number(progress.total)} ({share:.0%})")
    elif progress.done:
        parts.append(number(progress.done))
    if n_since > 0 and seconds >= 1:
        rate = n_since / seconds
        parts.append(f"{_bytes(rate) if is_bytes else f'{rate:,.1f}'}/s")
        if progress.total and progress.done < progress.total:
            parts.append(f"{duration((progress.total - progress.done) / rate)} left")
    if progress.note and not is_bytes:
        parts.append(printable(progress.note))
    return "  ".join(parts)


def cut(text: str, columns: int) -> str:
    """As much of a text as fits; characters of East Asian scripts take two columns."""
    width = 0
    for position, character in enumerate(text):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > columns:
            return text[:position]
    return text


def _bytes(number: float) -> str:
    for unit, size in _UNITS:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f} B"
