"""Opens files with Pillow's readers, without its limit of pixels, and decodes them, if necessary from a copy."""

import functools
import hashlib
import logging
import struct
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from PIL import Image, ImageFile

from ..errors import ImageTooLargeError
from .bmp import RareBMP
from .formats import HEAD_BYTES, describe_format
from .repairs import with_end, without_metadata

logger = logging.getLogger(__name__)

SizeCheck = Callable[[tuple[int, int]], None]
"""Raises an error for an image that is too large."""

REFUSED_FORMATS = frozenset({"EPS", "WMF"})
"""Formats that are programs or vector graphics, which Pillow passes to another program or to the system."""

_OF_PILLOW = {
    "not identified by this driver": "damaged: its header has no size, or no pixel format that Pillow knows",
    "cannot load this image": "damaged: it has no pixels that Pillow can decode",
}
"""What short messages of Pillow mean."""

_OF_PYTHON = (TypeError, AttributeError, ArithmeticError, AssertionError, UnicodeError)
"""Errors that Pillow's readers do not expect: a file of that kind is damaged."""

_MIN_BYTES = 4  # that Pillow's readers need to recognize a format
_STRIP = 256  # rows
_HEAD = 16  # that they are given


def read(file: IO[bytes], check_size: SizeCheck) -> tuple[Image.Image, IO[bytes]]:
    """Decodes a file or, if that fails, a copy without what only costs the image; returns image and decoded file.

    Raises:
        ImageTooLargeError: as ``check_size`` does
        ValueError: the file cannot be read; the message says what it is, as far as its first bytes tell, and why
    """
    try:
        return _read(file, check_size)
    except (ImageTooLargeError, MemoryError):
        raise
    except Exception as error:  # as in load_image
        if isinstance(error, OSError) and error.strerror:
            raise  # of the disk, not of the file
        raise ValueError(_with_format(file, reason_of(error))) from error


def _with_format(file: IO[bytes], reason: str) -> str:
    file.seek(0)
    file_format = describe_format(file.read(HEAD_BYTES))
    if file_format is None or file_format.name in reason:
        return reason
    return f"{file_format.name}: {reason}"


def _read(file: IO[bytes], check_size: SizeCheck) -> tuple[Image.Image, IO[bytes]]:
    try:
        return decoded(identify(file), check_size), file
    except ImageTooLargeError:
        raise
    except Exception as error:  # as in load_image
        failure = error.with_traceback(None)  # whose frames would hold the memory of the failed attempt
    if (copy := without_metadata(file)) is not None:
        return decoded(identify(copy), check_size), copy  # if it fails, then because of the pixels
    image = _with_all_pixels(with_end(file), check_size)
    if image is None:
        raise failure
    return image, file


def _with_all_pixels(copies: Iterator[IO[bytes]], check_size: SizeCheck) -> Image.Image | None:
    """The image that all copies give; None if they differ, cannot be decoded, or there are none."""
    image, digests = None, set()
    for copy in copies:
        image = None  # frees the one before
        try:
            image = decoded(identify(copy), check_size)
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


def identified(file: IO[bytes]) -> Image.Image:
    """The image of a file, not decoded."""
    try:
        return identify(file)
    except Exception:  # as in load_image
        if (copy := without_metadata(file)) is None:
            raise
    return identify(copy)


def decoded(image: Image.Image, check_size: SizeCheck) -> Image.Image:
    """Decodes the pixels of an image; ``check_size`` refuses it before and after."""
    check_size(image.size)
    decode(image)
    check_size(image.size)  # an icon may contain a larger image than its header states
    return image


@functools.cache
def register_optional_readers() -> None:
    """Registers the readers of optional packages with Pillow: HEIC by pillow-heif, if it is installed.

    Pillow's list of readers belongs to the process, so other code of the process reads such files as well.
    """
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()
    logger.debug("HEIC is read by pillow-heif %s", pillow_heif.__version__)


def identify(file: IO[bytes]) -> ImageFile.ImageFile:
    """Opens ``file`` with the first of Pillow's readers that recognizes it.

    Works as ``Image.open``, but without its pixel limit: that is a setting of the whole process, which may only warn
    and could only be changed for all threads.

    Raises:
        ValueError: no reader takes the file; the message says what it is, as far as its first bytes tell
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise ValueError("the file is empty")
    if len(head) < _MIN_BYTES:
        raise ValueError(f"not an image: the file ends after {len(head)} bytes")
    tried, reasons = set(REFUSED_FORMATS), []
    for find_readers in (Image.preinit, Image.init, register_optional_readers):  # the common formats first
        find_readers()
        for name in [name for name in Image.ID if name not in tried]:
            tried.add(name)
            factory, accept = Image.OPEN[name]
            accepted = accept is None or accept(head[:_HEAD])
            if isinstance(accepted, str):
                reasons.append(accepted)
            elif accepted:
                file.seek(0)
                try:
                    return factory(_with_eof_check(file), "")
                except (SyntaxError, IndexError, TypeError, KeyError, struct.error) as error:
                    # another format, a variant that Pillow does not know, or damaged in its first bytes
                    if accept is not None:
                        reasons.append(reason_of(error))
                except OSError as error:
                    if head[:2] != b"BM":
                        raise
                    return _rare_bmp(file, error)
    raise ValueError(_refusal(head, reasons))


def decode(image: Image.Image) -> None:
    """Decodes the pixels of an image.

    Raises:
        ValueError: the file ends too soon, or has no pixels
        Exception: nearly any other one, for a damaged file
    """
    file = getattr(image, "fp", None)
    if isinstance(file, _EOFCheck):
        file.has_reached_end = False  # readers may look for metadata at the end
    if image.format == "WEBP":
        _release_early(image)
    has_late_exif = image.format == "PNG" and "exif" not in image.info
    image.load()
    if has_late_exif:
        image.info.pop("exif", None)  # browsers ignore the orientation in metadata after the pixels
    if isinstance(file, _EOFCheck) and file.has_reached_end:
        raise ValueError("image file is truncated")
    if not all(image.size):
        raise ValueError("it has no pixels")


def reason_of(error: Exception) -> str:
    """The reason for which a file cannot be read, as a line of text."""
    if isinstance(error, SyntaxError) and error.args and isinstance(error.args[0], Exception):
        return reason_of(error.args[0])  # Pillow wraps the errors that a damaged header causes in its readers
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"Pillow refuses it because of PIL.Image.MAX_IMAGE_PIXELS: {text}"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if isinstance(error, KeyError):
        return f"a variant that Pillow does not read ({text})"
    if text in _OF_PILLOW:
        return _OF_PILLOW[text]
    if text.startswith("decoder error"):
        return f"damaged: its pixels cannot be decoded ({text})"
    if isinstance(error, (struct.error, IndexError)):
        return "damaged: it ends too soon"
    if isinstance(error, _OF_PYTHON) or text.startswith("invalid literal"):
        return f"damaged: its parts do not fit together ({text})"
    return text


def _refusal(head: bytes, reasons: list[str]) -> str:
    """What a file is, why no reader takes it, and what would read it."""
    file_format = describe_format(head)
    told = "; ".join(dict.fromkeys(reasons))
    if file_format is None:
        return f"not an image, or damaged in its first bytes ({head[:8]!r}){told and '; '}{told}"
    if told.startswith("damaged"):
        return f"{file_format.name}, {told}"
    if file_format.remedy or not told:
        told = f"Pillow does not read it{told and f' ({told})'}"
    prefix = file_format.name if file_format.is_image else f"not an image but {file_format.name}"
    return "; ".join(filter(None, (f"{prefix}: {told}" if file_format.is_image else prefix, file_format.remedy)))


def _rare_bmp(file: IO[bytes], error: OSError) -> ImageFile.ImageFile:
    """A BMP of a depth that Pillow does not read; raises Pillow's error if we do not either."""
    file.seek(0)
    try:
        return RareBMP(file, "")
    except (SyntaxError, struct.error):
        raise error from None


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
