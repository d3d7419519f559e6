"""Remembers, of pairs that come in parts, as few as connect what all of them connect, whatever eps."""

import numpy as np
from numpy.typing import NDArray

from .components import connected_components
from .pairs import GRID, Pairs, joined, picked
from .spool import sorted_once

_PENDING = 1 << 18
_AT_ONCE = 1 << 12  # pairs that are looked at by themselves first
_STEP, _ROW, _IMAGE = np.uint64(48), np.uint64(24), np.uint64((1 << 24) - 1)  # of a number that sorts a pair
_LEVELS = np.linspace(0.3, 1, 12)[:-1]  # of the radius


class SpanningForest:
    """The minimum spanning forest of all pairs seen so far (Kruskal, 1956): at most ``n - 1``.

    Its pairs up to any difference have the components that all pairs up to it have. Of pairs with the same difference
    those with smaller numbers come first, so there is one answer, in whatever order they come.

    Args:
        n: how many images there are
        radius: the largest difference
        pending: how many pairs are kept until they are worth a look
    """

    def __init__(self, n: int, radius: float, *, pending: int = _PENDING) -> None:
        self._limit = pending
        self._levels = (_LEVELS * radius).astype(np.float32)
        self._labels = np.tile(np.arange(n, dtype=np.int32), (1 + len(self._levels), 1))  # the first stays so
        self._kept = joined([])
        self._pending: list[Pairs] = []
        self._n_pending = 0

    def may_connect(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Which pairs are not surely superfluous: not connected by nearer ones; differences need not be rounded."""
        level = np.searchsorted(self._levels, pairs.differences - np.float32(GRID))
        return self._labels[level, pairs.rows] != self._labels[level, pairs.cols]

    def add(self, pairs: Pairs) -> None:
        """Takes pairs whose differences are rounded to the grid."""
        self._pending.append(_spanning(pairs) if len(pairs.rows) > _AT_ONCE else pairs)
        self._n_pending += len(self._pending[-1].rows)
        if self._n_pending > self._limit:
            self._flush()

    def pairs(self) -> Pairs:
        """The forest, each pair as ``(smaller number, larger number)``."""
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
    """The minimum spanning forest of pairs in any order."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    pairs = _sorted_once(pairs)
    names, ends = np.unique(np.stack([pairs.rows, pairs.cols]), return_inverse=True)
    ranks = np.arange(1, len(pairs.rows) + 1)  # no two the same
    matrix = coo_matrix((ranks, ends.reshape(2, -1)), shape=(len(names), len(names)))
    return picked(pairs, np.sort(minimum_spanning_tree(matrix.tocsr()).data.astype(np.int64)) - 1)


def _sorted_once(pairs: Pairs) -> Pairs:
    """The pairs by difference, row and column, the smaller number first, none twice."""
    keys = np.rint(pairs.differences * np.float32(1 / GRID)).astype(np.uint64) << _STEP
    keys |= np.minimum(pairs.rows, pairs.cols).astype(np.uint64) << _ROW
    keys |= np.maximum(pairs.rows, pairs.cols).astype(np.uint64)
    keys = sorted_once(keys)
    rows, cols = ((keys >> _ROW) & _IMAGE).astype(np.int32), (keys & _IMAGE).astype(np.int32)
    return Pairs(rows, cols, (keys >> _STEP).astype(np.float32) * np.float32(GRID))
