"""Compares all embeddings with all, block by block, and gives the pairs that are near each other."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Vectors
from ..errors import ParameterError
from ..progress import ProgressCallback, report
from .vectors import UnitRows

BLOCK = 2048
"""How many images are compared with how many at a time."""

GRID = 2.0**-14
"""Differences of pairs are rounded to multiples of this."""

_BYTES_PER_CELL = 32  # of a block where all pairs are near: a float32, a boolean, and the numbers of the pair
_SLACK = 5e-5  # more than half of a float32 dot product of 768 numbers can be off, whatever the order of its sum
_USUAL_SLACK = 1e-6  # ten times what half of it is off in practice
_CHUNK = 256  # pairs whose vectors fit into the cache together


class Pairs(NamedTuple):
    """Numbers of images and their differences, all of one length."""

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    differences: Vectors


class Block(NamedTuple):
    """What one block has.

    Attributes:
        pairs: its pairs, sorted by row and column
        ends_stripe: whether the next block has other rows
        share: which share of all pairs has been compared, this block included
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
    """Finds the pairs with a difference up to ``radius``, each once, as ``(smaller number, larger number)``.

    The blocks are compared in float32. What that cannot decide for sure is decided by :func:`exact_differences`: pairs
    about the radius, with more room than any order of additions needs, and pairs about the middle between two multiples
    of :data:`GRID`, with ten times the room that they need in practice. So neither depends on the size of the blocks or
    on threads.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        radius: the largest difference, itself included
        block_size: how many images are compared with how many at a time
        with_differences: whether the differences are wanted; otherwise they are left empty
        progress (None): told after each block how many pairs were compared
    """
    n, n_compared, n_found = len(unit), 0, 0
    total = n * (n - 1) // 2
    cells = np.empty(min(block_size, n) ** 2, np.float32)
    for i in range(0, n, block_size):
        for j in range(i, n, block_size):
            pairs = _pairs_of_block(unit, i, j, block_size, radius, cells)
            if with_differences:
                round_differences(unit, pairs)
            n_compared += _n_in_block(n, i, j, block_size)
            n_found += len(pairs.rows)
            report(progress, "comparing images", n_compared, total, f"{n_found:,} pairs alike")
            yield Block(pairs, j + block_size >= n, n_compared / max(total, 1))


def near_pairs_of(
    unit: UnitRows,
    chosen: NDArray[np.int64],
    radius: float,
    *,
    block_size: int = BLOCK,
    progress: ProgressCallback | None = None,
) -> Iterator[Pairs]:
    """Finds the pairs with a difference up to ``radius`` of which one image at least is among some, each once.

    Takes time proportional to the number of these times the number of all. The differences are not rounded.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        chosen: numbers of the images that are compared with all, increasing
        radius: the largest difference, itself included
        block_size: how many images are compared with how many at a time
        progress (None): told after each block how many pairs were compared
    """
    n, n_compared, n_found = len(unit), 0, 0
    is_chosen = np.zeros(n, np.bool_)
    is_chosen[chosen] = True
    for i in range(0, len(chosen), block_size):
        rows = chosen[i : i + block_size]
        first = unit[rows]
        for j in range(0, n, block_size):
            cosines = first @ unit[j : j + block_size].T
            at, to = np.nonzero(cosines >= least_cosine(radius))
            is_new = ~is_chosen[j + to] | (j + to > rows[at])  # each once, and none with itself
            at, to = at[is_new], to[is_new]
            differences = np.clip(0.5 - 0.5 * cosines[at, to], 0, 1)
            pairs = Pairs(rows[at].astype(np.int32), (j + to).astype(np.int32), differences)
            pairs = up_to_radius(unit, pairs, radius)
            n_compared += cosines.size
            n_found += len(pairs.rows)
            report(progress, "comparing images", n_compared, len(chosen) * n, f"{n_found:,} pairs alike")
            yield pairs


def exact_differences(unit: UnitRows, rows: NDArray[np.int32], cols: NDArray[np.int32]) -> NDArray[np.float64]:
    """Computes ``||a - b||^2 / 4`` of each pair by itself, always in the same order of additions."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        apart = np.subtract(unit[rows[chunk]], unit[cols[chunk]], dtype=np.float64)
        np.einsum("ij,ij->i", apart, apart, out=result[chunk])
    return np.minimum(result * 0.25, 1)


def least_cosine(radius: float) -> np.float32:
    """The cosine in float32 from which a pair may have a difference up to the radius."""
    return np.float32(1 - 2 * (radius + _SLACK))


def up_to_radius(unit: UnitRows, pairs: Pairs, radius: float) -> Pairs:
    """The pairs with a difference up to the radius, where the differences are those of float32 products."""
    is_near = pairs.differences <= radius
    at_radius = np.flatnonzero(np.abs(pairs.differences - np.float32(radius)) <= np.float32(2 * _SLACK))
    is_near[at_radius] = exact_differences(unit, pairs.rows[at_radius], pairs.cols[at_radius]) <= radius
    return pairs if is_near.all() else picked(pairs, is_near)


def round_differences(unit: UnitRows, pairs: Pairs) -> None:
    """Rounds the differences of float32 products to multiples of :data:`GRID`, in place."""
    steps = pairs.differences * np.float32(1 / GRID)
    between = np.flatnonzero(np.abs(steps - np.floor(steps) - np.float32(0.5)) <= np.float32(_USUAL_SLACK / GRID))
    steps[between] = exact_differences(unit, pairs.rows[between], pairs.cols[between]) / GRID
    np.multiply(np.rint(steps), np.float32(GRID), out=pairs.differences)


def block_that_fits(n: int, memory_bytes: int, block_size: int = BLOCK) -> int:
    """The size of a block that takes a quarter of the memory at most, even where all pairs are near."""
    return max(1, min(block_size, n, int((memory_bytes / 4 / _BYTES_PER_CELL) ** 0.5)))


def bytes_of_block(block_size: int) -> int:
    """What a block of that size may take."""
    return _BYTES_PER_CELL * block_size**2


def joined(parts: list[Pairs]) -> Pairs:
    """All parts, one after the other."""
    if not parts:
        return Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    return parts[0] if len(parts) == 1 else Pairs(*map(np.concatenate, zip(*parts, strict=True)))


def sorted_by_row(pairs: Pairs) -> Pairs:
    """Sorted by row; within a row the order stays."""
    return picked(pairs, np.argsort(pairs.rows, kind="stable"))


def picked(pairs: Pairs, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Pairs:
    """Some of the pairs."""
    return Pairs(pairs.rows[which], pairs.cols[which], pairs.differences[which])


def check_radius(name: str, value: float) -> None:
    """Raises ParameterError where ``value`` is no difference."""
    if not 0 <= value <= 1:
        raise ParameterError(name, value, "a difference from 0 to 1")


def _pairs_of_block(unit: UnitRows, i: int, j: int, size: int, radius: float, cells: Vectors) -> Pairs:
    """The pairs of the images from ``i`` with those from ``j``, at most ``size`` of each; differences not rounded."""
    first, second = unit[i : i + size], unit[j : j + size]
    cosines = cells[: len(first) * len(second)].reshape(len(first), len(second))
    np.matmul(first, second.T, out=cosines)
    found = np.flatnonzero(cosines >= least_cosine(radius))
    differences = np.clip(0.5 - 0.5 * cosines.ravel()[found], 0, 1)
    rows, cols = np.divmod(found.astype(np.int32), np.int32(len(second)))
    pairs = Pairs(rows + np.int32(i), cols + np.int32(j), differences)
    if i == j:
        pairs = picked(pairs, cols > rows)
    return up_to_radius(unit, pairs, radius)


def _n_in_block(n: int, i: int, j: int, size: int) -> int:
    n_rows, n_cols = min(size, n - i), min(size, n - j)
    return n_rows * (n_rows - 1) // 2 if i == j else n_rows * n_cols
