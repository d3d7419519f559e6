"""Matches groups of images with known characters: several members against several references."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray, Vectors
from ..differences import differences
from ..errors import ParameterError, VectorsError
from ..plain import canonical_name
from ..references import SHARE, Measure, References
from .records import Library

NONE = -1
"""Index of no character."""

MARGIN = 0.1
"""Default thresholds by which the second nearest character has to be further away than the nearest."""

MAX_MEMBERS = 200
"""Largest number of members of a group that are compared."""

_SLACK, _GAP = 0.07, 0.1  # thresholds in which the odds of a slip change e-fold: near the limit, near the second best
_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Gallery:
    """Known characters, of reference images or of a library.

    Attributes:
        names: the names of the ``c`` characters
        vectors: ``(n, dim)`` unit vectors, grouped by character
        counts: ``(c,)`` number of vectors of each
        required: ``(c,)`` number of its nearest vectors whose mean difference counts
        limits: ``(c,)`` the limit of each, NaN for the threshold
        negatives: ``(m, dim)`` unit vectors of images that are not of a character
        negative_of: ``(m,)`` which character
    """

    names: tuple[str, ...]
    vectors: Vectors
    counts: IntArray
    required: IntArray
    limits: FloatArray
    negatives: Vectors
    negative_of: IntArray

    @classmethod
    def of_references(cls, references: References, *, share: float = SHARE) -> "Gallery":
        """Characters of reference images: the nearest ones of each count, half of them by default.

        Raises:
            ParameterError: the share is invalid
        """
        if not 0 < share <= 1:
            raise ParameterError("share", share, "above 0 and at most 1")
        required = np.maximum(1, np.ceil(references.counts * share - 1e-9)).astype(np.int64)
        n, dim = len(references.counts), references.vectors.shape[1]
        return cls(
            references.names,
            references.vectors,
            references.counts,
            required,
            np.full(n, np.nan),
            np.empty((0, dim), np.float32),
            np.empty(0, np.int64),
        )

    @classmethod
    def of_library(cls, library: Library) -> "Gallery":
        """Characters of a library: the nearest prototype counts, as each is the mean of an appearance.

        Raises:
            VectorsError: the library has no characters
        """
        if not library.characters:
            raise VectorsError("the library has no characters")
        parts = library.characters
        counts = np.array([len(each.prototypes) for each in parts], np.int64)
        return cls(
            tuple(library.names),
            np.concatenate([each.prototypes for each in parts]),
            counts,
            np.ones(len(parts), np.int64),
            np.array([np.nan if each.limit is None else each.limit for each in parts]),
            np.concatenate([each.negatives for each in parts]),
            np.repeat(np.arange(len(parts)), [len(each.negatives) for each in parts]),
        )

    def joined(self, other: "Gallery") -> "Gallery":
        """The characters of both; where one name is in both, only those of this one."""
        known = set(map(canonical_name, self.names))
        kept = np.array([canonical_name(name) not in known for name in other.names], np.bool_)
        places = np.cumsum(kept) - 1 + len(self.names)
        is_kept = np.repeat(kept, other.counts)
        is_negative = kept[other.negative_of]
        return Gallery(
            (*self.names, *(name for name, is_new in zip(other.names, kept, strict=True) if is_new)),
            np.concatenate([self.vectors, other.vectors[is_kept]]),
            np.concatenate([self.counts, other.counts[kept]]),
            np.concatenate([self.required, other.required[kept]]),
            np.concatenate([self.limits, other.limits[kept]]),
            np.concatenate([self.negatives, other.negatives[is_negative]]),
            np.concatenate([self.negative_of, places[other.negative_of[is_negative]]]),
        )


@dataclass(frozen=True, eq=False)
class GroupMatches:
    """Matches of ``g`` groups with known characters.

    Attributes:
        character: ``(g,)`` index of the matching character, :data:`NONE` for unknown
        nearest: ``(g,)`` index of the nearest character, matching or not
        second: ``(g,)`` index of the second nearest, :data:`NONE` with one character only
        difference: ``(g,)`` to the nearest: the mean over the members
        second_difference: ``(g,)`` to the second nearest, infinite without one
        limit: ``(g,)`` the limit of the nearest
        agreeing: ``(g,)`` share of the members that are nearest to it
        score: ``(g,)`` from 0 to 1, 0.5 where the match is at the limit or not clearer than the margin; it orders
            matches and is no probability
        member_differences: for each group the differences of the compared members to the nearest character
        member_margins: likewise, those to the second nearest minus these; infinite without one
    """

    character: IntArray
    nearest: IntArray
    second: IntArray
    difference: FloatArray
    second_difference: FloatArray
    limit: FloatArray
    agreeing: FloatArray
    score: FloatArray
    member_differences: tuple[FloatArray, ...]
    member_margins: tuple[FloatArray, ...]

    @property
    def margin(self) -> FloatArray:
        """``(g,)`` difference to the second nearest minus that to the nearest."""
        return self.second_difference - self.difference


def match_groups(
    groups: Sequence[Vectors],
    gallery: Gallery,
    *,
    threshold: float,
    min_margin: float | None = None,
    measure: Measure = differences,
) -> GroupMatches:
    """Matches groups of images, or single images, with known characters.

    The difference of an image to a character is the mean over the nearest references that count: half of the reference
    images, or the nearest prototype of a library. The difference of a group is the mean over its members. A group
    matches its nearest character if that difference is within the limit, the second nearest character is further away
    by the margin, at least half of the members are nearest to it, and the group is not nearer to images that were
    rejected from that character.

    Args:
        groups: for each group ``(n, dim)`` embeddings; of more than 200 members, evenly spaced ones count
        gallery: the known characters
        threshold: the difference up to which two images are one character
        min_margin (None): the smallest margin, 0.1 thresholds by default
        measure (differences): computes the ``(n, m)`` differences of ``n`` and ``m`` embeddings

    Returns:
        a :class:`GroupMatches`

    Raises:
        ParameterError: the threshold or the margin is invalid
        VectorsError: an embedding is zero, not finite, or of another dimension than the references
    """
    if not 0 < threshold <= 1:
        raise ParameterError("threshold", threshold, "a difference over 0 and at most 1")
    min_margin = MARGIN * threshold if min_margin is None else min_margin
    if not 0 <= min_margin <= 1:
        raise ParameterError("min_margin", min_margin, "a difference from 0 to 1")
    rows = [_match_group(_some(group), gallery, measure) for group in groups]
    nearest, second = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    first, other, agreeing = (np.array([row[place] for row in rows], np.float64) for place in (2, 3, 4))
    is_rejected = np.array([row[5] for row in rows], np.bool_)
    limit = np.fmin(gallery.limits[nearest], threshold)  # a stranger's library cannot make it larger
    is_match = (first <= limit) & (other - first >= min_margin) & (agreeing >= 0.5) & ~is_rejected
    score = _score(first, other, limit, min_margin, is_match)
    return GroupMatches(
        np.where(is_match, nearest, NONE),
        nearest,
        second,
        first,
        other,
        limit,
        agreeing,
        score,
        tuple(row[6] for row in rows),
        tuple(row[7] for row in rows),
    )


def _match_group(
    members: Vectors, gallery: Gallery, measure: Measure
) -> tuple[int, int, float, float, float, bool, FloatArray, FloatArray]:
    """Nearest and second character, their differences, the share that agrees, whether negatives are nearer."""
    apart = image_differences(members, gallery, measure)
    means = apart.mean(axis=0)
    order = np.argsort(means, kind="stable")
    nearest = int(order[0])
    second = int(order[1]) if len(order) > 1 else NONE
    other = float(means[second]) if second != NONE else np.inf
    agreeing = float((apart.argmin(axis=1) == nearest).mean())
    negatives = gallery.negatives[gallery.negative_of == nearest]
    is_rejected = bool(len(negatives)) and float(measure(members, negatives).min(axis=1).mean()) < means[nearest]
    own = apart[:, nearest]
    margins = apart[:, second] - own if second != NONE else np.full(len(own), np.inf)
    return nearest, second, float(means[nearest]), other, agreeing, is_rejected, own, margins


def image_differences(members: Vectors, gallery: Gallery, measure: Measure = differences) -> FloatArray:
    """``(n, c)`` differences of images to characters: the mean over the nearest references that count."""
    step = max(1, _BLOCK_ENTRIES // len(gallery.vectors))
    blocks = [measure(members[start : start + step], gallery.vectors) for start in range(0, len(members), step)]
    apart = np.concatenate(blocks).astype(np.float64)
    segments = np.repeat(np.arange(len(gallery.counts)), gallery.counts)
    keys = apart + 2.0 * segments
    keys.sort(axis=1)
    keys -= 2.0 * segments
    starts = np.cumsum(gallery.counts) - gallery.counts
    counts = np.arange(len(segments)) - starts[segments] < gallery.required[segments]
    return np.asarray(np.add.reduceat(keys * counts, starts, axis=1) / gallery.required)


def compared_members(n: int) -> IntArray:
    """The places of the members of a group of ``n`` that are compared, evenly spaced."""
    return np.linspace(0, n - 1, min(n, MAX_MEMBERS)).round().astype(np.int64)


def slip_chances(own: FloatArray, margins: FloatArray, limit: float, threshold: float) -> FloatArray:
    """Estimates for each image the chance that a match is wrong: the nearer to the limit, or to the second best, the
    higher, 0.5 at either.

    Args:
        own: ``(n,)`` differences to the matching character
        margins: ``(n,)`` differences to the second nearest minus these
        limit: the limit of the character
        threshold: the difference up to which two images are one character
    """
    with np.errstate(over="ignore"):
        is_stranger = 1 / (1 + np.exp((limit - own) / (_SLACK * threshold)))
        is_other = 1 / (1 + np.exp(margins / (_GAP * threshold)))
    return np.asarray(1 - (1 - is_stranger) * (1 - is_other))


def _some(group: Vectors) -> Vectors:
    group = np.atleast_2d(np.asarray(group, np.float32))
    if not group.size:
        raise VectorsError("a group has no members with an embedding")
    return group[compared_members(len(group))]


def _score(
    first: FloatArray, second: FloatArray, limit: FloatArray, min_margin: float, is_match: BoolArray
) -> FloatArray:
    """How near a match is, and how much clearer than the second best; at most 0.5 for what is no match."""
    near = 1 / (1 + (first / limit) ** 2)
    gap = np.maximum(second - first, 0)
    finite = np.where(np.isinf(gap), 1.0, gap)
    clear = np.where(np.isinf(gap), 1.0, finite / (finite + max(min_margin, 1e-9)))
    score = np.minimum(near, clear)
    return np.where(is_match, score, np.minimum(score, 0.5))
