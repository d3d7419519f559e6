"""Statistics of groups: mean differences and margins of images, cohesion and diameter of groups.

Means of groups are made for a few groups at a time and dropped again, so that memory does not grow with the groups.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, FloatArray, IntArray, Vectors
from ..errors import ParameterError, VectorsError
from ..neighbors.vectors import UnitRows, VectorSource, unit_vectors

_CELLS = 1 << 18  # images times groups that are compared at a time: 1 MiB of float32
_GROUPS = 256  # groups whose means are held at a time
_ROWS = 256  # rows of the blocks of images that are compared with each other
_MEASURED = 256  # groups that are compared with all others at a time
_WHOLE = 4096  # members up to which all pairs of a group are compared
_OUTERMOST = 1024  # members of a larger group that are compared with all others


@dataclass(frozen=True, eq=False)
class GroupStatistics:
    """Mean differences of ``n`` images to groups.

    Attributes:
        difference: ``(n,)`` mean difference of an image to the other members of its group, NaN for a group of one; for
            an image in no group, to the members of the nearest group, NaN without groups
        margin: ``(n,)`` mean difference to the nearest other group minus ``difference``; negative where another group
            is nearer. For an image in no group: that to the second nearest group minus ``difference``. Infinite without
            another group, NaN where ``difference`` is
        nearest: ``(n,)`` label of the nearest other group; for an image in no group, of the nearest; -1 for none
    """

    difference: FloatArray
    margin: FloatArray
    nearest: IntArray


def group_statistics(
    embeddings: ArrayLike | VectorSource, labels: ArrayLike, *, among: BoolArray | None = None
) -> GroupStatistics:
    """Computes the mean difference of each image to its own and to the nearest other group.

    Takes time proportional to images (those of ``among``) times groups, and memory for about 60 bytes an image plus
    10 MiB; a copy of the embeddings where these have not unit length.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels: ``(n,)`` whole numbers; negative for images in no group
        among (None): ``(n,)`` mask of the images that are compared with other groups, all by default; of the rest only
            the difference to their own group is computed: their margin is NaN, and nearest is -1

    Returns:
        one number of each kind for each image

    Raises:
        VectorsError: an embedding is zero or not finite, or the number of labels differs
    """
    groups = _Groups(embeddings, labels)
    own = np.full(len(groups.unit), np.nan)
    nearest = _Nearest(groups.unit, groups.codes, among)
    for places in groups.blocks():
        sums = groups.sums(places)
        groups.fill_own_differences(own, places, sums)
        means = groups.means(places, sums)
        del sums
        nearest.compare(int(places[0]), means)
    is_grouped = groups.codes >= 0
    difference = np.where(is_grouped, own, np.where(nearest.labels >= 0, nearest.first, np.nan))
    margin = np.where(is_grouped, nearest.first, nearest.second) - difference
    return GroupStatistics(difference, margin, np.append(groups.names, -1)[nearest.labels])


@dataclass(frozen=True, eq=False)
class GroupShapes:
    """Cohesion and diameter of ``k`` groups, and the nearest other group of each.

    Attributes:
        labels: ``(k,)`` their labels, increasing
        sizes: ``(k,)`` number of members
        cohesion: ``(k,)`` mean difference of two members, NaN for a single one
        diameter: ``(k,)`` largest difference of two members, 0 for a single one
        rivals: ``(k,)`` label of the group with the least mean difference to its members, -1 without another group
        apart: ``(k,)`` that mean difference, infinite without another group
    """

    labels: IntArray
    sizes: IntArray
    cohesion: FloatArray
    diameter: FloatArray
    rivals: IntArray
    apart: FloatArray


def group_shapes(
    embeddings: ArrayLike | VectorSource, labels: ArrayLike, *, n_largest: int | None = None
) -> GroupShapes:
    """Measures each group as a whole.

    Takes time proportional to measured groups times groups, and to the square of the members of each measured group; of
    more than 4,096 members only the 1,024 furthest from the mean are compared with all, which finds the largest
    difference or one that is hardly smaller. Takes about 40 bytes an image plus 15 MiB.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels: ``(n,)`` whole numbers; negative for images in no group
        n_largest (None): measure only the largest groups, at most this number; all by default

    Raises:
        VectorsError: an embedding is zero or not finite, or the number of labels differs
    """
    groups = _Groups(embeddings, labels)
    measured = np.sort(np.lexsort((groups.names, -groups.sizes))[:n_largest])
    parts = [_measure(groups, measured[start : start + _MEASURED]) for start in range(0, len(measured), _MEASURED)] or [
        _Measured(*np.empty((4, 0)))
    ]
    cohesion, diameter, rivals, apart = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    rival_names = np.append(groups.names, -1)[rivals.astype(np.int64)]
    return GroupShapes(groups.names[measured], groups.sizes[measured], cohesion, diameter, rival_names, apart)


def confidence(difference: ArrayLike, threshold: float) -> FloatArray | np.float64:
    """Turns differences into confidences: ``t^2 / (t^2 + d^2)``.

    1 for no difference, 0.5 at the threshold, strictly decreasing, above 0 for any difference. It orders images and
    depends on the model only through its threshold; it is no probability.

    Args:
        difference: a number or array; NaN gives NaN
        threshold: the difference up to which two images are one character

    Returns:
        float64 of the same shape

    Raises:
        ParameterError: the threshold is not over 0
    """
    if not threshold > 0:
        raise ParameterError("threshold", threshold, "over 0")
    ratio: Any = np.asarray(difference, np.float64) / threshold
    found: FloatArray | np.float64 = 1 / (1 + ratio**2)
    return found


class _Groups:
    """The members of each group, by the places of the groups in the order of their labels.

    Attributes:
        unit: ``(n, dim)`` unit vectors
        names: ``(k,)`` labels of the groups, increasing
        codes: ``(n,)`` place of the group of each image, -1 for none
        sizes: ``(k,)`` number of members
    """

    def __init__(self, embeddings: ArrayLike | VectorSource, labels: ArrayLike):
        numbers = np.asarray(labels, np.int64)
        self.unit = unit_vectors(embeddings)
        if numbers.shape != (len(self.unit),):
            raise VectorsError(f"want one label for each embedding, not {numbers.shape} for {self.unit.shape}")
        names, codes = np.unique(numbers, return_inverse=True)
        n_negative = int((names < 0).sum())
        self.names: IntArray = names[n_negative:]
        self.codes: IntArray = np.maximum(codes - n_negative, -1)
        self.sizes: IntArray = np.bincount(self.codes + 1, minlength=len(self.names) + 1)[1:]
        self._order = np.argsort(self.codes, kind="stable")[int((self.codes < 0).sum()) :]
        self._starts = np.cumsum(self.sizes) - self.sizes

    def blocks(self) -> Iterator[IntArray]:
        """The places of all groups, some at a time."""
        step = max(1, min(_GROUPS, _CELLS))
        for start in range(0, len(self.names), step):
            yield np.arange(start, min(start + step, len(self.names)))

    def members(self, place: int) -> IntArray:
        """The rows of a group, increasing."""
        start = self._starts[place]
        return self._order[start : start + self.sizes[place]]

    def sums(self, places: IntArray) -> FloatArray:
        """``(len(places), dim)`` sums of the members, added in their order."""
        sums = np.zeros((len(places), self.unit.shape[1]))
        for rows, numbers in self._chunks(places):
            is_first = np.append(True, numbers[1:] != numbers[:-1])
            vectors = self.unit[rows].astype(np.float64)
            sums[numbers[is_first]] += np.add.reduceat(vectors, np.flatnonzero(is_first), axis=0)
        return sums

    def means(self, places: IntArray, sums: FloatArray) -> Vectors:
        """The means that follow from :meth:`sums`, which are divided in place."""
        sums /= self.sizes[places, None]
        return sums.astype(np.float32)

    def fill_own_differences(self, own: FloatArray, places: IntArray, sums: FloatArray) -> None:
        """Sets the mean difference of each member to the others: it is subtracted from the sum of its group."""
        for rows, numbers in self._chunks(places):
            n_others = self.sizes[places[numbers]] - 1
            rows, numbers, n_others = rows[n_others > 0], numbers[n_others > 0], n_others[n_others > 0]
            vectors = self.unit[rows].astype(np.float64)
            cosines = np.einsum("ij,ij->i", vectors, sums[numbers] - vectors) / n_others
            own[rows] = ((1 - cosines) / 2).clip(0, 1)

    def _chunks(self, places: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
        """The rows of the members of some groups, and the number of the group of each among these, some at a time."""
        sizes = self.sizes[places]
        numbers = np.repeat(np.arange(len(places)), sizes)
        first = np.cumsum(sizes) - sizes
        rows = self._order[np.arange(len(numbers)) + np.repeat(self._starts[places] - first, sizes)]
        step = max(1, _CELLS // (4 * self.unit.shape[1]))
        for start in range(0, len(rows), step):
            yield rows[start : start + step], numbers[start : start + step]


class _Nearest:
    """The nearest group of each image that is not its own, while blocks of groups are compared.

    Attributes:
        labels: ``(n,)`` the place of that group, -1 for none
        first: ``(n,)`` the mean difference to it, infinite for none; NaN for images that are not compared
        second: ``(n,)`` that to the second nearest
    """

    def __init__(self, unit: UnitRows, codes: IntArray, among: BoolArray | None):
        self._unit, self._codes = unit, codes
        self._rows = None if among is None or among.all() else np.flatnonzero(among)
        self._n_rows = len(unit) if self._rows is None else len(self._rows)
        self.labels = np.full(len(unit), -1, np.int64)
        self.first = np.full(len(unit), np.inf if self._rows is None else np.nan, np.float32)
        if self._rows is not None:
            self.first[self._rows] = np.inf
        self.second = self.first.copy()

    def compare(self, start: int, means: Vectors) -> None:
        """Compares the images with the groups from the place ``start`` on; places have to increase."""
        step = max(1, _CELLS // len(means))
        for begin in range(0, self._n_rows, step):
            block: Any = slice(begin, min(begin + step, self._n_rows))
            if self._rows is not None:
                block = self._rows[block]
            apart = _mean_differences(self._unit[block], means)
            places = np.arange(len(apart))
            own = self._codes[block] - start
            is_here = (own >= 0) & (own < len(means))
            apart[places[is_here], own[is_here]] = np.inf
            best = apart.argmin(axis=1)
            nearest = apart[places, best]
            apart[places, best] = np.inf
            self._update(block, best + start, nearest, apart.min(axis=1))

    def _update(self, block: Any, labels: IntArray, nearest: Vectors, second: Vectors) -> None:
        first = self.first[block]
        self.second[block] = np.minimum(np.maximum(first, nearest), np.minimum(self.second[block], second))
        self.labels[block] = np.where(nearest < first, labels, self.labels[block])
        self.first[block] = np.minimum(first, nearest)


class _Measured(NamedTuple):
    """The columns of :class:`GroupShapes` of some groups; rivals by their places."""

    cohesion: FloatArray
    diameter: FloatArray
    rivals: FloatArray | IntArray
    apart: FloatArray


def _measure(groups: _Groups, measured: IntArray) -> _Measured:
    """Measures some groups, at most :data:`_MEASURED`."""
    sums, sizes = groups.sums(measured), groups.sizes[measured]
    pairs = sizes * (sizes - 1.0)
    with np.errstate(invalid="ignore"):
        cosines = (np.einsum("ij,ij->i", sums, sums) - sizes) / np.where(pairs > 0, pairs, np.nan)
    means = groups.means(measured, sums)
    del sums
    nearest = _Nearest(means, measured, None)
    for places in groups.blocks():
        nearest.compare(int(places[0]), groups.means(places, groups.sums(places)))
    diameter = [
        _diameter(groups.unit, groups.members(place), mean) for place, mean in zip(measured, means, strict=True)
    ]
    cohesion = ((1 - cosines) / 2).clip(0, 1)
    return _Measured(cohesion, np.array(diameter), nearest.labels, nearest.first.astype(np.float64))


def _mean_differences(vectors: Vectors, means: Vectors) -> Vectors:
    """``(n, k)`` differences of vectors to means."""
    apart: Vectors = vectors @ means.T
    apart *= -0.5
    apart += 0.5
    return apart.clip(0, 1, out=apart)


def _diameter(unit: UnitRows, rows: IntArray, mean: Vectors) -> float:
    """The largest difference of two members."""
    if len(rows) < 2:
        return 0.0
    if len(rows) > _WHOLE:
        cosines = np.concatenate([unit[chunk] @ mean for chunk in _cut(rows)])
        outermost = rows[np.argpartition(cosines, _OUTERMOST)[:_OUTERMOST]]
        pairs: Iterator[tuple[IntArray, IntArray]] = itertools.product(_cut(outermost), _cut(rows))
    else:
        pairs = itertools.combinations_with_replacement(_cut(rows), 2)
    least = min(_least_cosine(unit, left, right) for left, right in pairs)
    return min(max(0.5 - 0.5 * least, 0.0), 1.0)


def _least_cosine(unit: UnitRows, left: IntArray, right: IntArray) -> float:
    first = unit[left]
    return float((first @ (first if left is right else unit[right]).T).min())


def _cut(rows: IntArray) -> list[IntArray]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
