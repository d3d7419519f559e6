"""Chooses the frame that stands for an animation."""

from typing import IO

from PIL import Image

from .blank import is_blank, resized
from .colors import to_rgb
from .readers import identify

MAX_FRAMES = 50
"""How many frames are tried."""

_MAX_FRAME_PIXELS = 1_000_000_000  # of all tried frames together
_FORMATS = frozenset({"GIF", "WEBP", "PNG", "AVIF"})  # frames of other formats are pages, layers or other views


def is_animation(image: Image.Image) -> bool:
    """Whether an opened file has several frames that are shown one after the other."""
    return image.format in _FORMATS and bool(getattr(image, "is_animated", False))


def shown_frame(file: IO[bytes], first: Image.Image) -> Image.Image:
    """The first of 50 frames that is not blank, as RGB; ``first`` if all are.

    Args:
        file: the file of an animation
        first: its first frame
    """
    if not is_blank(resized(first)):
        return first
    animation = identify(file)
    n_tried = max(1, min(MAX_FRAMES, _MAX_FRAME_PIXELS // (first.width * first.height)))
    for number in range(1, n_tried):
        try:
            animation.seek(number)
            animation.load()
        except Exception:  # EOFError after the last frame, or nearly any exception for a damaged one
            break
        frame = to_rgb(animation)
        if not is_blank(resized(frame)):
            return frame.copy()
    return first
