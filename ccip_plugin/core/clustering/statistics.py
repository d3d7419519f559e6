"""How well each image fits its group: the numbers beside a label, by which people decide what to look at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, Vectors
from ..differences import normalize
from ..errors import ParameterError, VectorsError

_CELLS = 1 << 22  # of the block of images and groups that is compared at a time: 16 MiB
_WHOLE = 4096  # members up to which all of a group are compared with all
_OUTERMOST = 1024  # members of larger groups that are


@dataclass(frozen=True, eq=False)
class GroupStatistics:
    """How far ``n`` images are from their groups.

    Attributes:
        difference: ``(n,)`` mean difference of an image to the other members of its group, NaN where it is the only
            one; for an image in no group, to the members of the nearest group, NaN where there is no group
        margin: ``(n,)`` how much farther the nearest other group is; negative where another group is nearer. For an
            image in no group: how much farther the second nearest is. Infinite where there is no other group, NaN
            where the difference is
        nearest: ``(n,)`` label of the nearest other group; for an image in no group, of the nearest; -1 for none
    """

    difference: FloatArray
    margin: FloatArray
    nearest: NDArray[np.int64]


def group_statistics(
    embeddings: ArrayLike, labels: ArrayLike, *, among: NDArray[np.bool_] | None = None
) -> GroupStatistics:
    """Measures how each image fits its group, by mean differences to all members of a group.

    Takes time proportional to images (those of ``among``) times groups, and memory for the mean vector of each group
    (in float64 for a moment) plus 50 MiB; no matrix of images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels: ``(n,)`` whole numbers; negative for images in no group
        among (None): ``(n,)`` the images that are compared with other groups, all by default; of the rest only the
            difference to their own group is measured, and the margin is NaN, and nothing is nearest

    Returns:
        one number for each image

    Raises:
        VectorsError: an embedding is zero or not finite, or there is another number of labels
    """
    unit, names, codes = _groups(embeddings, labels)
    sums, sizes = _sums(unit, codes, len(names))
    own = _own_differences(unit, codes, sums, sizes)
    rows = np.arange(len(unit)) if among is None else np.flatnonzero(among)
    nearest, first, second = _nearest_others(unit, codes, (sums / sizes[:, None]).astype(np.float32), rows)
    is_grouped = codes >= 0
    difference = np.where(is_grouped, own, np.where(nearest >= 0, first, np.nan))
    margin = np.where(is_grouped, first, second) - difference
    labels_of_nearest = np.append(names, -1)[nearest]
    return GroupStatistics(difference, margin, labels_of_nearest)


@dataclass(frozen=True, eq=False)
class GroupShapes:
    """How close ``k`` groups hold together, and what is near them.

    Attributes:
        labels: ``(k,)`` their labels, increasing
        sizes: ``(k,)`` how many images each has
        cohesion: ``(k,)`` mean difference of two members, NaN for a single one
        diameter: ``(k,)`` largest difference of two members, 0 for a single one
        rivals: ``(k,)`` label of the group with the least mean difference to its members, -1 where there is no other
        apart: ``(k,)`` that mean difference, infinite where there is no other
    """

    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    cohesion: FloatArray
    diameter: FloatArray
    rivals: NDArray[np.int64]
    apart: FloatArray


def group_shapes(embeddings: ArrayLike, labels: ArrayLike) -> GroupShapes:
    """Measures each group as a whole.

    Takes time proportional to groups times groups, and to the square of the members of each group; of more than 4,096
    members only the 1,024 farthest from the middle are compared with all, which finds the largest difference or one
    that is hardly smaller.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels: ``(n,)`` whole numbers; negative for images in no group

    Raises:
        VectorsError: an embedding is zero or not finite, or there is another number of labels
    """
    unit, names, codes = _groups(embeddings, labels)
    sums, sizes = _sums(unit, codes, len(names))
    pairs = sizes * (sizes - 1.0)
    with np.errstate(invalid="ignore"):
        cosines = (np.einsum("ij,ij->i", sums, sums) - sizes) / np.where(pairs > 0, pairs, np.nan)
    means = (sums / sizes[:, None]).astype(np.float32)
    rivals, apart = _rivals(means)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    diameter = [
        _diameter(unit[order[start:end]], mean) for start, end, mean in zip(ends[:-1], ends[1:], means, strict=True)
    ]
    rival_names = np.append(names, -1)[rivals]
    cohesion = ((1 - cosines) / 2).clip(0, 1)
    return GroupShapes(names, sizes, cohesion, np.array(diameter, np.float64), rival_names, apart)


def confidence(difference: ArrayLike, threshold: float) -> FloatArray | np.float64:
    """Turns differences into confidences: ``t^2 / (t^2 + d^2)``.

    1 for no difference, 0.5 at the threshold, falling all the way; above 0 for any difference. It orders images and
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
    return 1 / (1 + ratio**2)


def _groups(embeddings: ArrayLike, labels: ArrayLike) -> tuple[Vectors, NDArray[np.int64], NDArray[np.int64]]:
    """Unit vectors, the labels of the groups, and per image the place of its group among these, -1 for none."""
    numbers = np.asarray(labels, np.int64)
    unit = normalize(embeddings) if numbers.size else np.empty((0, 1), np.float32)
    if unit.ndim != 2 or numbers.shape != (len(unit),):
        raise VectorsError(f"want one label for each embedding, not {numbers.shape} for {unit.shape}")
    names, codes = np.unique(numbers, return_inverse=True)
    n_negative = int((names < 0).sum())
    names, codes = names[n_negative:], np.maximum(codes - n_negative, -1)
    return unit, names, codes


def _sums(unit: Vectors, codes: NDArray[np.int64], n_groups: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """``(n_groups, dim)`` sums of the members, added in their order, and ``(n_groups,)`` how many they are."""
    bins = codes + 1  # the first is for images in no group
    sums = np.empty((n_groups, unit.shape[1]))
    for column in range(unit.shape[1]):
        sums[:, column] = np.bincount(bins, weights=unit[:, column], minlength=n_groups + 1)[1:]
    return sums, np.bincount(bins, minlength=n_groups + 1)[1:]


def _own_differences(unit: Vectors, codes: NDArray[np.int64], sums: FloatArray, sizes: NDArray[np.int64]) -> FloatArray:
    """Mean difference to the other members: the image itself is taken out of the sum of its group."""
    own = np.full(len(unit), np.nan)
    members = np.flatnonzero((codes >= 0) & (np.append(sizes, 0)[codes] > 1))
    step = max(1, _CELLS // (2 * unit.shape[1]))
    for start in range(0, len(members), step):
        chunk = members[start : start + step]
        vectors, groups = unit[chunk].astype(np.float64), codes[chunk]
        cosines = np.einsum("ij,ij->i", vectors, sums[groups] - vectors) / (sizes[groups] - 1)
        own[chunk] = ((1 - cosines) / 2).clip(0, 1)
    return own


def _nearest_others(
    unit: Vectors, codes: NDArray[np.int64], means: Vectors, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The nearest group that is not the own one, mean difference to it, and to the second nearest; -1 and infinity.

    For some rows; for others -1 and NaN.
    """
    nearest = np.full(len(unit), -1, np.int64)
    first, second = np.full((2, len(unit)), np.nan)
    first[rows] = second[rows] = np.inf
    step = max(1, _CELLS // max(1, len(means)))
    for start in range(0, len(rows) if len(means) else 0, step):
        block = rows[start : start + step]
        apart = (0.5 - 0.5 * (unit[block] @ means.T)).clip(0, 1)
        members = np.flatnonzero(codes[block] >= 0)
        apart[members, codes[block][members]] = np.inf
        places = np.arange(len(apart))
        best = apart.argmin(axis=1)
        first[block] = apart[places, best]
        nearest[block] = np.where(np.isfinite(first[block]), best, -1)
        apart[places, best] = np.inf
        second[block] = apart.min(axis=1)
    return nearest, first, second


def _rivals(means: Vectors) -> tuple[NDArray[np.int64], FloatArray]:
    """For each mean the nearest other, -1 for none, and the mean difference between the members of both."""
    nearest, apart = np.full(len(means), -1, np.int64), np.full(len(means), np.inf)
    step = max(1, _CELLS // max(1, len(means)))
    for start in range(0, len(means) if len(means) > 1 else 0, step):
        cosines = means[start : start + step] @ means.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        best = cosines.argmax(axis=1)
        nearest[start : start + step] = best
        apart[start : start + step] = (0.5 - 0.5 * cosines[rows, best]).clip(0, 1)
    return nearest, apart


def _diameter(members: Vectors, mean: Vectors) -> float:
    """The largest difference of two members."""
    if len(members) < 2:
        return 0.0
    first = members
    if len(members) > _WHOLE:
        first = members[np.argpartition(members @ mean, _OUTERMOST)[:_OUTERMOST]]
    step = max(1, _CELLS // len(members))
    least = min(float((first[start : start + step] @ members.T).min()) for start in range(0, len(first), step))
    return min(max(0.5 - 0.5 * least, 0.0), 1.0)
