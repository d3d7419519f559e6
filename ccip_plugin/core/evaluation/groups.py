"""Metrics of groups against named characters."""

from dataclasses import dataclass

import numpy as np

from ..arrays import IntArray
from ..errors import ParameterError
from .labels import Names, codes_only, ratio
from .mutual_information import adjusted_mutual_information


@dataclass(frozen=True)
class GroupMetrics:
    """How well groups agree with characters.

    Attributes:
        n_images: images that were compared
        n_groups: groups among them; an image in no group counts as a group of its own
        n_characters: characters among them
        n_noise: images in no group
        n_left_out: images without a known character, which took no part
        coverage: share of the images that are in a group
        ari: adjusted Rand index
        ami: adjusted mutual information
        pair_precision: share of the pairs in one group that are of one character
        pair_recall: share of the pairs of one character that are in one group
        pair_f1: their harmonic mean
        bcubed_precision: mean over images: share of its group that is of its character
        bcubed_recall: mean over images: share of its character that is in its group
        bcubed_f1: their harmonic mean
        homogeneity: whether groups hold one character only, by entropy
        completeness: whether characters are in one group only, by entropy
        v_measure: their harmonic mean
        purity: share of the images that are of the most frequent character of their group
        grouped: the same for the images in groups alone, None where all or none are
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
    """Measures how well groups agree with characters.

    Args:
        labels_pred: ``(n,)`` the group of each image, as numbers or names; images with None, NaN, an empty name or a
            negative number are in no group
        labels_true: ``(n,)`` the character of each image, likewise; images without a known one are left out

    Returns:
        the scores with each image in no group as a group of its own and, in ``grouped``, without those images. Scores
        of nothing are NaN

    Raises:
        ParameterError: the two have different lengths
    """
    pred, true = codes_only(labels_pred), codes_only(labels_true)
    if len(pred) != len(true):
        raise ParameterError("labels_pred", f"{len(pred)} labels", f"as many as labels_true: {len(true)}")
    is_known = true >= 0
    pred, true = pred[is_known], true[is_known]
    is_noise = pred < 0
    n_noise, n_left_out = int(is_noise.sum()), int((~is_known).sum())
    grouped = None
    if 0 < n_noise < len(pred):
        grouped = _group_scores(pred[~is_noise], true[~is_noise], 0, n_left_out, None)
    pred[is_noise] = pred.max(initial=-1) + 1 + np.arange(n_noise)
    return _group_scores(pred, true, n_noise, n_left_out, grouped)


def _group_scores(
    pred: IntArray, true: IntArray, n_noise: int, n_left_out: int, grouped: GroupMetrics | None
) -> GroupMetrics:
    from sklearn.metrics import homogeneity_completeness_v_measure

    n = len(pred)
    _, pred = np.unique(pred, return_inverse=True)
    _, true = np.unique(true, return_inverse=True)
    sizes, totals = np.bincount(pred), np.bincount(true)
    cells, shared = np.unique(pred * (len(totals) + 1) + true, return_counts=True)
    groups, characters = np.divmod(cells, len(totals) + 1)
    ari, pair_precision, pair_recall = _pair_agreement(shared, sizes, totals)
    precision = ratio(float((shared**2 / sizes[groups]).sum()), n)
    recall = ratio(float((shared**2 / totals[characters]).sum()), n)
    most = np.zeros(len(sizes), np.int64)
    np.maximum.at(most, groups, shared)
    mutual = float((shared / n * np.log(n * shared / sizes[groups] / totals[characters])).sum()) if n else 0.0
    by_entropy = homogeneity_completeness_v_measure(true, pred) if n else (float("nan"),) * 3
    return GroupMetrics(
        n_images=n,
        n_groups=len(sizes),
        n_characters=len(totals),
        n_noise=n_noise,
        n_left_out=n_left_out,
        coverage=ratio(n - n_noise, n),
        ari=ari,
        ami=adjusted_mutual_information(shared, sizes, totals, mutual) if n else float("nan"),
        pair_precision=pair_precision,
        pair_recall=pair_recall,
        pair_f1=_harmonic(pair_precision, pair_recall),
        bcubed_precision=precision,
        bcubed_recall=recall,
        bcubed_f1=_harmonic(precision, recall),
        homogeneity=float(by_entropy[0]),
        completeness=float(by_entropy[1]),
        v_measure=float(by_entropy[2]),
        purity=ratio(int(most.sum()), n),
        grouped=grouped,
    )


def _pair_agreement(shared: IntArray, sizes: IntArray, totals: IntArray) -> tuple[float, float, float]:
    """Adjusted Rand index, precision and recall over pairs of images, in whole numbers of any size."""
    both, together, alike = (sum(k * (k - 1) // 2 for k in counts.tolist()) for counts in (shared, sizes, totals))
    n = int(sizes.sum())
    if not n:
        return (float("nan"),) * 3
    pairs = n * (n - 1) // 2
    expected = together * alike / pairs if pairs else 0.0
    largest = (together + alike) / 2
    ari = (both - expected) / (largest - expected) if largest != expected else 1.0
    return ari, ratio(both, together), ratio(both, alike)


def _harmonic(a: float, b: float) -> float:
    if np.isnan(a) or np.isnan(b):
        return float("nan")
    return 2 * a * b / (a + b) if a + b else 0.0
