"""Converts images to the input of a CCIP model."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .blank import INPUT_SIZE, resized
from .images import load_image

MEAN = (0.48145466, 0.4578275, 0.40821073)

STD = (0.26862954, 0.26130258, 0.27577711)


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
    pixels = np.asarray(resized(image))
    if out is None:
        out = np.empty((3, INPUT_SIZE, INPUT_SIZE), np.float32)
    for channel, table in enumerate(_NORMALIZED):
        np.take(table, pixels[..., channel], out=out[channel], mode="clip")
    return out


def _normalized_values() -> NDArray[np.float32]:
    """The results of the reference implementation for the 256 values of R, G and B, with its intermediate precision."""
    values = np.arange(256).astype(np.float32) / np.float32(255)
    mean, std = np.array(MEAN)[:, None], np.array(STD)[:, None]
    normalized: NDArray[np.float32] = ((values - mean) / std).astype(np.float32)
    return normalized


_NORMALIZED = _normalized_values()
