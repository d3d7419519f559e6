"""Tuning of OPTICS on labelled images."""

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import FloatArray, Labels, Vectors
from ..clustering.optics import Ordering, core_distances, ordering_of_matrix
from ..differences import differences
from ..errors import CCIPError, ParameterError
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback, report
from .scores import Tuned, rand_index

MAX_FREE = 5_000


"""The most images for which OPTICS is tuned."""


MAX_EPS = 0.5


"""Up to here OPTICS is tuned, as the published models were."""


MIN_SAMPLES = (2, 3, 4, 5)


"""With these it is tuned, as the published models were."""


_COARSE = 24  # values of eps for each min_samples


_ROUNDS, _BRANCHES = 4, 5  # how often and around how many places the search is refined


_SAME = np.float32(1e-6)  # differences below are rounding errors


class TooManyToTuneError(CCIPError, ValueError):
    """OPTICS is not tuned for so many images."""

    def __init__(self, n: int):
        super().__init__(f"OPTICS is tuned for at most {MAX_FREE:,} images, not {n:,}: take a sample of them")
        self.n = n


def tune_optics(
    embeddings: ArrayLike,
    characters: Labels,
    *,
    also: tuple[tuple[float, int], ...] = (),
    progress: ProgressCallback | None = None,
) -> Tuned:
    """The max_eps and min_samples with which OPTICS agrees best with the characters.

    A search that always goes the same way: :data:`MIN_SAMPLES` with 24 values of max_eps each, from 0 to where it makes
    no difference any more, at most :data:`MAX_EPS`; then four rounds in the middle between the best ones and their
    neighbors. Some 170 settings, and those in ``also``. Time grows with the square of the number of images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        characters: ``(n,)`` numbers 0, 1, ...
        also: ``(max_eps, min_samples)`` that are to be compared, too, such as published ones
        progress (None): told after each setting

    Raises:
        TooManyToTuneError: there are more than :data:`MAX_FREE` images
    """
    unit = unit_array(embeddings)
    if len(unit) > MAX_FREE:
        raise TooManyToTuneError(len(unit))
    if len(unit) < 2:
        raise ParameterError("embeddings", f"{len(unit)} images", "at least 2 images")
    search = OpticsSearch(unit, characters, progress)
    allowed = [k for k in MIN_SAMPLES if k <= len(unit)]
    for min_samples in allowed:
        for eps in np.linspace(0, search.largest(min_samples), _COARSE + 1)[1:]:
            search.score(float(eps), min_samples)
    for eps, min_samples in also:
        if min_samples <= len(unit):
            search.score(eps, min_samples)
    for _ in range(_ROUNDS):
        for eps, min_samples in search.places(_BRANCHES):
            search.score(eps, min_samples)
    return search.best()


class OpticsSearch:
    """The groups of OPTICS with any parameters, and how good those are that were tried so far.

    Args:
        unit: ``(n, dim)`` unit vectors
        characters: ``(n,)`` numbers 0, 1, ...
        progress (None): told after each setting
    """

    def __init__(self, unit: Vectors, characters: Labels, progress: ProgressCallback | None = None) -> None:
        self._dense = differences(unit)
        self._dense[self._dense < _SAME] = 0
        self._characters, self._progress = characters, progress
        self._tried: dict[tuple[int, float], float] = {}
        self._cores: dict[int, FloatArray] = {}
        self._total = len(MIN_SAMPLES) * _COARSE + 2 * _ROUNDS * _BRANCHES + 1

    def largest(self, min_samples: int) -> float:
        """Beyond this max_eps, nothing changes any more."""
        reached = self._order(MAX_EPS, min_samples).reachability
        finite = reached[np.isfinite(reached)]
        return min(float(finite.max(initial=0)) * (1 + 1e-9), MAX_EPS)

    def score(self, eps: float, min_samples: int) -> None:
        if (min_samples, eps) not in self._tried:
            labels = self.labels(eps, min_samples)
            self._tried[min_samples, eps] = rand_index(labels, self._characters)
            report(self._progress, "tuning OPTICS", min(len(self._tried), self._total), self._total)

    def labels(self, eps: float, min_samples: int) -> Labels:
        """As :func:`ccip_plugin.core.clustering.optics.optics`, from a matrix that is made once."""
        return self._order(eps, min_samples).xi_clusters(min_samples)

    def places(self, n: int) -> list[tuple[float, int]]:
        """The middles between the ``n`` best settings and their neighbors."""
        best = sorted(self._tried, key=lambda place: (-self._tried[place], place))[:n]
        found = []
        for min_samples, eps in best:
            values = sorted(value for k, value in self._tried if k == min_samples)
            at = values.index(eps)
            found += [((eps + values[i]) / 2, min_samples) for i in (at - 1, at + 1) if 0 <= i < len(values)]
        return found

    def best(self) -> Tuned:
        min_samples, eps = min(self._tried, key=lambda place: (-self._tried[place], place))
        curve = sorted((value, score) for (k, value), score in self._tried.items() if k == min_samples)
        labels = self.labels(eps, min_samples)
        score = self._tried[min_samples, eps]
        return Tuned(score, eps, min_samples, labels, len(self._tried), np.array(curve))

    def _order(self, eps: float, min_samples: int) -> Ordering:
        if min_samples not in self._cores:
            self._cores[min_samples] = core_distances(self._dense, min_samples)
        return ordering_of_matrix(self._dense, self._cores[min_samples], eps)
