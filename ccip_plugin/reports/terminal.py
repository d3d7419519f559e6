"""Progress of long work on a terminal, or in the log of a job."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tqdm.std import tqdm

from ..core.progress import Progress
from .words import Speed, describe, describe_state, printable

if TYPE_CHECKING:
    _Tqdm = tqdm[NoReturn]
else:
    _Tqdm = tqdm  # generic in its stubs only

SECONDS_BETWEEN_LINES = 30.0
_ERASE_LINE = "\x1b[K"


class ProgressDisplay:
    """Takes :class:`~ccip_plugin.core.progress.Progress` and shows none of it; the subclasses do.

    Args:
        stream: where messages and progress are written, usually ``sys.stderr``
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __call__(self, progress: Progress) -> None:
        """Shows the progress."""

    def write(self, text: str) -> None:
        """Writes lines that stay."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Removes what is shown, as before other output."""


class ProgressBar(ProgressDisplay):
    """Shows progress as a bar in the last line of a terminal."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self._bar: _Bar | None = None
        self._shown, self._speed = Progress("", 0, None), Speed()

    def __call__(self, progress: Progress) -> None:
        per_second = self._speed.update(progress)
        if self._bar is None or _begins(progress, self._shown):
            self.close()
            self._bar = _Bar(progress, self._stream)
        else:
            self._bar.show(progress, per_second)
        self._shown = progress

    def write(self, text: str) -> None:
        with self._bar.hidden() if self._bar is not None else contextlib.nullcontext():
            super().write(text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._stream.write(_ERASE_LINE)  # also the ^C that a terminal may have added
            self._stream.flush()
            self._bar = None


class ProgressLines(ProgressDisplay):
    """Writes a line when a stage begins and when it ends, and one every half a minute."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self._shown, self._speed, self._last = Progress("", 0, None), Speed(), 0.0
        self._per_second: float | None = None
        self._is_written = True  # whether the last state is

    def __call__(self, progress: Progress) -> None:
        per_second, now = self._speed.update(progress), time.monotonic()
        begins = _begins(progress, self._shown)
        if begins:
            self.close()
        self._is_written = self._is_written and progress == self._shown
        self._shown, self._per_second = progress, per_second
        if begins or now - self._last >= SECONDS_BETWEEN_LINES:
            self.close()

    def close(self) -> None:
        if not self._is_written:
            self._is_written, self._last = True, time.monotonic()
            self.write(describe(self._shown, self._per_second))


def progress_display(stream: TextIO, *, is_quiet: bool = False) -> ProgressDisplay:
    """The display that suits a stream.

    Args:
        stream: where to write, usually ``sys.stderr``
        is_quiet (False): whether to show messages only
    """
    if is_quiet:
        return ProgressDisplay(stream)
    is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    return ProgressBar(stream) if is_terminal else ProgressLines(stream)


class LogHandler(logging.Handler):
    """Shows log records as lines above the progress."""

    def __init__(self, display: ProgressDisplay):
        super().__init__()
        self._display = display
        self.setFormatter(_Formatter("%(levelname)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._display.write(self.format(record))
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """Escapes control characters; tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name in logging
        return "\n".join(map(printable, super().formatException(ei).splitlines()))


class _Bar(_Tqdm):
    """The bar of one stage."""

    monitor_interval = 0  # no thread: this bar depends on the time alone, not on a number of items

    def __init__(self, progress: Progress, stream: TextIO):
        self._state, self._terminal = describe_state(progress), stream
        super().__init__(
            desc=printable(progress.stage),
            total=progress.total or None,
            initial=progress.done,
            file=stream,
            leave=False,
            position=0,
            mininterval=0.1,
            miniters=1,
        )
        self.nrows = 20  # tqdm shows nothing on a terminal whose size is unknown
        self.refresh()

    def show(self, progress: Progress, per_second: float | None) -> None:
        """Shows the progress, unless the last was shown a moment ago; the end of the stage always."""
        self._state = describe_state(progress, per_second)
        self.total = progress.total or None
        is_shown = self.update(progress.done - self.n)
        if progress.done == progress.total and not is_shown:
            self.refresh()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Removes the bar while something else is written."""
        with self.get_lock():  # type: ignore[no-untyped-call]
            self.clear(nolock=True)
            yield
            self.refresh()

    @property
    def format_dict(self) -> dict[str, Any]:
        values = super().format_dict
        if values["total"]:
            text, values["n"] = "{desc}: {percentage:3.0f}%|{bar}| {state}", min(values["n"], values["total"])
        else:
            text = "{desc}: {state}" if self._state else "{desc}"
        return {**values, "bar_format": text, "state": self._state, "ncols": _columns(self._terminal)}

    def refresh(self, nolock: bool = False, lock_args: Any = None) -> None:
        """As in tqdm, but releases the lock when Ctrl-C arrives here: another thread may be waiting for it."""
        if not self.disable:
            with self.get_lock():  # type: ignore[no-untyped-call]
                self.display()


def _begins(progress: Progress, shown: Progress) -> bool:
    return progress.stage != shown.stage or progress.done < shown.done


def _columns(stream: TextIO) -> int:
    """The width for a bar: that of the terminal, or 80 if unknown, without the columns of the cursor and of ``^C``."""
    try:
        n_columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        n_columns = 0
    return max((n_columns or 80) - 3, 1)
