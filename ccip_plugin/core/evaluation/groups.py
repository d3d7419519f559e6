"""Scores of a clustering against true characters."""

from dataclasses import dataclass

import numpy as np

from ..arrays import IntArray
from ..errors import ParameterError
from .labels import Names, encode_labels, noise_as_singletons, ratio_or_nan
from .mutual_information import adjusted_mutual_information
from .rand_index import adjusted_rand_index, count_pairs


@dataclass(frozen=True)
class GroupMetrics:
    """Agreement of groups with characters.

    Attributes:
        n_images: number of images compared
        n_groups: number of their groups; an image in no group counts as a group of its own
        n_characters: number of their characters
        n_noise: number of images in no group
        n_left_out: number of images without a known character, which are ignored
        coverage: share of the images that are in a group
        ari: adjusted Rand index
        ami: adjusted mutual information
        pair_precision: share of the pairs in one group that are of one character
        pair_recall: share of the pairs of one character that are in one group
        pair_f1: their harmonic mean
        bcubed_precision: mean over images of the share of its group that is of its character
        bcubed_recall: mean over images of the share of its character that is in its group
        bcubed_f1: their harmonic mean
        homogeneity: whether each group has one character only, by entropy
        completeness: whether each character is in one group only, by entropy
        v_measure: their harmonic mean
        purity: share of the images that are of the most frequent character of their group
        grouped: the same for images in groups only, None if all or none are
    """

    n_images: int
    n_groups: int
    n_characters: int
    n_noise: int
    n_left_out: int
    coverage: float
    ari: float
    ami: float
    pair_precision: float
    pair_recall: float
    pair_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    homogeneity: float
    completeness: float
    v_measure: float
    purity: float
    grouped: "GroupMetrics | None" = None


def group_metrics(labels_pred: Names, labels_true: Names) -> GroupMetrics:
    """Scores groups against characters.

    Args:
        labels_pred: ``(n,)`` group of each image, as numbers or names; None, NaN, "" and negative numbers for none
        labels_true: ``(n,)`` character of each image, likewise; images without a known character are ignored

    Returns:
        scores with each image in no group as a group of its own and, in ``grouped``, without those images. Undefined
        scores are NaN

    Raises:
        ParameterError: the arguments differ in length
    """
    pred, true = encode_labels(labels_pred)[0], encode_labels(labels_true)[0]
    if len(pred) != len(true):
        raise ParameterError("labels_pred", f"{len(pred)} labels", f"as many as labels_true: {len(true)}")
    is_known = true >= 0
    pred, true = pred[is_known], true[is_known]
    is_noise = pred < 0
    n_noise, n_left_out = int(is_noise.sum()), int((~is_known).sum())
    grouped = None
    if 0 < n_noise < len(pred):
        grouped = _scores(pred[~is_noise], true[~is_noise], 0, n_left_out, None)
    return _scores(noise_as_singletons(pred), true, n_noise, n_left_out, grouped)


def _scores(
    pred: IntArray, true: IntArray, n_noise: int, n_left_out: int, grouped: GroupMetrics | None
) -> GroupMetrics:
    from sklearn.metrics import homogeneity_completeness_v_measure

    n = len(pred)
    _, pred = np.unique(pred, return_inverse=True)
    _, true = np.unique(true, return_inverse=True)
    sizes, totals = np.bincount(pred), np.bincount(true)
    cells, shared = np.unique(pred * (len(totals) + 1) + true, return_counts=True)
    groups, characters = np.divmod(cells, len(totals) + 1)
    ari, pair_precision, pair_recall = _pair_scores(shared, sizes, totals)
    precision = ratio_or_nan(float((shared**2 / sizes[groups]).sum()), n)
    recall = ratio_or_nan(float((shared**2 / totals[characters]).sum()), n)
    most_frequent = np.zeros(len(sizes), np.int64)
    np.maximum.at(most_frequent, groups, shared)
    mutual = float((shared / n * np.log(n * shared / sizes[groups] / totals[characters])).sum()) if n else 0.0
    by_entropy = homogeneity_completeness_v_measure(true, pred) if n else (float("nan"),) * 3
    return GroupMetrics(
        n_images=n,
        n_groups=len(sizes),
        n_characters=len(totals),
        n_noise=n_noise,
        n_left_out=n_left_out,
        coverage=ratio_or_nan(n - n_noise, n),
        ari=ari,
        ami=adjusted_mutual_information(shared, sizes, totals, mutual) if n else float("nan"),
        pair_precision=pair_precision,
        pair_recall=pair_recall,
        pair_f1=_harmonic_mean(pair_precision, pair_recall),
        bcubed_precision=precision,
        bcubed_recall=recall,
        bcubed_f1=_harmonic_mean(precision, recall),
        homogeneity=float(by_entropy[0]),
        completeness=float(by_entropy[1]),
        v_measure=float(by_entropy[2]),
        purity=ratio_or_nan(int(most_frequent.sum()), n),
        grouped=grouped,
    )


def _pair_scores(shared: IntArray, sizes: IntArray, totals: IntArray) -> tuple[float, float, float]:
    """Adjusted Rand index, precision and recall over pairs of images."""
    both, grouped, same = (float(count_pairs(counts).sum()) for counts in (shared, sizes, totals))
    n = int(sizes.sum())
    if not n:
        return (float("nan"),) * 3
    ari = adjusted_rand_index(both, grouped, same, count_pairs(n))
    return float(ari), ratio_or_nan(both, grouped), ratio_or_nan(both, same)


def _harmonic_mean(a: float, b: float) -> float:
    if np.isnan(a) or np.isnan(b):
        return float("nan")
    return 2 * a * b / (a + b) if a + b else 0.0
