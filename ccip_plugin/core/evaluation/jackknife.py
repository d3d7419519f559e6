"""Confidence intervals by the jackknife over characters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray

MAX_FOLDS = 256
"""With more characters, several are left out together: the delete-a-group jackknife."""

STEPS = 2**12
"""Number of bins for the differences of the pairs of each fold."""

CONFIDENCE = 0.95
"""Confidence level of the intervals."""


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a score for other characters, at level :data:`CONFIDENCE`; NaN if unknown."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """Width of the interval."""
        return self.high - self.low


def folds_of(characters: IntArray) -> IntArray:
    """Assigns images to folds by character: one character a fold, or several if there are many.

    Args:
        characters: ``(n,)`` characters 0, 1, ..., each of which occurs

    Returns:
        ``(n,)`` folds 0, 1, ..., at most :data:`MAX_FOLDS`; large characters are spread over them
    """
    sizes = np.bincount(characters)
    fold_of = np.empty(len(sizes), np.int64)
    fold_of[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes)) % MAX_FOLDS
    return fold_of[characters]


def interval(estimate: float, without: Sequence[float] | FloatArray, *, maximum: float = 1.0) -> Interval:
    """The confidence interval of an estimate, by the jackknife (Tukey, 1958) and Student's t.

    For scores that change little without a fold. For the position of a maximum, which jumps, see
    :func:`interval_of_best`.

    Args:
        estimate: the score with all images
        without: the score without each fold
        maximum (1.0): the interval is clipped to 0 and this
    """
    values = np.asarray(without, np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all() or not np.isfinite(estimate):
        return Interval(math.nan, math.nan)
    from scipy.special import stdtrit

    error = float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum()))
    reach = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * error
    return Interval(max(0.0, estimate - reach), min(maximum, estimate + reach))


def interval_of_best(scores: FloatArray, without: FloatArray, ends: FloatArray, best: int) -> Interval:
    """The confidence interval of the best of several settings.

    Contains every setting whose score is not significantly lower than that of the best: by less than what the jackknife
    (Tukey, 1958) and Student's t allow for the difference of the two scores. Unlike the position of the maximum, these
    differences do not jump when a fold is left out.

    Args:
        scores: ``(k,)`` score of each setting, with all images
        without: ``(n_folds, k)`` scores without each fold
        ends: ``(k + 1,)`` increasing values at which settings begin, and where the last one ends
        best: the selected setting
    """
    possible = np.flatnonzero(_possible_gains(scores, without, best) >= -1e-12)
    if not len(possible):
        return Interval(math.nan, math.nan)
    return Interval(float(ends[possible[0]]), float(ends[possible[-1] + 1]))


def possible_loss(scores: FloatArray, without: FloatArray, best: int) -> float:
    """By how much the selected setting may be worse than another for other characters; NaN if unknown.

    Args:
        scores: as for :func:`interval_of_best`; at most 1
        without: likewise
        best: the selected setting
    """
    return min(float(_possible_gains(scores, without, best).max()), 1 - float(scores[best]))


def _possible_gains(scores: FloatArray, without: FloatArray, best: int) -> FloatArray:
    """``(k,)`` by how much each setting may be better than the selected one, at level :data:`CONFIDENCE`."""
    n = len(without)
    if n < 2 or not np.isfinite(without).all() or not np.isfinite(scores[best]):
        return np.full(len(scores), np.nan)
    from scipy.special import stdtrit

    lower = without[:, best : best + 1] - without
    error = np.sqrt((n - 1) / n * np.square(lower - lower.mean(axis=0)).sum(axis=0))
    return np.asarray(scores - scores[best] + stdtrit(n - 1, 0.5 + CONFIDENCE / 2) * error)


class FoldCounts:
    """Counts of pairs of images by difference, for each fold those that have an image in it.

    Args:
        folds: ``(n,)`` fold of each image, sorted

    Attributes:
        touching: ``(n_folds, STEPS + 1)`` pairs with at least one image in the fold
        same: ``(n_folds, STEPS + 1)`` those of one character, with both images in the fold
    """

    def __init__(self, folds: IntArray) -> None:
        self._folds = folds
        n_folds = int(folds[-1]) + 1 if len(folds) else 0
        self.touching, self.same = np.zeros((2, n_folds, STEPS + 1), np.int64)

    def __len__(self) -> int:
        return len(self.touching)

    def add(self, bins: IntArray, is_same: BoolArray, i: int, j: int) -> None:
        """Counts a block of pairs.

        Args:
            bins: ``(rows, cols)`` bin of each pair; :data:`STEPS` + 1 for pairs that are not counted
            is_same: which of the counted pairs are of one character
            i: number of the image in the first row
            j: number of the image in the first column
        """
        n_rows, n_cols = bins.shape
        rows, cols = _runs(self._folds[i : i + n_rows]), _runs(self._folds[j : j + n_cols])
        for fold, start, end in rows:
            self.touching[fold] += _histogram(bins[start:end])
        for fold, start, end in cols:
            self.touching[fold] += _histogram(bins[:, start:end])
            for row_fold, row_start, row_end in rows:
                if row_fold == fold:  # both images are in it: counted twice
                    self.touching[fold] -= _histogram(bins[row_start:row_end, start:end])
        cells = np.flatnonzero(is_same)
        keys = self._folds[i + cells // n_cols] * (STEPS + 1) + bins.ravel()[cells]
        self.same += np.bincount(keys, minlength=self.same.size).reshape(self.same.shape)

    def without(self, fold: int, same: IntArray, different: IntArray) -> tuple[IntArray, IntArray]:
        """``(STEPS + 1,)`` counts of pairs of one and of two characters, less those of a fold."""
        return same - self.same[fold], different - (self.touching[fold] - self.same[fold])


def _histogram(bins: IntArray) -> IntArray:
    return np.bincount(bins.ravel(), minlength=STEPS + 2)[: STEPS + 1]


def _runs(folds: IntArray) -> list[tuple[int, int, int]]:
    """Each of the sorted folds, with the positions at which it starts and ends."""
    starts = np.flatnonzero(np.append(True, folds[1:] != folds[:-1]))[: len(folds)]
    ends = np.append(starts[1:], len(folds))
    return [(int(folds[start]), int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
