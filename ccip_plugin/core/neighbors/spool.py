"""External sort: sorts more pairs than fit into memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .pairs import GRID, Pairs

MOST_IMAGES = 1 << 24
"""Largest number of images: a key has 24 bits for each index."""

Keys = NDArray[np.uint64]

_BITS, _STEP_BITS = np.uint64(24), np.uint64(15)
_IMAGE, _STEP = np.uint64((1 << 24) - 1), np.uint64((1 << 15) - 1)
_PENDING = 1 << 22  # pairs in memory before they go to a file: 32 MiB
_WIDTH = 1 << 14  # rows per file


def keys_of(pairs: Pairs) -> Keys:
    """Encodes pairs as integers that sort by row, difference and column; differences are rounded to the grid."""
    steps = np.rint(pairs.differences * np.float32(1 / GRID)).astype(np.uint64)
    keys = pairs.rows.astype(np.uint64) << (_BITS + _STEP_BITS)
    keys |= steps << _BITS
    keys |= pairs.cols.astype(np.uint64)
    return keys


def pairs_of(keys: Keys) -> Pairs:
    """Decodes the keys of :func:`keys_of`."""
    rows = (keys >> (_BITS + _STEP_BITS)).astype(np.int32)
    cols = (keys & _IMAGE).astype(np.int32)
    steps = (keys >> _BITS) & _STEP
    return Pairs(rows, cols, steps.astype(np.float32) * np.float32(GRID))


class Spool:
    """Pairs of ``n`` images in files, partitioned by row.

    Args:
        folder: a folder for the files, which must not exist
        n: number of images
    """

    def __init__(self, folder: Path, n: int) -> None:
        folder.mkdir()
        self._folder, self._pending, self._n_pending = folder, list[Keys](), 0
        self.n_parts = max(1, -(-n // _WIDTH))

    def add(self, pairs: Pairs) -> None:
        """Adds pairs, in any order; duplicates are removed later."""
        self._pending.append(keys_of(pairs))
        self._n_pending += len(pairs.rows)
        if self._n_pending >= _PENDING:
            self._write()

    def part(self, number: int) -> Keys:
        """Returns the sorted, distinct keys of one part and deletes its file. Parts are in the order of rows."""
        self._write()
        path = self._folder / str(number)
        if not path.exists():
            return np.empty(0, np.uint64)
        keys = np.fromfile(path, np.uint64)
        path.unlink()
        return sorted_once(keys)

    def _write(self) -> None:
        if not self._n_pending:
            return
        keys = sorted_once(np.concatenate(self._pending))
        self._pending, self._n_pending = [], 0
        parts = (keys >> (_BITS + _STEP_BITS)) // np.uint64(_WIDTH)
        ends = np.searchsorted(parts, np.arange(self.n_parts, dtype=np.uint64), side="right")
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if end > start:
                with (self._folder / str(number)).open("ab") as file:
                    keys[start:end].tofile(file)


def sorted_once(keys: Keys) -> Keys:
    """Sorts keys in place and returns the distinct ones."""
    keys.sort()
    is_first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return keys[is_first]
