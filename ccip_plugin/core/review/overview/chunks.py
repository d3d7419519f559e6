"""Rows in chunks of bytes: groups with ids near each other are in one, so that few groups are in few chunks."""

import hashlib
from collections.abc import Mapping

import numpy as np

from .rows import ROW, Rows

GROUPS = 16
"""Ids of groups that share a chunk: at most 4.6 kB."""

_DIGEST = 8  # bytes
_ENTRY = np.dtype([("number", "<u8"), ("digest", f"V{_DIGEST}")])


class ChunkError(ValueError):
    """Chunks are missing or damaged."""


def chunks_of(rows: Rows) -> dict[str, bytes]:
    """The chunks of rows that are ascending by id, by names that say their content: equal names, equal bytes."""
    numbers = rows["id"] // GROUPS
    starts, chunks = np.flatnonzero(np.diff(numbers, prepend=-1)), {}
    for part in np.split(rows, starts[1:]) if len(rows) else ():
        data = part.tobytes()
        chunks[_name(int(part["id"][0]) // GROUPS, _digest(data))] = data
    return chunks


def names_in(packed: bytes) -> list[str]:
    """The names that :func:`pack_names` has packed.

    Raises:
        ChunkError: these are no such bytes
    """
    if len(packed) % _ENTRY.itemsize:
        raise ChunkError("the list of chunks is damaged")
    entries = np.frombuffer(packed, _ENTRY)
    return [_name(int(entry["number"]), entry["digest"].tobytes()) for entry in entries]


def pack_names(names: Mapping[str, bytes]) -> bytes:
    """The names of chunks, 16 bytes each."""
    parts = [name.split("-") for name in names]
    entries = np.zeros(len(parts), _ENTRY)
    entries["number"] = [int(number, 16) for number, _ in parts]
    entries["digest"] = np.frombuffer(bytes.fromhex("".join(digest for _, digest in parts)), f"V{_DIGEST}")
    return entries.tobytes()


def rows_in(names: list[str], chunks: Mapping[str, bytes]) -> Rows:
    """The rows of some chunks.

    Args:
        names: their names, in order
        chunks: chunks by name; there may be others

    Raises:
        ChunkError: one is missing, or is not what its name says
    """
    if missing := [name for name in names if name not in chunks]:
        raise ChunkError(f"{len(missing)} of {len(names)} chunks are missing")
    for name in names:
        if name.partition("-")[2] != _digest(chunks[name]).hex() or len(chunks[name]) % ROW.itemsize:
            raise ChunkError(f"the chunk {name} is damaged")
    return np.frombuffer(b"".join(chunks[name] for name in names), ROW)


def _name(number: int, digest: bytes) -> str:
    return f"{number:012x}-{digest.hex()}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
