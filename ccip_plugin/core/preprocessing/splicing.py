"""Parts of a file, and bytes of our own, read as one file."""

import bisect
import io
import itertools
from collections.abc import Sequence
from typing import IO

Part = tuple[int, int] | bytes
"""Start and end of a range of the file, or bytes."""


def spliced(file: IO[bytes], parts: Sequence[Part]) -> IO[bytes]:
    """A file that consists of parts of another one; copies nothing but the current block.

    Args:
        file: a seekable file, which must stay open
        parts: ranges of it and bytes, in their order
    """
    return io.BufferedReader(_Spliced(file, parts))


class _Spliced(io.RawIOBase):
    def __init__(self, file: IO[bytes], parts: Sequence[Part]):
        super().__init__()
        self._file, self._parts, self._position = file, parts, 0
        sizes = (len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)
        self._starts = [0, *itertools.accumulate(sizes)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._position >= self._starts[-1]:
            return 0
        index = bisect.bisect_right(self._starts, self._position) - 1
        part, skipped = self._parts[index], self._position - self._starts[index]
        length = min(len(buffer), self._starts[index + 1] - self._position)
        if isinstance(part, bytes):
            content = part[skipped : skipped + length]
        else:
            self._file.seek(part[0] + skipped)
            content = self._file.read(length)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)
