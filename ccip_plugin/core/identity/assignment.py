"""Assigns clusters to the groups of earlier runs: by members, by user labels, by prototypes."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays import BoolArray, IntArray, Labels
from ..neighbors.vectors import UnitRows, VectorSource
from .ids import Ids, ids_of, places_of, texts_of
from .matching import count_pairs, largest_of_each, match_clusters, match_prototypes, means_of
from .prototypes import prototype_differences, prototypes
from .state import NONE, State

_SAME_PROTOTYPE = 0.002  # difference of prototypes up to which the old one is kept
_FEW = 64  # means that are held at a time


@dataclass(frozen=True, eq=False)
class Clustered:
    """The ``p`` items that were clustered, and the result.

    Attributes:
        ids: ids of the items
        vectors: ``(p, dim)`` embeddings of unit length
        is_open: which may get another group; the others keep theirs
        clusters: the cluster of each, negative for none
        is_rescued: which were assigned by a rescue; see :func:`~ccip_plugin.core.clustering.linkage.rescue.rescue`
        embedded: ids of all items to group that have an embedding
        model: the model of the embeddings, as prototypes are marked with it
    """

    ids: Ids
    vectors: VectorSource
    is_open: BoolArray
    clusters: Labels
    is_rescued: BoolArray
    embedded: Ids
    model: str


class PartlyNamed(NamedTuple):
    """A name that users gave to a part of a group, which does not name the group.

    Attributes:
        name: the name
        group: the name of the group
        n: number of images with the name
        n_all: of how many
    """

    name: str
    group: str
    n: int
    n_all: int


class Assignment:
    """Finds the group of each cluster, and so of each item.

    Attributes:
        rows: ``(p,)`` the row of each item in the state, -1 for an item that was deleted
        draft: the groups, with new and merged ones
        is_renewed: ``(p,)`` which get a label: those that may get another group, and those of a group that is held
    """

    def __init__(self, state: State, items: Clustered, adds_only: bool):
        self.state, self.items, self.draft = state, items, state.draft()
        self.rows = places_of(items.ids, state.labels.ids)
        self._current = np.append(state.group_ids, NONE)[self.rows]
        self._is_user_label = np.append(state.is_user_label, False)[self.rows]
        self._is_open = items.is_open & np.append(state.is_open(adds_only=adds_only), True)[self.rows]
        in_target = np.zeros(len(state.group_ids) + 1, np.bool_)
        in_target[state.target_rows] = not adds_only
        self.is_renewed = self._is_open | np.append(state.is_held, False)[self.rows] & in_target[self.rows]
        self._rejected = self._rejections()

    def assign(self, threshold: float, *, keeps_fixed: bool) -> IntArray:
        """``(p,)`` the group of each item after the run, -1 for none."""
        group_of = self._groups_of_clusters(threshold, keeps_fixed)
        self._group_of = group_of
        group_ids = self._decide(group_of)
        if self._merge_lost_groups(group_ids):
            group_ids = self._decide(group_of)
        return group_ids

    def partly_named(self, group_ids: IntArray) -> list[PartlyNamed]:
        """The names that users gave to some images of groups with default names, at least two images.

        They are named until users say whether these are one character: by merging the groups, by keeping them apart, or
        by rejecting the images.
        """
        draft, found = self.draft, self._found(self._group_of)
        is_part = self._is_user_label & (found >= 0) & (self._current >= 0) & (found != self._current)
        rejected, groups = self._rejected_roots()
        is_part[rejected[found[rejected] == groups]] = False
        pairs = count_pairs(found[is_part], self._current[is_part])
        numbers = pairs.left.tolist(), pairs.right.tolist(), pairs.counts.tolist()
        named_parts = (
            PartlyNamed(
                draft.groups[named].name, draft.groups[group_id].name, n, n + int((group_ids == group_id).sum())
            )
            for group_id, named, n in zip(*numbers, strict=True)
            if n > 1 and draft.groups[group_id].is_auto_named and not draft.groups[named].is_auto_named
            if not draft.are_apart(named, group_id)
        )
        return sorted(named_parts, key=lambda each: (-each.n, each.name, each.group))

    def with_members(self, group_ids: IntArray) -> set[int]:
        """The groups that have members when the items are in these groups."""
        is_elsewhere = np.ones(len(self.state.group_ids), np.bool_)
        is_elsewhere[self.rows[self.rows >= 0]] = False
        elsewhere = np.unique(self.state.group_ids[is_elsewhere])
        return {*elsewhere.tolist(), *np.unique(group_ids).tolist()} - {NONE}

    def _groups_of_clusters(self, threshold: float, keeps_fixed: bool) -> dict[int, int]:
        """The group of each cluster: an existing one or, the largest cluster first, a new one."""
        clusters, current, draft = self.items.clusters, self._current, self.draft
        claimed = self._majorities(~self.items.is_open & ~self._is_user_label) if keeps_fixed else {}
        named = {group_id for group_id, group in draft.groups.items() if not group.is_auto_named}
        known = np.array(list(draft.groups), np.int64)
        group_of = match_clusters(
            clusters, current, known, is_decided=self._is_user_label, named=named, claimed=claimed
        )
        group_of = self._majorities(self._is_user_label) | group_of
        group_of |= self._recognized(group_of, threshold)
        numbers, first, sizes = np.unique(clusters, return_index=True, return_counts=True)
        for number in numbers[np.lexsort((first, -sizes))].tolist():
            if number >= 0 and number not in group_of:
                group_of[number] = draft.new_group()
        return group_of

    def _majorities(self, among: BoolArray) -> dict[int, int]:
        """For each cluster, the group of most of some of its items."""
        rows = np.flatnonzero(among & (self.items.clusters >= 0) & (self._current >= 0))
        pairs = count_pairs(self.items.clusters[rows], self._current[rows])
        most = largest_of_each(pairs.left, pairs.right, pairs.counts)
        return {cluster: group_id for cluster, (group_id, _) in most.items()}

    def _recognized(self, group_of: Mapping[int, int], threshold: float) -> dict[int, int]:
        """The groups of clusters that look like groups that lost their members."""
        draft, clusters = self.draft, self.items.clusters
        has_members = set(np.unique(self.state.group_ids).tolist())
        lost = {
            group_id: group.prototype
            for group_id, group in draft.groups.items()
            if group.prototype is not None
            and group.model == self.items.model
            and group_id not in has_members
            and group.merged_into is None
        }
        if not lost:
            return {}
        wanted = [number for number in np.unique(clusters).tolist() if number >= 0 and number not in group_of]
        looks = dict(_prototypes_of(self.items.vectors, clusters, wanted))
        return match_prototypes(looks, lost, threshold, self._rejected_wholly())

    def _rejected_wholly(self) -> dict[int, set[int]]:
        """For clusters, the groups from which users rejected all of their items; some of them just leave."""
        rows, groups = np.unique(np.stack(self._rejected_roots()), axis=1)  # a merged group may give one twice
        pairs = count_pairs(self.items.clusters[rows], groups)
        numbers, sizes = np.unique(self.items.clusters, return_counts=True)
        is_whole = pairs.counts == sizes[np.searchsorted(numbers, pairs.left)]
        rejected: dict[int, set[int]] = defaultdict(set)
        for cluster, group_id in zip(pairs.left[is_whole].tolist(), pairs.right[is_whole].tolist(), strict=True):
            rejected[cluster].add(group_id)
        return rejected

    def _decide(self, group_of: Mapping[int, int]) -> IntArray:
        """``(p,)`` groups: those of clusters, less rejections; items that may not change keep theirs."""
        found = self._found(group_of)
        rows, groups = self._rejected_roots()
        found[rows[found[rows] == groups]] = NONE
        return np.where(self._is_open, found, self._current)

    def _found(self, group_of: Mapping[int, int]) -> IntArray:
        """``(p,)`` the group of the cluster of each item, -1 for none."""
        clusters = self.items.clusters
        of_cluster = np.full(int(clusters.max(initial=-1)) + 2, NONE, np.int64)  # the last is that of no cluster
        of_cluster[list(group_of)] = list(group_of.values())
        found: IntArray = of_cluster[np.maximum(clusters, -1)]
        return found

    def _rejections(self) -> tuple[IntArray, IntArray]:
        """Rows of items and the groups from which users rejected them."""
        parts = [
            (rows[rows >= 0], group_id)
            for group_id, ids in self.draft.registry.rejections.items()
            for rows in [places_of(ids_of(sorted(ids)), self.items.ids)]
        ]
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in parts)])
        groups = np.concatenate([np.empty(0, np.int64), *(np.full(len(rows), group_id) for rows, group_id in parts)])
        return rows, groups

    def _rejected_roots(self) -> tuple[IntArray, IntArray]:
        """As :meth:`_rejections`, with the groups that these are merged into."""
        rows, groups = self._rejected
        unique, codes = np.unique(groups, return_inverse=True)
        return rows, np.array([self.draft.root(group_id) for group_id in unique.tolist()], np.int64)[codes]

    def lift_overruled(self) -> None:
        """Removes rejections that a user overruled later, by putting the item, or all its group, into that group."""
        rows, groups = self._rejected_roots()
        is_held = np.append(self.state.is_held, False)[self.rows]
        is_overruled = (self._is_user_label | is_held)[rows] & (self._current[rows] == groups)
        for group_id in np.unique(groups[is_overruled]).tolist():
            places = rows[is_overruled & (groups == group_id)]
            self.draft.lift(group_id, texts_of(self.items.ids[places]))

    def _merge_lost_groups(self, group_ids: IntArray) -> bool:
        """Merges groups of which users said something, and that lost all items, into the group of most of these: what
        was rejected from them, or kept apart, is so there too. Returns whether there are any."""
        draft = self.draft
        told = draft.rejections.keys() | {group_id for group_id, group in draft.groups.items() if group.apart}
        candidates = told & draft.groups.keys() - self.with_members(group_ids)
        lost = [
            group_id
            for group_id in candidates
            if draft.groups[group_id].is_auto_named and draft.groups[group_id].merged_into is None
        ]
        before = self._before_edits()
        rows = np.flatnonzero(np.isin(before, lost) & (group_ids >= 0) & (group_ids != before))
        pairs = count_pairs(before[rows], group_ids[rows])
        for group_id, (into, _) in largest_of_each(pairs.left, pairs.right, pairs.counts).items():
            apart = {*map(draft.root, draft.groups[group_id].apart)} & draft.groups.keys() - {group_id, into}
            draft.merge(group_id, into)
            for other in sorted(apart):
                draft.keep_apart([into, other])
        return len(rows) > 0

    def _before_edits(self) -> IntArray:
        """``(p,)`` the group of each item; of one that users renamed since the last run, the group that it was in."""
        labels = self.state.labels
        is_edited = self.state.is_user_label & (labels.label != labels.assigned)
        before = np.where(is_edited & (labels.group_ids != NONE), labels.group_ids, self.state.group_ids)
        found: IntArray = np.append(before, NONE)[self.rows]
        return found

    def drop_empty_groups(self, group_ids: IntArray) -> None:
        """Drops groups without members that no user named and that are not merged into another."""
        with_members = self.with_members(group_ids)
        empty = ((group_id, group) for group_id, group in self.draft.groups.items() if group_id not in with_members)
        self.draft.drop([group_id for group_id, group in empty if group.merged_into is None and group.is_auto_named])

    def update_prototypes(self, group_ids: IntArray) -> None:
        """Records the prototype of each group where it is new or has changed."""
        model = self.items.model
        numbers = [number for number in np.unique(group_ids).tolist() if number >= 0]
        for group_id, prototype in _prototypes_of(self.items.vectors, group_ids, numbers):
            group = self.draft.groups[group_id]
            if group.prototype is None or group.model != model or _differ(group.prototype, prototype):
                self.draft.set_prototype(group_id, prototype, model)


def _differ(left: str, right: str) -> bool:
    return left != right and bool(prototype_differences([left], [right])[0, 0] > _SAME_PROTOTYPE)


def _prototypes_of(vectors: UnitRows, labels: IntArray, wanted: Sequence[int]) -> Iterator[tuple[int, str]]:
    """The prototypes of some groups or clusters; their means are made a few at a time."""
    means = means_of(vectors, labels, wanted)
    while some := list(itertools.islice(means, _FEW)):
        numbers, vectors_of_some = zip(*some, strict=True)
        yield from zip(numbers, prototypes(vectors_of_some), strict=True)
