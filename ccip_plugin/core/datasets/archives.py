"""Takes labelled images out of tar archives, one after the other, and nothing else."""

import bz2
import contextlib
import errno
import gzip
import lzma
import re
import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..errors import CCIPError
from ..progress import ProgressCallback, report
from ..system import file_lock

IMAGE_BYTES = 64 << 20
"""A file of an archive may have so many bytes."""

TOTAL_BYTES = 128 << 30
"""All that is in it may have so many; the largest published archive has a fraction of it."""

RATIO, SLACK_BYTES = 20, 64 << 20
"""And at most so many times what the archive has, and this: images are compressed already."""

MOST_IMAGES = 2_000_000
"""So many images an archive may have."""

_NAME = re.compile(
    r"(?:[^/]+/)*(?P<character>\d{1,9})/(?P<image>\w[\w.-]{0,199}\.(?:jpg|jpeg|png|webp))", re.IGNORECASE
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)\..*", re.IGNORECASE)  # names that Windows keeps for itself
_CHUNK = 1 << 20
_HEADERS = 1 << 20  # so many bytes may be between two files
_DONE = ".complete"
_END = b"\1" * 1024  # an archive ends with as many zeros


class ArchiveError(CCIPError, ValueError):
    """An archive is damaged, too large, or has something in it that no such archive has."""

    def __init__(self, path: Path, problem: str):
        super().__init__(f"{path}: {problem}; nothing of it is used")
        self.path, self.problem = path, problem


@dataclass(frozen=True)
class Labelled:
    """An image and its character, as the archive has them."""

    path: Path
    character: str


def extract_images(
    archive: str | Path,
    folder: str | Path,
    *,
    image_bytes: int = IMAGE_BYTES,
    total_bytes: int = TOTAL_BYTES,
    most_images: int = MOST_IMAGES,
    progress: ProgressCallback | None = None,
) -> list[Labelled]:
    """Takes the images out of an archive of ``<character index>/<image id>.jpg``.

    The archive is read once, from its begin to its end. Each file gets a path made of the number and the id alone;
    links, devices, absolute paths and paths that lead out of the folder make the archive an error, and so does an
    archive that unpacks to many times its size. Files that are no images, such as notes, are passed over. All goes into
    a folder beside ``folder`` first, which takes its place when the archive was read to its end. What was taken out
    earlier is not taken out again. Of two processes that want the same images one waits for the other.

    Args:
        archive: a tar archive, compressed or not
        folder: where the images go: ``<folder>/<character index>/<image id>.jpg``
        image_bytes: how large an image may be
        total_bytes: how large all that is in the archive may be together
        most_images: how many there may be
        progress (None): told how many images there are

    Returns:
        the images, sorted by path

    Raises:
        FileNotFoundError: there is no such archive
        ArchiveError: it is damaged, too large, has no images, or leads out of the folder; or the disk is full
    """
    archive, folder = Path(archive), Path(folder)
    if is_extracted(folder):
        return images_in(folder)
    if not archive.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such archive", str(archive))
    half = folder.with_name(f"{folder.name}.incomplete")
    half.parent.mkdir(parents=True, exist_ok=True)
    most = min(total_bytes, RATIO * archive.stat().st_size + SLACK_BYTES)
    lock = half.with_name(f".{half.name}.lock")
    with file_lock(lock, lambda: report(progress, "waiting for another process to take the images out", 0, None)):
        if not is_extracted(folder):  # another process may have done it
            try:
                with _read_errors(archive):
                    _extract(archive, half, image_bytes, most, most_images, progress)
                shutil.rmtree(folder, ignore_errors=True)
                half.rename(folder)
            finally:
                shutil.rmtree(half, ignore_errors=True)
    return images_in(folder)


def is_extracted(folder: Path) -> bool:
    """Whether :func:`extract_images` has put a whole archive into a folder."""
    return (folder / _DONE).is_file()


def images_in(folder: str | Path) -> list[Labelled]:
    """The images that :func:`extract_images` put into a folder."""
    files = (path for path in Path(folder).glob("*/*") if path.is_file() and not path.is_symlink())
    return [Labelled(path, path.parent.name) for path in sorted(files)]


def _extract(
    archive: Path,
    half: Path,
    image_bytes: int,
    total_bytes: int,
    most_images: int,
    progress: ProgressCallback | None,
) -> None:
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    places: set[str] = set()
    for place, file, size in _images(archive, half, total_bytes):
        if size > image_bytes or len(places) >= most_images:
            raise ArchiveError(archive, f"too large: {len(places) + 1:,} images, the last one with {size:,} bytes")
        if place.casefold() in places:  # many systems cannot keep two names apart that differ in case
            raise ArchiveError(archive, f"{place} is in it twice")
        places.add(place.casefold())
        _copy(file, half / place, size, archive)
        report(progress, "taking images out of the archive", len(places), None)
    if not places:
        raise ArchiveError(archive, "it has no image like 12/345.jpg")
    (half / _DONE).touch()


@contextlib.contextmanager
def _read_errors(archive: Path) -> Iterator[None]:
    """Turns what a damaged archive raises into our error."""
    try:
        yield
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(archive, f"cannot be read ({error})") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ArchiveError(archive, "there is no room on the disk for what is in it") from error


def _images(archive: Path, folder: Path, total_bytes: int) -> Iterator[tuple[str, IO[bytes], int]]:
    """Place, content and size of each image."""
    with _opened(archive) as content:
        stream = _Stream(content, archive, total_bytes)
        with tarfile.open(fileobj=cast(Any, stream), mode="r|") as entries:
            for entry in entries:
                stream.expect(entry.offset_data + entry.size)
                place = _place(entry, archive)
                if place is None:
                    continue
                _filter(entry, place, folder, archive)
                file = entries.extractfile(entry)
                assert file is not None  # it is a regular file
                yield place, file, entry.size
        stream.drain()
        if stream.tail != bytes(len(_END)):
            raise ArchiveError(archive, "it ends before its end")


class _Stream:
    """A file that is read once, its last bytes, and how far it may be read."""

    def __init__(self, content: IO[bytes], archive: Path, most: int) -> None:
        self._content, self.tail = content, _END
        self._archive, self._most, self._allowed, self._position = archive, most, _HEADERS, 0

    def expect(self, end: int) -> None:
        """Allows to read a file that ends there, and what is before the next one: headers of any size are a trap."""
        self._allowed = end + _HEADERS

    def read(self, size: int = -1) -> bytes:
        found = self._content.read(size)
        self._position += len(found)
        if self._position > self._most:
            raise ArchiveError(self._archive, f"too large: it unpacks to more than {self._most:,} bytes")
        if self._position > self._allowed:
            raise ArchiveError(self._archive, f"it has more than {_HEADERS:,} bytes between two files")
        self.tail = (self.tail + found)[-len(_END) :]
        return found

    def drain(self) -> None:
        """Reads what is left, so that an archive that was cut off is noticed."""
        self._allowed = self._most
        while self.read(_CHUNK):
            pass


def _opened(archive: Path) -> IO[bytes]:
    """The content of an archive, decompressed while it is read."""
    with archive.open("rb") as file:
        begin = file.read(6)
    if begin.startswith(b"\x1f\x8b"):
        return gzip.open(archive)  # type: ignore[return-value]
    if begin == b"\xfd7zXZ\x00":
        return lzma.open(archive)
    return bz2.open(archive) if begin.startswith(b"BZh") else archive.open("rb")


def _place(entry: tarfile.TarInfo, archive: Path) -> str | None:
    """Where an image goes, None for what is no image."""
    name = unicodedata.normalize("NFC", entry.name)
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or ":" in parts[0]:
        raise ArchiveError(archive, f"{entry.name!r} leads out of the folder")
    if entry.isdir():
        return None
    if not entry.isfile() or entry.issparse():
        raise ArchiveError(archive, f"{entry.name!r} is a link or a device")
    found = _NAME.fullmatch(name.removeprefix("./"))
    if found is None:
        return None
    if _RESERVED.fullmatch(found["image"]):
        raise ArchiveError(archive, f"{entry.name!r} is no name for a file on every system")
    return f"{int(found['character'])}/{found['image']}"


def _filter(entry: tarfile.TarInfo, place: str, folder: Path, archive: Path) -> None:
    """The check of the standard library, where this Python has it (from 3.11.4): it follows links on the disk, too."""
    if not hasattr(tarfile, "data_filter"):
        return
    try:
        tarfile.data_filter(entry.replace(name=place, deep=False), str(folder))
    except tarfile.FilterError as error:
        raise ArchiveError(archive, f"{entry.name!r} leads out of the folder ({error})") from error


def _copy(file: IO[bytes], target: Path, size: int, archive: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    left = size
    with target.open("xb") as out:
        while left:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise ArchiveError(archive, f"it ends in the middle of {target.name!r}")
            out.write(chunk)
            left -= len(chunk)
