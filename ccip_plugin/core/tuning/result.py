"""The result of tuning a clustering method."""

from dataclasses import dataclass

from ..arrays import FloatArray, Labels


@dataclass(frozen=True, eq=False)
class TuningResult:
    """The best parameters of a method, and the groups with them.

    Attributes:
        score: adjusted Rand index; images in no group count as groups of their own
        eps: the best eps
        min_samples: the best min_samples
        labels: ``(n,)`` groups, -1 for noise
        n_tried: number of settings compared
        curve: ``(k, 2)`` increasing eps, and the score with each and the same min_samples
    """

    score: float
    eps: float
    min_samples: int
    labels: Labels
    n_tried: int
    curve: FloatArray
