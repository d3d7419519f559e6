"""Turns images upright as a browser does, and with it the App, so that boxes drawn there fit."""

import logging
import struct
from typing import cast

from PIL import ExifTags, Image

logger = logging.getLogger(__name__)

_EXIF_FORMATS = frozenset({"JPEG", "MPO", "PNG", "AVIF"})
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SHORT = 3  # the type of a 16-bit number in EXIF


def orientation_of(image: Image.Image) -> int:
    """The orientation with which browsers show a decoded image, from 1 (upright) to 8.

    It is that of the EXIF block of JPEG, PNG and AVIF (there made of its own turn and mirror properties), and the tag
    of TIFF, which browsers do not show. Browsers ignore EXIF in WebP, and XMP everywhere. For an image without a
    format, such as one made in memory, Pillow decides.
    """
    if image.format is None:
        return pillow_orientation(image)
    if image.format == "TIFF":
        return cast(int, getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1))
    exif = image.info.get("exif")
    return _of_exif(exif) if image.format in _EXIF_FORMATS and isinstance(exif, bytes) else 1


def pillow_orientation(image: Image.Image) -> int:
    """The orientation by Pillow, which also reads that in WebP and XMP: the rule of reading policy 1."""
    try:
        exif = Image.Image.getexif(image)  # that of PNG decodes the file
        return cast(int, exif.get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # damaged metadata raises nearly any exception, but the pixels are intact
        logger.debug("no orientation in damaged EXIF data: %s", error)
        return 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turns and mirrors an image; returns ``image`` itself if it is upright or the number invalid."""
    method = _TRANSPOSE.get(orientation)
    if method is None:
        return image
    turned = image.transpose(method)
    turned.info = {}  # otherwise the orientation would be applied again if this image is loaded again
    return turned


def is_turned_alike(left: int, right: int) -> bool:
    """Whether two orientations give the same image."""
    return _TRANSPOSE.get(left) == _TRANSPOSE.get(right)


def _of_exif(exif: bytes) -> int:
    """The orientation in the first directory of an EXIF block, 1 without one or in a damaged block."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (n_entries,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(n_entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
            if tag == ExifTags.Base.Orientation:
                return cast(int, value) if (kind, count) == (_SHORT, 1) else 1
    except struct.error:  # cut short
        pass
    return 1
