"""Connected components of pairs that arrive in chunks, in O(n_images) memory."""

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray

_PENDING = 1 << 20


def connected_components(n: int, rows: NDArray[np.integer], cols: NDArray[np.integer]) -> tuple[int, NDArray[np.int32]]:
    """Finds the connected components of ``n`` images with the edges ``(rows[k], cols[k])``.

    Returns:
        the number of components, and the ``(n,)`` component labels
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components as components_of_matrix

    matrix = coo_matrix((np.ones(len(rows), np.int8), (rows, cols)), shape=(n, n))
    n_components, labels = components_of_matrix(matrix, directed=False)
    return int(n_components), labels


def number_by_first(labels: NDArray[np.integer]) -> IntArray:
    """Renumbers labels as 0, 1, ... in the order of their first members."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes]


class Forest:
    """The connected components of ``n`` images, from the pairs added so far.

    Args:
        n: number of images
        pending: number of pairs to collect before components are updated
    """

    def __init__(self, n: int, *, pending: int = _PENDING) -> None:
        self._limit = pending
        self._labels = np.arange(n, dtype=np.int32)
        self._pending: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        self._n_pending = 0

    def add(self, rows: NDArray[np.integer], cols: NDArray[np.integer]) -> None:
        """Adds the edges ``(rows[k], cols[k])``."""
        first, second = self._labels[rows], self._labels[cols]
        is_new = first != second
        if is_new.any():
            self._pending.append((first[is_new], second[is_new]))
            self._n_pending += int(is_new.sum())
        if self._n_pending > self._limit:
            self._flush()

    def labels(self, among: NDArray[np.bool_] | None = None) -> IntArray:
        """Labels the components.

        Args:
            among (None): an ``(n,)`` mask of the images to label, the others get -1; all by default

        Returns:
            ``(n,)`` labels 0, 1, ... in the order of their first images
        """
        self._flush()
        if among is None:
            return number_by_first(self._labels)
        labels = np.full(len(self._labels), -1, np.int64)
        labels[among] = number_by_first(self._labels[among])
        return labels

    def _flush(self) -> None:
        """Merges the labels of connected images."""
        if not self._pending:
            return
        rows, cols = map(np.concatenate, zip(*self._pending, strict=True))
        self._pending, self._n_pending = [], 0
        self._labels = connected_components(len(self._labels), rows, cols)[1].astype(np.int32)[self._labels]
