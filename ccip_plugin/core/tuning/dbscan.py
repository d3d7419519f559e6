"""The best that DBSCAN and OPTICS can do where it is known who is who: the columns Cluster_2 and Cluster_Free."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, Labels
from ..evaluation.jackknife import adjusted_rand
from ..neighbors.pairs import GRID, Pairs, near_pairs
from ..neighbors.spanning import SpanningForest
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback
from .scores import Tuned

ALL_PAIRS = 4_000
"""Up to so many images DBSCAN is tuned over all differences; beyond, up to a radius."""


OnPairs = Callable[[Pairs], None]


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
    unit = unit_array(embeddings)
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


def scores_by_level(found: Merges, characters: Labels) -> tuple[Labels, FloatArray]:
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
