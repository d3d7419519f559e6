"""Reads what a detector gives: three layouts of boxes and scores."""

from collections.abc import Sequence

import numpy as np

from ..arrays import FloatArray
from ..errors import ParameterError
from .boxes import Box
from .suppression import keep_best

YOLO, END_TO_END, RTDETR = "yolo", "end_to_end", "rtdetr"
LAYOUTS = (YOLO, END_TO_END, RTDETR)
"""``(4 + classes, n)`` centers and sizes in pixels; ``(n, 6)`` corners, score, class; ``(n, 4 + classes)`` shares."""

_END_TO_END_OVERLAP = 0.7  # of the published runner: what it is given does not count there
_CORNERS = 6  # columns of the layout "end to end"


class NotFiniteError(ParameterError):
    """A box of the output is not finite: an image that the detector cannot cope with."""


def decode(
    output: FloatArray,
    layout: str,
    *,
    labels: Sequence[str],
    input_size: tuple[int, int],
    image_size: tuple[int, int],
    min_score: float,
    max_overlap: float,
) -> list[Box]:
    """Boxes from the output of a detector, as dghs-imgutils 0.19 reads them.

    Args:
        output: one output of the model, without the batch
        layout: one of :data:`LAYOUTS`; an output of "yolo" with six columns is "end to end"
        labels: the classes
        input_size: width and height of the model's input, in pixels
        image_size: width and height of the image, in pixels
        min_score: boxes with this score or less are left out
        max_overlap: intersection over union up to which two boxes are both kept

    Returns:
        the boxes, the best first; those without an area are left out

    Raises:
        ParameterError: the shape of the output is not that of the layout
        NotFiniteError: a box is not finite
    """
    if layout == YOLO and output.ndim == 2 and output.shape[1] == _CORNERS:
        layout = END_TO_END
    corners, scores, classes = _read(output, layout, len(labels))
    is_kept = ~(scores <= min_score)  # and what is no number
    corners, scores, classes = corners[is_kept], scores[is_kept], classes[is_kept]
    if not all(np.isfinite(each).all() for each in (corners, scores, classes)):
        raise NotFiniteError("output", "not finite", "boxes of finite numbers")
    numbers = classes.astype(int)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(labels):
        raise ParameterError("output", f"class {numbers.max()}", f"classes from 0 to {len(labels) - 1}")
    best = keep_best(corners, scores, _END_TO_END_OVERLAP if layout == END_TO_END else max_overlap)
    width, height = (1.0, 1.0) if layout == RTDETR else input_size
    of_input = corners[best].astype(np.float64) / np.array([width, height] * 2)  # in this order: halves are rounded
    pixels = np.clip(of_input * np.array(image_size * 2), 0, np.array(image_size * 2)).round().astype(int)
    found = zip(pixels.tolist(), scores[best].tolist(), numbers[best].tolist(), strict=True)
    return [
        Box(left, top, right, bottom, labels[each], score)
        for (left, top, right, bottom), score, each in found
        if right > left and bottom > top
    ]


def _read(output: FloatArray, layout: str, n_labels: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Corners, scores and classes."""
    if layout not in LAYOUTS:
        raise ParameterError("layout", layout, f"one of {', '.join(LAYOUTS)}")
    rows = output.T if layout == YOLO else output
    n_columns = _CORNERS if layout == END_TO_END else 4 + n_labels
    if rows.ndim != 2 or rows.shape[1] != n_columns:
        raise ParameterError("output", f"of shape {output.shape}", f"{n_columns} numbers per box ({layout})")
    if layout == END_TO_END:
        return rows[:, :4], rows[:, 4], rows[:, 5]
    x, y, width, height = rows[:, :4].T
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    return corners, rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1)
