"""Thumbnails: small WebP images of image files and of boxes in them, kept in a cache folder of limited size."""

import contextlib
import errno
import hashlib
import io
import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from .errors import EmptyCropError, ParameterError, UnreadableImageError
from .preprocessing import INPUT_SIZE, MAX_PIXELS, READING_POLICY, collected_warnings, crop, load_image, resized
from .system import PART_SUFFIX, atomic_write, cache_dir

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 320, 160
"""The largest width and height of a thumbnail in pixels; images are never enlarged."""

LIMIT_MB = 2000
"""Default limit of the cache folder; ``CCIP_THUMBNAILS_MB`` sets another one, 0 for no thumbnails."""

Box = Sequence[float]
"""``[x, y, width, height]`` relative to the upright image."""

_RULE = 1
"""Version of what a thumbnail shows; other versions are not found."""

_QUALITIES = (80, 50, 20)
_METHOD = 2  # 3 % larger files than with Pillow's 4, in half the time
_SUFFIX = ".webp"
_SHARDS = 256
_HEX_OF_SHARD = 2
_HEX_OF_NAME = 40
_ROOM = 0.9  # of the limit is left when thumbnails are deleted
_CHECKS = 20  # the parts of the limit after which a process looks again at what others wrote
_MIN_FREE = 256 << 20
_USED_SECONDS = _OLD_PART_SECONDS = 86_400


def thumbnails_folder() -> Path:
    """Cache folder of thumbnails: ``thumbnails`` in the cache folder (``CCIP_CACHE_DIR``)."""
    return cache_dir() / "thumbnails"


def thumbnails_limit() -> int:
    """The limit of the cache folder in bytes.

    Raises:
        ParameterError: ``CCIP_THUMBNAILS_MB`` is not a number
    """
    text = os.environ.get("CCIP_THUMBNAILS_MB") or str(LIMIT_MB)
    try:
        megabytes = int(text)
    except ValueError:
        megabytes = -1
    if megabytes < 0:
        raise ParameterError("CCIP_THUMBNAILS_MB", text, "a number of megabytes, 0 for no thumbnails")
    return megabytes * 1_000_000


def draw(image: Image.Image, picture: Image.Image | None = None, *, max_bytes: int | None = None) -> bytes:
    """Draws the thumbnail of an upright RGB image.

    Args:
        image: the image
        picture (None): the image resized to the input of the model, which is made by default
        max_bytes (None): the size up to which quality is kept

    Returns:
        a WebP file without metadata
    """
    scale = min(1.0, WIDTH / image.width, HEIGHT / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if min(image.size) >= INPUT_SIZE:  # resizing twice takes no longer than once, and the model needs the first step
        image = resized(image) if picture is None else picture
    small = image.resize(size, Image.Resampling.HAMMING)  # as sharp as BICUBIC at half the cost
    for quality in _QUALITIES:
        stream = io.BytesIO()
        small.save(stream, "WEBP", quality=quality, method=_METHOD, exif=b"", icc_profile=b"", xmp=b"")
        if max_bytes is None or stream.tell() <= max_bytes:
            break
    return stream.getvalue()


def name_of(filepath: str, status: os.stat_result, box: Box | None = None) -> str:
    """The name of a thumbnail: a hash of the path, size and modification time of the file, the box, and the rule.

    Args:
        filepath: the file
        status: its status
        box (None): the box that the thumbnail shows, None for the whole image
    """
    what = (_RULE, READING_POLICY, status.st_size, status.st_mtime_ns, _numbers(box), filepath)
    return hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).hexdigest()[:_HEX_OF_NAME]


def _numbers(box: Box | None) -> tuple[float, ...] | None:
    """The numbers of a box; none for an invalid one, in which then no pixel is."""
    try:
        return None if box is None else tuple(float(number) for number in box)
    except (TypeError, ValueError, OverflowError):
        return ()


class Usage(NamedTuple):
    """What is in a folder of thumbnails."""

    n_files: int = 0
    n_bytes: int = 0


class Thumbnails:
    """A folder of thumbnails, which several threads and processes may use at the same time.

    Files are spread over 256 folders. When one of these reaches its share of the limit, its least recently used
    thumbnails are deleted.

    Args:
        folder (None): the folder, by default that of :func:`thumbnails_folder`; created when it is first written to
        limit (None): its size in bytes, by default that of :func:`thumbnails_limit`; 0 for no thumbnails

    Attributes:
        problem: why nothing more is written, as for a full disk; None while thumbnails are written
        n_written: number of bytes written so far

    Raises:
        ParameterError: ``CCIP_THUMBNAILS_MB`` is not a number
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None):
        self.folder = thumbnails_folder() if folder is None else folder
        self.limit = thumbnails_limit() if limit is None else limit
        self.problem: str | None = None
        self.n_written = 0
        self._left: dict[str, int] = {}
        self._lock = threading.Lock()

    # -- reading

    def find(self, name: str) -> Path | None:
        """The file of a thumbnail, None if it is missing. Marks it as used.

        Args:
            name: see :func:`name_of`
        """
        path = self._path(name)
        try:
            status = path.stat()
        except OSError:
            return None
        if not status.st_size:  # after a power failure
            return None
        if time.time() - status.st_mtime > _USED_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)
        return path

    def is_writable(self) -> bool:
        """Whether thumbnails can be written, as far as that is known before the first one is."""
        if not self.limit:
            return False
        try:
            self._make_folders()
        except OSError:
            return False
        return os.access(self.folder, os.W_OK | os.X_OK)

    # -- writing

    def add(self, name: str, content: bytes) -> Path:
        """Writes a thumbnail.

        Args:
            name: see :func:`name_of`
            content: see :func:`draw`

        Raises:
            OSError: the folder cannot be written, or the disk is nearly full
        """
        path = self._path(name)
        self._make_folders(path.parent)
        self._make_room(path.parent, len(content))
        try:
            self._write(path, content)
        except FileNotFoundError:  # somebody has deleted the folder at this moment
            self._write(path, content)
        except PermissionError:
            if not path.exists():  # else on Windows another process is reading it
                raise
        return path

    def _write(self, path: Path, content: bytes) -> None:
        self._make_folders(path.parent)
        with atomic_write(path, durable=False) as part:
            part.write_bytes(content)

    def offer(
        self,
        filepath: str,
        status: os.stat_result,
        box: Box | None,
        image: Callable[[], Image.Image],
        picture: Image.Image | None = None,
    ) -> None:
        """Writes a thumbnail of an image that is in memory, unless there is one. Raises nothing.

        After a failure of the folder, and when as many bytes are written as the folder may hold, nothing more is.

        Args:
            filepath: the file
            status: its status
            box: the box that the thumbnail shows, None for the whole image
            image: gives the image, or what is in the box
            picture (None): the same, resized to the input of the model
        """
        if self.problem is not None or self.n_written >= self.limit:
            return
        name = name_of(filepath, status, box)
        try:
            if self.find(name) is None:
                self.add(name, draw(image(), picture))
        except OSError as error:
            self.problem = error.strerror or str(error)
            logger.warning("no more thumbnails are made: %s: %s", self.folder, self.problem)
        except Exception as error:  # a thumbnail is not worth an image: no memory, an encoder that fails, an empty box
            logger.debug("no thumbnail of %s: %s", filepath, error)

    def make(
        self, filepath: str, boxes: Sequence[Box | None] = (None,), *, max_pixels: int | None = MAX_PIXELS
    ) -> list[Path | None]:
        """Reads a file and writes those of its thumbnails that are missing.

        Args:
            filepath: the file
            boxes ((None,)): the boxes, None for the whole image
            max_pixels: larger images are refused, None for no limit

        Returns:
            the files of the thumbnails; None for boxes with no pixel in them

        Raises:
            UnreadableImageError: the image cannot be read
            OSError: the folder cannot be written
        """
        status = _status(filepath)
        names = [name_of(filepath, status, box) for box in boxes]
        paths = [self.find(name) for name in names]
        if all(paths):
            return paths
        with collected_warnings():
            image = load_image(filepath, max_pixels=max_pixels)
        for row, (name, box) in enumerate(zip(names, boxes, strict=True)):
            if paths[row] is None:
                with contextlib.suppress(EmptyCropError):
                    content = draw(image if box is None else crop(image, _numbers(box) or ()))
                    paths[row] = self.add(name, content)
        return paths

    def _path(self, name: str) -> Path:
        return self.folder / name[:_HEX_OF_SHARD] / f"{name}{_SUFFIX}"

    def _make_folders(self, *inside: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # they show private images
        for folder in inside:
            folder.mkdir(exist_ok=True)

    def _make_room(self, shard: Path, size: int) -> None:
        with self._lock:
            left = self._left.get(shard.name, 0) - size
            if left < 0:
                left = _pruned(shard, self.limit // _SHARDS, size)
            self._left[shard.name] = left
            self.n_written += size

    # -- the whole folder

    def usage(self) -> Usage:
        """Counts the files and their bytes."""
        sizes = [entry.stat().st_size for shard in self._shards() for entry in _entries(shard)]
        return Usage(len(sizes), sum(sizes))

    def clean(self, *, unused_seconds: float = 0, dry_run: bool = False) -> Usage:
        """Deletes thumbnails, which are made again when they are needed.

        Args:
            unused_seconds (0): how long they were not used, to a day
            dry_run (False): delete nothing

        Returns:
            what was deleted, or would be
        """
        n_files = n_bytes = 0
        for shard in self._shards():
            for entry in _entries(shard):
                status = entry.stat()
                is_unused = unused_seconds <= 0 or time.time() - status.st_mtime > unused_seconds
                if is_unused and (dry_run or _deleted(entry)):
                    n_files, n_bytes = n_files + 1, n_bytes + status.st_size
        return Usage(n_files, n_bytes)

    def _shards(self) -> list[Path]:
        names = [f"{number:02x}" for number in range(_SHARDS)]
        return [self.folder / name for name in names if (self.folder / name).is_dir()]


def _status(filepath: str) -> os.stat_result:
    try:
        status = os.stat(filepath)  # noqa: PTH116 - the name may be invalid
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableImageError(filepath, reason, path=filepath) from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
        raise UnreadableImageError(filepath, "not a file", path=filepath)
    return status


def _entries(shard: Path) -> Iterator[os.DirEntry[str]]:
    """The files of a folder; those that another process deletes at this moment may be missing."""
    with contextlib.suppress(OSError), os.scandir(shard) as entries:
        for entry in entries:
            if entry.name.endswith((_SUFFIX, PART_SUFFIX)):
                with contextlib.suppress(OSError):
                    entry.stat()  # is kept by the entry
                    yield entry


def _deleted(entry: os.DirEntry[str]) -> bool:
    try:
        os.unlink(entry)  # noqa: PTH108 - is no Path
    except OSError:  # on Windows, somebody reads it
        return False
    return True


def _pruned(shard: Path, limit: int, size: int) -> int:
    """Deletes the least recently used thumbnails of a folder, so that one more is within the limit.

    Returns:
        how many bytes may be written before the next call

    Raises:
        OSError: the disk is nearly full
    """
    entries, total = [], size
    for entry in _entries(shard):
        status = entry.stat()
        if entry.name.endswith(_SUFFIX):
            entries.append(entry)
            total += status.st_size
        elif time.time() - status.st_mtime > _OLD_PART_SECONDS:  # of a process that was killed
            _deleted(entry)
    if total > limit:
        for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime):
            total -= entry.stat().st_size if _deleted(entry) else 0
            if total <= _ROOM * limit:
                break
    if shutil.disk_usage(shard).free < _MIN_FREE:
        raise OSError(errno.ENOSPC, f"less than {_MIN_FREE >> 20} MiB of the disk are free")
    return max(0, min(limit // _CHECKS, limit - total))
