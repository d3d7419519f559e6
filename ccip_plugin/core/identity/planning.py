"""Plans a grouping run: which group each cluster is, and which labels and groups change.

Everything here is computed from arrays and from a draft of its own; nothing is read, and the inputs stay as they are.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import BoolArray, FloatArray, IntArray
from ..clustering.statistics import GroupShapes, confidence, group_shapes, group_statistics
from .assignment import Assignment, Clustered, PartlyNamed
from .groups import Draft, IdentityChanges
from .ids import Ids, ids_of, places_of
from .matching import GroupChange, GroupChangeKind, changes_of_groups
from .state import IN_NO_GROUP, NONE, LabelTable, State, Status

_DIGITS = 6  # of the numbers in a label; the vectors are not more exact
_CHAINED = 1.3  # thresholds of mean difference in a group from which it counts as a chain
_MIN_CHAIN = 10


class ItemChange(StrEnum):
    """What a run does to an item."""

    UNCHANGED = "unchanged"
    MOVED = "moved"  # from one group to another
    NEW = "new"  # into a group, from none
    MERGED = "merged"  # with all its group, which is merged into another
    SPLIT = "split"  # with a part of its group, which becomes a group of its own
    UNASSIGNED = "unassigned"  # out of its group, or it had no label


ITEM_CHANGES = tuple(ItemChange)
"""The kinds in the order of their codes in :attr:`Plan.kinds`."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Changes of labels and groups: stored by a proposal, applied by ``labels.changes``, summed up by a report.

    Attributes:
        writes: the labels to write; items that are not in it keep theirs
        identities: the changes of the groups
        ids: ``(m,)`` ids of the items that have a label before or after
        kinds: ``(m,)`` what happens to each, by its place in :data:`ITEM_CHANGES`
        group_changes: what happens to whole groups
        counts: numbers of items: ``items``, ``grouped``, ``unassigned``, ``without_embedding``, ``ignored``, ``human``,
            ``rescued``, and ``refreshed``, which are written with other numbers only; ``too_long``, whose texts are too
            long for the name of a group; and of ``groups`` and ``chained`` groups
        sizes: per size, the number of groups with this many of the items
        shapes: the largest groups
        names: the names of these and of their nearest groups
        partly_named: names that users gave to parts of groups, which keep theirs, the largest first
        before: ``(m,)`` the group of each of ``ids`` before, -1 for none; empty for a plan that was stored
    """

    writes: LabelTable
    identities: IdentityChanges
    ids: Ids = field(default_factory=lambda: ids_of(()))
    kinds: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    group_changes: tuple[GroupChange, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    shapes: GroupShapes | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    partly_named: tuple[PartlyNamed, ...] = ()
    before: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def ids_by_kind(self) -> dict[ItemChange, Ids]:
        """The ids of the items by what happens to them."""
        return {kind: self.ids[self.kinds == code] for code, kind in enumerate(ITEM_CHANGES)}

    def n_by_kind(self) -> dict[str, int]:
        """The number of items by what happens to them."""
        counts = np.bincount(self.kinds, minlength=len(ITEM_CHANGES)).tolist()
        return {kind.value: n for kind, n in zip(ITEM_CHANGES, counts, strict=True)}


def plan(
    state: State,
    items: Clustered,
    *,
    threshold: float,
    keeps_fixed: bool,
    adds_only: bool = False,
    n_shapes: int | None = None,
) -> Plan:
    """Plans labels and groups. User labels stay; clusters get the ids and names of existing groups, or new ones.

    Takes about 200 bytes an image beside the inputs.

    Args:
        state: labels and groups; may be newer than ``items``
        items: the items that were clustered
        threshold: the difference up to which two images are one character
        keeps_fixed: whether the method kept items in their groups that may not change; a cluster with such items is
            their group then
        adds_only (False): add labels to items without one, change no other
        n_shapes (None): the largest number of groups to describe in :attr:`Plan.shapes`; all by default
    """
    assignment = Assignment(state, items, adds_only=adds_only)
    assignment.lift_overruled()
    group_ids = assignment.assign(threshold, keeps_fixed=keeps_fixed)
    draft = assignment.draft
    shapes = group_shapes(items.vectors, group_ids, n_largest=n_shapes)
    labels, n_chained = _automatic_labels(items, group_ids, draft, state, threshold, assignment.is_renewed)
    partly_named = () if adds_only else tuple(assignment.partly_named(group_ids))
    assignment.drop_empty_groups(group_ids)
    assignment.update_prototypes(group_ids)
    targets = _Targets(state, items, assignment.rows, labels, adds_only)
    changes = targets.group_changes(draft)
    ids, kinds = targets.kinds(changes)
    counts, sizes = targets.counts(), targets.sizes()
    counts.update(chained=n_chained, groups=sizes.total())
    names = {number: draft.name_of(number) for number in {*shapes.labels.tolist(), *shapes.rivals.tolist()} - {NONE}}
    found = (ids, kinds, tuple(changes), counts, sizes, shapes, names, partly_named, targets.before())
    return Plan(targets.writes(), draft.changes(), *found)


@dataclass(frozen=True, eq=False)
class _AutomaticLabels:
    """The automatic labels of the ``p`` items.

    Attributes:
        group_ids: the group of each, -1 for none
        texts: the texts of the state, and the names of new groups
        label: the text of each, by its place in ``texts``
        confidence: NaN for none
        difference: NaN for none
        margin: NaN for none
        is_rescued: whether it is there by a rescue
    """

    group_ids: IntArray
    texts: tuple[str, ...]
    label: NDArray[np.int32]
    confidence: FloatArray
    difference: FloatArray
    margin: FloatArray
    is_rescued: BoolArray


def _automatic_labels(
    items: Clustered, group_ids: IntArray, draft: Draft, state: State, threshold: float, is_renewed: BoolArray
) -> tuple[_AutomaticLabels, int]:
    """The labels of items with their numbers, and the number of groups that are chains."""
    is_grouped = group_ids >= 0
    statistics = group_statistics(items.vectors, group_ids, among=is_renewed)
    difference, margin = (
        _rounded(np.where(is_grouped, column, np.nan)) for column in (statistics.difference, statistics.margin)
    )
    sure = _rounded(np.where(is_grouped, confidence(statistics.difference, threshold), np.nan))
    n_chained = _count_chains(group_ids, statistics.difference, threshold)
    numbers, places = np.unique(group_ids, return_inverse=True)
    codes = {text: code for code, text in enumerate(state.labels.texts)}
    of_group = [
        IN_NO_GROUP if group_id == NONE else codes.setdefault(draft.groups[group_id].name, len(codes))
        for group_id in numbers.tolist()
    ]
    label = np.array(of_group, np.int32)[places]
    is_rescued = items.is_rescued & is_grouped & items.is_open
    return _AutomaticLabels(group_ids, tuple(codes), label, sure, difference, margin, is_rescued), n_chained


def _rounded(numbers: FloatArray) -> FloatArray:
    """As they are written; what is not finite becomes NaN."""
    rounded = numbers.round(_DIGITS)
    rounded[~np.isfinite(rounded)] = np.nan
    return rounded


def _count_chains(group_ids: IntArray, difference: FloatArray, threshold: float) -> int:
    is_member = group_ids >= 0
    if not is_member.any():
        return 0
    _, codes, sizes = np.unique(group_ids[is_member], return_inverse=True, return_counts=True)
    mean = np.bincount(codes, np.nan_to_num(difference[is_member])) / sizes
    return int(((sizes >= _MIN_CHAIN) & (mean > _CHAINED * threshold)).sum())


class _Targets:
    """The labels that the ``m`` items to group are to have.

    An item that may change gets the automatic label, or loses its label if it has no embedding; a user label that does
    not say so yet is confirmed.
    """

    def __init__(self, state: State, items: Clustered, rows: IntArray, automatic: _AutomaticLabels, adds_only: bool):
        self._state, self._automatic = state, automatic
        self._rows = state.target_rows
        n = len(state.group_ids)
        place = np.full(n, NONE, np.int32)
        place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        has_embedding = np.zeros(n, np.bool_)
        embedded = places_of(items.embedded, state.labels.ids)
        has_embedding[embedded[embedded >= 0]] = True
        labels, current = state.labels, state.group_ids
        is_open, is_clustered = state.is_open(adds_only=adds_only), place != NONE
        is_settled = (labels.status > Status.AUTO) & (labels.label == labels.assigned) & (labels.group_ids == current)
        self._place = place[self._rows]
        is_renewed = is_open if adds_only else ~state.is_user_label
        self._is_set = (is_renewed & is_clustered)[self._rows]
        self._is_cleared = (labels.is_labeled & is_open & ~is_clustered & ~has_embedding)[self._rows]
        self._is_confirmed = np.zeros(len(self._rows), np.bool_)
        if not adds_only:
            self._is_confirmed = (state.is_user_label & ~is_settled & ~state.is_too_long)[self._rows]
        self._before = current[self._rows]
        self._was_labeled = labels.is_labeled[self._rows]
        self._after = np.where(self._is_set, _at(automatic.group_ids, self._place), self._before)
        self._after[self._is_cleared] = NONE

    @property
    def _is_labeled(self) -> BoolArray:
        is_labeled: BoolArray = self._is_set | (self._was_labeled & ~self._is_cleared)
        return is_labeled

    def writes(self) -> LabelTable:
        """The labels that differ from those of the items."""
        is_written = self._is_cleared | self._is_confirmed | (self._is_set & self._differs())
        rows, place = self._rows[is_written], self._place[is_written]
        table = replace(self._state.labels.take(rows), texts=self._automatic.texts)
        self._set(table, self._is_set[is_written], place)
        self._confirm(table, self._is_confirmed[is_written], rows)
        table.label[self._is_cleared[is_written]] = NONE
        return table

    def _set(self, table: LabelTable, among: BoolArray, place: IntArray) -> None:
        """Gives some rows of a table the automatic labels."""
        automatic, place = self._automatic, place[among]
        table.label[among] = table.assigned[among] = automatic.label[place]
        table.group_ids[among], table.status[among] = automatic.group_ids[place], Status.AUTO
        for name in ("confidence", "difference", "margin"):
            getattr(table, name)[among] = getattr(automatic, name)[place]
        table.rescued[among] = np.where(automatic.is_rescued[place], 1, NONE)
        table.source[among] = NONE

    def _confirm(self, table: LabelTable, among: BoolArray, rows: IntArray) -> None:
        """Confirms the user labels in some rows: with the name and the id of the group that they name."""
        label, rows = table.label[among], rows[among]
        is_ignored = table.status[among] == Status.IGNORED
        name = np.where(is_ignored, NONE, self._state.names[label])
        table.label[among] = table.assigned[among] = np.where(name == NONE, label, name)
        table.status[among] = np.where(is_ignored, Status.IGNORED, Status.CONFIRMED)
        table.group_ids[among] = self._state.group_ids[rows]

    def _differs(self) -> BoolArray:
        """Whether the automatic label of an item is another one than it has; where it gets one."""
        labels, automatic = self._state.labels, self._automatic
        differs = self._is_regrouped()
        differs |= labels.rescued[self._rows] != np.where(_at(automatic.is_rescued, self._place), 1, NONE)
        differs |= labels.source[self._rows] != NONE
        return self._compared(differs, ("confidence", "difference", "margin"))

    def _is_regrouped(self) -> BoolArray:
        """Whether the automatic label of an item names another group than it has, or is the first one."""
        differs: BoolArray = self._state.labels.status[self._rows] != Status.AUTO
        differs |= self._state.labels.assigned[self._rows] != _at(self._automatic.label, self._place)
        return self._compared(differs, ("label", "group_ids"))

    def _compared(self, differs: BoolArray, names: Sequence[str]) -> BoolArray:
        """Adds the items whose automatic label has other values."""
        for name in names:
            old, new = getattr(self._state.labels, name), getattr(self._automatic, name)
            left, right = old[self._rows], _at(new, self._place)
            differs |= (left != right) & ~((left != left) & (right != right))  # NaN is none
        return differs

    def counts(self) -> Counter[str]:
        """The numbers of items in :attr:`Plan.counts`."""
        labels, rows = self._state.labels, self._rows
        is_user_label, is_grouped = self._state.is_user_label[rows], self._after != NONE
        was_rescued = (labels.rescued[rows] == 1) & ~is_user_label & self._is_labeled
        is_rescued = np.where(self._is_set, _at(self._automatic.is_rescued, self._place), was_rescued)
        is_ignored = ~is_grouped & self._is_labeled & ~self._is_set & (labels.status[rows] == Status.IGNORED)
        is_refreshed = self._is_set & self._differs() & ~self._is_regrouped()
        masks = {
            "refreshed": is_refreshed,
            "grouped": is_grouped,
            "without_embedding": ~is_grouped & ~self._is_labeled,
            "ignored": is_ignored,
            "unassigned": ~is_grouped & self._is_labeled & ~is_ignored,
            "human": is_user_label,
            "rescued": is_rescued,
            "too_long": self._state.is_too_long[rows] & ~is_ignored,
            "default_names": self._state.has_default_name_of_others[rows] & ~is_ignored,
        }
        return Counter({"items": len(rows), **{name: int(mask.sum()) for name, mask in masks.items()}})

    def sizes(self) -> Counter[int]:
        """Per size, the number of groups with this many of the items."""
        return Counter(np.unique(self._after[self._after != NONE], return_counts=True)[1].tolist())

    def group_changes(self, draft: Draft) -> list[GroupChange]:
        """What happens to whole groups, with their members outside of the items to group."""
        before = self._state.group_ids
        after = before.copy()
        after[self._rows] = self._after
        known = np.union1d(np.array(list(draft.registry.groups), np.int64), before)
        return changes_of_groups(before, after, known, draft.name_of)

    def before(self) -> IntArray:
        """The groups of the items that have a label before or after, as they are before."""
        before: IntArray = self._before[self._is_labeled]
        return before

    def kinds(self, changes: Sequence[GroupChange]) -> tuple[Ids, NDArray[np.int8]]:
        """Which items have a label before or after, and what happens to each."""
        before, after = self._before, self._after
        merged_into = {change.group_id: change.other for change in changes if change.kind == GroupChangeKind.MERGED}
        split_from = {change.group_id: change.other for change in changes if change.kind == GroupChangeKind.SPLIT}
        conditions = {
            ItemChange.UNCHANGED: (before == after) & self._was_labeled,
            ItemChange.UNASSIGNED: (before == after) | (after == NONE),
            ItemChange.NEW: before == NONE,
            ItemChange.MERGED: _looked_up(merged_into, before) == after,
            ItemChange.SPLIT: _looked_up(split_from, after) == before,
        }
        codes = [ITEM_CHANGES.index(kind) for kind in conditions]
        kinds = np.select(list(conditions.values()), codes, ITEM_CHANGES.index(ItemChange.MOVED)).astype(np.int8)
        is_labeled, ids = self._is_labeled, self._state.labels.ids
        if not np.array_equal(self._rows[is_labeled], np.arange(len(ids))):
            ids = ids[self._rows[is_labeled]]
        return ids, kinds[is_labeled]


def _at(column: NDArray[Any], places: NDArray[np.int32]) -> NDArray[Any]:
    """The values at some places; of no meaning where there is no item, at -1."""
    return column[places] if len(column) else np.zeros(len(places), column.dtype)


def _looked_up(values: Mapping[int, int | None], numbers: IntArray) -> IntArray:
    """The values of numbers; -2, which is no group, for a number without one."""
    unique, codes = np.unique(numbers, return_inverse=True)
    found = (values.get(number) for number in unique.tolist())
    return np.array([-2 if value is None else value for value in found], np.int64)[codes]
