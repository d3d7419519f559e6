"""What tuning gives, and the adjusted Rand index it goes by."""

from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, Labels
from ..evaluation.jackknife import adjusted_rand


@dataclass(frozen=True, eq=False)
class Tuned:
    """The best parameters of a method, and what they give.

    Attributes:
        score: the adjusted Rand index; images in no group count as groups of their own
        eps: with this eps
        min_samples: and this min_samples
        labels: ``(n,)`` the groups, -1 for images in none
        n_tried: how many settings were compared
        curve: ``(k, 2)`` eps, increasing, and the score there with the same min_samples
    """

    score: float
    eps: float
    min_samples: int
    labels: Labels
    n_tried: int
    curve: FloatArray


def rand_index(labels: Labels, characters: Labels) -> float:
    """The adjusted Rand index, with images in no group as groups of their own."""
    pred = labels.copy()
    is_noise = pred < 0
    pred[is_noise] = pred.max(initial=-1) + 1 + np.arange(int(is_noise.sum()))
    shared = np.unique(pred * np.int64(characters.max(initial=0) + 1) + characters, return_counts=True)[1]
    both, together, alike = (
        float((counts * (counts - 1) / 2).sum()) for counts in (shared, np.bincount(pred), np.bincount(characters))
    )
    n = len(pred)
    return float(adjusted_rand(np.array(both), np.array(together), alike, n * (n - 1) / 2))
