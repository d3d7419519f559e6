"""Reads images of any kind as upright RGB."""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageTooLargeError, UnreadableImageError
from .colors import to_rgb
from .orientation import pillow_orientation, upright
from .readers import decode, identify, reason_of
from .repairs import with_end, without_metadata

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image

READING_POLICY = 1
"""Version of :func:`load_image` and :func:`preprocess`; increases whenever the same file would give other pixels."""

MAX_PIXELS = 178_000_000

SizeCheck = Callable[[tuple[int, int]], None]
_STRIP = 256
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]+\\")


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
            opened = _open(source, stack)
            image = _decoded(opened, check_size) if isinstance(opened, Image.Image) else _read(opened, check_size)
            return upright(to_rgb(image), pillow_orientation(image))
    except UnreadableImageError:
        raise
    # Decoders raise nearly any exception for damaged files (OSError, SyntaxError, KeyError, zlib.error, MemoryError)
    except Exception as error:
        raise UnreadableImageError(name, reason_of(error), path=path) from error


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
            opened = _open(source, stack)
            return (opened if isinstance(opened, Image.Image) else _identified(opened)).size
    except Exception as error:  # as in load_image
        raise UnreadableImageError(name, reason_of(error), path=path) from error


def _read(file: IO[bytes], check_size: SizeCheck) -> Image.Image:
    """Decodes a file or, if that fails, a copy without what only costs the image."""
    try:
        return _decoded(identify(file), check_size)
    except ImageTooLargeError:
        raise
    except Exception as error:  # as in load_image
        failure = error.with_traceback(None)  # whose frames would hold the memory of the failed attempt
    if (copy := without_metadata(file)) is not None:
        return _decoded(identify(copy), check_size)  # if it fails, then because of the pixels
    image = _with_all_pixels(with_end(file), check_size)
    if image is None:
        raise failure
    return image


def _with_all_pixels(copies: Iterator[IO[bytes]], check_size: SizeCheck) -> Image.Image | None:
    """The image that all copies give; None if they differ, cannot be decoded, or there are none."""
    image, digests = None, set()
    for copy in copies:
        image = None  # frees the one before
        try:
            image = _decoded(identify(copy), check_size)
        except ImageTooLargeError:
            raise
        except Exception:  # as in load_image
            return None
        digests.add(_digest(image))
        if len(digests) > 1:
            return None
    return image


def _digest(image: Image.Image) -> bytes:
    """A hash of the pixels, taken in strips."""
    digest = hashlib.blake2b()
    for top in range(0, image.height, _STRIP):
        digest.update(image.crop((0, top, image.width, min(top + _STRIP, image.height))).tobytes())
    return digest.digest()


def _identified(file: IO[bytes]) -> Image.Image:
    """The image of a file, not decoded."""
    try:
        return identify(file)
    except Exception:  # as in load_image
        if (copy := without_metadata(file)) is None:
            raise
    return identify(copy)


def _decoded(image: Image.Image, check_size: SizeCheck) -> Image.Image:
    check_size(image.size)
    decode(image)
    check_size(image.size)  # an icon may contain a larger image than its header states
    return image


def not_local(path: str) -> str | None:
    """The reason why a path cannot be one of this machine, None if it can."""
    if match := _URL.match(path):
        return f"{match[0]}... is not on this machine: only local paths are read; download or mount the files"
    if os.name != "nt" and _WINDOWS_PATH.match(path):
        return "a Windows path, but this machine is not Windows: only local paths are read, such as /mnt/c/... in WSL"
    return None


def why_missing(path: str) -> str | None:
    """Says that there is no file or folder of this path, and why; None if there is one. ``~`` is the home folder."""
    full_path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - keeps links, takes any ~name
    if os.path.lexists(full_path):
        return None
    problem = not_local(path)
    return f"{path}: {problem}" if problem else f"{full_path} does not exist"


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


def _open(source: ImageSource, stack: ExitStack) -> Image.Image | IO[bytes]:
    """The image, or the open file that holds it."""
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, str | os.PathLike):
        return stack.enter_context(Path(source).open("rb"))
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if hasattr(source, "read"):
        return source if _is_seekable(source) else io.BytesIO(source.read())
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
