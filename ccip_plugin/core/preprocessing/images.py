"""Reads images of any kind as upright RGB."""

import io
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ImageTooLargeError, UnreadableImageError
from .animation import is_animation, shown_frame
from .colors import to_rgb
from .orientation import orientation_of, upright
from .readers import decoded, identified, read, reason_of

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any] | Image.Image

MAX_PIXELS = 178_000_000

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\[^\\]+\\")


def load_image(source: ImageSource, *, max_pixels: int | None = MAX_PIXELS) -> Image.Image:
    """Reads an image; all parts of this package read images with this function.

    The image is turned as browsers show it (EXIF of JPEG, PNG and AVIF), transparency is composited on white, every
    mode is converted to RGB (the high byte of 16-bit grey), and of an animated file the first of 50 frames that is not
    blank is used. Color profiles are not applied.

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
            if isinstance(opened, Image.Image):
                image = decoded(opened, check_size)
                return upright(to_rgb(image), orientation_of(image))
            image, file = read(opened, check_size)
            frame = to_rgb(image)
            if is_animation(image):
                frame = shown_frame(file, frame)
            return upright(frame, orientation_of(image))
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
            return (opened if isinstance(opened, Image.Image) else identified(opened)).size
    except Exception as error:  # as in load_image
        raise UnreadableImageError(name, reason_of(error), path=path) from error


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
    raise ValueError(f"a {type(source).__name__} is not a path, bytes, binary file, array or image")


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
