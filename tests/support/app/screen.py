"""A terminal with a screen that tests can read: a pseudo-terminal and the few controls that progress bars use."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
import unicodedata
from types import TracebackType
from typing import Self, TextIO


class Screen:
    """A terminal of some width; ``stream`` writes to it.

    Args:
        width: its columns; 0 as where nobody told the size
    """

    def __init__(self, width: int = 80):
        self._reader, writer = pty.openpty()
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8", errors="backslashreplace")
        self.resize(width)
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if not self.stream.closed:
            self.stream.close()
        self._thread.join()
        os.close(self._reader)

    def resize(self, width: int) -> None:
        self._width = width
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24 if width else 0, width, 0, 0))

    def written(self) -> str:
        """Everything that was written; the terminal is closed then."""
        self.stream.close()
        self._thread.join()
        return self._data.decode()

    def lines(self) -> list[str]:
        """The screen after everything that was written; the terminal is closed then."""
        rows: list[list[str]] = [[]]
        row = column = 0
        for part in re.findall(r"\x1b\[[AK]|.", self.written(), re.DOTALL):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                rows += [[]] if row == len(rows) else []
            elif part == "\x1b[A":
                row -= 1
            elif part == "\x1b[K":
                del rows[row][column:]
            else:
                cells = [part, ""] if unicodedata.east_asian_width(part) in "WF" else [part]
                if column + len(cells) > (self._width or 80):
                    row, column = row + 1, 0
                    rows += [[]] if row == len(rows) else []
                rows[row] += [" "] * (column + len(cells) - len(rows[row]))
                rows[row][column : column + len(cells)] = cells
                column += len(cells)
        return ["".join(cells).rstrip() for cells in rows]

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._reader, 65536)
            except OSError:  # as Linux says that the other end is closed
                return
            if not data:
                return
            self._data += data
