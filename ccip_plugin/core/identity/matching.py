"""Matches clusters to the groups of earlier runs, and lists what changes about groups."""

import functools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, FloatArray, IntArray
from ..neighbors.vectors import UnitRows
from .prototypes import prototype_differences
from .state import NONE

_ROWS = 512  # vectors that are copied at a time
_SIMILAR = 0.5  # thresholds; up to this difference of their prototypes, a cluster is a group that lost its members


class GroupChangeKind(StrEnum):
    """What a run does to a group as a whole."""

    NEW = "new"
    SPLIT = "split"
    MERGED = "merged"
    GONE = "gone"


@dataclass(frozen=True)
class GroupChange:
    """What a run does to a group as a whole.

    Attributes:
        kind: new group, part of another, merged into another, or without members
        group_id: the group
        name: its name
        other: for a split, the group that it was a part of; for a merge, the group that it is merged into; else None
        n_items: members after the change; for a group that is merged or gone, before it
        other_name: the name of ``other``; earlier versions have not stored it
    """

    kind: GroupChangeKind
    group_id: int
    name: str
    other: int | None
    n_items: int
    other_name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The change as plain values."""
        return {**vars(self), "kind": str(self.kind)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of :meth:`as_dict`."""
        return cls(**{**values, "kind": GroupChangeKind(values["kind"])})


class PairCounts(NamedTuple):
    """How often each pair of numbers occurs; sorted by ``left``, then ``right``.

    Attributes:
        left: ``(k,)`` first number of each distinct pair
        right: ``(k,)`` second number
        counts: ``(k,)`` how often it occurs
        n_marked: ``(k,)`` how often it occurs among marked pairs
    """

    left: IntArray
    right: IntArray
    counts: IntArray
    n_marked: IntArray


def count_pairs(left: IntArray, right: IntArray, is_marked: BoolArray | None = None) -> PairCounts:
    """Counts the pairs of numbers that two arrays hold at the same places.

    Args:
        left: ``(n,)`` whole numbers
        right: ``(n,)`` whole numbers
        is_marked (None): ``(n,)`` which pairs to count in ``n_marked``, none by default
    """
    order = np.lexsort((right, left))
    first, second = left[order], right[order]
    is_start = np.append(np.ones(min(len(order), 1), np.bool_), (first[1:] != first[:-1]) | (second[1:] != second[:-1]))
    starts = np.flatnonzero(is_start)
    counts = np.diff(np.append(starts, len(order)))
    n_marked = np.zeros(len(starts), np.int64)
    if is_marked is not None and len(starts):
        n_marked = np.add.reduceat(is_marked[order], starts, dtype=np.int64)
    return PairCounts(first[starts].astype(np.int64), second[starts].astype(np.int64), counts, n_marked)


def largest_of_each(numbers: IntArray, candidates: IntArray, counts: IntArray) -> dict[int, tuple[int, int]]:
    """For each number the candidate with the largest count, and that count; the smallest of several candidates.

    Args:
        numbers: ``(k,)`` numbers
        candidates: ``(k,)`` a candidate for each
        counts: ``(k,)`` its count
    """
    order = np.lexsort((candidates, -counts, numbers))
    unique, first = np.unique(numbers[order], return_index=True)
    best = zip(candidates[order][first].tolist(), counts[order][first].tolist(), strict=True)
    return dict(zip(unique.tolist(), best, strict=True))


def match_clusters(
    clusters: IntArray,
    group_ids: IntArray,
    known: IntArray,
    *,
    is_decided: BoolArray | None = None,
    named: Container[int] = (),
    claimed: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Matches new clusters to existing groups by shared members, the largest share first.

    So of a group in which users gave one name to most images, the others get that name as well. One rule comes before
    the size of the share: a group that users named, other than image by image, keeps its name when it is merged with
    one that has a default name.

    Args:
        clusters: the ``(n,)`` cluster of each item, negative for none
        group_ids: the ``(n,)`` group of each item before the run, negative for none
        known: the ids of groups that may be matched
        is_decided (None): ``(n,)`` whether users put an item into its group
        named (): the groups that users named
        claimed (None): clusters whose group is given

    Returns:
        the group id of each cluster that matches one; no id is given twice but by ``claimed``
    """
    decided = np.zeros(len(clusters), np.bool_) if is_decided is None else is_decided
    rows = np.flatnonzero((clusters >= 0) & np.isin(group_ids, known[known >= 0]))
    pairs = count_pairs(clusters[rows], group_ids[rows], decided[rows])
    matched = dict(claimed or {})
    taken = set(matched.values())
    order = _ranked(pairs, group_ids, named)
    for cluster, group_id in zip(pairs.left[order].tolist(), pairs.right[order].tolist(), strict=True):
        if cluster not in matched and group_id not in taken:
            matched[cluster] = group_id
            taken.add(group_id)
    return matched


def _ranked(pairs: PairCounts, group_ids: IntArray, named: Container[int]) -> IntArray:
    """The order in which pairs of a cluster and a group are matched."""
    counts, n_decided = pairs.counts, pairs.n_marked
    ids, totals = np.unique(group_ids, return_counts=True)
    has_most = 2 * counts > totals[np.searchsorted(ids, pairs.right)]
    has_name = np.array([group_id in named for group_id in pairs.right.tolist()], np.bool_)
    is_named = has_most & has_name & (counts > n_decided)
    return np.lexsort((pairs.left, pairs.right, -counts, ~is_named))


def match_prototypes(
    clusters: Mapping[int, str], groups: Mapping[int, str], threshold: float, rejected: Mapping[int, Container[int]]
) -> dict[int, int]:
    """Matches clusters to groups without members, by their prototypes.

    Args:
        clusters: the prototypes of clusters
        groups: the prototypes of groups without members
        threshold: the difference up to which two images are one character
        rejected: for a cluster, the groups from which users rejected all of its images

    Returns:
        the group id of each cluster that matches one; no id is given twice
    """
    if not clusters or not groups:
        return {}
    numbers, group_ids = list(clusters), list(groups)
    apart = prototype_differences(list(clusters.values()), list(groups.values()))
    matched: dict[int, int] = {}
    for flat in np.argsort(apart, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(group_ids))
        if apart[row, column] > _SIMILAR * threshold:
            break
        cluster, group_id = numbers[row], group_ids[column]
        is_free = cluster not in matched and group_id not in matched.values()
        if is_free and group_id not in rejected.get(cluster, ()):
            matched[cluster] = group_id
    return matched


def changes_of_groups(
    before: IntArray, after: IntArray, known: IntArray, name_of: Callable[[int], str]
) -> list[GroupChange]:
    """Lists what becomes of whole groups.

    Args:
        before: the ``(n,)`` group of each item before a run, negative for none
        after: that after it
        known: the ids of groups that existed before
        name_of: gives the name of a group

    Returns:
        new groups, splits, merges, groups without members, each by id
    """
    pairs = count_pairs(before, after)
    is_both = (pairs.left >= 0) & (pairs.right >= 0)
    left, right, counts = pairs.left[is_both], pairs.right[is_both], pairs.counts[is_both]
    sources, targets = largest_of_each(right, left, counts), largest_of_each(left, right, counts)
    n_before, n_after = _sizes(before), _sizes(after)
    changes = []
    for group_id in sorted(n_after.keys() - set(known.tolist())):
        source, n = sources.get(group_id, (NONE, 0))
        is_part = source in n_after and 2 * n > n_after[group_id]
        kind = GroupChangeKind.SPLIT if is_part else GroupChangeKind.NEW
        changes.append(_group_change(kind, group_id, source if is_part else None, n_after[group_id], name_of))
    for group_id in sorted(n_before.keys() - n_after.keys()):
        target, n = targets.get(group_id, (NONE, 0))
        is_whole = 2 * n > n_before[group_id]
        kind = GroupChangeKind.MERGED if is_whole else GroupChangeKind.GONE
        changes.append(_group_change(kind, group_id, target if is_whole else None, n_before[group_id], name_of))
    order = list(GroupChangeKind)
    return sorted(changes, key=lambda change: (order.index(change.kind), change.group_id))


def _group_change(
    kind: GroupChangeKind, group_id: int, other: int | None, n_items: int, name_of: Callable[[int], str]
) -> GroupChange:
    other_name = None if other is None else name_of(other)
    return GroupChange(kind, group_id, name_of(group_id), other, n_items, other_name)


def _sizes(group_ids: IntArray) -> dict[int, int]:
    """The number of members of each group."""
    ids, sizes = np.unique(group_ids[group_ids >= 0], return_counts=True)
    return dict(zip(ids.tolist(), sizes.tolist(), strict=True))


def means_of(vectors: UnitRows, labels: ArrayLike, wanted: Iterable[int]) -> Iterator[tuple[int, FloatArray]]:
    """The mean vectors of some groups or clusters, one after the other; those without members are left out.

    Args:
        vectors: ``(n, dim)`` vectors
        labels: ``(n,)`` numbers of groups or clusters
        wanted: the numbers to compute means for

    Yields:
        the number and the ``(dim,)`` mean
    """
    numbers = np.asarray(labels)
    order = np.argsort(numbers, kind="stable")
    names, sizes = np.unique(numbers, return_counts=True)
    ends = np.cumsum(sizes)
    places = {name: place for place, name in enumerate(names.tolist())}
    for name in wanted:
        if name in places:
            place = places[name]
            yield name, _sum(vectors, order[ends[place] - sizes[place] : ends[place]]) / sizes[place]


def _sum(vectors: UnitRows, rows: IntArray) -> FloatArray:
    """The sum of some vectors, of a few at a time."""
    parts = (vectors[rows[start : start + _ROWS]].sum(axis=0, dtype=np.float64) for start in range(0, len(rows), _ROWS))
    return functools.reduce(np.add, parts)
