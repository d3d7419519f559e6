"""The items and groups that an edit names, read without reading all of them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import fiftyone as fo
from bson.regex import Regex
from fiftyone import ViewField as F
from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError, ParameterError, check_type
from ...core.identity.groups import Draft, check_characters, default_name, is_too_long
from ...core.identity.planning import Plan
from ...core.plain import BLANKS, canonical_name
from ...core.progress import ProgressCallback
from ...storage.internals import sample_documents
from ...storage.targets import Target, TargetError, batched, items_view, resolve
from ..changes import apply
from ..identities import StaleGroupsError, load_registry
from ..store import LabelStore
from ..tables import GroupLabel, table_of
from ..writer import Raw
from .report import EditReport

GroupRef = str | int
"""A group, by its name or its id."""

_SPARE = 10  # default names that are looked up before a new group is named


class NoSuchGroupError(CCIPError, ValueError):
    """No group has that name or id."""

    def __init__(self, path: str, group: GroupRef, merged_into: int | None = None):
        why = "" if merged_into is None else f" any more, it was merged into the group {merged_into}"
        super().__init__(f"{path!r} has no character group {group!r}{why}: give the name of a group, or its id")
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

    def write(self, item_id: str, sample_id: str, before: GroupLabel | None, after: GroupLabel) -> None:
        """Plans a label; one that is the same already is counted."""
        if after == before:
            self.n_same += 1
            return
        self.changed.append((item_id, sample_id, after))
        self.groups[after.label or ""] += 1

    def group_of(self, label: GroupLabel | None) -> int | None:
        """The id of the group that a label names, None for none."""
        return _id_in(self.draft, label)

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
    progress: ProgressCallback | None,
) -> EditReport:
    """Reads what an edit names, plans it and writes it; once more when the groups were changed meanwhile.

    Args:
        store: the items, of a view or, with groups, of the whole dataset as well
        action: its name in the history
        plan: plans the edit
        groups: the groups whose members are edited, None for the items of the store
        others: groups and names that the plan needs as well
        dry_run: plan only
        progress: called with the number of labels written
    """
    store.check()
    try:
        return _edit(store, action, plan, groups, others, dry_run, progress)
    except StaleGroupsError:  # as after a change that was interrupted, which is finished by now
        return _edit(store, action, plan, groups, others, dry_run, progress)


def _edit(
    store: LabelStore,
    action: str,
    plan: Callable[[Edit], None],
    groups: Sequence[GroupRef] | None,
    others: Sequence[GroupRef],
    dry_run: bool,
    progress: ProgressCallback | None,
) -> EditReport:
    made = _read(store, action, groups, others)
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
    done = apply(store, Plan(table_of(made.changed), identities), action=action, is_automatic=False, progress=progress)
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
    """Makes groups with default names, from which an edit moves the last images, a part of the group that gets these.

    What users said of them holds there then: which images were rejected, which groups are kept apart. With images that
    are rejected from their group when they are moved, users say that it is another character: that one is just empty.
    """
    draft, before = made.draft, Draft(made.draft.registry)
    for group_id, counts in _left(made, before).items():
        group = draft.groups.get(group_id)
        if group is None or group.merged_into is not None or not group.is_auto_named:
            continue
        moved = {item_id for item_id, _, _ in made.changed}
        whole = LabelStore(made.store.target.whole(), made.store.group_field)
        rows = stored_rows(whole, _members(whole, {group_id}, [group.name]))
        if any(item_id not in moved and _id_in(before, label) == group_id for item_id, _, label in rows):
            continue
        into = min(counts, key=lambda each: (-counts[each], each))
        if draft.are_apart(group_id, into):
            made.parted.append((group.name, draft.groups[into].name))
        draft.absorb(group_id, into)
        draft.lift(into, [item_id for item_id, _, label in made.changed if label and label.group_id == into])
        made.gone.append(group.name)


def _left(made: Edit, before: Draft) -> dict[int, Counter[int]]:
    """For groups of which users said something, how many of their images an edit moves into which other groups."""
    registry, rejected = before.registry, made.draft.changes().rejected
    told = {group_id for group_id, group in registry.groups.items() if group.apart} | registry.rejections.keys()
    after = {item_id: label.group_id for item_id, _, label in made.changed if label is not None}
    left: dict[int, Counter[int]] = {}
    for item_id, _, label in made.rows if told else ():
        group_id, into = _id_in(before, label), after.get(item_id)
        if group_id in told and into not in (None, group_id) and item_id not in rejected.get(group_id or 0, ()):
            left.setdefault(group_id or 0, Counter()).update([into or 0])
    return left


def _id_in(draft: Draft, label: GroupLabel | None) -> int | None:
    return None if label is None else draft.id_of(label.group_name, label.group_id)


def _read(store: LabelStore, action: str, groups: Sequence[GroupRef] | None, others: Sequence[GroupRef]) -> Edit:
    path = store.path
    if groups is None:
        rows = stored_rows(store, store.target)
        named = {(label.group_id, label.group_name) for _, _, label in rows if label is not None and label.group_name}
        refs = [*others, *(group_id for group_id, _ in named if group_id), *(name for _, name in named if name)]
        return Edit(store, action, rows, _load(store, refs))
    draft = _load(store, [*groups, *others])
    known = {group: draft.find(group) for group in groups}
    ids = {group_id for group_id in known.values() if group_id is not None}
    typed = [str(group) for group, group_id in known.items() if group_id is None and isinstance(group, str)]
    names = [draft.groups[group_id].name for group_id in ids] + typed
    wanted = set(map(canonical_name, names))
    rows = stored_rows(store, _members(store, ids, names))
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


def stored_rows(store: LabelStore, target: Target) -> list[tuple[str, str, GroupLabel | None]]:
    """The items of a target with their labels as they are stored: a view can show others."""
    ids, sample_ids, _ = store.read(target)
    stored: dict[str, Raw | None] = {}
    for rows in batched(zip(ids, sample_ids, strict=True)):
        stored |= store.read_raw(*map(list, zip(*rows, strict=True)))
    return [
        (item_id, sample_id, store.from_raw(stored.get(item_id)))
        for item_id, sample_id in zip(ids, sample_ids, strict=True)
    ]


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
    query = {path: {"$in": [*_forms(wanted), *spare]}}
    found = sample_documents(store.target.dataset).distinct(path, query)
    return wanted.union(spare).intersection(canonical_name(name) for name in found if isinstance(name, str))


def _forms(names: Iterable[str]) -> list[str | Regex]:
    """Names in the forms in which users may have typed them, for the database.

    Blanks after a name are found among the labels that begin with it, blanks before it among those that begin with a
    blank, which are few: both are ranges of the index.
    """
    forms = {unicodedata.normalize(form, name.strip()) for name in names for form in ("NFC", "NFD")}
    blank = [Regex(f"^{re.escape(form)}[{BLANKS}]") for form in forms if not is_too_long(form) and "\0" not in form]
    return [*forms, *blank, *(Regex(f"^{re.escape(character)}") for character in BLANKS)]


def _resolve(draft: Draft, path: str, group: GroupRef) -> int:
    group_id = draft.find(group)
    if group_id is None:
        gone = draft.groups.get(group) if isinstance(group, int) else None
        raise NoSuchGroupError(path, group, None if gone is None else gone.merged_into)
    return group_id


def _members(store: LabelStore, ids: set[int], names: list[str]) -> Target:
    """The items whose labels have these ids or names, as the indexes of the database find them."""
    target = store.target
    paths = {name: store.attribute_path(name) for name in ("group_id", "label")}
    query = {"$or": [{paths["group_id"]: {"$in": sorted(ids)}}, {paths["label"]: {"$in": _forms(names)}}]}
    found = target.view.mongo([{"$match": query}])  # an expression of FiftyOne would use no index
    if not target.is_patches:
        return replace(target, view=found)
    group_id, label = (path.rpartition(".")[2] for path in paths.values())
    wanted, members = set(map(canonical_name, names)), []
    for document in store.documents.find(query, [target.path("_id"), *paths.values()]):
        for each in document[target.patches_field]["detections"]:
            if each.get(group_id) in ids or canonical_name(str(each.get(label))) in wanted:
                members.append(each.get("_id"))
    return replace(target, view=found.filter_labels(target.patches_field, F("_id").is_in(members)))


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
