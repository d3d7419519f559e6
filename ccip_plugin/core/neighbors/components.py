"""Connected components of pairs that come in parts: memory for the images, none for the pairs."""

import numpy as np
from numpy.typing import NDArray

_PENDING = 1 << 20


class Forest:
    """Which of ``n`` images are connected by the pairs seen so far.

    Args:
        n: how many images there are
        pending: how many pairs are kept until they are worth a look
    """

    def __init__(self, n: int, *, pending: int = _PENDING) -> None:
        self._limit = pending
        self._labels = np.arange(n, dtype=np.int32)
        self._pending: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []
        self._n_pending = 0

    def add(self, rows: NDArray[np.int32], cols: NDArray[np.int32]) -> None:
        """Connects ``rows[k]`` with ``cols[k]``."""
        one, other = self._labels[rows], self._labels[cols]
        is_new = one != other
        if is_new.any():
            self._pending.append((one[is_new], other[is_new]))
            self._n_pending += int(is_new.sum())
        if self._n_pending > self._limit:
            self._flush()

    def labels(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """The components.

        Args:
            among (None): an ``(n,)`` mask of images that are numbered, the others get -1; all by default

        Returns:
            ``(n,)`` numbers 0, 1, ... in the order of their first images
        """
        self._flush()
        numbers = np.full(len(self._labels), -1, np.int64)
        which = slice(None) if among is None else among
        _, first, found = np.unique(self._labels[which], return_index=True, return_inverse=True)
        numbers[which] = np.argsort(np.argsort(first))[found]
        return numbers

    def _flush(self) -> None:
        """Gives each component one label."""
        if not self._pending:
            return
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        rows, cols = map(np.concatenate, zip(*self._pending, strict=True))
        self._pending, self._n_pending = [], 0
        n = len(self._labels)
        matrix = coo_matrix((np.ones(len(rows), np.int8), (rows, cols)), shape=(n, n))
        self._labels = connected_components(matrix, directed=False)[1].astype(np.int32)[self._labels]
