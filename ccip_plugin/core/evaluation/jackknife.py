"""How far scores would move with other characters: the jackknife that leaves out one character at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray

MAX_FOLDS = 256
"""With more characters than this, several are left out together: the delete-a-group jackknife."""

STEPS = 2**12
"""Into how many bins differences from 0 to 1 are counted for each part that is left out."""

CONFIDENCE = 0.95
"""Of the intervals."""


@dataclass(frozen=True)
class Interval:
    """Where a score would be for other characters like these, with :data:`CONFIDENCE`; NaN where that is not known."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """From the one end to the other."""
        return self.high - self.low


def folds_of(characters: IntArray) -> IntArray:
    """Which images are left out together: those of one character or, where there are many, of some.

    Args:
        characters: ``(n,)`` numbers 0, 1, ... of characters, each of which appears

    Returns:
        ``(n,)`` numbers 0, 1, ... of folds, at most :data:`MAX_FOLDS`; large characters are spread over them
    """
    sizes = np.bincount(characters)
    fold_of = np.empty(len(sizes), np.int64)
    fold_of[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes)) % MAX_FOLDS
    return fold_of[characters]


def interval(estimate: float, without: Sequence[float] | NDArray[np.float64], *, most: float = 1.0) -> Interval:
    """The interval around an estimate, by the jackknife (Tukey, 1958) and Student's t.

    It is for scores that change little without a fold. For the place of a maximum, which jumps, there is
    :func:`interval_of_best`.

    Args:
        estimate: the score with all images
        without: the score without each fold
        most (1.0): the interval is cut at 0 and at this
    """
    values = np.asarray(without, np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all() or not np.isfinite(estimate):
        return Interval(float("nan"), float("nan"))
    from scipy.special import stdtrit

    error = float(np.sqrt((n - 1) / n * np.square(values - values.mean()).sum()))
    reach = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * error
    return Interval(max(0.0, estimate - reach), min(most, estimate + reach))


def interval_of_best(
    scores: NDArray[np.float64], without: NDArray[np.float64], ends: NDArray[np.float64], best: int
) -> Interval:
    """Where the best of several settings would be for other characters like these.

    Holds every setting whose score is not clearly lower than that of the best one: by less than what the jackknife
    (Tukey, 1958) and Student's t allow the difference of the two scores to be. Unlike the place of the maximum itself
    these differences do not jump when a fold is left out.

    Args:
        scores: ``(k,)`` the score of each setting, with all images
        without: ``(n_folds, k)`` the scores without each fold
        ends: ``(k + 1,)`` where settings begin, increasing, and where the last one ends
        best: the setting that is taken
    """
    held = np.flatnonzero(_possible_gains(scores, without, best) >= -1e-12)
    return Interval(float(ends[held[0]]), float(ends[held[-1] + 1])) if len(held) else Interval(math.nan, math.nan)


def possible_loss(scores: NDArray[np.float64], without: NDArray[np.float64], best: int) -> float:
    """By how much a setting may be worse than the best one for other characters like these; NaN where nobody knows.

    Args:
        scores: as for :func:`interval_of_best`; at most 1
        without: likewise
        best: the setting that is taken
    """
    return min(float(_possible_gains(scores, without, best).max()), 1 - float(scores[best]))


def _possible_gains(scores: NDArray[np.float64], without: NDArray[np.float64], best: int) -> NDArray[np.float64]:
    """``(k,)`` by how much each setting may be better than the one that is taken, at most, with :data:`CONFIDENCE`."""
    n = len(without)
    if n < 2 or not np.isfinite(without).all() or not np.isfinite(scores[best]):
        return np.full(len(scores), np.nan)
    from scipy.special import stdtrit

    lower = without[:, best : best + 1] - without
    error = np.sqrt((n - 1) / n * np.square(lower - lower.mean(axis=0)).sum(axis=0))
    return scores - scores[best] + stdtrit(n - 1, 0.5 + CONFIDENCE / 2) * error


class FoldCounts:
    """Counts pairs of images by difference, for each fold those that have an image in it.

    Args:
        folds: ``(n,)`` the fold of each image, sorted

    Attributes:
        touching: ``(n_folds, STEPS + 1)`` pairs with at least one image in the fold
        same: ``(n_folds, STEPS + 1)`` those of one character; such a pair is in one fold
    """

    def __init__(self, folds: IntArray) -> None:
        self._folds = folds
        n_folds = int(folds[-1]) + 1 if len(folds) else 0
        self.touching, self.same = np.zeros((2, n_folds, STEPS + 1), np.int64)

    def __len__(self) -> int:
        return len(self.touching)

    def add(self, bins: IntArray, is_same: NDArray[np.bool_], i: int, j: int) -> None:
        """Counts a block of pairs.

        Args:
            bins: ``(rows, cols)`` the bin of each pair; :data:`STEPS` + 1 for what is not to be counted
            is_same: which pairs are of one character, of those to be counted
            i: number of the image of the first row
            j: number of the image of the first column
        """
        n_rows, n_cols = bins.shape
        rows, cols = _runs(self._folds[i : i + n_rows]), _runs(self._folds[j : j + n_cols])
        for fold, start, end in rows:
            self.touching[fold] += _counted(bins[start:end])
        for fold, start, end in cols:
            self.touching[fold] += _counted(bins[:, start:end])
            for other, begin, stop in rows:
                if other == fold:  # both images are in it: counted twice
                    self.touching[fold] -= _counted(bins[begin:stop, start:end])
        places = np.flatnonzero(is_same)
        keys = self._folds[i + places // n_cols] * (STEPS + 1) + bins.ravel()[places]
        self.same += np.bincount(keys, minlength=self.same.size).reshape(self.same.shape)

    def without(self, fold: int, same: IntArray, different: IntArray) -> tuple[IntArray, IntArray]:
        """What is left of ``(STEPS + 1,)`` counts of pairs of one and of two characters without a fold."""
        return same - self.same[fold], different - (self.touching[fold] - self.same[fold])


def ari_without(pred: IntArray, true: IntArray, folds: IntArray) -> NDArray[np.float64]:
    """The adjusted Rand index of groups without each fold; the groups of the other images stay as they are.

    Args:
        pred: ``(n,)`` groups; images in no group have one of their own
        true: ``(n,)`` characters
        folds: ``(n,)`` folds 0, 1, ..., none of which shares a character with another

    Returns:
        ``(n_folds,)`` scores
    """
    _, pred = np.unique(pred, return_inverse=True)
    _, true, totals = np.unique(true, return_inverse=True, return_counts=True)
    sizes, n_folds = np.bincount(pred), int(folds.max(initial=-1)) + 1
    fold_of_character = np.empty(len(totals), np.int64)
    fold_of_character[true] = folds
    cells, shared = np.unique(pred * np.int64(len(totals)) + true, return_counts=True)
    both = _left(_pairs(shared), fold_of_character[cells % len(totals)], n_folds)
    alike = _left(_pairs(totals), fold_of_character, n_folds)
    parts, taken = np.unique(folds * np.int64(len(sizes)) + pred, return_counts=True)
    of = sizes[parts % len(sizes)]
    lost = np.bincount(parts // len(sizes), weights=_pairs(of) - _pairs(of - taken), minlength=n_folds)
    together = _pairs(sizes).sum() - lost
    return adjusted_rand(both, together, alike, _pairs(len(pred) - np.bincount(folds, minlength=n_folds)))


def adjusted_rand(
    both: NDArray[np.float64], together: NDArray[np.float64], alike: NDArray[np.float64] | float, pairs: object
) -> NDArray[np.float64]:
    """The adjusted Rand index (Hubert and Arabie, 1985) from counts of pairs, 1 where all agree trivially.

    Args:
        both: pairs of one character in one group
        together: pairs in one group
        alike: pairs of one character
        pairs: all pairs
    """
    every = np.asarray(pairs, np.float64)
    expected = np.divide(together * alike, every, out=np.zeros(np.shape(together * every)), where=every > 0)
    largest = (together + alike) / 2
    is_trivial = largest == expected
    return np.where(is_trivial, 1.0, (both - expected) / np.where(is_trivial, 1.0, largest - expected))


def _pairs(counts: IntArray) -> NDArray[np.float64]:
    numbers = np.asarray(counts, np.float64)
    return numbers * (numbers - 1) / 2


def _left(parts: NDArray[np.float64], folds: IntArray, n_folds: int) -> NDArray[np.float64]:
    """The sum of all parts but those of each fold."""
    return parts.sum() - np.bincount(folds, weights=parts, minlength=n_folds)


def _counted(bins: IntArray) -> IntArray:
    return np.bincount(bins.ravel(), minlength=STEPS + 2)[: STEPS + 1]


def _runs(folds: IntArray) -> list[tuple[int, int, int]]:
    """Each fold in sorted ones, with the places where it begins and ends."""
    begins = np.flatnonzero(np.append(True, folds[1:] != folds[:-1]))[: len(folds)]
    ends = np.append(begins[1:], len(folds))
    return [(int(folds[begin]), int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]
