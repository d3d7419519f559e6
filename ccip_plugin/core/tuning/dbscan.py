"""Tuning of DBSCAN with ``min_samples=2`` on labeled images: the published column Cluster_2."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, IntArray, Labels
from ..evaluation.rand_index import adjusted_rand_index, count_pairs
from ..neighbors.components import connected_components
from ..neighbors.pairs import GRID, Pairs, near_pairs
from ..neighbors.spanning import SpanningForest
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback
from .result import TuningResult

ALL_PAIRS = 4_000
"""For at most this many images DBSCAN is tuned over all differences, for more up to a radius."""

OnPairs = Callable[[Pairs], None]

_CURVE_POINTS = 200


@dataclass(frozen=True, eq=False)
class Dendrogram:
    """Single-linkage merges of ``n`` images as eps grows: the edges of a minimum spanning tree.

    Attributes:
        n: number of images
        radius: maximum eps
        rows: ``(k,)`` an image of one group
        cols: ``(k,)`` an image of the other group
        levels: ``(k,)`` increasing integers; the groups merge when eps is at least ``(level - 0.5) * GRID``
    """

    n: int
    radius: float
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    levels: IntArray

    def labels(self, eps: float) -> Labels:
        """``(n,)`` groups of DBSCAN with ``min_samples=2``; -1 for images without a neighbor."""
        is_merged = self.levels <= eps / GRID + 0.5
        labels = connected_components(self.n, self.rows[is_merged], self.cols[is_merged])[1].astype(np.int64)
        labels[np.bincount(labels)[labels] == 1] = -1
        return labels


def dendrogram_of(
    embeddings: ArrayLike,
    radius: float,
    *,
    on_pairs: OnPairs | None = None,
    progress: ProgressCallback | None = None,
) -> Dendrogram:
    """Finds the single-linkage merges up to a radius.

    All pairs up to the radius are found once, block by block; some millions are in memory at a time.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: maximum eps
        on_pairs (None): called with the pairs of each block
        progress (None): called after each block
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
    return Dendrogram(len(unit), radius, tree.rows[order], tree.cols[order], levels[order])


def tune_dbscan_2(dendrogram: Dendrogram, characters: Labels, *, also: tuple[float, ...] = ()) -> TuningResult:
    """Finds the eps with which DBSCAN with ``min_samples=2`` agrees best with the characters.

    Compares every eps at which groups change, to the grid of differences, so none up to the radius is better. Of values
    with the same groups the midpoint is returned.

    Args:
        dendrogram: merges of the images
        characters: ``(n,)`` characters 0, 1, ...; negative for images that connect others but are not scored
        also: values of eps to include in the curve, such as published ones
    """
    if not dendrogram.n:
        return TuningResult(float("nan"), float("nan"), 2, np.empty(0, np.int64), 0, np.empty((0, 2)))
    levels, scores = scores_by_level(dendrogram, characters)
    best, radius = int(np.argmax(scores)), dendrogram.radius
    last = levels[best + 1] - 1 if best + 1 < len(levels) else max(levels[best], int(radius / GRID))
    eps = float(np.clip((levels[best] + last) / 2 * GRID, 0, radius))
    grid = np.unique([*np.linspace(0, radius, _CURVE_POINTS), eps, *(value for value in also if value <= radius)])
    at = np.searchsorted(levels, np.floor(grid / GRID + 0.5), side="right") - 1
    curve = np.stack([grid, scores[at]], axis=1)
    return TuningResult(float(scores[best]), eps, 2, dendrogram.labels(eps), len(levels), curve)


def scores_by_level(dendrogram: Dendrogram, characters: Labels) -> tuple[IntArray, FloatArray]:
    """The levels at which groups change, the first is -1, and the adjusted Rand index from each on.

    Args:
        dendrogram: merges of the images
        characters: as for :func:`tune_dbscan_2`
    """
    both, grouped = [0.0], [0.0]
    for new_both, new_grouped in _gained_pairs(dendrogram, characters):
        both.append(both[-1] + new_both)
        grouped.append(grouped[-1] + new_grouped)
    sizes = np.bincount(characters[characters >= 0])
    same, total = float(count_pairs(sizes).sum()), float(count_pairs(int(sizes.sum())))
    levels = np.append(-1, dendrogram.levels)
    last = np.flatnonzero(np.append(levels[1:] != levels[:-1], True))
    return levels[last], adjusted_rand_index(np.array(both)[last], np.array(grouped)[last], same, total)


def _gained_pairs(dendrogram: Dendrogram, characters: Labels) -> Iterator[tuple[int, int]]:
    """For each merge, the pairs of one character, and all pairs, that come into one group."""
    parent = list(range(dendrogram.n))
    counts = [{character: 1} if character >= 0 else {} for character in characters.tolist()]
    sizes = [len(count) for count in counts]
    for row, col in zip(dendrogram.rows.tolist(), dendrogram.cols.tolist(), strict=True):
        kept, gone = _root(parent, row), _root(parent, col)
        if len(counts[kept]) < len(counts[gone]):
            kept, gone = gone, kept
        large, small = counts[kept], counts[gone]
        yield sum(n * large.get(key, 0) for key, n in small.items()), sizes[kept] * sizes[gone]
        for key, n in small.items():
            large[key] = large.get(key, 0) + n
        sizes[kept] += sizes[gone]
        parent[gone], counts[gone] = kept, {}


def _root(parent: list[int], image: int) -> int:
    while parent[image] != image:
        parent[image] = image = parent[parent[image]]
    return image
