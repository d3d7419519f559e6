"""Extracts labeled images from tar archives safely: no other files, no links, no paths outside the folder."""

import bz2
import contextlib
import errno
import gzip
import lzma
import re
import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..errors import CCIPError, printable
from ..progress import ProgressCallback, report
from ..system import delete, file_lock

IMAGE_BYTES = 64 << 20
"""Size limit of an image."""

TOTAL_BYTES = 128 << 30
"""Limit of the total unpacked size; the largest published archive has a fraction of it."""

RATIO, SLACK_BYTES = 20, 64 << 20
"""Limit of the unpacked size relative to the archive: ``RATIO * size + SLACK_BYTES``. Images are already compressed."""

MOST_IMAGES = 2_000_000
"""Limit of the number of images."""

NAME_BYTES = 255
"""Limit of the length of a file name, in UTF-8, as most file systems have it."""

_NAME = re.compile(
    r"(?:[^/]+/)*(?P<character>\d{1,9})/(?P<image>\w[\w.-]{0,199}\.(?:jpg|jpeg|png|webp))", re.IGNORECASE
)
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)\..*", re.IGNORECASE)  # reserved names on Windows
_CHUNK = 1 << 20
_HEADERS = 1 << 20  # limit of the bytes between two files
_DONE = ".complete"
_DAMAGE = (
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
)
_END = b"\1" * 1024  # initial value of the tail; an archive ends with as many zeros


class ArchiveError(CCIPError, ValueError):
    """An archive is damaged, too large, or has unsafe contents."""

    def __init__(self, path: Path, problem: str):
        super().__init__(printable(f"{path}: {problem}; the archive was not extracted"))
        self.path, self.problem = path, problem


class ArchiveNotFoundError(ArchiveError, FileNotFoundError):
    """The archive does not exist."""


@dataclass(frozen=True)
class Labelled:
    """An extracted image and its character label."""

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
    """Extracts the images of an archive of ``<character index>/<image id>.jpg``.

    The archive is read once, as a stream. The path of an image is made of the character index and the image id alone.
    Links, devices, absolute paths and paths outside the folder are errors, and so is an archive that unpacks to many
    times its size. Other files, such as notes, are skipped. Images are extracted into a temporary folder beside
    ``folder``, which is renamed to ``folder`` at the end of the archive. A folder that was extracted before is reused.
    If two processes extract into the same folder, one waits for the other.

    Args:
        archive: a tar archive, compressed or not
        folder: the target: ``<folder>/<character index>/<image id>.jpg``
        image_bytes: size limit of an image
        total_bytes: limit of the total unpacked size
        most_images: limit of the number of images
        progress (None): called with the number of extracted images

    Returns:
        the images, sorted by path

    Raises:
        ArchiveNotFoundError: the archive does not exist
        ArchiveError: the archive is damaged, too large, has no images or unsafe paths; or the target is another folder
            that is not empty, or cannot be written
    """
    archive, folder = Path(archive), Path(folder)
    if is_extracted(folder):
        return images_in(folder)
    with _read_errors(archive, OSError):
        if not archive.is_file():
            raise ArchiveNotFoundError(archive, "the archive does not exist")
        limit = min(total_bytes, RATIO * archive.stat().st_size + SLACK_BYTES)
        _refuse_other_folder(folder, archive)
        temporary = folder.with_name(f"{folder.name}.incomplete")
        temporary.parent.mkdir(parents=True, exist_ok=True)
        lock = temporary.with_name(f".{temporary.name}.lock")
        waiting = "waiting for another process that extracts the images"
        with file_lock(lock, lambda: report(progress, waiting, 0, None)):
            if not is_extracted(folder):  # another process may have done it
                try:
                    _extract(archive, temporary, image_bytes, limit, most_images, progress)
                    _refuse_other_folder(folder, archive)
                    delete(folder)
                    temporary.rename(folder)
                finally:
                    delete(temporary)
    return images_in(folder)


def _refuse_other_folder(folder: Path, archive: Path) -> None:
    """Refuses a target that has other contents: it would be replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ArchiveError(archive, f"{folder} is a link or a file")
    if folder.is_dir() and any(folder.iterdir()):
        raise ArchiveError(archive, f"the folder {folder} exists and has other contents")


def is_extracted(folder: Path) -> bool:
    """Whether :func:`extract_images` has extracted a complete archive into a folder."""
    try:
        return (folder / _DONE).is_file()
    except OSError:
        return False


def images_in(folder: str | Path) -> list[Labelled]:
    """Lists the images that :func:`extract_images` extracted into a folder."""
    files = (path for path in Path(folder).glob("*/*") if path.is_file() and not path.is_symlink())
    return [Labelled(path, path.parent.name) for path in sorted(files)]


def _extract(
    archive: Path,
    temporary: Path,
    image_bytes: int,
    total_bytes: int,
    most_images: int,
    progress: ProgressCallback | None,
) -> None:
    delete(temporary)
    temporary.mkdir()
    paths: set[str] = set()
    for path, file, size in _images(archive, temporary, total_bytes):
        if size > image_bytes or len(paths) >= most_images:
            raise ArchiveError(archive, f"too large: {len(paths) + 1:,} images, the last one with {size:,} bytes")
        if path.casefold() in paths:  # many file systems ignore case
            raise ArchiveError(archive, f"it contains {path} twice")
        paths.add(path.casefold())
        with _read_errors(archive, *_DAMAGE):
            _copy(file, temporary / path, size, archive)
        report(progress, "extracting images", len(paths), None)
    if not paths:
        raise ArchiveError(archive, "it has no image with a path like 12/345.jpg")
    (temporary / _DONE).touch()


@contextlib.contextmanager
def _read_errors(archive: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Converts exceptions of a damaged archive, or of a full disk, into :class:`ArchiveError`."""
    try:
        yield
    except CCIPError:
        raise
    except kinds as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ArchiveError(archive, "there is not enough space on the disk") from error
        raise ArchiveError(archive, f"cannot be read or extracted ({error})") from error


def _images(archive: Path, folder: Path, total_bytes: int) -> Iterator[tuple[str, IO[bytes], int]]:
    """Yields relative path, content and size of each image."""
    with _open(archive) as content:
        stream = _Stream(content, archive, total_bytes)
        entries = _entries(stream, archive)
        for tar, entry in entries:
            if entry.size < 0:
                raise ArchiveError(archive, f"{entry.name!r} has a negative size")
            stream.expect(entry.offset_data + entry.size)
            path = _relative_path(entry, archive)
            if path is None:
                continue
            _filter(entry, path, folder, archive)
            file = tar.extractfile(entry)
            assert file is not None  # it is a regular file
            yield path, file, entry.size
        if stream.tail != bytes(len(_END)):
            raise ArchiveError(archive, "it is truncated")


def _entries(stream: "_Stream", archive: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yields the entries of an archive up to its end. The library has many exceptions for damaged headers."""
    with _read_errors(archive, *_DAMAGE), tarfile.open(fileobj=cast(Any, stream), mode="r|") as tar:
        yield from ((tar, entry) for entry in tar)
        stream.drain()


class _Stream:
    """A file that is read once, with a limited size; remembers its last bytes."""

    def __init__(self, content: IO[bytes], archive: Path, limit: int) -> None:
        self._content, self.tail = content, _END
        self._archive, self._limit, self._allowed, self._position = archive, limit, _HEADERS, 0

    def expect(self, end: int) -> None:
        """Allows reading up to the end of a file and the next header; larger headers could fill the memory."""
        self._allowed = end + _HEADERS

    def read(self, size: int = -1) -> bytes:
        content = self._content.read(size)
        self._position += len(content)
        if self._position > self._limit:
            raise ArchiveError(self._archive, f"too large: it unpacks to more than {self._limit:,} bytes")
        if self._position > self._allowed:
            raise ArchiveError(self._archive, f"it has more than {_HEADERS:,} bytes between two files")
        self.tail = (self.tail + content)[-len(_END) :]
        return content

    def drain(self) -> None:
        """Reads the rest, to detect a truncated archive."""
        self._allowed = self._limit
        while self.read(_CHUNK):
            pass


def _open(archive: Path) -> IO[bytes]:
    """Opens the content of an archive, decompressed on reading."""
    with archive.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(archive)  # type: ignore[return-value]
    if magic == b"\xfd7zXZ\x00":
        return lzma.open(archive)
    return bz2.open(archive) if magic.startswith(b"BZh") else archive.open("rb")


def _relative_path(entry: tarfile.TarInfo, archive: Path) -> str | None:
    """The path of an image in the target folder, None for other files."""
    name = unicodedata.normalize("NFC", entry.name)
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or ":" in parts[0]:
        raise ArchiveError(archive, f"{entry.name!r} is a path outside the folder")
    if entry.isdir():
        return None
    if not entry.isfile() or entry.issparse():
        raise ArchiveError(archive, f"{entry.name!r} is a link or a device")
    match = _NAME.fullmatch(name.removeprefix("./"))
    if match is None:
        return None
    if len(match["image"].encode("utf-8", "surrogateescape")) > NAME_BYTES:
        raise ArchiveError(archive, f"{entry.name!r} has a name of more than {NAME_BYTES} bytes")
    if _RESERVED.fullmatch(match["image"]):
        raise ArchiveError(archive, f"{entry.name!r} is a reserved file name on Windows")
    return f"{int(match['character'])}/{match['image']}"


def _filter(entry: tarfile.TarInfo, path: str, folder: Path, archive: Path) -> None:
    """Applies the filter of the standard library if it exists (Python 3.11.4): it also follows links on the disk."""
    if not hasattr(tarfile, "data_filter"):
        return
    try:
        tarfile.data_filter(entry.replace(name=path, deep=False), str(folder))
    except tarfile.FilterError as error:
        raise ArchiveError(archive, f"{entry.name!r} is a path outside the folder ({error})") from error


def _copy(file: IO[bytes], target: Path, size: int, archive: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    n_left = size
    with target.open("xb") as out:
        while n_left:
            chunk = file.read(min(_CHUNK, n_left))
            if not chunk:
                raise ArchiveError(archive, f"it is truncated in {target.name!r}")
            out.write(chunk)
            n_left -= len(chunk)
