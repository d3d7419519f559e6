"""Reads image files and crops as tensors, within a memory budget."""

import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from ..arrays import Vectors
from ..errors import EmptyCropError, UnreadableImageError
from ..preprocessing import crop, image_size, load_image, preprocess
from .concurrency import Budget, Cost

DECODED_BYTES_PER_PIXEL = 4


READING_BYTES_PER_PIXEL = 10  # while Pillow reads: 8 with a second copy (turned, on white), 10 for progressive JPEG,


WEBP_BYTES_PER_PIXEL = 12  # and 12 for WebP


LARGE_BYTES = 32 << 20  # decoded: the C library returns the memory of smaller ones soon enough


@dataclass(frozen=True)
class Item:
    """An image file and what to embed of it.

    Attributes:
        key: how the caller knows the image
        filepath: the file
        boxes: relative ``[x, y, width, height]`` of the crops to embed, each by its own key; None for the whole image
    """

    key: Any
    filepath: str
    boxes: Mapping[Any, Sequence[float] | None] | None = None

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys of the results."""
        return (self.key,) if self.boxes is None else tuple(self.boxes)


@dataclass(frozen=True, eq=False)
class Extracted:
    """What became of an image or a crop: an embedding, or the reason why there is none.

    Attributes:
        key: the key of the image or of the box
        vector: the embedding, ``(dim,)``, unit length; None when it failed
        error: why it failed, None when it did not
        source: the state of what was read, see :func:`file_state` and :func:`crop_state`; None when the file could not
            be opened
    """

    key: Any
    vector: Vectors | None = None
    error: str | None = None
    source: str | None = None


def file_state(status: os.stat_result) -> str:
    """Size and time of change of a file, as a string to compare with an earlier one."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def crop_state(of_file: str, box: Sequence[float] | None) -> str:
    """The state of a file with the box of a crop, as a string to compare with an earlier one."""
    return f"{of_file}:{box}"


class Reader:
    """Turns items into tensors."""

    def __init__(self, budget: Budget, *, alpha: float, force_square: bool, max_pixels: int | None):
        self.budget, self._alpha, self._force_square, self._max_pixels = budget, alpha, force_square, max_pixels

    def read(self, item: Item) -> Generator[tuple[Extracted, Vectors | None], None, None]:
        """Gives for each key what is known of it, and its tensor unless it failed."""
        try:
            with _open_file(item.filepath) as file:
                source = file_state(os.fstat(file.fileno()))
                yield from self._read_open(item, file, source)
        except _CannotOpenError as error:
            for key in item.keys:
                yield Extracted(key, error=str(error)), None

    def _read_open(self, item: Item, file: BinaryIO, source: str) -> Iterator[tuple[Extracted, Vectors | None]]:
        with contextlib.ExitStack() as holding:
            cost = _cost(file)
            holding.enter_context(self.budget.hold(cost))
            try:
                image = load_image(file, max_pixels=self._max_pixels)
            except UnreadableImageError as error:
                for key in item.keys:
                    yield Extracted(key, error=error.reason, source=source), None
                return
            if item.boxes is None:
                tensor = preprocess(image)
                del image
                _return_memory(cost)
                holding.close()  # the model needs the tensor only
                yield Extracted(item.key, source=source), tensor
                return
            for key, box in item.boxes.items():
                found = Extracted(key, source=crop_state(source, box))
                try:
                    yield found, preprocess(crop(image, _numbers(box), alpha=self._alpha, square=self._force_square))
                except EmptyCropError as error:
                    yield replace(found, error=str(error)), None
            del image
            _return_memory(cost)


class _CannotOpenError(Exception):
    """The file is not there, or not to be read."""


@contextlib.contextmanager
def _open_file(filepath: str) -> Iterator[BinaryIO]:
    try:
        if not stat.S_ISREG(os.stat(filepath).st_mode):  # noqa: PTH116 - a pipe would be opened for ever
            raise _CannotOpenError("not a file")
        file = open(filepath, "rb")  # noqa: PTH123, SIM115 - closed below
    except FileNotFoundError:
        raise _CannotOpenError("the file is not there") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise _CannotOpenError(f"cannot open the file: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


def _cost(file: BinaryIO) -> Cost:
    """About how much memory reading an image takes; nothing for what is no image, which reading it will say."""
    try:
        width, height = image_size(file)
    except UnreadableImageError:
        return Cost()
    file.seek(0)
    is_webp = file.read(12)[8:] == b"WEBP"
    each = WEBP_BYTES_PER_PIXEL if is_webp else READING_BYTES_PER_PIXEL
    return Cost(width * height * each, width * height * DECODED_BYTES_PER_PIXEL)


def _return_memory(freed: Cost) -> None:
    """Has the C library give freed memory back to the system, after a large image: glibc keeps some for each thread."""
    if freed.decoded > LARGE_BYTES and sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)


def _numbers(box: Sequence[float] | None) -> Sequence[float]:
    """A box that can be cropped, or turned down as a box and not as an error of the program."""
    try:
        return [float(number) for number in box or ()]
    except (TypeError, ValueError):
        return ()
