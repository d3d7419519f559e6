"""Ids of samples and detections as arrays: 12 bytes each instead of a string of 24 digits."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray

SIZE = 12
"""Bytes of an id."""

Ids = NDArray[np.void]
"""``(n,)`` ids of 12 bytes, dtype ``V12``."""

_DIGITS = 2 * SIZE


def ids_of(texts: Iterable[str]) -> Ids:
    """Packs ids that are written as 24 hexadecimal digits."""
    return ids_from(bytes.fromhex("".join(texts)))


def ids_from(data: bytes | bytearray) -> Ids:
    """Reads ids from their bytes, one after the other."""
    return np.frombuffer(data, f"V{SIZE}")


def texts_of(ids: Ids) -> list[str]:
    """Writes ids as 24 hexadecimal digits each; the opposite of :func:`ids_of`."""
    digits = ids.tobytes().hex()
    return [digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS)]


def places_of(ids: Ids, among: Ids) -> IntArray:
    """Finds ids in an array of distinct ids.

    Args:
        ids: ``(n,)`` ids to find
        among: ``(m,)`` distinct ids, in any order

    Returns:
        ``(n,)`` their places, -1 for an id that is not among these
    """
    names, wanted = among.view(f"S{SIZE}"), ids.view(f"S{SIZE}")  # void has no search; equal length keeps zeros apart
    if np.array_equal(names, wanted):
        return np.arange(len(ids))
    if not len(among):
        return np.full(len(ids), -1, np.int64)
    order = np.argsort(names)
    places: IntArray = order[np.searchsorted(names, wanted, sorter=order).clip(max=len(names) - 1)]
    places[names[places] != wanted] = -1
    return places
