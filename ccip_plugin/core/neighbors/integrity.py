"""Integrity of stored graphs: checksums, and the ranges of what is read."""

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pairs import GRID, Pairs, picked

_CHUNK = 1 << 20  # numbers that are checked at a time
_MAX_RECORD = 1 << 16  # bytes


class DamagedError(Exception):
    """A stored file is not what was written."""


def checksum_of(array: NDArray[Any]) -> int:
    """CRC-32 of the bytes of an array, which may be memory-mapped."""
    checksum = 0
    for start in range(0, len(array), _CHUNK):
        checksum = zlib.crc32(np.ascontiguousarray(array[start : start + _CHUNK]).data, checksum)
    return checksum


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Writes plain values as JSON with a checksum."""
    record = {"checksum": _checksum_of_record(content), "content": content}
    path.write_text(json.dumps(record), encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """Reads what :func:`write_record` wrote; empty for a record without checksum, as earlier versions wrote it.

    Raises:
        FileNotFoundError: there is no such file
        OSError: it cannot be read
        DamagedError: it is not what was written
    """
    if path.stat().st_size > _MAX_RECORD:
        raise DamagedError(f"{path.name} is too large")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise DamagedError(f"{path.name} is not a record")
        content = record.get("content")
        if "checksum" not in record and content is None:
            return {}
        if not isinstance(content, dict) or record.get("checksum") != _checksum_of_record(content):
            raise DamagedError(f"{path.name} has a wrong checksum")
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path.name} is not JSON") from error
    return content


def check_pairs(pairs: Pairs, about: Mapping[str, Any], n: int, radius: float) -> None:
    """Compares pairs with the checksums and the number in their record, and checks their ranges.

    Raises:
        DamagedError: they are not what was written
    """
    checksums = about.get("checksums")
    for name, array in zip(Pairs._fields, pairs, strict=True):
        if len(array) != about.get("n_pairs"):
            raise DamagedError(f"{name} has {len(array):,} entries instead of {about.get('n_pairs')}")
        if not isinstance(checksums, dict) or checksum_of(array) != checksums.get(name):
            raise DamagedError(f"{name} has a wrong checksum")
    if not all(_are_in_range(part, n, radius) for part in _chunks(pairs)):
        raise DamagedError("a pair is out of range")


def _chunks(pairs: Pairs) -> Iterator[Pairs]:
    return (picked(pairs, slice(start, start + _CHUNK)) for start in range(0, len(pairs.rows), _CHUNK))


def _are_in_range(pairs: Pairs, n: int, radius: float) -> bool:
    is_sorted = bool((pairs.rows[1:] >= pairs.rows[:-1]).all())
    are_images = bool(((pairs.rows >= 0) & (pairs.rows < pairs.cols) & (pairs.cols < n)).all())
    are_near = bool(((pairs.differences >= 0) & (pairs.differences <= np.float32(radius + GRID))).all())
    return is_sorted and are_images and are_near


def _checksum_of_record(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
