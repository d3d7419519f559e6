"""The CCIP difference of embeddings: ``(1 - cos) / 2``, 0 for identical ones, about 0.4 for different characters."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Vectors
from .errors import MatrixTooLargeError, VectorsError

MATRIX_BYTES = 2 << 30
"""Default memory limit of a full matrix: 2 GiB, about 23,000 x 23,000 differences."""

_BLOCK = 1024
_FLOAT64_ROWS = 128  # rows whose float64 copies are in memory at a time
_UNIT_TOLERANCE = 2e-7  # largest error of the length of a normalized float32 vector


def difference(a: ArrayLike, b: ArrayLike) -> float:
    """Computes the difference of two embeddings.

    Args:
        a: a ``(dim,)`` embedding of any length
        b: a second one

    Returns:
        the difference, from 0 (same direction) to 1 (opposite direction)

    Raises:
        VectorsError: a vector is zero or not finite, or they have different dimensions
    """
    first, second = np.asarray(a, np.float32, order="C"), np.asarray(b, np.float32, order="C")
    if first.ndim != 1 or first.shape != second.shape:
        raise VectorsError(f"vectors have shapes {first.shape} and {second.shape}, expected (dim,) with one dim")
    cosine = _unit(first)[None] @ _unit(second)[:, None]  # a matrix product, for the same bits as in differences()
    return float(_to_differences(cosine)[0, 0])


def differences(a: ArrayLike, b: ArrayLike | None = None, *, memory: int = MATRIX_BYTES) -> Vectors:
    """Computes the differences of all pairs of embeddings.

    Takes the memory of the result, plus a copy of vectors that are not float32 of unit length.

    Args:
        a: ``(n, dim)`` embeddings of any length, or one of shape ``(dim,)``
        b (None): ``(m, dim)`` embeddings; ``a`` by default
        memory: size limit of the result, in bytes

    Returns:
        ``(n, m)`` differences in [0, 1]; if ``b`` is None, exactly symmetric and at most 1e-6 on the diagonal

    Raises:
        MatrixTooLargeError: the result would take more than ``memory``
        VectorsError: a vector is zero or not finite, or they have different dimensions
    """
    rows = normalize(np.atleast_2d(a))
    columns = rows if b is None else normalize(np.atleast_2d(b))
    if rows.shape[1] != columns.shape[1] and len(rows) and len(columns):
        raise VectorsError(f"embeddings of {rows.shape[1]} and {columns.shape[1]} dimensions are not of one model")
    shape = (len(rows), len(columns))
    if 4 * shape[0] * shape[1] > memory:
        raise MatrixTooLargeError(shape, 4 * shape[0] * shape[1], memory)
    result = np.empty(shape, np.float32)
    if b is None:
        _fill_symmetric(result, rows)
    elif result.size:
        _to_differences(np.matmul(rows, columns.T, out=result))
    return result


def same(a: ArrayLike, b: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Decides which pairs of embeddings show the same character.

    Args:
        a: ``(n, dim)`` embeddings, or one of shape ``(dim,)``
        b: ``(m, dim)`` embeddings, or one of shape ``(dim,)``
        threshold: the difference up to which two images are one character, inclusive

    Returns:
        ``(n, m)`` booleans; without the axis of an argument of shape ``(dim,)``
    """
    are_same = differences(a, b).astype(np.float64) <= threshold
    return are_same.reshape(np.shape(a)[:-1] + np.shape(b)[:-1])


def merge(embeddings: ArrayLike) -> Vectors:
    """Merges embeddings of one character into one.

    Args:
        embeddings: ``(n, dim)`` embeddings, at least one; all have the same weight, whatever their length

    Returns:
        a ``(dim,)`` vector: the mean direction, with the mean length of the embeddings

    Raises:
        VectorsError: there is no embedding, one is zero or not finite, or their mean direction is zero
    """
    vectors = np.atleast_2d(np.asarray(embeddings, np.float32))
    if not len(vectors):
        raise VectorsError("there are no embeddings to merge")
    mean = normalize(vectors).mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(mean)
    if length < 1e-6:
        raise VectorsError("the embeddings cancel each other out: they have no mean direction")
    merged: Vectors = (mean * (_lengths(vectors).mean() / length)).astype(np.float32)
    return merged


def normalize(x: ArrayLike) -> Vectors:
    """Scales embeddings to unit length.

    A vector of unit length is not changed, and an array of such vectors is returned as it is. The result of a vector
    does not depend on the other ones.

    Args:
        x: ``(n, dim)`` embeddings, or one of shape ``(dim,)``

    Returns:
        float32 of the same shape

    Raises:
        VectorsError: a vector is zero or not finite
    """
    vectors = np.asarray(x, np.float32, order="C")
    if vectors.ndim not in (1, 2):
        raise VectorsError(f"embeddings have shape {vectors.shape}, expected (n, dim) or (dim,)")
    lengths = _lengths(np.atleast_2d(vectors))
    if not np.isfinite(lengths).all() or not lengths.all():
        row = int(np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))[0])
        reason = "the embedding is zero" if lengths[row] == 0 else "the embedding has NaN or infinite values"
        raise VectorsError(reason, row=row)
    lengths[abs(lengths - 1) <= _UNIT_TOLERANCE] = 1
    return vectors if (lengths == 1).all() else _divided(vectors, lengths)


def verify_closed_form(metric: Callable[[Vectors], Vectors], dim: int) -> float:
    """Measures the deviation of a model's metric from ``(1 - cos) / 2``.

    Args:
        metric: the model's metric: ``(n, dim)`` raw embeddings to ``(n, n)`` differences
        dim: dimension of the embeddings

    Returns:
        the largest deviation on probe vectors with differences from 0 to 1; infinite if the metric returns NaN
    """
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(dim, 2)))[0].T
    angles = np.linspace(0, np.pi, 25)
    lengths = random.uniform(0.5, 50, (len(angles), 1))
    probes = (lengths * (np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes)).astype(np.float32)
    deviation = np.abs(np.asarray(metric(probes), np.float64) - differences(probes)).max()
    return float(deviation) if np.isfinite(deviation) else float("inf")


def _lengths(vectors: Vectors) -> NDArray[np.float64]:
    """Computes the lengths of ``(n, dim)`` vectors, in float64 so that no sum overflows."""
    lengths = np.empty(len(vectors))
    for start in range(0, len(vectors), _FLOAT64_ROWS):
        block = vectors[start : start + _FLOAT64_ROWS].astype(np.float64)
        lengths[start : start + _FLOAT64_ROWS] = np.sqrt(np.square(block).sum(axis=1))
    return lengths


def _unit(vector: Vectors) -> Vectors:
    """Normalizes one vector as :func:`normalize`, in a fraction of the time."""
    length = np.sqrt(np.square(vector.astype(np.float64)).sum())
    if not 0 < length < np.inf:
        return normalize(vector)  # raises
    return vector if abs(length - 1) <= _UNIT_TOLERANCE else (vector / length).astype(np.float32)


def _divided(vectors: Vectors, lengths: NDArray[np.float64]) -> Vectors:
    result = np.empty_like(vectors)
    rows, out = np.atleast_2d(vectors), np.atleast_2d(result)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        out[block] = rows[block] / lengths[block, None]
    return result


def _to_differences(cosines: Vectors) -> Vectors:
    """Converts cosines to differences, in place."""
    np.subtract(1, cosines, out=cosines)
    np.multiply(cosines, 0.5, out=cosines)
    return np.clip(cosines, 0, 1, out=cosines)


def _fill_symmetric(result: Vectors, rows: Vectors) -> None:
    """Computes the blocks on and above the diagonal and mirrors them."""
    n = len(rows)
    for i in range(0, n, _BLOCK):
        for j in range(i, n, _BLOCK):
            block = _to_differences(rows[i : i + _BLOCK] @ rows[j : j + _BLOCK].T)
            if i == j:
                block = np.triu(block) + np.triu(block, 1).T
            result[i : i + _BLOCK, j : j + _BLOCK] = block
            result[j : j + _BLOCK, i : i + _BLOCK] = block.T
