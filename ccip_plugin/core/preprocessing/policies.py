"""Versions of the rules by which files become pixels, and which files a version concerns."""

from typing import IO

from .animation import is_animation
from .orientation import is_turned_alike, orientation_of, pillow_orientation
from .readers import identified
from .repairs import has_metadata_after_pixels

READING_POLICY = 2
"""Version of :func:`load_image` and :func:`preprocess`; increases whenever the same file would give other pixels.

1. Orientation by Pillow, which also reads EXIF of WebP, and XMP. Of an animation the first frame.
2. Orientation as browsers show it. Of an animation the first frame that is not blank.
"""


def is_read_otherwise(file: IO[bytes]) -> bool:
    """Whether a file may give other pixels by this policy than by policy 1; tells by its head, without decoding.

    Args:
        file: an open file that is read without error
    """
    try:
        image = identified(file)
        if is_animation(image):
            return True
        orientation = orientation_of(image)
        if has_metadata_after_pixels(file):
            image.load()
        return not is_turned_alike(orientation, pillow_orientation(image))
    except Exception:  # as in load_image; such a file has no embedding of policy 1, or has changed since
        return False
