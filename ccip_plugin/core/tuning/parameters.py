"""Recommended parameters of clustering methods, tuned on images of which some characters are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, Labels, Vectors
from ..clustering.dbscan import dbscan
from ..clustering.linkage import LinkageOptions, linkage
from ..evaluation.jackknife import Interval, folds_of, interval_of_best
from ..evaluation.rand_index import rand_index_of, rand_index_without
from ..neighbors.graph import radius_graph
from ..neighbors.pairs import GRID
from ..progress import ProgressCallback, report
from .dbscan import dendrogram_of, scores_by_level, tune_dbscan_2

_FACTORS = (0.7, 0.78, 0.85, 0.92, 1.0, 1.08, 1.16, 1.25, 1.35)  # of the published threshold, for average linkage
_EPS_FACTORS = np.linspace(0.4, 1.25, 24)  # of the published threshold, for DBSCAN
_MIN_SAMPLES = (3, 4, 5)
_MIN_GAIN = 0.005  # by how much another min_samples than 2 must be better


@dataclass(frozen=True)
class RecommendedParameters:
    """Recommended parameters of a method.

    Attributes:
        eps: the eps, for ``linkage`` the maximum mean difference
        min_samples: the min_samples
        interval: confidence interval of eps, by the jackknife over characters
        score: adjusted Rand index of the images of known characters, which were clustered together with the others; NaN
            if no character is known
        published: the same with the published threshold as eps
    """

    eps: float
    min_samples: int
    interval: Interval
    score: float
    published: float


def tuned_linkage(
    unit: Vectors, characters: Labels, threshold: float, progress: ProgressCallback | None = None
) -> RecommendedParameters:
    """Tunes the threshold of average linkage on a grid.

    Args:
        unit: ``(n, dim)`` unit vectors
        characters: ``(n,)`` characters 0, 1, ..., -1 for unknown
        threshold: the published threshold
        progress (None): called with the stage and the number of settings compared
    """
    values = np.minimum(np.array(_FACTORS) * threshold, 1.0)
    near_duplicate = LinkageOptions.near_duplicate * threshold  # as in a run with the tuned eps
    labels = []
    for number, eps in enumerate(values):
        report(progress, "tuning linkage", number, len(values))
        labels.append(linkage(unit, threshold=float(eps), near_duplicate=near_duplicate).labels)
    scores, without = _score(labels, characters)
    distance = np.abs(np.array(_FACTORS) - 1)  # of equally good values, the nearest to the published
    best = int(np.lexsort((distance, -np.round(scores, 6)))[0])
    published = float(scores[_FACTORS.index(1.0)])
    confidence = interval_of_best(scores, without, _boundaries(values), best)
    return RecommendedParameters(float(values[best]), 2, confidence, float(scores[best]), published)


def tuned_dbscan(
    unit: Vectors, characters: Labels, threshold: float, progress: ProgressCallback | None = None
) -> RecommendedParameters:
    """Tunes DBSCAN: exactly for ``min_samples=2``; on a grid for 3 to 5, which are returned if clearly better.

    Args:
        unit: ``(n, dim)`` unit vectors
        characters: ``(n,)`` characters 0, 1, ..., -1 for unknown
        threshold: the published threshold
        progress (None): called with the stage and the number of settings compared
    """
    best = _tuned_dbscan_2(unit, characters, threshold, progress)
    values = np.minimum(_EPS_FACTORS * threshold, 1.0)
    graph = radius_graph(unit, float(values[-1]), progress=progress)
    for number, min_samples in enumerate(_MIN_SAMPLES):
        report(progress, "tuning DBSCAN", number, len(_MIN_SAMPLES))
        labels = [dbscan(graph, eps=float(eps), min_samples=min_samples) for eps in values]
        scores, without = _score(labels, characters)
        top = int(np.argmax(scores))
        if scores[top] > best.score + _MIN_GAIN:
            confidence = interval_of_best(scores, without, _boundaries(values), top)
            score = float(scores[top])
            best = RecommendedParameters(float(values[top]), min_samples, confidence, score, best.published)
    return best


def _tuned_dbscan_2(
    unit: Vectors, characters: Labels, threshold: float, progress: ProgressCallback | None
) -> RecommendedParameters:
    dendrogram = dendrogram_of(unit, min(1.0, 1.5 * threshold), progress=progress)
    best = tune_dbscan_2(dendrogram, characters)
    levels, scores = scores_by_level(dendrogram, characters)
    folds = np.full(len(characters), -1, np.int64)
    folds[characters >= 0] = folds_of(characters[characters >= 0])
    masked = (np.where(folds == fold, -1, characters) for fold in range(int(folds.max()) + 1))
    without = np.array([scores_by_level(dendrogram, remaining)[1] for remaining in masked])
    ends = np.clip(np.append((levels - 0.5) * GRID, dendrogram.radius), 0, dendrogram.radius)
    confidence = interval_of_best(scores, without, ends, int(np.argmax(scores)))
    published = float(_score([dendrogram.labels(threshold)], characters)[0][0])
    return RecommendedParameters(best.eps, 2, confidence, best.score, published)


def _boundaries(values: FloatArray) -> FloatArray:
    """The first value, the midpoints between values, and the last."""
    return np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:]])


def _score(clusterings: Sequence[Labels], characters: Labels) -> tuple[FloatArray, FloatArray]:
    """The adjusted Rand index of known images for each clustering, and ``(folds, clusterings)`` without each fold."""
    is_known = characters >= 0
    known = characters[is_known]
    folds = folds_of(known)
    scores = [rand_index_of(labels[is_known], known) for labels in clusterings]
    without = [rand_index_without(labels[is_known], known, folds) for labels in clusterings]
    return np.array(scores), np.array(without).T
