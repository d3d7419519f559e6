"""How good differences and groups are, where it is known who is who."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import IntArray, Vectors
from ..differences import normalize
from ..errors import ParameterError, VectorsError
from ..progress import ProgressCallback, report
from .jackknife import STEPS, FoldCounts, Interval, folds_of, interval, interval_of_best
from .labels import Names, codes_only, ratio

_BLOCK = 2048
_MAX_BINS = 2**24  # float32 holds whole numbers up to it


@dataclass(frozen=True, eq=False)
class PairMetrics:
    """How well differences tell pairs of one character from pairs of two.

    Attributes:
        n_images: how many images were compared
        n_characters: of how many characters
        n_same: how many pairs are of one character
        n_different: how many are not
        n_left_out: how many images have no known character and took no part
        threshold: the least of the thresholds with the best F1, NaN without pairs of one character
        f1: F1 of "same" there
        precision: precision there
        recall: recall there
        roc_auc: area under the ROC curve, NaN where a kind of pairs is missing
        roc_auc_error: by how much ``roc_auc`` can be off, since differences in one bin count as equal
        average_precision: average precision, NaN without pairs of one character
        average_precision_error: by how much ``average_precision`` can be off
        same: ``(bins + 1,)`` pairs of one character by difference; bin ``k`` is for differences over ``(k - 1) / bins``
            and up to ``k / bins``
        different: ``(bins + 1,)`` the others
        folds: the pairs of each character, for :meth:`intervals`; None where they were not counted
    """

    n_images: int
    n_characters: int
    n_same: int
    n_different: int
    n_left_out: int
    threshold: float
    f1: float
    precision: float
    recall: float
    roc_auc: float
    roc_auc_error: float
    average_precision: float
    average_precision_error: float
    same: IntArray
    different: IntArray
    folds: FoldCounts | None = None

    def at(self, threshold: float) -> "PairScores":
        """The scores at a threshold, itself included, to the width of a bin."""
        return _scores_at(self.same, self.different, threshold)

    def counting_selves(self) -> "PairMetrics":
        """The scores over the full matrix of differences, where each image also makes a pair with itself.

        So the scores that are published with the models were counted. They are somewhat higher, the more so the fewer
        images a character has.
        """
        same = 2 * self.same
        same[0] += self.n_images
        return _summarized(same, 2 * self.different, self.n_images, self.n_characters, self.n_left_out)

    def with_different(self, differences: NDArray[np.floating]) -> "PairMetrics":
        """The scores with more pairs of different characters, whose differences are given.

        For intervals they belong to no character, and are never left out.
        """
        bins = len(self.same) - 1
        more = np.bincount(np.ceil(np.clip(differences, 0, 1) * bins).astype(np.int64), minlength=bins + 1)
        found = _summarized(self.same, self.different + more, self.n_images, self.n_characters, self.n_left_out)
        return replace(found, folds=self.folds)

    def coarse(self, steps: int) -> tuple[IntArray, IntArray]:
        """``same`` and ``different`` in ``steps`` + 1 wider bins; ``steps`` divides the number of bins."""
        return _coarse(self.same, steps), _coarse(self.different, steps)

    def intervals(self, threshold: float | None = None) -> dict[str, Interval]:
        """By the jackknife over characters, the intervals of the scores.

        Args:
            threshold (None): another threshold; the scores there are ``at_f1``, ``at_precision`` and ``at_recall``

        Returns:
            ``threshold``, ``f1``, ``precision``, ``recall``, ``roc_auc`` and ``average_precision``; NaN where the
            characters are too few, or were not counted one by one
        """
        found = self._estimates(self.same, self.different, threshold)
        if self.folds is None or len(self.folds) < 2:
            return {name: interval(value, ()) for name, value in found.items()}
        same, different = self.coarse(min(STEPS, len(self.same) - 1))
        parts = [self.folds.without(fold, same, different) for fold in range(len(self.folds))]
        without = [self._estimates(*part, threshold) for part in parts]
        intervals = {name: interval(value, [each[name] for each in without]) for name, value in found.items()}
        curves = np.array([f1_curve(*part) for part in parts])
        intervals["threshold"] = interval_of_threshold(f1_curve(same, different), curves, self.threshold)
        return intervals

    @staticmethod
    def _estimates(same: IntArray, different: IntArray, threshold: float | None) -> dict[str, float]:
        found = _summarized(same, different, 0, 0, 0)
        names = ("threshold", "f1", "precision", "recall", "roc_auc", "average_precision")
        values = {name: getattr(found, name) for name in names}
        if threshold is not None:
            scores = _scores_at(same, different, threshold)
            values |= {f"at_{name}": getattr(scores, name) for name in ("f1", "precision", "recall")}
        return values


@dataclass(frozen=True)
class PairScores:
    """Precision, recall and F1 of "same character" at a threshold; NaN where there is nothing to divide by."""

    threshold: float
    precision: float
    recall: float
    f1: float


def pair_metrics(
    embeddings: ArrayLike,
    labels_true: Names,
    *,
    bins: int = 2**18,
    by_character: bool = False,
    progress: ProgressCallback | None = None,
) -> PairMetrics:
    """Measures how well differences tell characters apart, over all pairs of images.

    Pairs are counted by difference into ``bins`` bins, block by block; no matrix of all pairs is held. Takes time
    proportional to n^2, and 250 MiB beside two copies of the embeddings.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels_true: ``(n,)`` the character of each image, as numbers or names; images with None, NaN, an empty name or
            a negative number have no known character and are left out
        bins: how many bins there are between differences of 0 and 1, a power of two up to 2^24
        by_character (False): count the pairs of each character, too, for intervals; needs at least 2^12 bins
        progress (None): told after each block how many pairs were compared; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        counts and scores

    Raises:
        VectorsError: an embedding is zero or not finite, or there is another number of labels
        ParameterError: bins is no power of two up to 2^24
    """
    least = STEPS if by_character else 2
    if not least <= bins <= _MAX_BINS or bins & (bins - 1):
        raise ParameterError("bins", bins, f"a power of two from {least:,} to {_MAX_BINS:,}")
    codes = codes_only(labels_true)
    unit = normalize(embeddings) if len(codes) else np.empty((0, 1), np.float32)
    if unit.ndim != 2 or len(unit) != len(codes):
        raise VectorsError(f"want one label for each embedding, not {len(codes)} for {unit.shape}")
    known = np.flatnonzero(codes >= 0)
    n_characters = len(np.unique(codes[known]))
    folds = None
    if by_character and len(known):
        of_images = folds_of(np.unique(codes[known], return_inverse=True)[1])
        known = known[np.argsort(of_images, kind="stable")]
        folds = FoldCounts(np.sort(of_images))
    same, different = _histograms(unit[known], codes[known], bins, folds, progress)
    return replace(_summarized(same, different, len(known), n_characters, len(codes) - len(known)), folds=folds)


def f1_curve(same: IntArray, different: IntArray) -> NDArray[np.float64]:
    """``(bins + 1,)`` F1 with each bin as the threshold, NaN without pairs of one character."""
    hits, n_same = np.cumsum(same), int(same.sum())
    return 2 * hits / (hits + np.cumsum(different) + n_same) if n_same else np.full(len(same), np.nan)


def interval_of_threshold(scores: NDArray[np.float64], without: NDArray[np.float64], threshold: float) -> Interval:
    """Where the threshold with the best score would be for other characters like these.

    Args:
        scores: ``(steps + 1,)`` the score with each step from 0 to 1 as the threshold
        without: ``(n_folds, steps + 1)`` the same without each fold
        threshold: the one that is taken; it is in the interval
    """
    steps = len(scores) - 1
    ends = np.minimum(np.arange(steps + 2) / steps, 1.0)
    found = interval_of_best(scores, without, ends, int(np.argmax(scores)))
    if not np.isfinite(found.width):
        return found
    return Interval(min(found.low, threshold), max(found.high, threshold))


# pairs ----------------------------------------------------------------------------------------------------------------


def _histograms(
    unit: Vectors, codes: IntArray, bins: int, folds: FoldCounts | None, progress: ProgressCallback | None
) -> tuple[IntArray, IntArray]:
    every, same = np.zeros((2, bins + 1), np.int64)
    n, done = len(unit), 0
    for i, j in _blocks(n):
        cosines = unit[i : i + _BLOCK] @ unit[j : j + _BLOCK].T
        _to_bins(cosines, bins)
        numbers = cosines.astype(np.int64)
        is_same = codes[i : i + _BLOCK, None] == codes[None, j : j + _BLOCK]
        if i == j:
            lower = np.tri(len(numbers), dtype=np.bool_)
            numbers[lower], is_same[lower] = bins + 1, False  # counted, and then left out
        every += np.bincount(numbers.ravel(), minlength=bins + 2)[: bins + 1]
        same += np.bincount(numbers[is_same], minlength=bins + 1)
        if folds is not None:
            width = bins // STEPS
            numbers += width - 1
            numbers //= width
            folds.add(numbers, is_same, i, j)
        done += numbers.size if i != j else len(numbers) * (len(numbers) - 1) // 2
        report(progress, "comparing pairs", done, n * (n - 1) // 2)
    return same, every - same


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    """The blocks on and over the diagonal."""
    for i in range(0, n, _BLOCK):
        for j in range(i, n, _BLOCK):
            yield i, j


def _to_bins(cosines: Vectors, bins: int) -> None:
    """Turns cosines into numbers of bins, in place; exact, since ``bins`` is a power of two."""
    np.subtract(1, cosines, out=cosines)
    np.clip(cosines, 0, 2, out=cosines)
    np.multiply(cosines, bins / 2, out=cosines)
    np.ceil(cosines, out=cosines)


def _coarse(counts: IntArray, steps: int) -> IntArray:
    width = (len(counts) - 1) // steps
    return np.append(counts[0], counts[1:].reshape(steps, width).sum(axis=1))


def _scores_at(same: IntArray, different: IntArray, threshold: float) -> "PairScores":
    last = int(np.clip(np.floor(threshold * (len(same) - 1)), -1, len(same) - 1))
    tp, fp = int(same[: last + 1].sum()), int(different[: last + 1].sum())
    return _pair_scores(threshold, tp, fp, int(same.sum()))


def _summarized(same: IntArray, different: IntArray, n_images: int, n_characters: int, n_left_out: int) -> PairMetrics:
    n_same, n_different = int(same.sum()), int(different.sum())
    tp, fp = np.cumsum(same), np.cumsum(different)
    best = _best_bin(tp, fp, n_same)
    threshold = best / (len(same) - 1) if n_same else float("nan")
    scores = _pair_scores(threshold, int(tp[best]), int(fp[best]), n_same)
    auc, auc_error = _roc_auc(same, different)
    average, average_error = _average_precision(same, different)
    return PairMetrics(
        n_images,
        n_characters,
        n_same,
        n_different,
        n_left_out,
        threshold,
        scores.f1,
        scores.precision,
        scores.recall,
        auc,
        auc_error,
        average,
        average_error,
        same,
        different,
    )


def _best_bin(tp: IntArray, fp: IntArray, n_same: int) -> int:
    return int(np.argmax(2 * tp / np.maximum(tp + fp + n_same, 1)))


def _pair_scores(threshold: float, tp: int, fp: int, n_same: int) -> PairScores:
    f1 = ratio(2 * tp, tp + fp + n_same) if n_same else float("nan")
    return PairScores(threshold, ratio(tp, tp + fp), ratio(tp, n_same), f1)


def _roc_auc(same: IntArray, different: IntArray) -> tuple[float, float]:
    """Chance that a pair of one character has the smaller difference; half a chance within a bin."""
    larger = different.sum() - np.cumsum(different)
    pairs = float(same.sum()) * float(different.sum())
    ties = float((same.astype(np.float64) * different).sum())
    return ratio(float((same.astype(np.float64) * larger).sum()) + ties / 2, pairs), ratio(ties / 2, pairs)


def _average_precision(same: IntArray, different: IntArray) -> tuple[float, float]:
    """Mean of the precision at each pair of one character, those of a bin together; and how far it can be off.

    Within a bin, the pairs of one character can be the first or the last ones.
    """
    kept = same > 0
    tp, fp, new = np.cumsum(same)[kept], np.cumsum(different)[kept], same[kept]
    n_same = float(new.sum())
    together = new * (tp / (tp + fp))
    at_most = new * (tp / (tp + fp - different[kept]))
    at_least = new * ((tp - new + 1) / (tp - new + 1 + fp))
    error = max(float((at_most - together).sum()), float((together - at_least).sum()))
    return ratio(float(together.sum()), n_same), ratio(error, n_same)


# groups ---------------------------------------------------------------------------------------------------------------
