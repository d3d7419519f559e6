"""Which images lie near each other: every pair of embeddings with a difference up to a radius."""

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
    block_that_fits,
    bytes_of_block,
    check_radius,
    exact_differences,
    joined,
    near_pairs,
    picked,
    sorted_by_row,
)
from .vectors import VectorSource, unit_vectors

MEMORY_BYTES = 4 << 30
"""Default limit of what a graph may take while it is built: 4 GiB, about 250 million pairs."""

_BYTES_PER_PAIR = 16  # two int32 and a float32, and one of them twice while the parts are joined
_PAIRS = 1 << 22  # of a graph that are looked at together


@dataclass(frozen=True, eq=False)
class NeighborGraph:
    """Every pair of ``n`` images with a difference up to ``radius``, each once, sorted by row and column.

    Which pairs are in is decided by their exact differences, in this graph and in any part of it. The differences that
    it holds are rounded.

    Attributes:
        n: how many images there are
        radius: the largest difference
        rows: ``(n_pairs,)`` int32, the first image of each pair
        cols: ``(n_pairs,)`` int32, the second, always the larger number
        differences: ``(n_pairs,)`` float32, rounded to multiples of ``pairs.GRID``; as they are where there are
            no ``vectors``
        vectors: the unit vectors, for what rounded differences cannot decide; None where differences are exact
        folder: where it is kept, None in memory
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
        """How many pairs there are."""
        return len(self.rows)

    @property
    def cap(self) -> int | None:
        """How many neighbors of each image it has at least, where there are as many; None where it has all of them."""
        return None

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """``(n,)``: how many neighbors each image has, itself not counted."""
        return self.count_neighbors(self.radius)

    def count_neighbors(self, eps: float) -> NDArray[np.int64]:
        """``(n,)``: how many neighbors each image has up to a difference, itself not counted."""
        counts = np.zeros(self.n, np.int64)
        for rows, cols in self.pairs_within(eps):
            counts += np.bincount(rows, minlength=self.n) + np.bincount(cols, minlength=self.n)
        return counts

    def parts_within(self, eps: float) -> Iterator[Pairs]:
        """Gives the pairs with differences up to ``eps``, some millions at a time.

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
            yield pairs if eps == self.radius else picked(pairs, self._is_near(pairs, eps))

    def pairs_within(self, eps: float) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        """As :meth:`parts_within`, rows and columns only."""
        return ((pairs.rows, pairs.cols) for pairs in self.parts_within(eps))

    def within(self, eps: float) -> "NeighborGraph":
        """Gives the part of the graph with differences up to ``eps``.

        Raises:
            RadiusError: ``eps`` is larger than the radius
        """
        if eps == self.radius:
            return self
        return NeighborGraph(self.n, eps, *joined(list(self.parts_within(eps))), self.vectors)

    def components(self, among: NDArray[np.bool_] | None = None, *, eps: float | None = None) -> NDArray[np.int64]:
        """Finds the connected components.

        Args:
            among (None): an ``(n,)`` mask of the images that connect; all by default
            eps (None): the largest difference that connects; the radius by default

        Returns:
            ``(n,)`` numbers of components 0, 1, ... in the order of their first images; -1 for images left out
        """
        forest = Forest(self.n)
        for rows, cols in self.pairs_within(self.radius if eps is None else eps):
            connects = slice(None) if among is None else among[rows] & among[cols]
            forest.add(rows[connects], cols[connects])
        return forest.labels(among)

    def _is_near(self, pairs: Pairs, eps: float) -> NDArray[np.bool_]:
        if self.vectors is None:
            return pairs.differences.astype(np.float64) <= eps
        is_near = pairs.differences <= np.float32(eps)
        undecided = np.flatnonzero(np.abs(pairs.differences - np.float32(eps)) <= np.float32(0.51 * GRID))
        is_near[undecided] = exact_differences(self.vectors, pairs.rows[undecided], pairs.cols[undecided]) <= eps
        return is_near


def radius_graph(
    embeddings: ArrayLike | VectorSource,
    radius: float,
    *,
    block_size: int = BLOCK,
    memory_bytes: int = MEMORY_BYTES,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Finds every pair of embeddings with a difference up to ``radius``.

    Compares all pairs, block by block, in time proportional to n^2. What lies too near to the radius for the rounding
    of the blocks is decided by ``||a - b||^2 / 4`` of the unit vectors in float64, pair by pair; and so are differences
    that lie too near to the middle between two multiples of ``pairs.GRID``. So the result depends neither on
    ``block_size`` nor on threads, and equal embeddings have a difference of exactly 0.

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
    check_radius("radius", radius)
    unit = unit_vectors(embeddings)
    block_size = block_that_fits(len(unit), memory_bytes, block_size)
    budget = (memory_bytes - bytes_of_block(block_size)) // _BYTES_PER_PAIR
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
