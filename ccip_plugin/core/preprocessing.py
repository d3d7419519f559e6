"""From an image in any form to the tensor that a CCIP model takes."""

import io
import logging
import math
import os
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile

from .errors import EmptyCropError, ImageTooLargeError, UnreadableImageError

logger = logging.getLogger(__name__)

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image

READING_POLICY = 1
"""Version of what :func:`load_image` and :func:`preprocess` do; goes up when the same file would give other pixels."""

MAX_PIXELS = 178_000_000
INPUT_SIZE = 384
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

REFUSED_FORMATS = frozenset({"EPS", "WMF"})
"""Formats that are programs or drawings; Pillow hands them to another program or to the system."""

_SHORTEST = 4  # bytes by which Pillow's readers know their formats
_WHITE = (255, 255, 255)
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load_image(source: ImageSource, *, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """Reads an image as every part of this package reads images.

    EXIF orientation is applied, transparency is put on white, every mode becomes RGB (the high byte of 16-bit grey),
    and of an animation the first frame is taken. Color profiles are not applied.

    Args:
        source: a path, the bytes of a file, an open binary file (rewound), an ``(h, w)`` or ``(h, w, channels)`` array
            of uint8 or uint16 in the order grey, grey-alpha, RGB or RGBA, or a PIL image (its current frame)
        max_pixels: images with more pixels are refused before they are decoded; None for no limit. Pillow's own
            limit, twice ``Image.MAX_IMAGE_PIXELS``, plays no part but inside its readers of WebP, TIFF and icons,
            which give no way around it

    Returns:
        an upright RGB image; ``source`` itself where it is one already

    Raises:
        ImageTooLargeError: the image has more than ``max_pixels`` pixels
        UnreadableImageError: the file is missing, no image, damaged, or cut short; says which and why
    """
    name, path = _name_of(source)

    def check_size(size: tuple[int, int]) -> None:
        if max_pixels is not None and size[0] * size[1] > max_pixels:
            raise ImageTooLargeError(name, size, max_pixels, path=path)

    try:
        with ExitStack() as stack:
            image = _open(source, stack)
            check_size(image.size)
            _decode(image)
            check_size(image.size)  # an icon may hold a larger image than it announces
            return _upright(_to_rgb(image), _orientation(image))
    except UnreadableImageError:
        raise
    # Decoders of damaged files raise nearly anything (OSError, SyntaxError, KeyError, zlib.error, MemoryError, ...)
    except Exception as error:
        raise UnreadableImageError(name, _reason(error), path=path) from error


def image_size(source: ImageSource) -> tuple[int, int]:
    """Reads width and height from the head of a file, as stored: before EXIF orientation. Nothing is decoded.

    Args:
        source: as for :func:`load_image`

    Raises:
        UnreadableImageError: the file is missing or no image
    """
    name, path = _name_of(source)
    try:
        with ExitStack() as stack:
            return _open(source, stack).size
    except Exception as error:  # as in load_image
        raise UnreadableImageError(name, _reason(error), path=path) from error


def preprocess(image: Image.Image, *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Turns an image into the input of a CCIP model.

    The image is resized to 384 x 384 with Pillow's antialiased BILINEAR, without keeping its aspect ratio, and
    normalized; values are bit-equal to those of dghs-imgutils.

    Args:
        image: an image, as :func:`load_image` returns
        out: a ``(3, 384, 384)`` float32 array to write into, such as a row of a batch

    Returns:
        a ``(3, 384, 384)`` array of normalized R, G and B; ``out`` where it is given
    """
    if image.mode != "RGB":
        image = load_image(image, max_pixels=None)
    pixels = np.asarray(image.resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR))
    if out is None:
        out = np.empty((3, INPUT_SIZE, INPUT_SIZE), np.float32)
    for channel, table in enumerate(_NORMALIZED):
        np.take(table, pixels[..., channel], out=out[channel], mode="clip")
    return out


def crop(image: Image.Image, box: Sequence[float], *, alpha: float = 0.0, square: bool = False) -> Image.Image:
    """Cuts a detection out of an image, with the pixels that FiftyOne cuts out.

    Args:
        image: the upright image
        box: ``[x, y, width, height]`` of the detection, relative to the image; what lies outside is ignored
        alpha: how much wider and higher the crop is than the box: 0.1 for 10 %, -0.1 for 10 % less
        square: whether to make the crop square, by growing its shorter side and, where the image is too small for
            that, shrinking its longer one

    Returns:
        the crop; ``image`` itself where that is all of it

    Raises:
        EmptyCropError: the box holds no pixel, or its numbers are no numbers
    """
    box = tuple(float(number) for number in box)
    if len(box) != 4 or not all(map(math.isfinite, (*box, alpha))):
        raise EmptyCropError(box, image.size, "the box must be four finite numbers, and alpha a finite number")
    left, right = _span(box[0], box[2], alpha, image.width)
    top, bottom = _span(box[1], box[3], alpha, image.height)
    if right <= left or bottom <= top:
        raise EmptyCropError(box, image.size, "no pixel is inside")
    if square:
        change = (bottom - top) - (right - left)
        left, right, top, bottom = _square(left, right, top, bottom, change, image.size)
    region = (left, top, right, bottom)
    return image if region == (0, 0, *image.size) else image.crop(region)


def _name_of(source: ImageSource) -> tuple[str, str | None]:
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return path, path
    if isinstance(source, bytes | bytearray | memoryview):
        return f"an image of {len(source)} bytes", None
    if isinstance(source, np.ndarray):
        return f"an array of shape {source.shape}", None
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return (name, name) if isinstance(name, str) else (f"an image in a {type(source).__name__}", None)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, Image.DecompressionBombError):
        return f"Pillow refuses it, as PIL.Image.MAX_IMAGE_PIXELS says: {error}"
    return str(error) or type(error).__name__


def _open(source: ImageSource, stack: ExitStack) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, str | os.PathLike):
        return _identify(stack.enter_context(Path(source).open("rb")))
    if isinstance(source, bytes | bytearray | memoryview):
        return _identify(io.BytesIO(source))
    if hasattr(source, "read"):
        return _identify(source if _is_seekable(source) else io.BytesIO(source.read()))
    raise TypeError(f"a {type(source).__name__} is no path, bytes, binary file, array or image")


def _is_seekable(file: IO[bytes]) -> bool:
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 3, 4))):
        raise ValueError(f"want uint8 or uint16 of shape (h, w) or (h, w, 1 to 4), not {array.dtype}")
    if array.size == 0:
        raise ValueError("it has no pixels")
    return Image.fromarray(np.ascontiguousarray(array))


def _identify(file: IO[bytes]) -> ImageFile.ImageFile:
    """Opens ``file`` with the first of Pillow's readers that knows it.

    As ``Image.open``, but without its limit on pixels: that one is a setting of the whole process, may only warn, and
    could be overruled only by changing it for every thread.
    """
    file.seek(0)
    prefix = file.read(16)
    if not prefix:
        raise ValueError("the file is empty")
    if len(prefix) < _SHORTEST:
        raise ValueError(f"not an image: the file ends after {len(prefix)} bytes")
    tried, notes = set(REFUSED_FORMATS), []
    for find_readers in (Image.preinit, Image.init):  # the common formats first, then all
        find_readers()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            accepted = accept is None or accept(prefix)
            if isinstance(accepted, str):
                notes.append(accepted)
            elif accepted:
                file.seek(0)
                try:
                    return factory(_watched(file), "")
                except (SyntaxError, IndexError, TypeError, struct.error):
                    continue  # another format, or damaged in its first bytes
    known = f"; {'; '.join(notes)}" if notes else ""
    raise ValueError(f"not an image, or damaged in its first bytes ({prefix[:8]!r}){known}")


def _watched(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], _Watched(file)) if ImageFile.LOAD_TRUNCATED_IMAGES else file


class _Watched:
    """A file that remembers whether a reader went on past its end.

    Some packages set ``ImageFile.LOAD_TRUNCATED_IMAGES`` for the whole process. Pillow then fills what is missing with
    grey and says nothing; this is how we still see it.
    """

    def __init__(self, file: IO[bytes]):
        self._file, self.ran_out = file, False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.ran_out |= not data and size != 0
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _decode(image: Image.Image) -> None:
    file = getattr(image, "fp", None)
    if isinstance(file, _Watched):
        file.ran_out = False  # looking for metadata at the end is no fault
    if image.format == "WEBP":
        _release_early(image)
    image.load()
    if isinstance(file, _Watched) and file.ran_out:
        raise ValueError("image file is truncated")
    if not all(image.size):
        raise ValueError("it has no pixels")


def _release_early(image: Image.Image) -> None:
    """Lets Pillow's reader of WebP go of its own two canvases before the image gets one: 12 bytes per pixel, not 16."""
    prepare = getattr(image, "load_prepare", None)
    if prepare is None or not hasattr(image, "_decoder"):
        return

    def release_and_prepare() -> None:
        image.__dict__["_decoder"] = None
        del image.__dict__["load_prepare"]  # with it the image would hold itself, until Python looks for such circles
        prepare()

    image.__dict__["load_prepare"] = release_and_prepare


def _orientation(image: Image.Image) -> int:
    try:
        return cast(int, image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # damaged metadata raises nearly anything, and the pixels are fine
        logger.debug("no orientation in damaged EXIF data: %s", error)
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _TRANSPOSE.get(orientation)
    if method is None:
        return image
    upright = image.transpose(method)
    upright.info = {}  # or it would be turned again when it is loaded again
    return upright


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if _has_transparency(image):
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _has_transparency(image: Image.Image) -> bool:
    has_alpha = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    return has_alpha or (image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode not in ("RGBA", "LA"):
        image = image.convert("RGBA")
    white = Image.new("RGB", image.size, _WHITE)
    white.paste(image, (0, 0), mask=image)
    return white


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Modes of more than 8 bits: the high byte of 16; wider ones by the range that their values show."""
    values = np.asarray(image)
    grey = (values >> 8 if image.mode.startswith("I;16") else _by_range(values)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _by_range(values: NDArray[Any]) -> NDArray[np.float64]:
    is_float = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    top = values.max()
    if top > 65535:
        return values * (255 / top)
    if top > 255:
        return values // 256
    return values * 255 if is_float and top <= 1 else values


def _normalized_values() -> NDArray[np.float32]:
    """What the reference computes for each of the 256 values of R, G and B, in its own steps of precision."""
    values = np.arange(256).astype(np.float32) / np.float32(255)
    mean, std = np.array(MEAN)[:, None], np.array(STD)[:, None]
    return ((values - mean) / std).astype(np.float32)


_NORMALIZED = _normalized_values()


def _span(start: float, length: float, alpha: float, size: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of a box along one side, rounded towards zero as FiftyOne does."""
    first, last = _clip(start), _clip(start + length)
    growth = 0.5 * max(alpha, -1.0) * (last - first)
    return int(size * _clip(first - growth)), int(size * _clip(last + growth))


def _clip(relative: float) -> float:
    return max(0.0, min(relative, 1.0))


def _square(
    left: int, right: int, top: int, bottom: int, change: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Makes a region square; ``change`` is how much higher than wide it is."""
    if change < 0:
        top, bottom, left, right = _square(top, bottom, left, right, -change, size[::-1])
        return left, right, top, bottom
    too_much = max(0, (bottom - top) - size[0])  # the higher side does not fit into the width of the image
    left, right = _lengthened(left, right, change - too_much, size[0])
    top, bottom = _lengthened(top, bottom, -too_much, size[1])
    return left, right, top, bottom


def _lengthened(start: int, stop: int, change: int, size: int) -> tuple[int, int]:
    before = int(change / 2)
    start, stop = start - before, stop + change - before
    shift = max(0, -start) - max(0, stop - size)
    return start + shift, stop + shift
