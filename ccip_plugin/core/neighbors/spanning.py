"""Minimum spanning forest of pairs that arrive in chunks: it has their connected components at every eps."""

import numpy as np
from numpy.typing import NDArray

from .components import connected_components
from .pairs import GRID, Pairs, joined, picked
from .spool import sorted_once

_PENDING = 1 << 18
_AT_ONCE = 1 << 12  # larger chunks are reduced to their own spanning forest first
_STEP, _ROW, _IMAGE = np.uint64(48), np.uint64(24), np.uint64((1 << 24) - 1)  # shifts and mask of the key of a pair
_LEVELS = np.linspace(0.3, 1, 12)[:-1]  # differences at which components are tracked, as shares of the radius


class SpanningForest:
    """The minimum spanning forest of all pairs added so far (Kruskal, 1956): at most ``n - 1`` pairs.

    At any difference its pairs have the same connected components as all pairs. Ties are broken by the indices of the
    images, so the result does not depend on the order of the pairs.

    Args:
        n: number of images
        radius: the largest difference
        pending: number of pairs to collect before the forest is updated
    """

    def __init__(self, n: int, radius: float, *, pending: int = _PENDING) -> None:
        self._limit = pending
        self._levels = (_LEVELS * radius).astype(np.float32)
        self._labels = np.tile(
            np.arange(n, dtype=np.int32), (1 + len(self._levels), 1)
        )  # row 0, for differences below all levels, never changes
        self._kept = joined([])
        self._pending: list[Pairs] = []
        self._n_pending = 0

    def may_connect(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Masks pairs that may be in the forest: nearer pairs do not connect them. Differences need not be rounded."""
        level = np.searchsorted(self._levels, pairs.differences - np.float32(GRID))
        may_connect: NDArray[np.bool_] = self._labels[level, pairs.rows] != self._labels[level, pairs.cols]
        return may_connect

    def add(self, pairs: Pairs) -> None:
        """Adds pairs whose differences are rounded to the grid."""
        self._pending.append(_spanning(pairs) if len(pairs.rows) > _AT_ONCE else pairs)
        self._n_pending += len(self._pending[-1].rows)
        if self._n_pending > self._limit:
            self._flush()

    def pairs(self) -> Pairs:
        """The pairs of the forest, each as ``(smaller index, larger index)``."""
        self._flush()
        return self._kept

    def _flush(self) -> None:
        self._kept = _spanning(joined([self._kept, *self._pending]))
        self._pending, self._n_pending = [], 0
        n = self._labels.shape[1]
        for number, level in enumerate(self._levels, 1):
            near = picked(self._kept, self._kept.differences <= level)
            self._labels[number] = connected_components(n, near.rows, near.cols)[1]


def _spanning(pairs: Pairs) -> Pairs:
    """Computes the minimum spanning forest of pairs in any order."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    pairs = _sorted_once(pairs)
    nodes, ends = np.unique(np.stack([pairs.rows, pairs.cols]), return_inverse=True)
    ranks = np.arange(1, len(pairs.rows) + 1)  # distinct weights, so that the forest is unique
    matrix = coo_matrix((ranks, ends.reshape(2, -1)), shape=(len(nodes), len(nodes)))
    return picked(pairs, np.sort(minimum_spanning_tree(matrix.tocsr()).data.astype(np.int64)) - 1)


def _sorted_once(pairs: Pairs) -> Pairs:
    """Sorts pairs by difference, smaller index and larger index, and removes duplicates."""
    keys = np.rint(pairs.differences * np.float32(1 / GRID)).astype(np.uint64) << _STEP
    keys |= np.minimum(pairs.rows, pairs.cols).astype(np.uint64) << _ROW
    keys |= np.maximum(pairs.rows, pairs.cols).astype(np.uint64)
    keys = sorted_once(keys)
    rows, cols = ((keys >> _ROW) & _IMAGE).astype(np.int32), (keys & _IMAGE).astype(np.int32)
    return Pairs(rows, cols, (keys >> _STEP).astype(np.float32) * np.float32(GRID))
