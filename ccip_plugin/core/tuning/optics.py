"""Tuning of OPTICS on labeled images: the published column Cluster_Free."""

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import FloatArray, Labels, Vectors
from ..clustering.optics import Ordering, core_distances, ordering_of_matrix
from ..differences import differences
from ..errors import CCIPError, ParameterError
from ..evaluation.rand_index import rand_index_of
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback, report
from .result import TuningResult

MAX_FREE = 5_000
"""Maximum number of images for which OPTICS is tuned."""

MAX_EPS = 0.5
"""Maximum eps, as for the published models."""

MIN_SAMPLES = (2, 3, 4, 5)
"""Values of min_samples, as for the published models."""

_COARSE = 24  # values of eps for each min_samples
_ROUNDS, _BRANCHES = 4, 5  # rounds of refinement, and settings refined in each
_ROUNDING = np.float32(1e-6)  # differences below this are rounding errors


class TooManyToTuneError(CCIPError, ValueError):
    """OPTICS cannot be tuned for this many images."""

    def __init__(self, n: int):
        super().__init__(f"OPTICS is tuned for at most {MAX_FREE:,} images, not {n:,}: use a sample of them")
        self.n = n


def tune_optics(
    embeddings: ArrayLike,
    characters: Labels,
    *,
    also: tuple[tuple[float, int], ...] = (),
    progress: ProgressCallback | None = None,
) -> TuningResult:
    """Finds the max_eps and min_samples with which OPTICS agrees best with the characters.

    A deterministic search: :data:`MIN_SAMPLES` with 24 values of max_eps each, from 0 to where the groups no longer
    change, at most :data:`MAX_EPS`; then four rounds at the midpoints between the best values and their neighbors.
    About 170 settings, plus those in ``also``. Time grows with the square of the number of images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        characters: ``(n,)`` characters 0, 1, ...
        also: additional ``(max_eps, min_samples)`` to compare, such as published ones
        progress (None): called after each setting

    Raises:
        TooManyToTuneError: there are more than :data:`MAX_FREE` images
        ParameterError: there are fewer than two images
    """
    unit = unit_array(embeddings)
    if len(unit) > MAX_FREE:
        raise TooManyToTuneError(len(unit))
    if len(unit) < 2:
        raise ParameterError("embeddings", f"{len(unit)} images", "at least 2 images")
    search = OpticsSearch(unit, characters, progress)
    for min_samples in (value for value in MIN_SAMPLES if value <= len(unit)):
        for eps in np.linspace(0, search.largest_eps(min_samples), _COARSE + 1)[1:]:
            search.score(float(eps), min_samples)
    for eps, min_samples in also:
        if min_samples <= len(unit):
            search.score(eps, min_samples)
    for _ in range(_ROUNDS):
        for eps, min_samples in search.midpoints(_BRANCHES):
            search.score(eps, min_samples)
    return search.best()


class OpticsSearch:
    """The groups of OPTICS for any parameters, and the scores of those tried so far.

    Args:
        unit: ``(n, dim)`` unit vectors
        characters: ``(n,)`` characters 0, 1, ...
        progress (None): called after each setting
    """

    def __init__(self, unit: Vectors, characters: Labels, progress: ProgressCallback | None = None) -> None:
        self._dense = differences(unit)
        self._dense[self._dense < _ROUNDING] = 0
        self._characters, self._progress = characters, progress
        self._scores: dict[tuple[int, float], float] = {}
        self._cores: dict[int, FloatArray] = {}
        self._total = len(MIN_SAMPLES) * _COARSE + 2 * _ROUNDS * _BRANCHES + 1

    def largest_eps(self, min_samples: int) -> float:
        """The max_eps beyond which groups do not change."""
        reachability = self._order(MAX_EPS, min_samples).reachability
        finite = reachability[np.isfinite(reachability)]
        return min(float(finite.max(initial=0)) * (1 + 1e-9), MAX_EPS)

    def score(self, eps: float, min_samples: int) -> None:
        """Scores a setting."""
        if (min_samples, eps) not in self._scores:
            labels = self.labels(eps, min_samples)
            self._scores[min_samples, eps] = rand_index_of(labels, self._characters)
            report(self._progress, "tuning OPTICS", min(len(self._scores), self._total), self._total)

    def labels(self, eps: float, min_samples: int) -> Labels:
        """As :func:`ccip_plugin.core.clustering.optics.optics`, from a matrix that is computed once."""
        return self._order(eps, min_samples).xi_clusters(min_samples)

    def midpoints(self, n: int) -> list[tuple[float, int]]:
        """The midpoints between the ``n`` best settings and their neighbors."""
        best = sorted(self._scores, key=lambda setting: (-self._scores[setting], setting))[:n]
        midpoints = []
        for min_samples, eps in best:
            values = sorted(value for k, value in self._scores if k == min_samples)
            at = values.index(eps)
            midpoints += [((eps + values[i]) / 2, min_samples) for i in (at - 1, at + 1) if 0 <= i < len(values)]
        return midpoints

    def best(self) -> TuningResult:
        """The best setting so far; of equal ones the first."""
        min_samples, eps = min(self._scores, key=lambda setting: (-self._scores[setting], setting))
        curve = sorted((value, score) for (k, value), score in self._scores.items() if k == min_samples)
        labels, score = self.labels(eps, min_samples), self._scores[min_samples, eps]
        return TuningResult(score, eps, min_samples, labels, len(self._scores), np.array(curve))

    def _order(self, eps: float, min_samples: int) -> Ordering:
        if min_samples not in self._cores:
            self._cores[min_samples] = core_distances(self._dense, min_samples)
        return ordering_of_matrix(self._dense, self._cores[min_samples], eps)
