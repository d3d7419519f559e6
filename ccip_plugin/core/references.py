"""Who is in an image: its embedding matched against reference images of known characters."""

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
"""Which share of a character's references has to be within the threshold, by default."""
NOBODY = -1
"""Stands for none of the characters."""

_CELLS = 1 << 20  # of the block of images and references that is compared at a time: 8 MiB


@dataclass(frozen=True, eq=False)
class References:
    """What some characters look like. Made by :meth:`of`.

    Attributes:
        names: the ``c`` characters
        vectors: ``(n, dim)`` float32, unit length; those of a character follow each other
        counts: ``(c,)`` how many of them each character has, at least one
    """

    names: tuple[str, ...]
    vectors: Vectors
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, embeddings: Mapping[str, ArrayLike]) -> "References":
        """Puts reference embeddings in order.

        Args:
            embeddings: per character ``(n, dim)`` embeddings of any length, or one of shape ``(dim,)``

        Raises:
            VectorsError: there is no character, one has no embedding, or an embedding is zero, not finite or of another
                dimension than the others; names the character
        """
        if not embeddings:
            raise VectorsError("there are no references: name at least one character, with an image of it")
        parts = {name: _unit(name, vectors) for name, vectors in embeddings.items()}
        dims = {part.shape[1] for part in parts.values()}
        if len(dims) > 1:
            raise VectorsError(f"references of {sorted(dims)} dimensions are not of one model")
        counts = np.array([len(part) for part in parts.values()], np.int64)
        return cls(tuple(parts), np.concatenate(list(parts.values())), counts)


@dataclass(frozen=True, eq=False)
class Matches:
    """Whom ``n`` images show.

    Attributes:
        character: ``(n,)`` place of the character in ``References.names``, :data:`NOBODY` when it is none of them
        nearest: ``(n,)`` likewise, the one that comes nearest, also where it is not near enough
        difference: ``(n,)`` float64, to ``nearest``: so much at most is the difference to the share of its references
            that counts, so that the image shows it where this is within the threshold
        margin: ``(n,)`` float64, how much larger the mean difference to the references of the next character is;
            infinite where there is no other, negative where another is nearer in the mean without being near enough
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
    """Tells whom images show, by all references of each character together.

    An image shows a character when at least ``share`` of its references are within the threshold; of several such
    characters, the one whose references have the smallest mean difference. So a single odd reference decides nothing:
    it neither draws strangers in, nor keeps the character's own images out. With one reference per character, or
    with a ``share`` just over 0, the nearest reference decides.

    Takes time proportional to images times references, and memory for a block of them.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length, or one of shape ``(dim,)``
        references: of the characters
        threshold: the difference up to which two images are one character, itself included
        share (0.5): over 0, up to 1 for all references
        measure (differences): gives the ``(n, m)`` differences, from 0 to 1, of ``n`` and ``m`` embeddings

    Returns:
        a :class:`Matches`

    Raises:
        ParameterError: the threshold or the share is no such number
        VectorsError: an embedding is zero, not finite, or of another dimension than the references
    """
    if not 0 <= threshold <= 1:
        raise ParameterError("threshold", threshold, "a difference, from 0 to 1")
    if not 0 < share <= 1:
        raise ParameterError("share", share, "over 0 and up to 1")
    vectors = np.atleast_2d(np.asarray(embeddings, np.float32))
    needed = np.maximum(1, np.ceil(references.counts * share - 1e-9)).astype(np.int64)  # 0.7 * 10 is 7, not 8
    vectors = vectors if vectors.size else np.empty((0, references.vectors.shape[1]), np.float32)
    step = max(1, _CELLS // len(references.vectors))
    blocks = [
        _match_block(measure(vectors[start : start + step], references.vectors), references, needed, threshold)
        for start in range(0, len(vectors), step)
    ]
    columns = [np.concatenate(column) for column in zip(*blocks, strict=True)] or [np.empty(0)] * 3
    nearest, difference, margin = columns[0].astype(np.int64), columns[1], columns[2]
    return Matches(np.where(difference <= threshold, nearest, NOBODY), nearest, difference, margin)


def _match_block(
    apart: Vectors, references: References, needed: NDArray[np.int64], threshold: float
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The nearest character of some images, the difference to it that decides, and the margin."""
    counts = references.counts
    starts = np.cumsum(counts) - counts
    deciding = _sorted_in_parts(apart, np.repeat(np.arange(len(counts)), counts))[:, starts + needed - 1]
    means = np.add.reduceat(apart.astype(np.float64), starts, axis=1) / counts
    rows = np.arange(len(apart))
    nearest = np.where(deciding <= threshold, means, means + 2).argmin(axis=1)  # a mean is 1 at most
    own = means[rows, nearest]
    means[rows, nearest] = math.inf
    return nearest, deciding[rows, nearest], means.min(axis=1) - own


def _sorted_in_parts(apart: Vectors, parts: NDArray[np.int64]) -> FloatArray:
    """Sorts each row within runs of columns of the same part, all runs at once."""
    shift = 2.0 * parts  # in float64, so that a float32 between 0 and 1 comes back as it was
    keys = apart + shift
    keys.sort(axis=1)
    return keys - shift


def _unit(name: str, vectors: Any) -> Vectors:
    """The references of a character, each of unit length."""
    if not str(name).strip():
        raise VectorsError("a character needs a name")
    if not np.size(vectors):
        raise VectorsError(f"the character {name!r} has no reference")
    try:
        return np.atleast_2d(normalize(vectors))
    except VectorsError as error:
        raise VectorsError(f"a reference of {name!r}: {error}") from error
