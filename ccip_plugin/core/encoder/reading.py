"""Reads image files and crops as model inputs, within a memory budget."""

import contextlib
import ctypes
import functools
import os
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from PIL import Image

from ..arrays import Vectors
from ..errors import EmptyCropError, UnreadableImageError
from ..preprocessing import BLANK_REASON, crop, image_size, is_blank, load_image, not_local, preprocess, resized
from ..thumbnails import Box, Thumbnails
from .concurrency import Budget, Cost

DECODED_BYTES_PER_PIXEL = 4
READING_BYTES_PER_PIXEL = 10
"""Peak while Pillow reads an image: 8 with a second copy (rotated, or on white), 10 for progressive JPEG."""

WEBP_BYTES_PER_PIXEL = 12
"""Peak for WebP."""

ANIMATION_BYTES_PER_PIXEL = 20
"""Peak for an animation whose first frame is blank: that frame, the canvases of the reader, and the next frame."""

BLANK_FAIL, BLANK_EMBED, BLANK_ONLY = "fail", "embed", "only"
"""What is done with pictures that show nothing: they fail; they are embedded; only they are looked for."""

_HEAD_BYTES = 64
_WEBP_ANIMATION = 2  # a flag in the extended header

LARGE_BYTES = 32 << 20
"""Decoded size above which freed memory is returned to the system; the C library returns smaller blocks soon enough."""


@dataclass(frozen=True)
class Item:
    """An image file, or crops of it, to embed.

    Attributes:
        key: identifies the image to the caller
        filepath: the file
        boxes: relative ``[x, y, width, height]`` of the crops by key; None for the whole image
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
    """Result for an image or a crop: its embedding, or the reason of the failure.

    Attributes:
        key: the key of the image or the crop
        vector: the embedding, ``(dim,)``, unit length; None after a failure
        error: the reason of the failure, None without one
        is_unchanged: whether the item was only checked, and its stored embedding stays
        source: state of the file and the box, see :func:`file_state` and :func:`crop_state`; None if the file could not
            be opened
    """

    key: Any
    vector: Vectors | None = None
    error: str | None = None
    source: str | None = None
    is_unchanged: bool = False


def file_state(status: os.stat_result) -> str:
    """Size and modification time of a file as a string, for comparison."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def crop_state(of_file: str, box: Sequence[float] | None) -> str:
    """State of a file and a box as a string, for comparison."""
    return f"{of_file}:{box}"


class Reader:
    """Reads items as model inputs.

    Args:
        budget: the memory limit
        alpha: fraction by which boxes are enlarged
        force_square: whether boxes are made square
        max_pixels: larger images fail, None for no limit
        blank: what is done with pictures that show nothing; with ``BLANK_ONLY`` no other one is given to the model
        thumbnails (None): where thumbnails of what is given to the model are kept; boxes are not enlarged in these
    """

    def __init__(
        self,
        budget: Budget,
        *,
        alpha: float,
        force_square: bool,
        max_pixels: int | None,
        blank: str = BLANK_EMBED,
        thumbnails: Thumbnails | None = None,
    ):
        self.budget, self._alpha, self._force_square, self._max_pixels = budget, alpha, force_square, max_pixels
        self._blank, self._thumbnails = blank, thumbnails

    def read(self, item: Item) -> Generator[tuple[Extracted, Vectors | None], None, None]:
        """Yields for each key a result without vector and the model input, None after a failure."""
        try:
            with open_file(item.filepath) as file:
                yield from self._read_open(item, file, os.fstat(file.fileno()))
        except CannotOpenError as error:
            for key in item.keys:
                yield Extracted(key, error=str(error)), None

    def _read_open(
        self, item: Item, file: BinaryIO, status: os.stat_result
    ) -> Iterator[tuple[Extracted, Vectors | None]]:
        source = file_state(status)
        with contextlib.ExitStack() as held:
            cost = reading_cost(file)
            held.enter_context(self.budget.hold(cost))
            try:
                image = load_image(file, max_pixels=self._max_pixels)
            except UnreadableImageError as error:
                for key in item.keys:
                    yield self._failed(Extracted(key, source=source), error.reason)
                return
            if item.boxes is None:
                keep = functools.partial(self._keep, item.filepath, status, None, image, image)
                result = self._tensor(Extracted(item.key, source=source), image, keep)
                del image, keep
                return_memory(cost)
                held.close()  # the model needs the tensor only
                yield result
                return
            for key, box in item.boxes.items():
                of_box = Extracted(key, source=crop_state(source, box))
                try:
                    cut = crop(image, _numbers(box), alpha=self._alpha, square=self._force_square)
                except EmptyCropError as error:
                    yield self._failed(of_box, str(error))
                else:
                    keep = functools.partial(self._keep, item.filepath, status, box, image, cut)
                    yield self._tensor(of_box, cut, keep)
            del image
            return_memory(cost)

    def _failed(self, result: Extracted, reason: str) -> tuple[Extracted, None]:
        is_check = self._blank == BLANK_ONLY
        return replace(result, error=None if is_check else reason, is_unchanged=is_check), None

    def _tensor(
        self, result: Extracted, image: Image.Image, keep: Callable[[Image.Image], None]
    ) -> tuple[Extracted, Vectors | None]:
        """The model input of an image; None for a blank one that fails, and where only these are looked for.

        Args:
            result: the result without a vector
            image: the image, or the crop
            keep: called with the picture that the model gets
        """
        picture = resized(image)
        if self._blank != BLANK_EMBED and is_blank(picture):
            return replace(result, error=BLANK_REASON), None
        if self._blank == BLANK_ONLY:
            return replace(result, is_unchanged=True), None
        keep(picture)
        return result, preprocess(picture)

    def _keep(
        self,
        filepath: str,
        status: os.stat_result,
        box: Box | None,
        image: Image.Image,
        cut: Image.Image,
        picture: Image.Image,
    ) -> None:
        """Keeps a thumbnail of an image, or of what is in a box, whatever was cut out for the model."""
        if self._thumbnails is None:
            return
        if box is None or not (self._alpha or self._force_square):
            self._thumbnails.offer(filepath, status, box, lambda: cut, picture)
        else:
            self._thumbnails.offer(filepath, status, box, lambda: crop(image, _numbers(box)))


class CannotOpenError(Exception):
    """The file is missing, or cannot be opened."""


@contextlib.contextmanager
def open_file(filepath: str) -> Iterator[BinaryIO]:
    """Opens an image file.

    Raises:
        CannotOpenError: it is missing, no file, or cannot be opened
    """
    try:
        if not stat.S_ISREG(os.stat(filepath).st_mode):  # noqa: PTH116 - opening a pipe would block
            raise CannotOpenError("not a file")
        file = open(filepath, "rb")  # noqa: PTH123, SIM115 - closed below
    except FileNotFoundError:
        raise CannotOpenError(not_local(filepath) or "file not found") from None
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        raise CannotOpenError(f"cannot open the file: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


def reading_cost(file: BinaryIO) -> Cost:
    """Estimates the memory for reading an image; none for a file that is not an image, whose reading will fail."""
    try:
        width, height = image_size(file)
    except UnreadableImageError:
        return Cost()
    file.seek(0)
    bytes_per_pixel = _bytes_per_pixel(file.read(_HEAD_BYTES))
    return Cost(width * height * bytes_per_pixel, width * height * DECODED_BYTES_PER_PIXEL)


def _bytes_per_pixel(head: bytes) -> int:
    is_webp = head[8:12] == b"WEBP"
    is_moving_webp = is_webp and head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ANIMATION)
    if is_moving_webp or head.startswith(b"GIF8") or b"acTL" in head or head[4:12] == b"ftypavis":
        return ANIMATION_BYTES_PER_PIXEL
    return WEBP_BYTES_PER_PIXEL if is_webp else READING_BYTES_PER_PIXEL


def return_memory(freed: Cost) -> None:
    """Returns freed memory of a large image to the system: glibc keeps some for each thread."""
    if freed.decoded > LARGE_BYTES and sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim is not None:
            trim(0)


def _numbers(box: Sequence[float] | None) -> Sequence[float]:
    """The numbers of a box; none for an invalid one, for which :func:`crop` then raises EmptyCropError."""
    try:
        return [float(number) for number in box or ()]
    except (TypeError, ValueError):
        return ()
