"""The picture of 384 x 384 pixels that the model gets, and whether it shows anything."""

import numpy as np
from PIL import Image

INPUT_SIZE = 384

BLANK_SPREAD = 6
"""Two values of 256 that differ by no more are one shade: the noise of a recording, the artifacts of a JPEG."""

BLANK_REASON = "shows nothing: nearly all of its pixels have one color; blank='embed' embeds such pictures"
_IGNORED = 0.001  # the share of the darkest and of the lightest pixels that is no drawing


def resized(image: Image.Image) -> Image.Image:
    """Resizes an RGB image with Pillow's antialiased BILINEAR filter, ignoring its aspect ratio."""
    return image.resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR)


def is_blank(picture: Image.Image) -> bool:
    """Whether a picture shows nothing: in each channel, the 0.1 % and the 99.9 % quantile differ by at most 6.

    Args:
        picture: an image from :func:`resized`
    """
    counts = np.asarray(picture.histogram(), np.int64).reshape(3, 256).cumsum(axis=1)
    n_pixels = picture.width * picture.height
    lowest = (counts >= _IGNORED * n_pixels).argmax(axis=1)
    highest = (counts >= (1 - _IGNORED) * n_pixels).argmax(axis=1)
    return bool((highest - lowest <= BLANK_SPREAD).all())
