"""Pairwise comparison of embeddings in blocks: pairs with a difference up to a radius."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Vectors
from ..errors import ParameterError
from ..progress import ProgressCallback, report
from .vectors import UnitRows

BLOCK = 2048
"""Number of rows and of columns of a block of differences."""

GRID = 2.0**-14
"""Differences of pairs are rounded to multiples of this value."""

_BYTES_PER_CELL = 32  # of a block in which every pair is within the radius: a float32, a boolean, indices of the pair
_SLACK = 5e-5  # above half the error of a float32 dot product of 768 numbers, whatever the order of summation
_USUAL_SLACK = 1e-6  # ten times half the error seen in practice
_CHUNK = 256  # pairs whose vectors fit into the processor cache


class Pairs(NamedTuple):
    """Pairs of images as arrays of one length: their indices and differences."""

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    differences: Vectors


class Block(NamedTuple):
    """Result of one block.

    Attributes:
        pairs: pairs of the block, sorted by row and column
        ends_stripe: whether this is the last block of its rows
        share: fraction of all pairs compared so far, this block included
    """

    pairs: Pairs
    ends_stripe: bool
    share: float


def near_pairs(
    unit: UnitRows,
    radius: float,
    *,
    block_size: int = BLOCK,
    with_differences: bool = True,
    progress: ProgressCallback | None = None,
) -> Iterator[Block]:
    """Yields the pairs with a difference up to ``radius``, each once, as ``(smaller index, larger index)``.

    Blocks are computed in float32. Cases that float32 cannot decide are recomputed by :func:`exact_differences`: pairs
    near the radius, with a margin for any order of summation, and pairs near the middle between two multiples of
    :data:`GRID`, with ten times the margin needed in practice. So neither the pairs nor their rounded differences
    depend on the block size or on threads.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        radius: the largest difference, inclusive
        block_size: number of rows and of columns of a block
        with_differences: whether differences are rounded to :data:`GRID`; otherwise they stay as computed in float32
        progress (None): called after each block with the number of compared pairs
    """
    n, n_compared, n_pairs = len(unit), 0, 0
    total = n * (n - 1) // 2
    buffer = np.empty(min(block_size, n) ** 2, np.float32)
    for i in range(0, n, block_size):
        for j in range(i, n, block_size):
            pairs = _pairs_of_block(unit, i, j, block_size, radius, buffer)
            if with_differences:
                round_differences(unit, pairs)
            n_compared += _n_in_block(n, i, j, block_size)
            n_pairs += len(pairs.rows)
            report(progress, "comparing images", n_compared, total, f"{n_pairs:,} neighbor pairs")
            yield Block(pairs, j + block_size >= n, n_compared / max(total, 1))


def near_pairs_of(
    unit: UnitRows,
    queries: NDArray[np.int64],
    radius: float,
    *,
    block_size: int = BLOCK,
    progress: ProgressCallback | None = None,
) -> Iterator[Pairs]:
    """Yields the pairs with a difference up to ``radius`` that contain a query image, each once.

    Takes O(n_queries * n) time. The differences are not rounded.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        queries: increasing indices of the images that are compared with all images
        radius: the largest difference, inclusive
        block_size: number of rows and of columns of a block
        progress (None): called after each block with the number of compared pairs
    """
    n, n_compared, n_pairs = len(unit), 0, 0
    is_query = np.zeros(n, np.bool_)
    is_query[queries] = True
    for i in range(0, len(queries), block_size):
        rows = queries[i : i + block_size]
        first = unit[rows]
        for j in range(0, n, block_size):
            cosines = first @ unit[j : j + block_size].T
            row, col = np.nonzero(cosines >= min_cosine(radius))
            is_new = ~is_query[j + col] | (j + col > rows[row])  # each pair once, none of an image with itself
            row, col = row[is_new], col[is_new]
            differences = np.clip(0.5 - 0.5 * cosines[row, col], 0, 1)
            pairs = Pairs(rows[row].astype(np.int32), (j + col).astype(np.int32), differences)
            pairs = within_radius(unit, pairs, radius)
            n_compared += cosines.size
            n_pairs += len(pairs.rows)
            report(progress, "comparing images", n_compared, len(queries) * n, f"{n_pairs:,} neighbor pairs")
            yield pairs


def exact_differences(unit: UnitRows, rows: NDArray[np.int32], cols: NDArray[np.int32]) -> NDArray[np.float64]:
    """Computes ``||a - b||^2 / 4`` of each pair in float64, always in the same order of summation."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        deltas = np.subtract(unit[rows[chunk]], unit[cols[chunk]], dtype=np.float64)
        np.einsum("ij,ij->i", deltas, deltas, out=result[chunk])
    return np.minimum(result * 0.25, 1)


def min_cosine(radius: float) -> np.float32:
    """The smallest float32 cosine of a pair that may be within the radius."""
    return np.float32(1 - 2 * (radius + _SLACK))


def within_radius(unit: UnitRows, pairs: Pairs, radius: float) -> Pairs:
    """Selects the pairs with a difference up to the radius; their differences come from float32 products."""
    is_within = pairs.differences <= radius
    undecided = np.flatnonzero(np.abs(pairs.differences - np.float32(radius)) <= np.float32(2 * _SLACK))
    is_within[undecided] = exact_differences(unit, pairs.rows[undecided], pairs.cols[undecided]) <= radius
    return pairs if is_within.all() else picked(pairs, is_within)


def round_differences(unit: UnitRows, pairs: Pairs) -> None:
    """Rounds differences from float32 products to multiples of :data:`GRID`, in place."""
    steps = pairs.differences * np.float32(1 / GRID)
    undecided = np.flatnonzero(np.abs(steps - np.floor(steps) - np.float32(0.5)) <= np.float32(_USUAL_SLACK / GRID))
    steps[undecided] = exact_differences(unit, pairs.rows[undecided], pairs.cols[undecided]) / GRID
    np.multiply(np.rint(steps), np.float32(GRID), out=pairs.differences)


def fitting_block_size(n: int, memory_bytes: int, block_size: int = BLOCK) -> int:
    """Limits a block size so that a block takes at most a quarter of the memory, even if all pairs are neighbors."""
    return max(1, min(block_size, n, int((memory_bytes / 4 / _BYTES_PER_CELL) ** 0.5)))


def block_bytes(block_size: int) -> int:
    """The most memory that a block takes, in bytes."""
    return _BYTES_PER_CELL * block_size**2


def joined(parts: list[Pairs]) -> Pairs:
    """Concatenates pairs."""
    if not parts:
        return Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return parts[0] if len(parts) == 1 else Pairs(*map(np.concatenate, zip(*parts, strict=True)))


def sorted_by_row(pairs: Pairs) -> Pairs:
    """Sorts pairs by row; the sort is stable."""
    return picked(pairs, np.argsort(pairs.rows, kind="stable"))


def picked(pairs: Pairs, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Pairs:
    """Selects pairs by mask, indices or slice."""
    return Pairs(pairs.rows[which], pairs.cols[which], pairs.differences[which])


def check_radius(name: str, value: float) -> None:
    """Raises ParameterError unless ``value`` is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ParameterError(name, value, "a difference from 0 to 1")


def _pairs_of_block(unit: UnitRows, i: int, j: int, size: int, radius: float, buffer: Vectors) -> Pairs:
    """Finds the pairs of images ``i, ..., i + size - 1`` and ``j, ..., j + size - 1``; differences are not rounded."""
    first, second = unit[i : i + size], unit[j : j + size]
    cosines = buffer[: len(first) * len(second)].reshape(len(first), len(second))
    np.matmul(first, second.T, out=cosines)
    near = np.flatnonzero(cosines >= min_cosine(radius))
    differences = np.clip(0.5 - 0.5 * cosines.ravel()[near], 0, 1)
    rows, cols = np.divmod(near.astype(np.int32), np.int32(len(second)))
    pairs = Pairs(rows + np.int32(i), cols + np.int32(j), differences)
    if i == j:
        pairs = picked(pairs, cols > rows)
    return within_radius(unit, pairs, radius)


def _n_in_block(n: int, i: int, j: int, size: int) -> int:
    n_rows, n_cols = min(size, n - i), min(size, n - j)
    return n_rows * (n_rows - 1) // 2 if i == j else n_rows * n_cols
