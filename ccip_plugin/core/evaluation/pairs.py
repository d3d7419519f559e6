"""Scores of differences as a classifier of pairs: same character or not."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, IntArray, Vectors
from ..differences import normalize
from ..errors import ParameterError, VectorsError
from ..progress import ProgressCallback, report
from .jackknife import STEPS, FoldCounts, Interval, folds_of, interval, interval_of_best
from .labels import Names, encode_labels, ratio_or_nan

_BLOCK = 2048
_MAX_BINS = 2**24  # float32 represents integers up to this


@dataclass(frozen=True, eq=False)
class PairMetrics:
    """How well differences separate pairs of one character from pairs of two.

    Attributes:
        n_images: number of images compared
        n_characters: number of their characters
        n_same: number of pairs of one character
        n_different: number of pairs of two characters
        n_left_out: number of images without a known character, which are ignored
        threshold: the smallest threshold with the best F1, NaN without pairs of one character
        f1: F1 of "same character" at the threshold
        precision: precision at the threshold
        recall: recall at the threshold
        roc_auc: area under the ROC curve, NaN if one kind of pairs is missing
        roc_auc_error: maximum error of ``roc_auc``, since differences in one bin count as equal
        average_precision: average precision, NaN without pairs of one character
        average_precision_error: maximum error of ``average_precision``
        same: ``(bins + 1,)`` pairs of one character by difference; bin ``k`` is for differences over ``(k - 1) / bins``
            and up to ``k / bins``
        different: ``(bins + 1,)`` pairs of two characters by difference
        folds: the pairs of each character, for :meth:`intervals`; None if they were not counted
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
        """The scores at a threshold, inclusive, to the width of a bin."""
        return _scores_at(self.same, self.different, threshold)

    def counting_selves(self) -> "PairMetrics":
        """The scores over the full matrix of differences, where each image also makes a pair with itself.

        The published scores of the models were computed this way. They are slightly higher, the more so the fewer
        images a character has.
        """
        same = 2 * self.same
        same[0] += self.n_images
        return _summarize(same, 2 * self.different, self.n_images, self.n_characters, self.n_left_out)

    def with_different(self, differences: NDArray[np.floating]) -> "PairMetrics":
        """The scores with additional pairs of different characters, given by their differences.

        They belong to no fold, so no interval leaves them out.
        """
        bins = len(self.same) - 1
        added = np.bincount(np.ceil(np.clip(differences, 0, 1) * bins).astype(np.int64), minlength=bins + 1)
        metrics = _summarize(self.same, self.different + added, self.n_images, self.n_characters, self.n_left_out)
        return replace(metrics, folds=self.folds)

    def coarse(self, steps: int) -> tuple[IntArray, IntArray]:
        """``same`` and ``different`` in ``steps`` + 1 wider bins; ``steps`` divides the number of bins."""
        return _coarse(self.same, steps), _coarse(self.different, steps)

    def intervals(self, threshold: float | None = None) -> dict[str, Interval]:
        """Confidence intervals of the scores, by the jackknife over characters.

        Args:
            threshold (None): another threshold; the scores there are ``at_f1``, ``at_precision`` and ``at_recall``

        Returns:
            ``threshold``, ``f1``, ``precision``, ``recall``, ``roc_auc`` and ``average_precision``; NaN with too few
            characters, or if pairs were not counted by character
        """
        estimates = self._estimates(self.same, self.different, threshold)
        if self.folds is None or len(self.folds) < 2:
            return {name: interval(value, ()) for name, value in estimates.items()}
        same, different = self.coarse(min(STEPS, len(self.same) - 1))
        parts = [self.folds.without(fold, same, different) for fold in range(len(self.folds))]
        without = [self._estimates(*part, threshold) for part in parts]
        intervals = {name: interval(value, [each[name] for each in without]) for name, value in estimates.items()}
        curves = np.array([f1_curve(*part) for part in parts])
        intervals["threshold"] = interval_of_threshold(f1_curve(same, different), curves, self.threshold)
        return intervals

    @staticmethod
    def _estimates(same: IntArray, different: IntArray, threshold: float | None) -> dict[str, float]:
        metrics = _summarize(same, different, 0, 0, 0)
        names = ("threshold", "f1", "precision", "recall", "roc_auc", "average_precision")
        values = {name: getattr(metrics, name) for name in names}
        if threshold is not None:
            scores = _scores_at(same, different, threshold)
            values |= {f"at_{name}": getattr(scores, name) for name in ("f1", "precision", "recall")}
        return values


@dataclass(frozen=True)
class PairScores:
    """Precision, recall and F1 of "same character" at a threshold; undefined scores are NaN."""

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
    """Scores differences as a classifier of "same character", over all pairs of images.

    Pairs are counted by difference into ``bins`` bins, block by block; no matrix of all pairs is kept. Time is
    proportional to n^2; needs 250 MiB besides two copies of the embeddings.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels_true: ``(n,)`` character of each image, as numbers or names; images with None, NaN, "" or a negative
            number are ignored
        bins: number of bins for differences from 0 to 1, a power of two up to 2^24
        by_character (False): also count the pairs of each character, for intervals; needs at least 2^12 bins
        progress (None): called after each block with the number of pairs compared; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        counts and scores

    Raises:
        VectorsError: an embedding is zero or not finite, or the number of labels differs
        ParameterError: bins is not a power of two up to 2^24
    """
    least = STEPS if by_character else 2
    if not least <= bins <= _MAX_BINS or bins & (bins - 1):
        raise ParameterError("bins", bins, f"a power of two from {least:,} to {_MAX_BINS:,}")
    codes, _ = encode_labels(labels_true)
    unit = normalize(embeddings) if len(codes) else np.empty((0, 1), np.float32)
    if unit.ndim != 2 or len(unit) != len(codes):
        raise VectorsError(f"want one label for each embedding, not {len(codes)} for {unit.shape}")
    known = np.flatnonzero(codes >= 0)
    n_characters = len(np.unique(codes[known]))
    folds = None
    if by_character and len(known):
        fold_of_image = folds_of(np.unique(codes[known], return_inverse=True)[1])
        known = known[np.argsort(fold_of_image, kind="stable")]
        folds = FoldCounts(np.sort(fold_of_image))
    same, different = _histograms(unit[known], codes[known], bins, folds, progress)
    return replace(_summarize(same, different, len(known), n_characters, len(codes) - len(known)), folds=folds)


def f1_curve(same: IntArray, different: IntArray) -> FloatArray:
    """``(bins + 1,)`` F1 with each bin as the threshold, NaN without pairs of one character."""
    true_positives, n_same = np.cumsum(same), int(same.sum())
    if not n_same:
        return np.full(len(same), np.nan)
    return np.asarray(2 * true_positives / (true_positives + np.cumsum(different) + n_same))


def interval_of_threshold(scores: FloatArray, without: FloatArray, threshold: float) -> Interval:
    """The confidence interval of the threshold with the best score.

    Args:
        scores: ``(steps + 1,)`` score with each step from 0 to 1 as the threshold
        without: ``(n_folds, steps + 1)`` the same without each fold
        threshold: the selected threshold; always in the interval
    """
    steps = len(scores) - 1
    ends = np.minimum(np.arange(steps + 2) / steps, 1.0)
    best = interval_of_best(scores, without, ends, int(np.argmax(scores)))
    if not np.isfinite(best.width):
        return best
    return Interval(min(best.low, threshold), max(best.high, threshold))


def _histograms(
    unit: Vectors, codes: IntArray, bins: int, folds: FoldCounts | None, progress: ProgressCallback | None
) -> tuple[IntArray, IntArray]:
    every, same = np.zeros((2, bins + 1), np.int64)
    n, done = len(unit), 0
    for i, j in _blocks(n):
        cosines = unit[i : i + _BLOCK] @ unit[j : j + _BLOCK].T
        _cosines_to_bins(cosines, bins)
        numbers = cosines.astype(np.int64)
        is_same = codes[i : i + _BLOCK, None] == codes[None, j : j + _BLOCK]
        if i == j:
            lower = np.tri(len(numbers), dtype=np.bool_)
            numbers[lower], is_same[lower] = bins + 1, False  # a bin that is dropped
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
    """The blocks on and above the diagonal."""
    for i in range(0, n, _BLOCK):
        for j in range(i, n, _BLOCK):
            yield i, j


def _cosines_to_bins(cosines: Vectors, bins: int) -> None:
    """Converts cosines to bin numbers, in place; exact, since ``bins`` is a power of two."""
    np.subtract(1, cosines, out=cosines)
    np.clip(cosines, 0, 2, out=cosines)
    np.multiply(cosines, bins / 2, out=cosines)
    np.ceil(cosines, out=cosines)


def _coarse(counts: IntArray, steps: int) -> IntArray:
    width = (len(counts) - 1) // steps
    return np.append(counts[0], counts[1:].reshape(steps, width).sum(axis=1))


def _scores_at(same: IntArray, different: IntArray, threshold: float) -> PairScores:
    last = int(np.clip(np.floor(threshold * (len(same) - 1)), -1, len(same) - 1))
    tp, fp = int(same[: last + 1].sum()), int(different[: last + 1].sum())
    return _pair_scores(threshold, tp, fp, int(same.sum()))


def _summarize(same: IntArray, different: IntArray, n_images: int, n_characters: int, n_left_out: int) -> PairMetrics:
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
    f1 = ratio_or_nan(2 * tp, tp + fp + n_same) if n_same else float("nan")
    return PairScores(threshold, ratio_or_nan(tp, tp + fp), ratio_or_nan(tp, n_same), f1)


def _roc_auc(same: IntArray, different: IntArray) -> tuple[float, float]:
    """Probability that a pair of one character has the smaller difference, ties counting half; and its error."""
    larger = different.sum() - np.cumsum(different)
    pairs = float(same.sum()) * float(different.sum())
    ties = float((same.astype(np.float64) * different).sum())
    auc = ratio_or_nan(float((same.astype(np.float64) * larger).sum()) + ties / 2, pairs)
    return auc, ratio_or_nan(ties / 2, pairs)


def _average_precision(same: IntArray, different: IntArray) -> tuple[float, float]:
    """Mean precision at each pair of one character, those of a bin together; and its maximum error.

    Within a bin, the pairs of one character can be the first or the last ones.
    """
    kept = same > 0
    tp, fp, new = np.cumsum(same)[kept], np.cumsum(different)[kept], same[kept]
    n_same = float(new.sum())
    average = new * (tp / (tp + fp))
    upper = new * (tp / (tp + fp - different[kept]))
    lower = new * ((tp - new + 1) / (tp - new + 1 + fp))
    error = max(float((upper - average).sum()), float((average - lower).sum()))
    return ratio_or_nan(float(average.sum()), n_same), ratio_or_nan(error, n_same)
