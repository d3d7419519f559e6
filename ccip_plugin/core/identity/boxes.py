"""Matches old and new boxes of an image by how much they overlap."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..arrays import FloatArray, IntArray

SAME = 0.5
"""Boxes with a larger overlap (intersection over union) are taken for boxes of one object."""

_ROUNDING = 1e-9  # an overlap of exactly the limit is computed as a little more or less
_FAR, _THIN = 1e6, 1e-9  # boxes are relative to the image: others have no area that can be computed
_TOGETHER = 1_000_000  # pairs of boxes that are compared at a time

Box = tuple[float, float, float, float]


def box_of(value: Any) -> Box | None:
    """A bounding box as x, y, width and height; None for what is none, or has no area."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 4:
        return None
    if not all(isinstance(number, int | float) and abs(number) <= _FAR for number in value):  # NaN is not, either
        return None
    x, y, width, height = map(float, value)
    return (x, y, width, height) if min(width, height) >= _THIN else None


def overlapping(left: Sequence[Box], right: Sequence[Box]) -> tuple[IntArray, IntArray, FloatArray]:
    """The pairs of boxes that overlap by more than :data:`SAME`.

    Args:
        left: ``n`` boxes
        right: ``m`` boxes

    Returns:
        for each pair its place in ``left``, its place in ``right``, and the intersection over union
    """
    first, second = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (left, right))
    parts = []
    step = max(1, _TOGETHER // max(1, len(second)))
    for start in range(0, len(first), step):
        overlap = _overlap(first[start : start + step], second)
        rows, columns = np.nonzero(overlap > SAME + _ROUNDING)
        parts.append((rows + start, columns, overlap[rows, columns]))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    rows, columns, overlaps = map(np.concatenate, zip(*parts, strict=True))
    return rows, columns, overlaps


def match_boxes(
    old: Sequence[Box], new: Sequence[Box], *, apart: Collection[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Finds the new box of each old one: pairs that overlap by more than :data:`SAME`, the greatest overlap first.

    Args:
        old: ``n`` boxes
        new: ``m`` boxes
        apart (()): pairs of places that do not match, whatever their overlap

    Returns:
        places of old and of new boxes, each at most once; equal overlaps in the order of the boxes
    """
    rows, columns, overlaps = overlapping(old, new)
    left, right = set[int](), set[int]()
    matches = []
    for pair in np.lexsort((columns, rows, -overlaps.round(9))).tolist():
        row, column = int(rows[pair]), int(columns[pair])
        if row not in left and column not in right and (row, column) not in apart:
            left.add(row)
            right.add(column)
            matches.append((row, column))
    return sorted(matches)


def _overlap(left: FloatArray, right: FloatArray) -> FloatArray:
    """``(n, m)`` intersection over union."""
    area = np.ones((len(left), len(right)))
    for axis in (0, 1):
        begin = np.maximum(left[:, None, axis], right[None, :, axis])
        ends = (boxes[:, axis] + boxes[:, axis + 2] for boxes in (left, right))
        end = np.minimum(next(ends)[:, None], next(ends)[None, :])
        area *= np.maximum(end - begin, 0)
    areas = (boxes[:, 2] * boxes[:, 3] for boxes in (left, right))
    overlap: FloatArray = area / (next(areas)[:, None] + next(areas)[None, :] - area)
    return overlap
