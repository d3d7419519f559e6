"""Which images lie near each other: every pair of embeddings with a difference up to a radius."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .differences import Vectors, normalize
from .errors import GraphTooLargeError, ParameterError, RadiusError, VectorsError
from .progress import ProgressCallback, report

MEMORY_BYTES = 4 << 30
"""Default limit of what a graph may take while it is built: 4 GiB, about 250 million pairs."""

_BYTES_PER_PAIR = 16  # two int32 and a float32, and one of them twice while the parts are joined
_BYTES_PER_CELL = 32  # of a block where all pairs are near: a float32, a boolean, and the numbers of the pair
_SLACK = 1e-4  # more than a float32 dot product of 768 numbers can be off, whatever the order of its sum
_CHUNK = 512  # pairs whose vectors fit into the cache together


@dataclass(frozen=True, eq=False)
class NeighborGraph:
    """Every pair of ``n`` images with a difference up to ``radius``, each once, sorted by row and column.

    Attributes:
        n: how many images there are
        radius: the largest difference
        rows: ``(n_pairs,)`` int32, the first image of each pair
        cols: ``(n_pairs,)`` int32, the second, always the larger number
        differences: ``(n_pairs,)`` float32
    """

    n: int
    radius: float
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    differences: Vectors

    @property
    def n_pairs(self) -> int:
        """How many pairs there are."""
        return len(self.rows)

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """``(n,)``: how many neighbors each image has, itself not counted."""
        return np.bincount(self.rows, minlength=self.n) + np.bincount(self.cols, minlength=self.n)

    def within(self, eps: float) -> "NeighborGraph":
        """Gives the part of the graph with differences up to ``eps``.

        Raises:
            RadiusError: ``eps`` is larger than the radius
        """
        _check_radius("eps", eps)
        if eps > self.radius:
            raise RadiusError(eps, self.radius)
        if eps == self.radius:
            return self
        is_near = self.differences.astype(np.float64) <= eps
        return NeighborGraph(self.n, eps, self.rows[is_near], self.cols[is_near], self.differences[is_near])

    def components(self, among: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Finds the connected components.

        Args:
            among (None): an ``(n,)`` mask of the images that connect; all by default

        Returns:
            ``(n,)`` numbers of components 0, 1, ... in the order of their first images; -1 for images left out
        """
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        labels = np.full(self.n, -1, np.int64)
        if among is None:
            among = np.ones(self.n, np.bool_)
        connects = among[self.rows] & among[self.cols]
        pairs = (self.rows[connects], self.cols[connects])
        matrix = coo_matrix((np.ones(len(pairs[0]), np.int8), pairs), shape=(self.n, self.n))
        found = connected_components(matrix, directed=False)[1][among]
        _, first, numbers = np.unique(found, return_index=True, return_inverse=True)
        labels[among] = np.argsort(np.argsort(first))[numbers]
        return labels


def radius_graph(
    embeddings: ArrayLike,
    radius: float,
    *,
    block_size: int = 2048,
    memory_bytes: int = MEMORY_BYTES,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Finds every pair of embeddings with a difference up to ``radius``.

    Compares all pairs, block by block, in time proportional to n^2. The blocks only pick out candidates, with a margin
    for their rounding; what decides, and is kept, is ``||a - b||^2 / 4`` of the unit vectors, computed pair by pair. So
    the result depends neither on ``block_size`` nor on threads, and equal embeddings have a difference of exactly 0.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference, from 0 to 1, itself included
        block_size: how many images are compared with how many at a time; made smaller where memory is short
        memory_bytes: what the pairs and a block may take together, the embeddings not counted
        progress (None): told after each block how many pairs were compared; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        the graph

    Raises:
        GraphTooLargeError: the pairs do not fit into ``memory_bytes``
        ParameterError: the radius is not from 0 to 1
        VectorsError: an embedding is zero or not finite; names its row
    """
    _check_radius("radius", radius)
    unit = _unit_vectors(embeddings)
    block_size = max(1, min(block_size, len(unit), int((memory_bytes / 4 / _BYTES_PER_CELL) ** 0.5)))
    cells = np.empty(block_size**2, np.float32)
    budget = (memory_bytes - _BYTES_PER_CELL * len(cells)) // _BYTES_PER_PAIR
    n, n_pairs, n_compared = len(unit), 0, 0
    total = n * (n - 1) // 2
    parts: list[_Pairs] = []
    for i in range(0, n, block_size):
        row_parts: list[_Pairs] = []
        for j in range(i, n, block_size):
            row_parts.append(_pairs_of_block(unit, i, j, block_size, radius, cells))
            n_pairs += len(row_parts[-1].rows)
            n_compared += _n_in_block(n, i, j, block_size)
            if n_pairs > budget:
                raise GraphTooLargeError(n_pairs, n_compared / total, radius, memory_bytes)
            report(progress, "comparing images", n_compared, total, f"{n_pairs:,} pairs alike")
        parts.append(_in_order(_joined(row_parts)))
    return NeighborGraph(n, float(radius), *_joined(parts))


class _Pairs(NamedTuple):
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    differences: Vectors


def _pairs_of_block(unit: Vectors, i: int, j: int, size: int, radius: float, cells: Vectors) -> _Pairs:
    """The pairs of the images from ``i`` with those from ``j``, at most ``size`` of each."""
    first, second = unit[i : i + size], unit[j : j + size]
    cosines = cells[: len(first) * len(second)].reshape(len(first), len(second))
    np.matmul(first, second.T, out=cosines)
    rows, cols = np.divmod(np.flatnonzero(cosines >= np.float32(1 - 2 * radius - _SLACK)), len(second))
    if i == j:
        is_upper = cols > rows
        rows, cols = rows[is_upper], cols[is_upper]
    pairs = _Pairs((rows + i).astype(np.int32), (cols + j).astype(np.int32), np.empty(len(rows), np.float32))
    _fill_differences(unit, pairs)
    is_near = pairs.differences.astype(np.float64) <= radius
    return pairs if is_near.all() else _picked(pairs, is_near)


def _fill_differences(unit: Vectors, pairs: _Pairs) -> None:
    """Computes each pair by itself, always in the same order of additions."""
    for start in range(0, len(pairs.rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        apart = unit[pairs.rows[chunk]] - unit[pairs.cols[chunk]]
        np.einsum("ij,ij->i", apart, apart, out=pairs.differences[chunk])
    np.multiply(pairs.differences, 0.25, out=pairs.differences)
    np.minimum(pairs.differences, 1, out=pairs.differences)


def _n_in_block(n: int, i: int, j: int, size: int) -> int:
    n_rows, n_cols = min(size, n - i), min(size, n - j)
    return n_rows * (n_rows - 1) // 2 if i == j else n_rows * n_cols


def _joined(parts: list[_Pairs]) -> _Pairs:
    if not parts:
        return _Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return parts[0] if len(parts) == 1 else _Pairs(*map(np.concatenate, zip(*parts, strict=True)))


def _in_order(pairs: _Pairs) -> _Pairs:
    """Sorted by row; columns are in order already."""
    return _picked(pairs, np.argsort(pairs.rows, kind="stable"))


def _picked(pairs: _Pairs, which: NDArray[np.bool_] | NDArray[np.int64]) -> _Pairs:
    return _Pairs(pairs.rows[which], pairs.cols[which], pairs.differences[which])


def _check_radius(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ParameterError(name, value, "a difference from 0 to 1")


def _unit_vectors(embeddings: ArrayLike) -> Vectors:
    vectors = np.asarray(embeddings, np.float32)
    if len(np.atleast_1d(vectors)) == 0:
        return np.empty((0, 1), np.float32)
    if vectors.ndim != 2:
        raise VectorsError(f"want embeddings of shape (n, dim), not {vectors.shape}")
    return normalize(vectors)
