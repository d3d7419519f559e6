"""Recognition: matches embeddings with reference images of known characters."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import FloatArray, Vectors
from .differences import differences, normalize
from .errors import ParameterError, VectorsError

Measure = Callable[[Vectors, Vectors], Vectors]

SHARE = 0.5
"""Default fraction of a character's references that must be within the threshold."""
NO_MATCH = -1
"""Character index of an image that matches no character."""

_BLOCK_ENTRIES = 1 << 20  # of a block of differences: 8 MiB


@dataclass(frozen=True, eq=False)
class References:
    """Reference embeddings of characters. Created by :meth:`of`.

    Attributes:
        names: the names of the ``c`` characters
        vectors: ``(n, dim)`` float32, unit length, grouped by character
        counts: ``(c,)`` number of references of each character, at least one
    """

    names: tuple[str, ...]
    vectors: Vectors
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, embeddings: Mapping[str, ArrayLike]) -> "References":
        """Creates references from embeddings by character.

        Args:
            embeddings: for each character ``(n, dim)`` embeddings of any length, or one of shape ``(dim,)``

        Raises:
            VectorsError: there is no character, a character has no embedding, or an embedding is zero, not finite or of
                another dimension than the others; names the character
        """
        if not embeddings:
            raise VectorsError("there are no references: give at least one character with an image")
        parts = {name: _unit(name, vectors) for name, vectors in embeddings.items()}
        dims = {part.shape[1] for part in parts.values()}
        if len(dims) > 1:
            raise VectorsError(f"references of {sorted(dims)} dimensions are not of one model")
        counts = np.array([len(part) for part in parts.values()], np.int64)
        return cls(tuple(parts), np.concatenate(list(parts.values())), counts)


@dataclass(frozen=True, eq=False)
class Matches:
    """Matches of ``n`` images.

    Attributes:
        character: ``(n,)`` index of the matching character in ``References.names``, :data:`NO_MATCH` without one
        nearest: ``(n,)`` index of the nearest character, matching or not
        difference: ``(n,)`` float64, for ``nearest``: the smallest value within which the required share of its
            references is; the image matches if it is at most the threshold
        margin: ``(n,)`` float64, smallest mean difference to the references of another character minus that to
            ``nearest``; infinite without another character, negative if another one has a smaller mean but no match
    """

    character: NDArray[np.int64]
    nearest: NDArray[np.int64]
    difference: FloatArray
    margin: FloatArray


def match(
    embeddings: ArrayLike,
    references: References,
    *,
    threshold: float,
    share: float = SHARE,
    measure: Measure = differences,
) -> Matches:
    """Matches images with characters, using all references of each character.

    An image matches a character if at least ``share`` of its references are within the threshold; of several matching
    characters, it is the one with the smallest mean difference. So a single outlier among the references neither
    attracts images of other characters nor excludes images of its own. With one reference per character, or with a
    ``share`` close to 0, the nearest reference decides.

    Takes O(n_images * n_references) time, and memory for a block of differences.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length, or one of shape ``(dim,)``
        references: the references of the characters
        threshold: the difference up to which two images are one character, inclusive
        share (0.5): required fraction of the references, above 0 and at most 1
        measure (differences): computes the ``(n, m)`` differences, from 0 to 1, of ``n`` and ``m`` embeddings

    Returns:
        a :class:`Matches`

    Raises:
        ParameterError: the threshold or the share is invalid
        VectorsError: an embedding is zero, not finite, or of another dimension than the references
    """
    if not 0 <= threshold <= 1:
        raise ParameterError("threshold", threshold, "a difference from 0 to 1")
    if not 0 < share <= 1:
        raise ParameterError("share", share, "above 0 and at most 1")
    vectors = np.atleast_2d(np.asarray(embeddings, np.float32))
    required = np.maximum(1, np.ceil(references.counts * share - 1e-9)).astype(np.int64)  # 0.7 * 10 is 7, not 8
    vectors = vectors if vectors.size else np.empty((0, references.vectors.shape[1]), np.float32)
    step = max(1, _BLOCK_ENTRIES // len(references.vectors))
    blocks = [
        _match_block(measure(vectors[start : start + step], references.vectors), references, required, threshold)
        for start in range(0, len(vectors), step)
    ]
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)] or [np.empty(0)] * 3
    nearest, difference, margin = columns[0].astype(np.int64), columns[1], columns[2]
    return Matches(np.where(difference <= threshold, nearest, NO_MATCH), nearest, difference, margin)


def _match_block(
    block: Vectors, references: References, required: NDArray[np.int64], threshold: float
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Matches a block of ``(n_images, n_references)`` differences: nearest character, deciding difference, margin."""
    counts = references.counts
    starts = np.cumsum(counts) - counts
    deciding = _sorted_by_segment(block, np.repeat(np.arange(len(counts)), counts))[:, starts + required - 1]
    means = np.add.reduceat(block.astype(np.float64), starts, axis=1) / counts
    rows = np.arange(len(block))
    nearest = np.where(deciding <= threshold, means, means + 2).argmin(axis=1)  # a mean is at most 1
    own = means[rows, nearest]
    means[rows, nearest] = math.inf
    return nearest, deciding[rows, nearest], means.min(axis=1) - own


def _sorted_by_segment(block: Vectors, segments: NDArray[np.int64]) -> FloatArray:
    """Sorts each row within each segment of its columns, all segments at once."""
    shift = 2.0 * segments  # in float64, so that subtracting it restores every float32 from 0 to 1
    keys: FloatArray = block + shift
    keys.sort(axis=1)
    return keys - shift


def _unit(name: str, vectors: Any) -> Vectors:
    """Normalizes the references of a character."""
    if not str(name).strip():
        raise VectorsError("a character needs a name")
    if not np.size(vectors):
        raise VectorsError(f"the character {name!r} has no reference")
    try:
        return np.atleast_2d(normalize(vectors))
    except VectorsError as error:
        raise VectorsError(f"a reference of {name!r}: {error}") from error
