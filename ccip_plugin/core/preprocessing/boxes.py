"""Crops detections from images, with the pixels of FiftyOne."""

import math
from collections.abc import Sequence

from PIL import Image

from ..errors import EmptyCropError

_MAX_RELATIVE = 16.0
"""Boxes may reach far outside the image; larger numbers are something else."""


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
    if any(abs(number) > _MAX_RELATIVE for number in box):
        raise EmptyCropError(
            box,
            image.size,
            "boxes are [x, y, width, height] relative to the image, from 0 to 1; these numbers are not, they may be "
            "pixels: divide them by its width and height",
        )
    left, right = _span(box[0], box[2], alpha, image.width)
    top, bottom = _span(box[1], box[3], alpha, image.height)
    if right <= left or bottom <= top:
        raise EmptyCropError(box, image.size, "no pixel is inside")
    if square:
        change = (bottom - top) - (right - left)
        left, right, top, bottom = _square(left, right, top, bottom, change, image.size)
    region = (left, top, right, bottom)
    return image if region == (0, 0, *image.size) else image.crop(region)


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
