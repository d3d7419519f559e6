"""Of boxes that overlap, keeps the one with the highest score (non-maximum suppression)."""

import numpy as np

from ..arrays import FloatArray, IntArray


def keep_best(corners: FloatArray, scores: FloatArray, max_overlap: float) -> IntArray:
    """The boxes that overlap no better one; over all classes together. O(n k) for n boxes of which k are kept.

    Areas are counted in pixels, both edges included, as dghs-imgutils does: so one box less is kept now and then than
    with areas of the plane.

    Args:
        corners: ``(n, 4)`` left, top, right, bottom, in pixels of the model's input
        scores: ``(n,)``
        max_overlap: intersection over union up to which two boxes are both kept

    Returns:
        ``(k,)`` places of the kept boxes, the best first
    """
    left, top, right, bottom = corners.T
    areas = (right - left + 1) * (bottom - top + 1)
    order = scores.argsort(kind="stable")[::-1]  # the same with any numpy
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= max_overlap]
    return np.array(kept, np.int64)
