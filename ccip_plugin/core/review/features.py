"""What probabilities are computed from: differences between groups, and between images and groups.

Models differ in how large their differences are; all are given as those of the default model, by the thresholds.
"""

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray
from .board import Board
from .halves import Halves

USUAL_THRESHOLD = 0.178475
"""Of the model for which the probabilities before any answer were fitted."""
_WIDE = 0.1  # a margin beyond this has no more weight
_USUAL_INSIDE = 0.12  # mean difference in a group of one image, had it more


def of_pairs(board: Board, a: IntArray, b: IntArray, differences: FloatArray) -> FloatArray:
    """Of two groups: their mean difference, and the mean difference inside of either."""
    inside = np.stack([board.insides_of(a), board.insides_of(b)]) * _scale(board)
    inside = np.where(np.isnan(inside), _USUAL_INSIDE, inside).mean(axis=0)
    return np.stack([differences * _scale(board), inside], axis=1)


def of_halves(board: Board, halves: list[Halves]) -> FloatArray:
    """Of two halves of a group: their mean difference, and the mean difference inside of either."""
    numbers = np.array([(each.difference, each.inside) for each in halves], np.float64).reshape(-1, 2)
    return numbers * _scale(board)


def of_members(board: Board, rows: IntArray) -> FloatArray:
    """Of an image and its group: difference, how much nearer than the next group, difference inside, log size."""
    scale = _scale(board)
    difference = board.difference[rows].astype(np.float64) * scale
    margin = np.clip(board.rival_difference[rows] * scale - difference, -_WIDE, _WIDE)
    inside, sizes = board.around(rows)
    return np.stack([difference, margin, inside * scale, np.log(sizes)], axis=1)


def of_candidates(
    board: Board, rows: IntArray, groups: IntArray, differences: FloatArray, is_out: BoolArray
) -> FloatArray:
    """Of an image and a group that it is not in: difference, how much nearer than the nearest other one, log size.

    Args:
        board: the board
        rows: images; the pairs of one image stand together
        groups: a group of each
        differences: mean difference of each pair
        is_out: pairs that are decided
    """
    if not len(rows):
        return np.empty((0, 3))
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    which = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(rows)]))
    differences = differences * _scale(board)
    usable = np.where(is_out, np.inf, differences)
    nearest = np.minimum.reduceat(usable, starts)[which]
    is_nearest = usable == nearest
    second = np.minimum.reduceat(np.where(is_nearest, np.inf, usable), starts)[which]
    margin = np.clip(np.where(is_nearest, second, nearest) - differences, -_WIDE, _WIDE)
    return np.stack([differences, margin, np.log(board.sizes_of(groups))], axis=1)


def _scale(board: Board) -> float:
    return USUAL_THRESHOLD / board.threshold
