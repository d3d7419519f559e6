"""Clustering constraints: must-link, cannot-link, fixed groups and co-occurrence in one image."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, IntArray
from ..errors import ContradictionError, ParameterError
from ..neighbors.components import Forest


@dataclass(frozen=True, eq=False)
class Constraints:
    """Constraints on a clustering of ``n`` images, by their numbers. All but ``same_image`` are always satisfied.

    Attributes:
        fixed: ``(n,)`` group of each image with a user label, -1 for others. Images with the same group stay together,
            images with different groups never share a cluster
        rejected: ``(image, group)`` for images that are not of a group; without effect if no image is fixed to it
        must_link: pairs of images that belong together: in one cluster or, if that is smaller than ``min_samples`` and
            has no fixed image, in none
        cannot_link: pairs of images that never share a cluster
        same_image: ``(n,)`` for detections, the number of the image of each, -1 for none. Two detections of one image
            are kept apart unless they are very similar
        push: co-occurrence penalty, in thresholds: added to the difference of two groups if each image of the smaller
            one also has a detection of the other; 0 to ignore ``same_image``
    """

    fixed: ArrayLike | None = None
    rejected: Iterable[tuple[int, int]] = ()
    must_link: Iterable[tuple[int, int]] = ()
    cannot_link: Iterable[tuple[int, int]] = ()
    same_image: ArrayLike | None = None
    push: float = 0.75


@dataclass(frozen=True, eq=False)
class ResolvedConstraints:
    """Constraints, validated and expressed by image numbers.

    Attributes:
        sets: ``(n,)`` images with the same number belong together
        owners: ``(n,)`` fixed group of the set of each image, -1 for none
        cannot_link: ``(k, 2)`` pairs of images whose sets never share a cluster
        co_occurring: ``(k, 2)`` pairs of detections in one image
        is_constrained: ``(n,)`` whether the set of an image is fixed, linked or kept apart
    """

    sets: IntArray
    owners: IntArray
    cannot_link: IntArray
    co_occurring: IntArray
    is_constrained: BoolArray


_NO_PAIRS = np.empty((0, 2), np.int64)


def resolve_constraints(constraints: Constraints, n: int) -> ResolvedConstraints:
    """Validates constraints and derives what follows from them.

    Raises:
        ContradictionError: they contradict each other; lists pairs of images
        ParameterError: an image number is out of range, or an array has the wrong length
    """
    penalty = constraints.push
    if isinstance(penalty, bool) or not isinstance(penalty, Real) or not 0 <= penalty < np.inf:
        raise ParameterError("push", penalty, "a difference in thresholds, at least 0")
    fixed = _column("fixed", constraints.fixed, n)
    must, cannot = (_pairs(name, getattr(constraints, name), n) for name in ("must_link", "cannot_link"))
    images = np.flatnonzero(fixed >= 0)
    groups, first = np.unique(fixed[images], return_index=True)
    representatives = images[first]  # one image for each fixed group
    forest = Forest(n)
    forest.add(must[:, 0], must[:, 1])
    if len(images):
        forest.add(images, representatives[np.searchsorted(groups, fixed[images])])
    sets = forest.labels()
    cannot = np.concatenate([cannot, _rejections(constraints.rejected, groups, representatives, n)])
    owners = np.full(n, -1, np.int64)
    owners[sets[representatives]] = groups
    _check_contradictions(sets, representatives, cannot)
    owners = owners[sets]
    is_constrained = (owners >= 0) | (np.bincount(sets, minlength=n)[sets] > 1)
    is_constrained |= np.isin(sets, sets[cannot])
    co_occurring = _pairs_of_equals(_column("same_image", constraints.same_image, n)) if penalty else _NO_PAIRS
    return ResolvedConstraints(sets, owners, cannot, co_occurring, is_constrained)


def _check_contradictions(sets: IntArray, representatives: IntArray, cannot: IntArray) -> None:
    """Raises if one set has two fixed groups, or two images to keep apart."""
    by_set = representatives[np.argsort(sets[representatives], kind="stable")]
    in_one = sets[by_set[1:]] == sets[by_set[:-1]]
    two_groups = np.stack([by_set[:-1][in_one], by_set[1:][in_one]], axis=1)
    wrong = np.concatenate([two_groups, cannot[sets[cannot[:, 0]] == sets[cannot[:, 1]]]])
    if len(wrong):
        raise ContradictionError([(int(a), int(b)) for a, b in wrong])


def _rejections(rejected: Iterable[tuple[int, int]], groups: IntArray, representatives: IntArray, n: int) -> IntArray:
    """Pairs of each rejected image with an image of the group it was rejected from."""
    pairs = _as_pairs("rejected", sorted(rejected))
    _check_image_numbers("rejected", pairs[:, 0], n)
    pairs = pairs[np.isin(pairs[:, 1], groups)]
    if not len(pairs):
        return _NO_PAIRS
    return np.stack([pairs[:, 0], representatives[np.searchsorted(groups, pairs[:, 1])]], axis=1)


def _pairs_of_equals(numbers: IntArray) -> IntArray:
    """All pairs of images with the same number, -1 excluded."""
    order = np.argsort(numbers, kind="stable")
    order = order[numbers[order] >= 0]
    pairs = []
    for step in range(1, len(order)):
        is_same = numbers[order[step:]] == numbers[order[:-step]]
        if not is_same.any():
            break
        pairs.append(np.stack([order[:-step][is_same], order[step:][is_same]], axis=1))
    return np.concatenate(pairs) if pairs else _NO_PAIRS


def _column(name: str, values: ArrayLike | None, n: int) -> IntArray:
    if values is None:
        return np.full(n, -1, np.int64)
    numbers = np.asarray(values)
    if numbers.shape != (n,) or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ParameterError(name, f"{numbers.dtype} of shape {numbers.shape}", f"{n} whole numbers")
    return numbers.astype(np.int64)


def _pairs(name: str, values: Iterable[tuple[int, int]], n: int) -> IntArray:
    pairs = _as_pairs(name, values)
    _check_image_numbers(name, pairs.ravel(), n)
    return pairs


def _as_pairs(name: str, values: Iterable[tuple[int, int]]) -> IntArray:
    pairs = [tuple(pair) for pair in values]
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(number, Integral) for number in pair):
            raise ParameterError(name, pair, "two whole numbers")
    return np.array(pairs, np.int64).reshape(-1, 2)


def _check_image_numbers(name: str, numbers: IntArray, n: int) -> None:
    wrong = numbers[(numbers < 0) | (numbers >= n)]
    if len(wrong):
        raise ParameterError(name, int(wrong[0]), f"a number of an image, from 0 to {n - 1}")
