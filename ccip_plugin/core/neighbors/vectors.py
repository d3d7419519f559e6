"""Sources of unit vectors: in memory, as float16, or memory-mapped from a file."""

import functools
import hashlib
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Vectors
from ..differences import normalize
from ..errors import VectorsError

_BLOCK = 4096
_HASHED = 1 << 10  # rows hashed at a time
_DTYPES = (np.float16, np.float32)


class UnitRows(Protocol):
    """Unit vectors, indexed by row as float32: a :class:`VectorSource`, or an array of its rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Vectors: ...


class VectorSource(UnitRows, Protocol):
    """``(n, dim)`` vectors of unit length, by construction.

    Attributes:
        shape: number of vectors, and their dimension
        digest: a short hash of all vectors, computed once
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def digest(self) -> str: ...


class UnitVectors:
    """``(n, dim)`` vectors in memory, normalized on construction.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length; not modified

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """

    def __init__(self, embeddings: ArrayLike) -> None:
        vectors = np.asarray(embeddings, np.float32)
        if len(np.atleast_1d(vectors)) == 0:
            vectors = np.empty((0, 1), np.float32)
        elif vectors.ndim != 2:
            raise VectorsError(f"embeddings have shape {vectors.shape}, expected shape (n, dim)")
        else:
            vectors = normalize(vectors)
        self._vectors = vectors

    @property
    def shape(self) -> tuple[int, int]:
        """Number of vectors, and their dimension."""
        return self._vectors.shape[0], self._vectors.shape[1]

    @functools.cached_property
    def digest(self) -> str:
        """A short hash of all vectors, computed once."""
        return _digest_of(self)

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, rows: Any, /) -> Vectors:
        selected: Vectors = self._vectors[rows]
        return selected

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._vectors, dtype, copy=bool(copy)) if copy or dtype else self._vectors


class StoredVectors:
    """``(n, dim)`` embeddings as they are stored: float16, or in a memory-mapped file.

    Rows are converted and normalized on access. Takes 4 bytes of memory per vector in addition to the stored array.

    Args:
        stored: ``(n, dim)`` float16 or float32 embeddings of any length; referenced, not copied

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """

    def __init__(self, stored: NDArray[np.float16] | NDArray[np.float32]) -> None:
        if stored.ndim != 2 or stored.dtype not in _DTYPES:
            raise VectorsError(
                f"embeddings are {stored.dtype} of shape {stored.shape}, expected float16 or float32 of shape (n, dim)"
            )
        self._stored: NDArray[Any] = stored
        self._scales = np.empty(len(stored), np.float32)
        for start in range(0, len(stored), _BLOCK):
            rows = stored[start : start + _BLOCK].astype(np.float64)
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
            if len(bad):
                reason = "the embedding is zero" if lengths[bad[0]] == 0 else "the embedding has NaN or infinite values"
                raise VectorsError(reason, row=start + int(bad[0]))
            self._scales[start : start + _BLOCK] = 1 / lengths

    @property
    def shape(self) -> tuple[int, int]:
        """Number of vectors, and their dimension."""
        return self._stored.shape[0], self._stored.shape[1]

    @functools.cached_property
    def digest(self) -> str:
        """A short hash of all vectors, computed once."""
        return _digest_of(self)

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, rows: Any, /) -> Vectors:
        selected: Vectors = self._stored[rows].astype(np.float32)
        selected *= self._scales[rows, None]
        return selected


def open_vectors(path: str | Path) -> StoredVectors:
    """Memory-maps the embeddings in a file.

    Args:
        path: a ``.npy`` file of ``(n, dim)`` float16 or float32 embeddings

    Raises:
        OSError: the file cannot be read
        ValueError: it is not a ``.npy`` file
        VectorsError: its shape or type is different, or an embedding is zero or not finite
    """
    return StoredVectors(np.load(path, mmap_mode="r", allow_pickle=False))


def is_source(embeddings: object) -> TypeGuard[VectorSource]:
    """Whether this is a :class:`VectorSource` and not an array."""
    return hasattr(type(embeddings), "digest") and not isinstance(embeddings, np.ndarray)


def unit_vectors(embeddings: ArrayLike | VectorSource) -> VectorSource:
    """Returns a source as it is; normalizes an array in memory, in float32.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if is_source(embeddings):
        return embeddings
    array: Any = embeddings
    return UnitVectors(array)


def stored_vectors(embeddings: ArrayLike | VectorSource) -> VectorSource:
    """As :func:`unit_vectors`, but does not convert float16 arrays and memory-mapped files.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    array: Any = embeddings
    is_stored = isinstance(array, np.memmap) or (isinstance(array, np.ndarray) and array.dtype == np.float16)
    if is_stored and array.ndim == 2 and len(array):
        return StoredVectors(array)
    return unit_vectors(embeddings)


def unit_array(embeddings: ArrayLike) -> Vectors:
    """Returns embeddings as an ``(n, dim)`` array of unit vectors.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    return UnitVectors(embeddings)[:]


def _digest_of(source: VectorSource) -> str:
    digest = hashlib.sha256(repr(source.shape).encode())
    for start in range(0, len(source), _HASHED):
        digest.update(source[start : start + _HASHED].tobytes())
    return digest.hexdigest()[:32]
