"""Balances characters: repeats, a diverse choice of images, and near-duplicates left out."""

import numpy as np
from numpy.typing import NDArray

from ..arrays import BoolArray, IntArray, Vectors
from ..errors import ParameterError

Hashes = NDArray[np.uint64]
"""``(n,)`` perceptual hashes of 64 bits."""

_BLOCK = 512  # rows of hashes that are compared with all others at a time
_M1, _M2, _M4 = (np.uint64(mask) for mask in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F))
_ALL, _TOP = np.uint64(0x0101010101010101), np.uint64(56)


def repeats_for(counts: IntArray, *, target: int | None = None, max_repeats: int = 10) -> IntArray:
    """Repeats that bring each character near the same number of images in an epoch.

    Args:
        counts: ``(n,)`` number of images of each character, at least 1
        target (None): images of a character in an epoch; those of the largest character by default
        max_repeats (10): limit of the repeats

    Returns:
        ``(n,)`` repeats: ``target / counts``, rounded, from 1 to ``max_repeats``

    Raises:
        ParameterError: a number is smaller than 1
    """
    numbers = np.asarray(counts, np.int64)
    for name, value in (("target", target), ("max_repeats", max_repeats), ("counts", numbers.min(initial=1))):
        if value is not None and value < 1:
            raise ParameterError(name, int(value), "at least 1")
    if not len(numbers):
        return numbers
    goal = int(numbers.max()) if target is None else target
    repeats: IntArray = np.clip((2 * goal + numbers) // (2 * numbers), 1, max_repeats)
    return repeats


def diverse(vectors: Vectors, n_kept: int) -> IntArray:
    """Chooses images that differ from each other: farthest first, from the most typical one.

    Each further image is the one whose smallest difference to those chosen is the largest (Gonzalez, 1985). Rows that
    are not finite, of images without an embedding, are chosen last.

    Args:
        vectors: ``(n, dim)`` embeddings of unit length
        n_kept: number of images to choose

    Returns:
        ``(min(n, n_kept),)`` indices in the order of the choice; equal ones in the order of the rows

    Raises:
        ParameterError: ``n_kept`` is negative
    """
    if n_kept < 0:
        raise ParameterError("n_kept", n_kept, "at least 0")
    usable = np.isfinite(vectors).all(axis=1)
    rows, missing = np.flatnonzero(usable), np.flatnonzero(~usable)
    known = np.asarray(vectors[rows], np.float32)
    chosen: list[int] = []
    if len(rows) and n_kept:
        chosen.append(int(np.argmax(known @ known.mean(axis=0))))
        nearest = known @ known[chosen[0]]  # cosine to the most similar chosen one
        nearest[chosen[0]] = np.inf
        while len(chosen) < min(n_kept, len(rows)):
            chosen.append(int(np.argmin(nearest)))
            np.maximum(nearest, known @ known[chosen[-1]], out=nearest)
            nearest[chosen[-1]] = np.inf
    result = np.concatenate([rows[chosen], missing]) if chosen else missing
    return result[:n_kept].astype(np.int64)


def duplicates(
    hashes: Hashes,
    is_hashed: BoolArray,
    vectors: Vectors,
    *,
    max_bits: int = 4,
    max_difference: float = 0.02,
) -> IntArray:
    """Finds near-duplicates: images of which an earlier one is the same picture.

    Both must agree: a small difference alone means the same character, near hashes alone a similar composition. An
    image is compared with those that are kept only, so that a series of small changes is not one duplicate.

    Args:
        hashes: ``(n,)`` perceptual hashes, the best image first
        is_hashed: ``(n,)`` whether an image has one
        vectors: ``(n, dim)`` embeddings of unit length; rows that are not finite are duplicates of no image
        max_bits (4): largest number of different bits of the hashes, from 0 to 64
        max_difference (0.02): largest difference of the embeddings

    Returns:
        ``(n,)`` index of the image that each one duplicates, -1 for those to keep

    Raises:
        ParameterError: a limit is out of its range
    """
    if not 0 <= max_bits <= 64:
        raise ParameterError("max_bits", max_bits, "from 0 to 64")
    if not 0 <= max_difference <= 1:
        raise ParameterError("max_difference", max_difference, "from 0 to 1")
    n = len(hashes)
    result = np.full(n, -1, np.int64)
    usable = np.flatnonzero(is_hashed & np.isfinite(vectors).all(axis=1))
    used = np.asarray(hashes, np.uint64)[usable]
    for start in range(0, len(usable), _BLOCK):
        block = used[start : start + _BLOCK]
        rows, columns = np.nonzero(_bits(block[:, None] ^ used[None, : start + len(block)]) <= max_bits)
        earlier = columns < rows + start
        for row, column in zip(usable[rows[earlier] + start], usable[columns[earlier]], strict=True):
            if result[row] < 0 and result[column] < 0:
                cosine = float(vectors[row].astype(np.float64) @ vectors[column].astype(np.float64))
                if (1 - cosine) / 2 <= max_difference:
                    result[row] = column
    return result


def _bits(words: Hashes) -> NDArray[np.uint64]:
    """Number of bits that are set, also before NumPy 2."""
    words = words - ((words >> np.uint64(1)) & _M1)
    words = (words & _M2) + ((words >> np.uint64(2)) & _M2)
    words = (words + (words >> np.uint64(4))) & _M4
    return (words * _ALL) >> _TOP
