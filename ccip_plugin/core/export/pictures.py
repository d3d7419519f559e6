"""Puts pictures into an export: as a link, as a copy, or decoded, cropped and written without loss."""

import errno
import os
import shutil
from pathlib import Path

from ..preprocessing import crop, load_image
from .records import Picture

_NO_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS}


def place(picture: Picture, target: Path, *, link: bool = False) -> None:
    """Writes a picture to a file that does not exist.

    Args:
        picture: the picture
        target: the file
        link (False): link to the source, where the file system can, if the picture is taken as it is; a tool that
            changes the file in place then changes the source

    Raises:
        ImageReadError: the source cannot be decoded
        EmptyCropError: the box contains no pixel
        OSError: the source cannot be read, or the file not written
    """
    if picture.is_rewritten:
        image = load_image(picture.source)
        if picture.box is not None:
            image = crop(image, picture.box, alpha=picture.margin)
        image.save(target, "PNG", compress_level=3)
    elif not (link and link_to(Path(picture.source).resolve(), target)):
        shutil.copy2(picture.source, target)


def link_to(source: Path, target: Path) -> bool:
    """Makes a hard link; False where the file system cannot.

    Raises:
        OSError: the source does not exist, or the target does
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Makes a hard link, or a copy with the same time of change where the file system cannot.

    Raises:
        OSError: the source cannot be read, or the target not written
    """
    if not link_to(source, target):
        shutil.copy2(source, target, follow_symlinks=False)
