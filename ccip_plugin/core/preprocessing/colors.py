"""Converts images of every mode to RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..arrays import FloatArray

_WHITE = (255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if _has_transparency(image):
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _has_transparency(image: Image.Image) -> bool:
    has_alpha = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    return has_alpha or (image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode not in ("RGBA", "LA"):
        image = image.convert("RGBA")
    white = Image.new("RGB", image.size, _WHITE)
    white.paste(image, (0, 0), mask=image)
    return white


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Converts modes of more than 8 bits: the high byte of 16 bits; wider modes by the range of their values."""
    values = np.asarray(image)
    grey = (values >> 8 if image.mode.startswith("I;16") else _by_range(values)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _by_range(raw: NDArray[Any]) -> FloatArray:
    """Scales values to [0, 255] from the smallest range that contains them: [0, 1], 8 or 16 bits, or their maximum."""
    is_float = raw.dtype.kind == "f"
    values: FloatArray = np.nan_to_num(raw.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0)
    top: float = values.max()
    if top > 65535:
        return values * (255 / top)
    if top > 255:
        return values // 256
    return values * 255 if is_float and top <= 1 else values
