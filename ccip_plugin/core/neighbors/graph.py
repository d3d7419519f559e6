"""Neighbor graph: every pair of embeddings with a difference up to a radius."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Vectors
from ..errors import GraphTooLargeError, RadiusError
from ..progress import ProgressCallback
from .components import Forest
from .pairs import (
    BLOCK,
    GRID,
    Pairs,
    block_bytes,
    check_radius,
    exact_differences,
    fitting_block_size,
    joined,
    near_pairs,
    picked,
    sorted_by_row,
)
from .vectors import VectorSource, unit_vectors

MEMORY_BYTES = 4 << 30
"""Default memory limit while a graph is built: 4 GiB, about 250 million pairs."""

_BYTES_PER_PAIR = 16  # two int32 and a float32; one of the arrays exists twice while the parts are concatenated
_PAIRS = 1 << 22  # pairs of a graph that are processed at a time


@dataclass(frozen=True, eq=False)
class NeighborGraph:
    """Every pair of ``n`` images with a difference up to ``radius``, each once, sorted by row and column.

    Exact differences decide which pairs are in the graph and in each subgraph. The stored differences are rounded.

    Attributes:
        n: number of images
        radius: the largest difference
        rows: ``(n_pairs,)`` int32, index of the first image of each pair
        cols: ``(n_pairs,)`` int32, index of the second image, always the larger one
        differences: ``(n_pairs,)`` float32, rounded to multiples of ``pairs.GRID``; not rounded if ``vectors`` is None
        vectors: the unit vectors, for comparisons that rounded differences cannot decide; None if the differences are
            exact
        folder: the folder of a graph on disk, None for a graph in memory
    """

    n: int
    radius: float
    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    differences: Vectors
    vectors: VectorSource | None = None
    folder: Path | None = None

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.rows)

    @property
    def cap(self) -> int | None:
        """At least this many nearest neighbors of each image are in the graph; None if all are."""
        return None

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """``(n,)`` number of neighbors of each image, itself excluded."""
        return self.count_neighbors(self.radius)

    def count_neighbors(self, eps: float) -> NDArray[np.int64]:
        """``(n,)`` number of neighbors of each image with a difference up to ``eps``, itself excluded."""
        counts = np.zeros(self.n, np.int64)
        for rows, cols in self.pairs_within(eps):
            counts += np.bincount(rows, minlength=self.n) + np.bincount(cols, minlength=self.n)
        return counts

    def parts_within(self, eps: float) -> Iterator[Pairs]:
        """Yields the pairs with differences up to ``eps``, in chunks of a few million.

        Raises:
            RadiusError: ``eps`` is larger than the radius
        """
        check_radius("eps", eps)
        if eps > self.radius:
            raise RadiusError(eps, self.radius)
        for start in range(0, self.n_pairs, _PAIRS):
            part = slice(start, start + _PAIRS)
            rows, cols, differences = self.rows[part], self.cols[part], self.differences[part]
            pairs = Pairs(np.asarray(rows), np.asarray(cols), np.asarray(differences))
            yield pairs if eps == self.radius else picked(pairs, self._is_within(pairs, eps))

    def pairs_within(self, eps: float) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """Yields as :meth:`parts_within`, rows and columns only."""
        return ((pairs.rows, pairs.cols) for pairs in self.parts_within(eps))

    def within(self, eps: float) -> "NeighborGraph":
        """Returns the subgraph with differences up to ``eps``.

        Raises:
            RadiusError: ``eps`` is larger than the radius
        """
        if eps == self.radius:
            return self
        return NeighborGraph(self.n, eps, *joined(list(self.parts_within(eps))), self.vectors)

    def components(self, among: NDArray[np.bool_] | None = None, *, eps: float | None = None) -> NDArray[np.int64]:
        """Finds the connected components.

        Args:
            among (None): an ``(n,)`` mask of the images to include; all by default
            eps (None): the largest difference of connected images; the radius by default

        Returns:
            ``(n,)`` component labels 0, 1, ... in the order of their first images; -1 for images outside ``among``
        """
        forest = Forest(self.n)
        for rows, cols in self.pairs_within(self.radius if eps is None else eps):
            is_included = slice(None) if among is None else among[rows] & among[cols]
            forest.add(rows[is_included], cols[is_included])
        return forest.labels(among)

    def _is_within(self, pairs: Pairs, eps: float) -> NDArray[np.bool_]:
        if self.vectors is None:
            return pairs.differences.astype(np.float64) <= eps
        is_within = pairs.differences <= np.float32(eps)
        undecided = np.flatnonzero(np.abs(pairs.differences - np.float32(eps)) <= np.float32(0.51 * GRID))
        is_within[undecided] = exact_differences(self.vectors, pairs.rows[undecided], pairs.cols[undecided]) <= eps
        return is_within


def radius_graph(
    embeddings: ArrayLike | VectorSource,
    radius: float,
    *,
    block_size: int = BLOCK,
    memory_bytes: int = MEMORY_BYTES,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Finds every pair of embeddings with a difference up to ``radius``.

    Compares every pair, block by block, in O(n^2) time. Differences within the rounding error of a block from the
    radius, or from the middle between two multiples of ``pairs.GRID``, are recomputed for each pair as
    ``||a - b||^2 / 4`` of the unit vectors in float64. So the result depends neither on ``block_size`` nor on threads,
    and equal embeddings have a difference of exactly 0.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference, from 0 to 1, inclusive
        block_size: number of rows and of columns of a block; reduced if ``memory_bytes`` is small
        memory_bytes: memory limit of the pairs and one block, without the embeddings
        progress (None): called after each block with the number of compared pairs; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        the graph

    Raises:
        GraphTooLargeError: the pairs do not fit into ``memory_bytes``
        ParameterError: the radius is outside [0, 1]
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_radius("radius", radius)
    unit = unit_vectors(embeddings)
    block_size = fitting_block_size(len(unit), memory_bytes, block_size)
    budget = (memory_bytes - block_bytes(block_size)) // _BYTES_PER_PAIR
    n_pairs = 0
    parts: list[Pairs] = []
    stripe: list[Pairs] = []
    for block in near_pairs(unit, radius, block_size=block_size, progress=progress):
        stripe.append(block.pairs)
        n_pairs += len(block.pairs.rows)
        if n_pairs > budget:
            raise GraphTooLargeError(n_pairs, block.share, radius, memory_bytes)
        if block.ends_stripe:
            parts.append(sorted_by_row(joined(stripe)))
            stripe = []
    return NeighborGraph(len(unit), float(radius), *joined(parts), unit)
