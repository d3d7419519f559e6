"""Copies of files without what only costs the image: metadata of a PNG, the missing end of a JPEG."""

import bisect
import io
import itertools
import random
import zlib
from collections.abc import Iterator, Sequence
from typing import IO

Part = tuple[int, int] | bytes
"""Start and end of a range of the file, or bytes."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_FRAME_CHUNKS = frozenset({b"acTL", b"fcTL", b"fdAT"})
_PIXEL_CHUNKS = frozenset({b"tRNS", b"eXIf"})  # transparency and orientation; kept if their checksum is right
_METADATA_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_MAX_PIXEL_CHUNK = 1 << 20
_MAX_CHUNKS = 1_000_000
_TAIL_BYTES = 512


def without_metadata(file: IO[bytes]) -> IO[bytes] | None:
    """A PNG without the chunks that its pixels do not need; None if there are none, or it is no PNG.

    Pillow refuses files with color profiles over 1 MiB, texts over 1 MiB or 64 MiB in all, and wrong checksums in any
    chunk, which browsers show. Nothing is copied: the result reads from ``file``.
    """
    file.seek(0)
    if file.read(len(_PNG)) != _PNG:
        return None
    parts: list[Part] = [(0, len(_PNG))]
    is_shorter = False
    for kind, start, end in _png_chunks(file):
        if kind[:1].isupper() or kind in _FRAME_CHUNKS or (kind in _PIXEL_CHUNKS and _is_intact(file, start, end)):
            _append(parts, start, end)
        else:
            is_shorter = True
    return spliced(file, parts) if is_shorter else None


def with_end(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Copies of a JPEG that lacks its end marker, each with other bytes and the marker after its last byte.

    If all of them give the same pixels, the file has all its pixels: of one cut short, the missing pixels would be
    made of the appended bytes. Yields nothing for other files.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size < len(_JPEG) or file.read(len(_JPEG)) != _JPEG:
        return
    file.seek(size - 2)
    last = file.read(2)
    if last == _JPEG_END:
        return
    end = size - 1 if last[1] == 0xFF else size  # half of the marker
    for seed in range(3):
        tail = bytes(random.Random(seed).choices(range(255), k=seed and _TAIL_BYTES))  # none, then two of noise
        yield spliced(file, [(0, end), tail + _JPEG_END])


def has_metadata_after_pixels(file: IO[bytes]) -> bool:
    """Whether a file is a PNG with metadata after its pixels, which Pillow reads when it decodes them."""
    file.seek(0)
    if file.read(len(_PNG)) != _PNG:
        return False
    kinds = [kind for kind, _, _ in _png_chunks(file)]
    return b"IDAT" in kinds and any(kind in _METADATA_CHUNKS for kind in kinds[kinds.index(b"IDAT") :])


def _png_chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk; the last one may end beyond the file."""
    position = len(_PNG)
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return
        end = position + 12 + int.from_bytes(header[:4], "big")
        yield header[4:], position, end
        if header[4:] == b"IEND":
            return
        position = end


def _is_intact(file: IO[bytes], start: int, end: int) -> bool:
    """Whether a small chunk has the right checksum."""
    if end - start > _MAX_PIXEL_CHUNK:
        return False
    file.seek(start + 4)
    content = file.read(end - start - 4)
    return zlib.crc32(content[:-4]) == int.from_bytes(content[-4:], "big")


def _append(parts: list[Part], start: int, end: int) -> None:
    last = parts[-1]
    if isinstance(last, tuple) and last[1] == start:
        parts[-1] = (last[0], end)
    else:
        parts.append((start, end))


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
