"""The items and groups that an edit names, read without reading all of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError, ParameterError, check_type
from ...core.identity.groups import Draft, check_characters, default_name
from ...core.identity.planning import Plan
from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...storage.internals import sample_documents
from ...storage.targets import TargetError, items_view, resolve
from ..answers import PairAnswer
from ..changes import apply
from ..identities import StaleGroupsError, load_registry
from ..store import LabelStore
from ..tables import GroupLabel, table_of
from .by_hand import record_by_hand
from .members import check_condition, chosen_rows, follow_last_images, group_in, name_forms, named_items, stored_rows
from .report import EditReport, about_groups

GroupRef = str | int
"""A group, by its name or its id."""

_SPARE = 10  # default names that are looked up before a new group is named


class NoSuchGroupError(CCIPError, ValueError):
    """No group has that name or id."""

    mentions = ("group_characters",)

    def __init__(self, path: str, group: GroupRef, merged_into: int | None = None, *, has_any: bool = True):
        why = "" if merged_into is None else f" any more, it was merged into the group {merged_into}"
        message = f"{path!r} has no character group {group!r}{why}: give the name of a group, or its id"
        super().__init__(message if has_any else f"{path!r} has no character groups: make some with group_characters")
        self.path, self.group = path, group


@dataclass
class Edit:
    """An edit that is being planned.

    Attributes:
        store: where the labels are
        action: its name in the history
        rows: the items: their ids, those of their samples, and their labels
        draft: the groups that the edit is about, and its changes
        changed: the labels to write
        groups: the number of changed labels by the name of their group afterwards
        details: what else it does, by what it is called
        parted: pairs of groups that were kept apart until now
        gone: names of groups that are part of another one now
        n_same: number of labels that are like this already
        n_without: number of items in no group, which stay as they are
        about: what it is about, for the history; by default the changed labels by their group
    """

    store: LabelStore
    action: str
    rows: list[tuple[str, str, GroupLabel | None]]
    draft: Draft
    changed: list[tuple[str, str, GroupLabel | None]] = field(default_factory=list)
    groups: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    parted: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    n_same: int = 0
    n_without: int = 0
    about: str = ""

    def write(self, item_id: str, sample_id: str, before: GroupLabel | None, after: GroupLabel) -> None:
        """Plans a label; one that is the same already is counted."""
        if after == before:
            self.n_same += 1
            return
        self.changed.append((item_id, sample_id, after))
        self.groups[after.label or ""] += 1

    @property
    def noun(self) -> str:
        """What an item is called."""
        return self.store.target.noun[:-1]

    def group_of(self, label: GroupLabel | None) -> int | None:
        """The id of the group that a label names, None for none."""
        return group_in(self.draft, label)

    def resolve_all(self, groups: Iterable[GroupRef]) -> list[int]:
        """The ids of groups that exist, each once. Raises as :meth:`resolve`."""
        return list(dict.fromkeys(map(self.resolve, groups)))

    def resolve(self, group: GroupRef) -> int:
        """The id of a group that exists.

        Raises:
            NoSuchGroupError: there is none
        """
        return _resolve(self.draft, self.store.path, group)


def edit(
    store: LabelStore,
    action: str,
    plan: Callable[[Edit], None],
    *,
    groups: Sequence[GroupRef] | None,
    others: Sequence[GroupRef] = (),
    dry_run: bool,
    answers: Sequence[PairAnswer] = (),
    progress: ProgressCallback | None,
) -> EditReport:
    """Reads what an edit names, plans it and writes it; once more when the groups were changed meanwhile.

    Labels that were edited by hand are recorded before.

    Args:
        store: the items, of a view or, with groups, of the whole dataset as well
        action: its name in the history
        plan: plans the edit
        groups: the groups whose members are edited, None for the items of the store
        others: groups and names that the plan needs as well
        dry_run: plan only
        answers: answers to pair questions to keep with it
        progress: called with the number of labels written
    """
    store.check()
    n_by_hand = 0 if dry_run else record_by_hand(store)
    try:
        done = _edit(store, action, plan, groups, others, dry_run, answers, progress)
    except StaleGroupsError:  # as after a change that was interrupted, which is finished by now
        done = _edit(store, action, plan, groups, others, dry_run, answers, progress)
    return replace(done, n_by_hand=n_by_hand)


def _edit(
    store: LabelStore,
    action: str,
    plan: Callable[[Edit], None],
    groups: Sequence[GroupRef] | None,
    others: Sequence[GroupRef],
    dry_run: bool,
    answers: Sequence[PairAnswer],
    progress: ProgressCallback | None,
) -> EditReport:
    made = _read(store, action, groups, others)
    check_condition(made.rows, made.draft)
    plan(made)
    _follow_last_images(made)
    identities = made.draft.changes()
    # a rejection that comes from a merged group to the one that stays is neither added nor removed
    added, removed = (frozenset().union(*ids.values()) for ids in (identities.rejected, identities.lifted))
    report = EditReport(
        action,
        store.path,
        dict(made.groups.most_common()),
        made.n_same,
        made.n_without,
        lifted=_by_name(made.draft, identities.lifted, added),
        rejected=_by_name(made.draft, identities.rejected, removed),
        parted=tuple(made.parted),
        gone=tuple(made.gone),
        n_groups=len(identities.groups),
        details=made.details,
    )
    if dry_run:
        return report
    changes = Plan(table_of(made.changed), identities)
    about = made.about or about_groups(dict(made.groups.most_common()), made.noun, "to")
    done = apply(store, changes, action=action, is_automatic=False, answers=answers, about=about, progress=progress)
    refused = Counter(after.label or "" for item_id, _, after in made.changed if after and item_id in done.refused)
    written = dict((made.groups - refused).most_common())
    report = replace(report, groups=written, refused=done.refused, n_left=done.n_left)
    return replace(report, number=done.number, is_done=True)


def _by_name(
    draft: Draft, rejections: Mapping[int, frozenset[str]], without: frozenset[str]
) -> dict[str, tuple[str, ...]]:
    """For the names of groups the ids of the items that are rejected from them, without some of these."""
    named: dict[str, frozenset[str]] = {}
    for group_id, ids in rejections.items():
        if ids - without:
            named[draft.name_of(group_id)] = named.get(draft.name_of(group_id), frozenset()) | ids - without
    return {name: tuple(sorted(ids)) for name, ids in named.items()}


def _follow_last_images(made: Edit) -> None:
    """Makes groups, from which an edit moves the last images, a part of the group that gets these."""
    after = {item_id: label.group_id for item_id, _, label in made.changed if label is not None}
    before = Draft(made.draft.registry)
    moves = [(item_id, group_in(before, label), after.get(item_id)) for item_id, _, label in made.rows]
    for name, into, was_apart in follow_last_images(made.store, made.draft, moves):
        made.gone.append(name)
        if was_apart:
            made.parted.append((name, into))


def _read(store: LabelStore, action: str, groups: Sequence[GroupRef] | None, others: Sequence[GroupRef]) -> Edit:
    path = store.path
    if groups is None:
        rows = chosen_rows(store)
        named = {(label.group_id, label.group_name) for _, _, label in rows if label is not None and label.group_name}
        refs = [*others, *(group_id for group_id, _ in named if group_id), *(name for _, name in named if name)]
        return Edit(store, action, rows, _load(store, refs))
    draft = _load(store, [*groups, *others])
    known = {group: draft.find(group) for group in groups}
    ids = {group_id for group_id in known.values() if group_id is not None}
    typed = [str(group) for group, group_id in known.items() if group_id is None and isinstance(group, str)]
    names = [draft.groups[group_id].name for group_id in ids] + typed
    wanted = set(map(canonical_name, names))
    rows = stored_rows(store, named_items(store, ids, names))
    members = [row for row in rows if row[2] is not None and canonical_name(row[2].group_name or "") in wanted]
    for _, _, label in members:  # a name that users typed is a group as soon as it is used
        draft.id_of(label.group_name if label is not None else None)
    for group in groups:
        _resolve(draft, path, group)
    return Edit(store, action, members, draft)


def member_view(store: LabelStore, group: GroupRef) -> fo.DatasetView:
    """The items of a group, read by its name and id alone.

    Raises:
        NoSuchGroupError: there is no such group
    """
    return items_view(store.target, [row[0] for row in _read(store, "", [group], ()).rows])


def _load(store: LabelStore, refs: Iterable[GroupRef]) -> Draft:
    """Reads groups by id or name, those that they are kept apart from, and who has the names of the next groups."""
    dataset, path, refs = store.target.dataset, store.path, list(refs)
    next_id = load_registry(dataset, path, ()).next_id
    ids = {ref for ref in refs if isinstance(ref, int)}
    names = [ref for ref in refs if isinstance(ref, str)]
    n_spare = _SPARE
    while True:
        spare = [default_name(next_id + number) for number in range(n_spare)]
        registry = load_registry(dataset, path, ids, [*spare, *names])
        if apart := {other for group in registry.groups.values() for other in group.apart} - ids:
            ids |= apart
            continue
        typed = _in_labels(store, names, [default_name(next_id + number) for number in range(n_spare * 11)])
        if not set(map(canonical_name, spare)) <= registry.ids_by_name().keys() | typed:
            return Draft(registry, typed=typed - registry.ids_by_name().keys())
        n_spare *= 10


def _in_labels(store: LabelStore, names: Iterable[str], spare: Iterable[str]) -> set[str]:
    """Those of some names, and of default names, that labels have, as they are compared."""
    path, wanted = store.attribute_path("label"), {*map(canonical_name, names)}
    query = {path: {"$in": [*name_forms(wanted), *spare]}}
    found = sample_documents(store.target.dataset).distinct(path, query)
    return wanted.union(spare).intersection(canonical_name(name) for name in found if isinstance(name, str))


def _resolve(draft: Draft, path: str, group: GroupRef) -> int:
    group_id = draft.find(group)
    if group_id is None:
        gone = draft.groups.get(group) if isinstance(group, int) else None
        merged_into = None if gone is None else gone.merged_into
        raise NoSuchGroupError(path, group, merged_into, has_any=draft.registry.revision > 0)
    return group_id


def chosen_store(
    samples: SampleCollection, groups: object, group_field: str, patches_field: str | None, what: str
) -> LabelStore:
    """Where the labels of the chosen items are.

    Args:
        samples: a view of the items, or a dataset with ``groups``
        groups: the groups whose members are chosen, None for the items themselves
        group_field: the field with the groups
        patches_field: the field with the detections, None for samples
        what: what would be done to all items, such as ``confirm``

    Raises:
        TargetError: a whole dataset without groups
    """
    store = LabelStore(resolve(samples, patches_field), group_field)
    if groups is None and store.target.is_whole:
        or_groups = "" if what in ("move", "set as cover") else ", or groups"
        raise TargetError(f"that would {what} every image of the dataset: give a view of some{or_groups}")
    return store


def groups_of(store: LabelStore, groups: list[GroupRef] | None, what: str) -> list[GroupRef]:
    """The given groups or, without any, those that the items of a view are in.

    Raises:
        TargetError: a whole dataset without groups
    """
    if groups is not None:
        return groups
    if store.target.is_whole:
        raise TargetError(f"that would {what} all groups of the dataset: name them, or give a view of some images")
    store.check()
    names = (label.group_name for _, _, label in stored_rows(store, store.target) if label is not None)
    return list(dict.fromkeys(filter(None, names)))


def as_groups(groups: GroupRef | Sequence[GroupRef] | None) -> list[GroupRef] | None:
    """Groups as a list; a single one needs none.

    Raises:
        ParameterError: they are neither names nor ids
    """
    if groups is None:
        return None
    if isinstance(groups, bytes) or not isinstance(groups, str | Iterable):
        check_group(groups)
    listed: list[GroupRef] = [groups] if isinstance(groups, str | int) else list(groups)
    for group in listed:
        check_group(group)
    return listed


def check_group(group: object) -> None:
    """Checks that a group is given by its name or id.

    Raises:
        ParameterError: it is not
    """
    wanted = "the name of a character group, or its id"
    check_type("group", group, str | int, wanted)
    if isinstance(group, bool):
        raise ParameterError("group", group, wanted)
    if isinstance(group, str):
        check_characters(group)
