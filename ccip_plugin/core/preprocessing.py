"""Preprocessing: reads images of any kind, crops them, and converts them to the input of a CCIP model."""

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

from .arrays import FloatArray
from .errors import EmptyCropError, ImageTooLargeError, UnreadableImageError

logger = logging.getLogger(__name__)

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image

READING_POLICY = 1
"""Version of :func:`load_image` and :func:`preprocess`; increases whenever the same file would give other pixels."""

MAX_PIXELS = 178_000_000
INPUT_SIZE = 384
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

REFUSED_FORMATS = frozenset({"EPS", "WMF"})
"""Formats that are programs or vector graphics, which Pillow passes to another program or to the system."""

_MIN_BYTES = 4  # that Pillow's readers need to recognize a format
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
    """Reads an image; all parts of this package read images with this function.

    EXIF orientation is applied, transparency is composited on white, every mode is converted to RGB (the high byte of
    16-bit grey), and of an animation the first frame is used. Color profiles are not applied.

    Args:
        source: a path, the bytes of a file, an open binary file (rewound), an ``(h, w)`` or ``(h, w, channels)`` array
            of uint8 or uint16 in the order grey, grey-alpha, RGB or RGBA, or a PIL image (its current frame)
        max_pixels: images with more pixels are refused before they are decoded; None for no limit. Pillow's own
            limit, twice ``Image.MAX_IMAGE_PIXELS``, only applies in its readers of WebP, TIFF and icons, where it
            cannot be bypassed

    Returns:
        an upright RGB image; ``source`` itself if it is one

    Raises:
        ImageTooLargeError: the image has more than ``max_pixels`` pixels
        UnreadableImageError: the file is missing, not an image, damaged, or truncated; names the file and the reason
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
            check_size(image.size)  # an icon may contain a larger image than its header states
            return _upright(_to_rgb(image), _orientation(image))
    except UnreadableImageError:
        raise
    # Decoders raise nearly any exception for damaged files (OSError, SyntaxError, KeyError, zlib.error, MemoryError)
    except Exception as error:
        raise UnreadableImageError(name, _reason(error), path=path) from error


def image_size(source: ImageSource) -> tuple[int, int]:
    """Reads width and height from the header of a file, before EXIF orientation. Decodes no pixels.

    Args:
        source: as for :func:`load_image`

    Raises:
        UnreadableImageError: the file is missing or not an image
    """
    name, path = _name_of(source)
    try:
        with ExitStack() as stack:
            return _open(source, stack).size
    except Exception as error:  # as in load_image
        raise UnreadableImageError(name, _reason(error), path=path) from error


def preprocess(image: Image.Image, *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Converts an image to the input of a CCIP model.

    The image is resized to 384 x 384 with Pillow's antialiased BILINEAR filter, ignoring its aspect ratio, and
    normalized. The values are bit-identical to those of dghs-imgutils.

    Args:
        image: an image from :func:`load_image`
        out: a ``(3, 384, 384)`` float32 array to write into, such as a row of a batch

    Returns:
        a ``(3, 384, 384)`` array of normalized R, G and B; ``out`` if given
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
    """Crops a detection from an image, with the same pixels as FiftyOne.

    Args:
        image: the upright image
        box: ``[x, y, width, height]`` of the detection, relative to the image; parts outside the image are ignored
        alpha: fraction by which the box is enlarged: 0.1 for 10 % wider and higher, -0.1 for 10 % less
        square: whether to make the crop square, by growing its shorter side and, if the image is too small for that,
            shrinking its longer one

    Returns:
        the crop; ``image`` itself if the crop is the whole image

    Raises:
        EmptyCropError: the box contains no pixel, or is not four finite numbers
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
        return f"Pillow refuses it because of PIL.Image.MAX_IMAGE_PIXELS: {error}"
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
    raise TypeError(f"a {type(source).__name__} is not a path, bytes, binary file, array or image")


def _is_seekable(file: IO[bytes]) -> bool:
    return hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 3, 4))):
        raise ValueError(f"dtype is {array.dtype}, expected uint8 or uint16 of shape (h, w) or (h, w, 1 to 4)")
    if array.size == 0:
        raise ValueError("it has no pixels")
    return Image.fromarray(np.ascontiguousarray(array))


def _identify(file: IO[bytes]) -> ImageFile.ImageFile:
    """Opens ``file`` with the first of Pillow's readers that recognizes it.

    Works as ``Image.open``, but without its pixel limit: that is a setting of the whole process, which may only warn
    and could only be changed for all threads.
    """
    file.seek(0)
    prefix = file.read(16)
    if not prefix:
        raise ValueError("the file is empty")
    if len(prefix) < _MIN_BYTES:
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
                    return factory(_with_eof_check(file), "")
                except (SyntaxError, IndexError, TypeError, struct.error):
                    continue  # another format, or damaged in its first bytes
    note = f"; {'; '.join(notes)}" if notes else ""
    raise ValueError(f"not an image, or damaged in its first bytes ({prefix[:8]!r}){note}")


def _with_eof_check(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], _EOFCheck(file)) if ImageFile.LOAD_TRUNCATED_IMAGES else file


class _EOFCheck:
    """A file that records reads beyond its end.

    Some packages set ``ImageFile.LOAD_TRUNCATED_IMAGES`` for the whole process. Pillow then fills missing pixels with
    grey without an error; this detects truncated files nevertheless.
    """

    def __init__(self, file: IO[bytes]):
        self._file, self.has_reached_end = file, False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.has_reached_end |= not data and size != 0
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _decode(image: Image.Image) -> None:
    file = getattr(image, "fp", None)
    if isinstance(file, _EOFCheck):
        file.has_reached_end = False  # readers may look for metadata at the end
    if image.format == "WEBP":
        _release_early(image)
    image.load()
    if isinstance(file, _EOFCheck) and file.has_reached_end:
        raise ValueError("image file is truncated")
    if not all(image.size):
        raise ValueError("it has no pixels")


def _release_early(image: Image.Image) -> None:
    """Frees the two canvases of Pillow's WebP reader before the image is allocated: 12 bytes per pixel, not 16."""
    prepare = getattr(image, "load_prepare", None)
    if prepare is None or not hasattr(image, "_decoder"):
        return

    def release_and_prepare() -> None:
        image.__dict__["_decoder"] = None
        del image.__dict__["load_prepare"]  # it would be a reference cycle, freed only by the garbage collector
        prepare()

    image.__dict__["load_prepare"] = release_and_prepare


def _orientation(image: Image.Image) -> int:
    try:
        return cast(int, image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # damaged metadata raises nearly any exception, but the pixels are intact
        logger.debug("no orientation in damaged EXIF data: %s", error)
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _TRANSPOSE.get(orientation)
    if method is None:
        return image
    upright = image.transpose(method)
    upright.info = {}  # otherwise the orientation would be applied again if this image is loaded again
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
    """Converts modes of more than 8 bits: the high byte of 16 bits; wider modes by the range of their values."""
    values = np.asarray(image)
    grey = (values >> 8 if image.mode.startswith("I;16") else _by_range(values)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _by_range(raw: NDArray[Any]) -> FloatArray:
    """Scales values to [0, 255] from the smallest range that contains them: [0, 1], 8 or 16 bits, or their maximum."""
    is_float = raw.dtype.kind == "f"
    values: FloatArray = np.nan_to_num(raw.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    top: float = values.max()
    if top > 65535:
        return values * (255 / top)
    if top > 255:
        return values // 256
    return values * 255 if is_float and top <= 1 else values


def _normalized_values() -> NDArray[np.float32]:
    """The results of the reference implementation for the 256 values of R, G and B, with its intermediate precision."""
    values = np.arange(256).astype(np.float32) / np.float32(255)
    mean, std = np.array(MEAN)[:, None], np.array(STD)[:, None]
    normalized: NDArray[np.float32] = ((values - mean) / std).astype(np.float32)
    return normalized


_NORMALIZED = _normalized_values()


def _span(start: float, length: float, alpha: float, size: int) -> tuple[int, int]:
    """First and last (exclusive) pixel of a box along one axis, rounded towards zero as in FiftyOne."""
    first, last = _clip(start), _clip(start + length)
    growth = 0.5 * max(alpha, -1.0) * (last - first)
    return int(size * _clip(first - growth)), int(size * _clip(last + growth))


def _clip(relative: float) -> float:
    return max(0.0, min(relative, 1.0))


def _square(
    left: int, right: int, top: int, bottom: int, change: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Makes a region square; ``change`` is its height minus its width."""
    if change < 0:
        top, bottom, left, right = _square(top, bottom, left, right, -change, size[::-1])
        return left, right, top, bottom
    excess = max(0, (bottom - top) - size[0])  # by which the height exceeds the width of the image
    left, right = _resized(left, right, change - excess, size[0])
    top, bottom = _resized(top, bottom, -excess, size[1])
    return left, right, top, bottom


def _resized(start: int, stop: int, change: int, size: int) -> tuple[int, int]:
    before = int(change / 2)
    start, stop = start - before, stop + change - before
    shift = max(0, -start) - max(0, stop - size)
    return start + shift, stop + shift
