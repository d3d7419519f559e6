"""Takes labelled images out of tar archives, one after the other, and nothing else."""

import bz2
import contextlib
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

from .errors import CCIPError
from .progress import ProgressCallback, report

IMAGE_BYTES = 64 << 20
"""A file of an archive may have so many bytes."""

TOTAL_BYTES = 128 << 30
"""All of them together; the largest published archive has a fraction of it."""

MOST_IMAGES = 2_000_000
"""So many images an archive may have."""

_NAME = re.compile(
    r"(?:[^/]+/)*(?P<character>\d{1,9})/(?P<image>\w[\w.-]{0,199}\.(?:jpg|jpeg|png|webp))", re.IGNORECASE
)
_CHUNK = 1 << 20
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
    links, devices, absolute paths and paths that lead out of the folder make the archive an error. Files that are no
    images, such as notes, are passed over. All goes into a folder beside ``folder`` first, which takes its place when
    the archive was read to its end. What was taken out earlier is not taken out again.

    Args:
        archive: a tar archive, compressed or not
        folder: where the images go: ``<folder>/<character index>/<image id>.jpg``
        image_bytes: how large an image may be
        total_bytes: how large all may be together
        most_images: how many there may be
        progress (None): told how many images there are

    Returns:
        the images, sorted by path

    Raises:
        FileNotFoundError: there is no such archive
        ArchiveError: it is damaged, too large, has no images, or leads out of the folder
    """
    archive, folder = Path(archive), Path(folder)
    if (folder / _DONE).is_file():
        return images_in(folder)
    half = folder.with_name(f"{folder.name}.incomplete")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        with _read_errors(archive):
            n_images = 0
            n_bytes = 0
            for place, file, size in _images(archive):
                n_images, n_bytes = n_images + 1, n_bytes + size
                if size > image_bytes or n_bytes > total_bytes or n_images > most_images:
                    sizes = f"{n_images:,} images, {n_bytes:,} bytes, the last one {size:,}"
                    raise ArchiveError(archive, f"too large: {sizes}")
                _copy(file, half / place, size, archive)
                report(progress, "taking images out of the archive", n_images, None)
        if not n_images:
            raise ArchiveError(archive, "it has no image like 12/345.jpg")
        (half / _DONE).touch()
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return images_in(folder)


def images_in(folder: str | Path) -> list[Labelled]:
    """The images that :func:`extract_images` put into a folder."""
    files = (path for path in Path(folder).glob("*/*") if path.is_file() and not path.is_symlink())
    return [Labelled(path, path.parent.name) for path in sorted(files)]


@contextlib.contextmanager
def _read_errors(archive: Path) -> Iterator[None]:
    """Turns what a damaged archive raises into our error."""
    try:
        yield
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(archive, f"cannot be read ({error})") from error


def _images(archive: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Place, content and size of each image."""
    with _opened(archive) as content:
        stream = _Stream(content)
        with tarfile.open(fileobj=cast(Any, stream), mode="r|") as entries:
            for entry in entries:
                place = _place(entry, archive)
                if place is None:
                    continue
                file = entries.extractfile(entry)
                assert file is not None  # it is a regular file
                yield place, file, entry.size
        stream.drain()
        if stream.tail != bytes(len(_END)):
            raise ArchiveError(archive, "it ends before its end")


class _Stream:
    """A file that is read once, and its last bytes."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self.tail = content, _END

    def read(self, size: int = -1) -> bytes:
        found = self._content.read(size)
        self.tail = (self.tail + found)[-len(_END) :]
        return found

    def drain(self) -> None:
        """Reads what is left, so that an archive that was cut off is noticed."""
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
    return f"{int(found['character'])}/{found['image']}" if found else None


def _copy(file: IO[bytes], target: Path, size: int, archive: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        raise ArchiveError(archive, f"{target.parent.name}/{target.name} is in it twice")
    left = size
    with target.open("xb") as out:
        while left:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise ArchiveError(archive, f"it ends in the middle of {target.name!r}")
            out.write(chunk)
            left -= len(chunk)
