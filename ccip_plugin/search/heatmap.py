"""The differences of a comparison as a heatmap, with the images beside them."""

import base64
import io
import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import CCIPError
from ..core.preprocessing import crop, load_image
from ..reports.charts import Heatmap

logger = logging.getLogger(__name__)

THUMBNAIL = 64
"""Largest side of a thumbnail, in pixels."""
_NAME_LENGTH = 24
_MAXIMUM = 0.5  # about the difference of two unrelated images


def difference_heatmap(
    names: Sequence[str], differences: NDArray[np.float32], threshold: float, pictures: Sequence[str | None]
) -> Heatmap:
    """The differences as a heatmap whose colors change at the threshold.

    Args:
        names: the ``n`` names of the images
        differences: ``(n, n)``
        threshold: the difference up to which two images show the same character
        pictures: ``n`` thumbnails, or none at all
    """
    exact = differences.astype(np.float64)
    verdicts = np.where(exact <= threshold, "same character", "different characters")
    texts = [
        [f"{row} / {column}\n{exact[i, j]:.4f}: {verdicts[i, j]}" for j, column in enumerate(names)]
        for i, row in enumerate(names)
    ]
    return Heatmap(
        "matrix",
        "Differences",
        "difference",
        labels=[_short(name) for name in names],
        values=exact.round(4).tolist(),
        texts=texts,
        limit=threshold,
        maximum=max(_MAXIMUM, threshold),
        pictures=pictures,
    )


def thumbnail(filepath: str, box: list[float] | None) -> str | None:
    """A small image as a data URI; None when the file cannot be read."""
    try:
        image = load_image(filepath)
        image = image if box is None else crop(image, box)
    except CCIPError as error:
        logger.debug("no thumbnail: %s", error)
        return None
    image = image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _short(name: str) -> str:
    """A name that fits beside the heatmap: its beginning and its end."""
    half = _NAME_LENGTH // 2
    return name if len(name) <= _NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"
