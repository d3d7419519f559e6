"""Plans what the decisions of a file change: labels, groups, and where the dataset says otherwise."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ...core.identity.groups import Group, looks_default
from ...core.identity.ids import ids_of, places_of
from ...core.identity.state import NONE, State
from ...core.plain import canonical_name
from ...storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED
from ..tables import GroupLabel, rows_of
from .document import Decisions, ItemEntry
from .matching import Matches


@dataclass(frozen=True)
class DecisionConflict:
    """Where a file and a dataset say different things.

    Attributes:
        path: the image, the first one of a group; the groups for a decision about these alone
        item_id: the id of the image or detection, None where it is not clear which one is meant, or for a group
        said: what the file says
        kept: what the dataset says
        n_items: number of images or detections that it is about, more than one for a group
    """

    path: str
    item_id: str | None
    said: str
    kept: str
    n_items: int = 1

    def __str__(self) -> str:
        others = f" and {self.n_items - 1:,} more of the group" if self.n_items > 1 else ""
        return f"{self.path}{others}: {self.said} in the file, {self.kept} in the dataset"


@dataclass(frozen=True)
class _Item:
    """An item that the file is about.

    Attributes:
        item_id: its id
        sample_id: the id of its sample
        entry: what the file says
        label: its label here
        current: the id of its group here, -1 for none
    """

    item_id: str
    sample_id: str
    entry: ItemEntry
    label: GroupLabel | None
    current: int

    @property
    def is_human(self) -> bool:
        """Whether a user of the dataset decided about it."""
        return self.label is not None and self.label.is_human


class ImportPlan:
    """The labels and groups that an import changes.

    Args:
        state: the labels and groups as they are
        decisions: what the file says
        matches: the items that it is about
        overwrite: whether the file decides where users of the dataset have decided otherwise

    Attributes:
        draft: the groups
        changed: the labels to write
        groups: the number of changed labels by the name of their group afterwards
        conflicts: where the dataset says otherwise
        n_unknown: number of decisions about groups that are not here
        n_apart: number of pairs of groups that are kept apart from now on
    """

    def __init__(self, state: State, decisions: Decisions, matches: Matches, *, overwrite: bool):
        self.draft, self._overwrite = state.draft(), overwrite
        self.changed: list[tuple[str, str, GroupLabel]] = []
        self.groups: Counter[str] = Counter()
        self.n_unknown = 0
        self.n_apart = 0
        self._conflicts = [
            DecisionConflict(path, None, why, "its label stays") for path, why in matches.ambiguous.items()
        ]
        self._of_groups: dict[tuple[str, int], list[_Item]] = defaultdict(list)
        self._before = self.draft.rejections
        self._items = list(_items(state, matches))
        self._names = {canonical_name(item.entry.name) for item in self._items if item.entry.name is not None}
        self._group_ids, self._made = self._meant(decisions), set[str]()
        for item in self._items:
            after = self._reject(item, self._label(item))
            if after is not None and after != item.label:
                self._write(item, after)
        self._shape(decisions)
        self._complete()
        self._choose_covers()

    @property
    def conflicts(self) -> tuple[DecisionConflict, ...]:
        """Where the dataset says otherwise: those about many images of a group are one."""
        of_groups = (
            DecisionConflict(items[0].entry.path, None, said, _kept(self.draft.groups[group_id]), len(items))
            for (said, group_id), items in self._of_groups.items()
        )
        return (*self._conflicts, *of_groups)

    def _meant(self, decisions: Decisions) -> dict[str, int]:
        """The groups here that default names in the file mean: those that have most of their images.

        Two groups of the file with decisions about their images, or that are kept apart, are two groups here.
        """
        counts: Counter[tuple[str, int]] = Counter()
        decided, found = set[str](), dict[str, int]()
        for item in self._items:
            if (name := item.entry.name) is not None:
                key = canonical_name(name)
                counts[key, item.current] += item.current != NONE and looks_default(name)
                decided |= {key} if item.entry.status is not None else set()
        apart = {frozenset(map(canonical_name, (one.name, other))) for one in decisions.groups for other in one.apart}
        names = {*self._names, *(canonical_name(group.name) for group in decisions.groups)}
        taken: dict[int, set[str]] = defaultdict(set)
        for key in names:
            if not looks_default(key) and (known := self.draft.id_of_name(key)) is not None:
                taken[known].add(key)
        for (key, group_id), n in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
            others = taken[group_id]
            is_taken = any(
                frozenset((key, other)) in apart or (key in decided and other in decided) for other in others
            )
            if n and key not in found and not is_taken:
                found[key] = group_id
                others.add(key)
        return found

    def _group(self, name: str, *, is_new: bool = True) -> int | None:
        """The group of a name in the file; None for a default name without images here, or without ``is_new``."""
        key, is_default = canonical_name(name), looks_default(name)
        if key in self._group_ids:
            return self._group_ids[key]
        group_id = None if is_default else self.draft.id_of_name(name)
        if group_id is None:
            if not is_new or (is_default and key not in self._names):
                return None
            group_id = self.draft.new_group(None if is_default else name)
            self._made.add(key)
        self._group_ids[key] = group_id
        return group_id

    def _write(self, item: _Item, after: GroupLabel) -> None:
        self.changed.append((item.item_id, item.sample_id, after))
        self.groups[after.label or ""] += 1

    def _label(self, item: _Item) -> GroupLabel | None:
        """The label that an item gets, None for the one that it has."""
        entry, label = item.entry, item.label
        if entry.status is None or (entry.status == STATUS_AUTO and (item.is_human or entry.name is None)):
            return None
        if entry.name is None or entry.status == STATUS_IGNORED:
            status = STATUS_IGNORED if entry.status == STATUS_IGNORED else STATUS_CONFIRMED
            after = GroupLabel(UNASSIGNED, None, status, assigned=UNASSIGNED)
            return after if self._is_free(item, after, None) else None
        group_id = self._group(entry.name, is_new=False)
        name = entry.name if group_id is None else self.draft.groups[group_id].name
        after = GroupLabel(name, group_id, entry.status, assigned=name)
        if item.current == group_id and label is not None:
            after = label.confirmed(group_id) if entry.status == STATUS_CONFIRMED else label
        if not self._is_free(item, after, group_id):
            return None
        if group_id is None:
            group_id = self._group(entry.name)
            assert group_id is not None
            name = self.draft.groups[group_id].name
            return GroupLabel(name, group_id, entry.status, assigned=name)
        if item.item_id in self._before.get(group_id, ()):
            self.draft.lift(group_id, [item.item_id])
        return after

    def _is_free(self, item: _Item, after: GroupLabel, group_id: int | None) -> bool:
        """Whether an item may get a label: nothing here says otherwise, or the file decides."""
        if group_id is not None and item.item_id in self._before.get(group_id, ()):
            not_of = f"not {self.draft.groups[group_id].name!r}"
            if after.status == STATUS_AUTO or not self._is_taken(item, _said(after), not_of):
                return False
        if item.is_human:
            assert item.label is not None
            return _said(item.label) == _said(after) or self._is_taken(item, _said(after), _said(item.label))
        group = self.draft.groups.get(item.current)
        if group is None or group_id == item.current:
            return True
        is_decided = group.is_held or (not group.is_auto_named and after.group_name is not None)
        return not is_decided or self._is_taken_of_group(item, _said(after))

    def _reject(self, item: _Item, after: GroupLabel | None) -> GroupLabel | None:
        """Adds the rejections of an entry; gives the label that the item gets."""
        final = after or item.label
        for name in item.entry.rejected:
            group_id = self._group(name)
            if group_id is None:
                self.n_unknown += 1
                continue
            group = self.draft.groups[group_id]
            is_in = final is not None and canonical_name(final.group_name or "") == canonical_name(group.name)
            if is_in and after is not None and after.is_human:
                continue  # the file says both: the label counts
            if is_in and item.is_human and not self._is_taken(item, f"not {name!r}", repr(name)):
                continue
            if is_in and not item.is_human and group.is_held and not self._is_taken_of_group(item, f"not {name!r}"):
                continue
            if is_in:
                after = final = GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED)
            self.draft.reject(group_id, [item.item_id])
        return after

    def _is_taken(self, item: _Item, said: str, kept: str) -> bool:
        """Whether the file decides about an item; the conflict is listed."""
        self._conflicts.append(DecisionConflict(item.entry.path, item.item_id, said, kept))
        return self._overwrite

    def _is_taken_of_group(self, item: _Item, said: str) -> bool:
        """Whether the file decides about an item of a group that users named or shaped; the conflict is listed."""
        self._of_groups[said, item.current].append(item)
        return self._overwrite

    def _shape(self, decisions: Decisions) -> None:
        """What the file says of whole groups, as far as they are here."""
        for entry in decisions.groups:
            group_id = self._group(entry.name, is_new=False)
            if entry.is_held and group_id is not None and self.draft.groups[group_id].held_by is None:
                self.draft.hold(group_id)
        named = ((entry.name, name) for entry in decisions.groups for name in entry.apart)
        pairs = {tuple(sorted(pair)) for pair in named if len(set(map(canonical_name, pair))) > 1}
        for one, other in sorted(pairs):
            self._keep_apart(one, other)

    def _keep_apart(self, one: str, other: str) -> None:
        known = {name: self._group(name, is_new=False) for name in (one, other)}
        if len(set(known.values()) - {None}) == 1 and None in known.values():
            missing = next(name for name, group_id in known.items() if group_id is None)
            if canonical_name(missing) in self._names:
                kept = f"no group {missing!r}"
                self._conflicts.append(DecisionConflict(f"{one!r} and {other!r}", None, "kept apart", kept))
                return
            known[missing] = self._group(missing)
        left, right = known.values()
        if left is None or right is None:
            self.n_unknown += 1
        elif left != right and not self.draft.are_apart(left, right):
            self.draft.keep_apart([left, right])
            self.n_apart += 1

    def _complete(self) -> None:
        """Gives new groups the images that only tell which group is meant, as far as these are in no group here.

        A cover is a decision about a group, which may be made for it.
        """
        written, rejections = {item_id for item_id, _, _ in self.changed}, self.draft.rejections
        for item in self._items:
            name = item.entry.name
            if name is not None and item.entry.is_cover:
                self._group(name)
        for item in self._items:
            name = item.entry.name
            if name is None or item.entry.status is not None or canonical_name(name) not in self._made:
                continue
            group_id = self._group_ids[canonical_name(name)]
            is_open = item.current == NONE and not item.is_human and item.item_id not in written
            if is_open and item.item_id not in rejections.get(group_id, ()):
                text = self.draft.groups[group_id].name
                self._write(item, GroupLabel(text, group_id, STATUS_AUTO, assigned=text))

    def _choose_covers(self) -> None:
        """Shows groups by the images that the file says, if they are in these groups."""
        after = {item_id: label.group_id for item_id, _, label in self.changed}
        for item in self._items:
            name = item.entry.name
            group_id = self._group(name, is_new=False) if name is not None and item.entry.is_cover else None
            if group_id is None or after.get(item.item_id, item.current) != group_id:
                continue
            group = self.draft.groups[group_id]
            if group.cover in (None, item.item_id) or self._is_taken(
                item, f"the cover of {group.name!r}", "another image is"
            ):
                self.draft.set_cover(group_id, item.item_id)


def _items(state: State, matches: Matches) -> Iterator[_Item]:
    places = places_of(ids_of(list(matches.entries)), state.labels.ids)
    rows = places[places != NONE]
    current = state.group_ids[rows].tolist()
    for (item_id, sample_id, label), group_id in zip(rows_of(state.labels.take(rows)), current, strict=True):
        yield _Item(item_id, sample_id, matches.entries[item_id], label, group_id)


def _said(label: GroupLabel) -> str:
    if label.is_ignored:
        return "ignored"
    return "in no group" if label.group_name is None else repr(canonical_name(label.group_name))


def _kept(group: Group) -> str:
    """What users of the dataset said of a group."""
    if group.held_by is not None:
        return f"kept together in {group.name!r}"
    return f"in {group.name!r}, which is kept apart from others" if group.is_held else f"named {group.name!r}"
