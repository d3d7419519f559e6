"""Unit vectors in half the memory."""

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Vectors
from ..errors import VectorsError
from .pairs import unit_vectors

_BLOCK = 4096


class HalfVectors:
    """``(n, dim)`` embeddings kept as float16, of which any rows are given as float32 vectors of unit length.

    Stands in for an array of unit vectors where rows are taken by slices, numbers or masks: ``vectors[rows]``.

    Args:
        stored: ``(n, dim)`` float16 embeddings of any length; kept, not copied, and may be a file mapped into memory

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """

    def __init__(self, stored: NDArray[np.float16]) -> None:
        if stored.ndim != 2:
            raise VectorsError(f"want embeddings of shape (n, dim), not {stored.shape}")
        self._stored = stored
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

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, rows: Any) -> Vectors:
        found = self._stored[rows].astype(np.float32)
        found *= self._scales[rows, None]
        return found


def unit_rows(embeddings: ArrayLike) -> Vectors:
    """Embeddings as ``(n, dim)`` unit vectors, float16 ones as :class:`HalfVectors` in place of an array.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if isinstance(embeddings, HalfVectors):
        return cast(Vectors, embeddings)
    if isinstance(embeddings, np.ndarray) and embeddings.dtype == np.float16 and len(embeddings):
        return cast(Vectors, HalfVectors(embeddings))
    return unit_vectors(embeddings)
