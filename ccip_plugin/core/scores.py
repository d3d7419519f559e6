"""How well each image fits its group: the numbers beside a label, by which people decide what to look at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .differences import Vectors, normalize
from .errors import ParameterError, VectorsError

Numbers = NDArray[np.float64]

_CELLS = 1 << 22  # of the block of images and groups that is compared at a time: 16 MiB


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

    difference: Numbers
    margin: Numbers
    nearest: NDArray[np.int64]


def group_statistics(embeddings: ArrayLike, labels: ArrayLike) -> GroupStatistics:
    """Measures how each image fits its group, by mean differences to all members of a group.

    Takes time proportional to images times groups, and memory for the mean vector of each group (in float64 for a
    moment) plus 50 MiB; no matrix of images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels: ``(n,)`` whole numbers; negative for images in no group

    Returns:
        one number for each image

    Raises:
        VectorsError: an embedding is zero or not finite, or there is another number of labels
    """
    numbers = np.asarray(labels, np.int64)
    unit = normalize(embeddings) if numbers.size else np.empty((0, 1), np.float32)
    if unit.ndim != 2 or numbers.shape != (len(unit),):
        raise VectorsError(f"want one label for each embedding, not {numbers.shape} for {unit.shape}")
    names, codes = np.unique(numbers, return_inverse=True)
    n_negative = int((names < 0).sum())
    names, codes = names[n_negative:], np.maximum(codes - n_negative, -1)  # groups are 0, 1, ...; no group is -1
    sums, sizes = _sums(unit, codes, len(names))
    own = _own_differences(unit, codes, sums, sizes)
    nearest, first, second = _nearest_others(unit, codes, (sums / sizes[:, None]).astype(np.float32))
    is_grouped = codes >= 0
    difference = np.where(is_grouped, own, np.where(nearest >= 0, first, np.nan))
    margin = np.where(is_grouped, first, second) - difference
    labels_of_nearest = np.append(names, -1)[nearest]
    return GroupStatistics(difference, margin, labels_of_nearest)


def confidence(difference: ArrayLike, threshold: float) -> Numbers | np.float64:
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


def _sums(unit: Vectors, codes: NDArray[np.int64], n_groups: int) -> tuple[Numbers, NDArray[np.int64]]:
    """``(n_groups, dim)`` sums of the members, added in their order, and ``(n_groups,)`` how many they are."""
    bins = codes + 1  # the first is for images in no group
    sums = np.empty((n_groups, unit.shape[1]))
    for column in range(unit.shape[1]):
        sums[:, column] = np.bincount(bins, weights=unit[:, column], minlength=n_groups + 1)[1:]
    return sums, np.bincount(bins, minlength=n_groups + 1)[1:]


def _own_differences(unit: Vectors, codes: NDArray[np.int64], sums: Numbers, sizes: NDArray[np.int64]) -> Numbers:
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
    unit: Vectors, codes: NDArray[np.int64], means: Vectors
) -> tuple[NDArray[np.int64], Numbers, Numbers]:
    """The nearest group that is not the own one, mean difference to it, and to the second nearest; -1 and infinity."""
    nearest = np.full(len(unit), -1, np.int64)
    first, second = np.full((2, len(unit)), np.inf)
    step = max(1, _CELLS // max(1, len(means)))
    for start in range(0, len(unit) if len(means) else 0, step):
        block = slice(start, start + step)
        apart = (0.5 - 0.5 * (unit[block] @ means.T)).clip(0, 1)
        members = np.flatnonzero(codes[block] >= 0)
        apart[members, codes[block][members]] = np.inf
        rows = np.arange(len(apart))
        best = apart.argmin(axis=1)
        first[block] = apart[rows, best]
        nearest[block] = np.where(np.isfinite(first[block]), best, -1)
        apart[rows, best] = np.inf
        second[block] = apart.min(axis=1)
    return nearest, first, second
