"""The best that DBSCAN and OPTICS can do where it is known who is who: the columns Cluster_2 and Cluster_Free."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .differences import Vectors, differences
from .errors import CCIPError, ParameterError
from .jackknife import adjusted_rand
from .optics import Ordering, cores_of_matrix, ordering_of_matrix
from .pairs import GRID, Pairs, near_pairs, unit_vectors
from .progress import ProgressCallback, report
from .spanning import SpanningForest

MAX_FREE = 5_000
"""The most images for which OPTICS is tuned."""

ALL_PAIRS = 4_000
"""Up to so many images DBSCAN is tuned over all differences; beyond, up to a radius."""

MAX_EPS = 0.5
"""Up to here OPTICS is tuned, as the published models were."""

MIN_SAMPLES = (2, 3, 4, 5)
"""With these it is tuned, as the published models were."""

Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]
OnPairs = Callable[[Pairs], None]

_COARSE = 24  # values of eps for each min_samples
_ROUNDS, _BRANCHES = 4, 5  # how often and around how many places the search is refined
_SAME = np.float32(1e-6)  # differences below are rounding errors


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
    curve: Numbers


class TooManyToTuneError(CCIPError, ValueError):
    """OPTICS is not tuned for so many images."""

    def __init__(self, n: int):
        super().__init__(f"OPTICS is tuned for at most {MAX_FREE:,} images, not {n:,}: take a sample of them")
        self.n = n


# DBSCAN ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Merges:
    """How ``n`` images come together as eps grows: the edges of a minimum spanning tree.

    Attributes:
        n: how many images there are
        radius: up to which eps it is known
        rows: ``(k,)`` an image of the one group
        cols: ``(k,)`` an image of the other
        levels: ``(k,)`` whole numbers, increasing; they meet where eps is at least ``(level - 0.5) * GRID``
    """

    n: int
    radius: float
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    levels: NDArray[np.int64]

    def labels(self, eps: float) -> Labels:
        """``(n,)`` the groups of DBSCAN with ``min_samples=2``; -1 for images without a neighbor."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        there = self.levels <= eps / GRID + 0.5
        ones = np.ones(int(there.sum()), np.int8)
        matrix = coo_matrix((ones, (self.rows[there], self.cols[there])), shape=(self.n, self.n))
        labels = connected_components(matrix, directed=False)[1].astype(np.int64)
        labels[np.bincount(labels)[labels] == 1] = -1
        return labels


def merges(
    embeddings: ArrayLike,
    radius: float,
    *,
    on_pairs: OnPairs | None = None,
    progress: ProgressCallback | None = None,
) -> Merges:
    """Finds at which eps which images come together.

    All pairs up to the radius are looked at once, block by block; some millions are held at a time.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest eps
        on_pairs (None): shown the pairs of each block, for whoever wants to look at them, too
        progress (None): told after each block
    """
    unit = unit_vectors(embeddings)
    forest = SpanningForest(len(unit), radius)
    for block in near_pairs(unit, radius, progress=progress):
        if on_pairs is not None:
            on_pairs(block.pairs)
        forest.add(block.pairs)
    tree = forest.pairs()
    levels = np.rint(tree.differences.astype(np.float64) / GRID).astype(np.int64)
    order = np.argsort(levels, kind="stable")
    return Merges(len(unit), radius, tree.rows[order], tree.cols[order], levels[order])


def tune_dbscan_2(found: Merges, characters: Labels, *, also: tuple[float, ...] = ()) -> Tuned:
    """The eps with which DBSCAN with ``min_samples=2`` agrees best with the characters.

    Every eps that gives other groups is looked at, to the grid of differences, so that there is none better up to the
    radius. Of values that give the same groups the middle is taken.

    Args:
        found: how the images come together
        characters: ``(n,)`` numbers 0, 1, ...; negative for images that connect others and are not counted
        also: values of eps that the curve is to have, such as published ones
    """
    if not found.n:
        return Tuned(float("nan"), float("nan"), 2, np.empty(0, np.int64), 0, np.empty((0, 2)))
    levels, scores = scores_by_level(found, characters)
    best = int(np.argmax(scores))
    after = levels[best + 1] - 1 if best + 1 < len(levels) else max(levels[best], int(found.radius / GRID))
    eps = float(np.clip((levels[best] + after) / 2 * GRID, 0, found.radius))
    grid = np.unique([*np.linspace(0, found.radius, 200), eps, *(value for value in also if value <= found.radius)])
    at = np.searchsorted(levels, np.floor(grid / GRID + 0.5), side="right") - 1
    curve = np.stack([grid, scores[at]], axis=1)
    return Tuned(float(scores[best]), eps, 2, found.labels(eps), len(levels), curve)


def scores_by_level(found: Merges, characters: Labels) -> tuple[Labels, Numbers]:
    """The levels where groups change, the first is -1, and the adjusted Rand index from there on.

    Args:
        found: how the images come together
        characters: as for :func:`tune_dbscan_2`
    """
    both, together = [0.0], [0.0]
    for new_both, new_together in _gains(found, characters):
        both.append(both[-1] + new_both)
        together.append(together[-1] + new_together)
    sizes = np.bincount(characters[characters >= 0]).astype(np.float64)
    alike, pairs = float((sizes * (sizes - 1) / 2).sum()), sizes.sum() * (sizes.sum() - 1) / 2
    levels = np.append(-1, found.levels)
    last = np.flatnonzero(np.append(levels[1:] != levels[:-1], True))
    return levels[last], adjusted_rand(np.array(both)[last], np.array(together)[last], alike, pairs)


def _gains(found: Merges, characters: Labels) -> Iterator[tuple[int, int]]:
    """For each merge, the pairs of one character that come together, and all that do."""
    parent = list(range(found.n))
    counts = [{character: 1} if character >= 0 else {} for character in characters.tolist()]
    sizes = [len(each) for each in counts]
    for row, col in zip(found.rows.tolist(), found.cols.tolist(), strict=True):
        a, b = _root(parent, row), _root(parent, col)
        if len(counts[a]) < len(counts[b]):
            a, b = b, a
        large, small = counts[a], counts[b]
        yield sum(n * large.get(key, 0) for key, n in small.items()), sizes[a] * sizes[b]
        for key, n in small.items():
            large[key] = large.get(key, 0) + n
        sizes[a] += sizes[b]
        parent[b], counts[b] = a, {}


def _root(parent: list[int], image: int) -> int:
    while parent[image] != image:
        parent[image] = image = parent[parent[image]]
    return image


# OPTICS ---------------------------------------------------------------------------------------------------------------


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
    unit = unit_vectors(embeddings)
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
        self._cores: dict[int, Numbers] = {}
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
        """As :func:`ccip_plugin.core.clustering.optics`, from a matrix that is made once."""
        return self._order(eps, min_samples).steep(min_samples)

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
            self._cores[min_samples] = cores_of_matrix(self._dense, min_samples)
        return ordering_of_matrix(self._dense, self._cores[min_samples], eps)


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
