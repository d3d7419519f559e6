"""The threshold with the best F1 over all pairs, when all or some characters are known."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, Labels, Vectors
from ..evaluation.jackknife import STEPS, Interval, possible_loss
from ..evaluation.pairs import PairMetrics, f1_curve, interval_of_threshold, pair_metrics
from ..progress import ProgressCallback

MAX_COMPARED = 20_000
"""Of more images, a sample of this size is compared to estimate how many pairs have which difference."""

_EQUAL = 1e-9  # scores that differ by less are equal


@dataclass(frozen=True)
class BestThreshold:
    """The threshold with the best F1 over all pairs.

    Attributes:
        threshold: the threshold; of equally good ones the nearest to the published
        interval: its confidence interval
        f1: F1 there
        published_f1: F1 at the published threshold
        possible_loss: by how much F1 may be better elsewhere
    """

    threshold: float
    interval: Interval
    f1: float
    published_f1: float
    possible_loss: float


def best_threshold(
    unit: Vectors, characters: Labels, pairs: PairMetrics, published: float, progress: ProgressCallback | None = None
) -> BestThreshold:
    """Finds the threshold with the best F1 over all pairs of images, of which all or some are known.

    Args:
        unit: ``(n, dim)`` unit vectors
        characters: ``(n,)`` numbers of characters, negative for unknown
        pairs: what :func:`~ccip_plugin.core.evaluation.pairs.pair_metrics` counted of these ``by_character``
        published: the published threshold
        progress (None): called with the number of pairs compared
    """
    same, different = pairs.coarse(STEPS)
    if not pairs.n_same or pairs.folds is None:
        unknown = Interval(math.nan, math.nan)
        return BestThreshold(pairs.threshold, unknown, pairs.f1, pairs.at(published).f1, math.nan)
    all_known = bool((characters >= 0).all())
    every = (same + different).astype(np.float64) if all_known else _count_every_pair(unit, progress)
    scores = expected_f1(every, same, different)
    without = []
    for fold in range(len(pairs.folds)):
        counts = pairs.folds.without(fold, same, different)
        without.append(expected_f1(every - pairs.folds.touching[fold], *counts))
    scores_without, best = np.array(without), _nearest_best(scores, published)
    f1, published_f1 = (min(float(scores[place]), 1.0) for place in (best, int(published * STEPS)))
    threshold = best / STEPS
    if all_known:  # then F1 is counted exactly
        exact = f1_curve(pairs.same, pairs.different)
        threshold = _nearest_best(exact, published) / (len(exact) - 1)
        f1, published_f1 = pairs.f1, pairs.at(published).f1
    confidence = interval_of_threshold(scores, scores_without, threshold)
    return BestThreshold(threshold, confidence, f1, published_f1, possible_loss(scores, scores_without, best))


def expected_f1(every: FloatArray, same: NDArray[np.integer], different: NDArray[np.integer]) -> FloatArray:
    """The expected F1 over all pairs of images, some of which are known, with each bin of differences as the threshold.

    Recall follows from the known pairs of one character. Half of these have differences up to their median; up to
    there, all pairs not known to be of two characters are assumed to be of one, which gives the number of such pairs.
    Their number is an estimate: with one that is too high, a score can be a little above 1. The best threshold is
    found with the scores as they are; those that are reported are limited to 1.

    Args:
        every: ``(bins,)`` number of all pairs
        same: ``(bins,)`` number of pairs known to be of one character
        different: ``(bins,)`` number of pairs known to be of two

    Returns:
        ``(bins,)`` scores, NaN if no pair is known to be of one character
    """
    hits = np.cumsum(same, dtype=np.float64)
    if not hits[-1]:
        return np.full(len(hits), np.nan)
    recall, up_to = hits / hits[-1], np.cumsum(every)
    half = int(np.searchsorted(recall, 0.5))
    n_same = max((up_to[half] - np.cumsum(different)[half]) / recall[half], hits[-1])
    return np.asarray(2 * recall * n_same / (up_to + n_same))


def _nearest_best(scores: FloatArray, published: float) -> int:
    """The position of the best score; of equally good ones the nearest to the published threshold."""
    best = np.flatnonzero(scores >= scores.max() - _EQUAL)
    return int(best[np.argmin(np.abs(best - published * (len(scores) - 1)))])


def _count_every_pair(unit: Vectors, progress: ProgressCallback | None) -> FloatArray:
    """``(STEPS + 1,)`` number of all pairs of images by difference, estimated from a sample of many images."""
    n = len(unit)
    sample = unit if n <= MAX_COMPARED else unit[np.random.default_rng(0).permutation(n)[:MAX_COMPARED]]
    counts = pair_metrics(sample, np.zeros(len(sample), np.int64), bins=STEPS, progress=progress).same
    return counts.astype(np.float64) * (n * (n - 1) / (len(sample) * (len(sample) - 1)))
