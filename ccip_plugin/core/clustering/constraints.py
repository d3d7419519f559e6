"""What people decided about who belongs together, in the form that grouping needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import IntArray
from ..errors import ContradictionError, ParameterError
from ..neighbors.components import Forest


@dataclass(frozen=True, eq=False)
class Constraints:
    """Decisions about ``n`` images, by their numbers. All are kept, whatever the images look like, save ``same_image``.

    Attributes:
        fixed: ``(n,)`` group of each image that people decided, -1 for images that are free. Images of one such group
            stay together, images of two never meet
        rejected: ``(image, group)`` for images that are not of a group; without effect where nothing is fixed to it, as
            nobody can tell then which images the group is
        must_link: pairs of images that belong together: in one group or, where that is smaller than ``min_samples``
            and nothing in it is fixed, in none
        cannot_link: pairs of images that do not
        same_image: ``(n,)`` for detections, the number of the image that each is in, -1 for none. Two of one image are
            kept apart unless they are very much alike
        push: how much difference it adds, in thresholds, that all of a group were seen beside the other group; 0 to
            take no notice
    """

    fixed: ArrayLike | None = None
    rejected: Iterable[tuple[int, int]] = ()
    must_link: Iterable[tuple[int, int]] = ()
    cannot_link: Iterable[tuple[int, int]] = ()
    same_image: ArrayLike | None = None
    push: float = 0.75


@dataclass(frozen=True, eq=False)
class Decisions:
    """Constraints, checked and in numbers of images.

    Attributes:
        sets: ``(n,)`` images with the same number belong together
        owners: ``(n,)`` decided group of the set of each image, -1 for none
        apart: ``(k, 2)`` pairs of images whose sets never meet
        shared: ``(k, 2)`` pairs of images that are crops of one picture
        is_bound: ``(n,)`` whether anything was decided about the set of an image
    """

    sets: IntArray
    owners: IntArray
    apart: IntArray
    shared: IntArray
    is_bound: NDArray[np.bool_]


def check(constraints: Constraints, n: int) -> Decisions:
    """Works out what follows from constraints.

    Raises:
        ContradictionError: they cannot all be kept; has the pairs of images between which they contradict each other
        ParameterError: a number is not that of an image, or there is not one entry for each
    """
    push = constraints.push
    if isinstance(push, bool) or not isinstance(push, Real) or not 0 <= push < np.inf:
        raise ParameterError("push", push, "a difference in thresholds, at least 0")
    fixed = _column("fixed", constraints.fixed, n)
    must, cannot = (_pairs(name, getattr(constraints, name), n) for name in ("must_link", "cannot_link"))
    items = np.flatnonzero(fixed >= 0)
    groups, first = np.unique(fixed[items], return_index=True)
    heads = items[first]  # one image for each decided group
    forest = Forest(n)
    forest.add(must[:, 0].astype(np.int32), must[:, 1].astype(np.int32))
    if len(items):
        forest.add(items.astype(np.int32), heads[np.searchsorted(groups, fixed[items])].astype(np.int32))
    sets = forest.labels()
    apart = np.concatenate([cannot, _rejections(constraints.rejected, groups, heads, n)])
    owners = np.full(n, -1, np.int64)
    owners[sets[heads]] = groups
    _check_sets(sets, heads, apart)
    owners = owners[sets]
    is_bound = (owners >= 0) | (np.bincount(sets, minlength=n)[sets] > 1)
    is_bound |= np.isin(sets, sets[apart])
    shared = _pairs_of_equals(_column("same_image", constraints.same_image, n)) if push else _NO_PAIRS
    return Decisions(sets, owners, apart, shared, is_bound)


_NO_PAIRS = np.empty((0, 2), np.int64)


def _check_sets(sets: IntArray, heads: IntArray, apart: IntArray) -> None:
    """Raises where two decided groups are in one set, or images that are to be apart."""
    by_set = heads[np.argsort(sets[heads], kind="stable")]
    in_one = sets[by_set[1:]] == sets[by_set[:-1]]
    wrong = np.concatenate(
        [np.stack([by_set[:-1][in_one], by_set[1:][in_one]], axis=1), apart[sets[apart[:, 0]] == sets[apart[:, 1]]]]
    )
    if len(wrong):
        raise ContradictionError([(int(a), int(b)) for a, b in wrong])


def _rejections(rejected: Iterable[tuple[int, int]], groups: IntArray, heads: IntArray, n: int) -> IntArray:
    """Pairs of each image with one image of the group that it is not of."""
    pairs = _as_pairs("rejected", sorted(rejected))
    _check_numbers("rejected", pairs[:, 0], n)
    pairs = pairs[np.isin(pairs[:, 1], groups)]
    return np.stack([pairs[:, 0], heads[np.searchsorted(groups, pairs[:, 1])]], axis=1) if len(pairs) else _NO_PAIRS


def _pairs_of_equals(numbers: IntArray) -> IntArray:
    """All pairs of images that have the same number, -1 left out."""
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
    _check_numbers(name, pairs.ravel(), n)
    return pairs


def _as_pairs(name: str, values: Iterable[tuple[int, int]]) -> IntArray:
    pairs = [tuple(pair) for pair in values]
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(number, Integral) for number in pair):
            raise ParameterError(name, pair, "two whole numbers")
    return np.array(pairs, np.int64).reshape(-1, 2)


def _check_numbers(name: str, numbers: IntArray, n: int) -> None:
    wrong = numbers[(numbers < 0) | (numbers >= n)]
    if len(wrong):
        raise ParameterError(name, int(wrong[0]), f"a number of an image, from 0 to {n - 1}")
