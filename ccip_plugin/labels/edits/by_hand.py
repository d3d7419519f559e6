"""Labels that people edit elsewhere, as in the App's editor, with "Edit field values", in CVAT or by scripts.

The next change that is written records them: they become confirmed, in a change of their own, which can be undone.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ...core.identity.groups import Draft, is_too_long, looks_default
from ...core.identity.ids import texts_of
from ...core.identity.planning import Plan
from ...core.identity.state import State
from ...storage.targets import batched
from ...storage.updates import now
from ..changes import apply
from ..identities import Look, StaleGroupsError, last_look, load_registry_of, save_look
from ..journal import BY_HAND, EntryState, Journal
from ..snapshot import read_state
from ..store import LabelStore
from ..tables import GroupLabel, table_of
from ..writer import Raw
from .members import Move, follow_last_images
from .report import about_groups

LATE = datetime.timedelta(minutes=10)
"""How late the clock of another machine may be that edits labels."""

_FEW = 300  # samples that were modified within ``LATE`` before the last look and are looked at again
_LARGEST = 20_000_000  # bytes of the history that are read to find the label of before
_ATTEMPTS = 3


def record_by_hand(store: LabelStore) -> int:
    """Records the labels that were edited by hand since the last look, all of the dataset.

    Reads the samples that were modified since, less ten minutes, as clocks of other machines may be late; those that a
    larger change of this plugin has written are passed over, and those ten minutes where more than 300 others were
    modified in them. Costs time for these, not for the dataset; a dataset of an earlier version is read as a whole,
    once.

    Args:
        store: where the labels are

    Returns:
        the number of these labels

    Raises:
        StaleGroupsError: the groups kept changing meanwhile
        LeaseHeldError: another process is writing
    """
    dataset, path = store.target.dataset, store.path
    at, last = now(), last_look(dataset, path)
    if last is None:
        return 0  # there are no groups yet: what is in the field is no edit of ours
    n = _record(store, _edited_since(store, last), lifts=True)
    save_look(dataset, path, at)
    return n


def record_all_by_hand(store: LabelStore, state: State) -> tuple[int, State]:
    """Records all labels that were edited by hand, as they were read. See :func:`record_by_hand`.

    The caller records the look with :func:`~ccip_plugin.labels.identities.save_look`, when there are groups.

    Args:
        store: where the labels are
        state: the labels and groups

    Returns:
        the number of these labels, and the labels and groups after it: the same object if there are none
    """
    labels = state.labels
    if not state.registry.revision:
        return 0, state
    is_edited = labels.is_labeled & (labels.label != labels.assigned) & ~state.is_too_long
    is_edited &= ~state.has_default_name_of_others
    n = _record(store, _edited_in(store, texts_of(labels.sample_ids[is_edited])), lifts=False)
    return (n, read_state(store)) if n else (0, state)


def count_by_hand(store: LabelStore) -> int:
    """The number of labels that were edited by hand since the last look, and that the next change records.

    Default names that no group has are for a run to judge, and do not count. Nothing is written.
    """
    dataset, path = store.target.dataset, store.path
    last = last_look(dataset, path)
    rows = [] if last is None else _edited_since(store, last)
    labels = [store.from_raw(raw) for *_, raw in rows]
    draft = Draft(load_registry_of(dataset, path, labels)) if rows else None
    return sum(draft is not None and not _is_for_a_run(draft, label) for label in labels)


def count_edited_after(store: LabelStore, at: datetime.datetime) -> int:
    """The number of samples that were modified after a time, and whose label, or one of their detections', has another
    text than this plugin has written, or none any more.

    Args:
        store: where the labels are
        at: the time
    """
    found = {"last_modified_at": {"$gt": at}, "$expr": {"$or": [_is_edited(store), _is_deleted(store)]}}
    return int(store.documents.count_documents(found))


_Row = tuple[str, str, Raw]
"""The id of an item, of its sample, and the stored form of its label."""


def _edited_since(store: LabelStore, last: Look) -> list[_Row]:
    start = last.at - LATE
    start = last.at if _is_many(store, {"$gte": start, "$lt": last.at, "$nin": last.own}) else start
    since = {"$gte": start, "$nin": last.own}
    found = store.documents.find({"last_modified_at": since, "$expr": _is_edited(store)}, {"_id": True})
    return _edited_in(store, (str(document["_id"]) for document in found))


def _is_many(store: LabelStore, times: dict[str, Any]) -> bool:
    """Whether more samples than a few were modified at some times."""
    return bool(store.documents.count_documents({"last_modified_at": times}, limit=_FEW + 1) > _FEW)


def _is_edited(store: LabelStore) -> dict[str, Any]:
    """Whether a sample, or one of its detections, has another text than this plugin has written, for the database."""
    label, assigned = (store.attribute_path(name) for name in ("label", "assigned"))
    if not store.target.is_patches:
        return {"$and": [{"$eq": [{"$type": f"${label}"}, "string"]}, {"$ne": [f"${label}", f"${assigned}"]}]}
    name, written = (f"$$each.{_key(store, name)}" for name in ("label", "assigned"))
    is_edited = {"$and": [{"$eq": [{"$type": name}, "string"]}, {"$ne": [name, written]}]}
    detections = {"$ifNull": [f"${store.target.labels_path}", []]}
    return {"$gt": [{"$size": {"$filter": {"input": detections, "as": "each", "cond": is_edited}}}, 0]}


def _is_deleted(store: LabelStore) -> dict[str, Any]:
    """Whether a sample, or one of its detections, has lost the text that this plugin has written, for the database."""
    label, assigned = (store.attribute_path(name) for name in ("label", "assigned"))
    if not store.target.is_patches:
        return {
            "$and": [
                {"$ne": [{"$ifNull": [f"${assigned}", None]}, None]},
                {"$eq": [{"$ifNull": [f"${label}", None]}, None]},
            ]
        }
    name, written = ({"$ifNull": [f"$$each.{_key(store, each)}", None]} for each in ("label", "assigned"))
    is_deleted = {"$and": [{"$ne": [written, None]}, {"$eq": [name, None]}]}
    detections = {"$ifNull": [f"${store.target.labels_path}", []]}
    return {"$gt": [{"$size": {"$filter": {"input": detections, "as": "each", "cond": is_deleted}}}, 0]}


def _is_for_a_run(draft: Draft, label: GroupLabel | None) -> bool:
    """Whether a label has a default name that no group has: it may be of another dataset, and a run finds out."""
    name = None if label is None else label.group_name
    return label is None or (name is not None and looks_default(name) and draft.id_of_name(name) is None)


def _edited_in(store: LabelStore, sample_ids: Iterable[str]) -> list[_Row]:
    """The edited labels in some samples."""
    return [
        (item_id, stored.sample_id, stored.raw)
        for chunk in batched(dict.fromkeys(sample_ids))
        for item_id, stored in store.read_stored(chunk).items()
        if stored.raw and isinstance(stored.raw.get(_key(store, "label")), str)
        if _is_by_hand(store.from_raw(stored.raw))
    ]


def _is_by_hand(label: GroupLabel | None) -> bool:
    """Whether a label has another text than this plugin has written, and one that can be a name."""
    if label is None or label.label is None or label.label == label.assigned:
        return False
    return not is_too_long(label.label.strip())


def _key(store: LabelStore, name: str) -> str:
    """The key of one of our values in the stored form."""
    return store.attribute_path(name).rpartition(".")[2]


def _record(store: LabelStore, rows: Sequence[_Row], *, lifts: bool) -> int:
    for attempt in range(_ATTEMPTS):
        try:
            return _write(store, rows, lifts) if rows else 0
        except StaleGroupsError:
            if attempt == _ATTEMPTS - 1:
                raise
            rows = _edited_in(store, (sample_id for _, sample_id, _ in rows))
    raise AssertionError("unreachable")


def _write(store: LabelStore, rows: Sequence[_Row], lifts: bool) -> int:
    dataset, path = store.target.dataset, store.path
    read = [(item_id, sample_id, raw, store.from_raw(raw)) for item_id, sample_id, raw in rows]
    draft = Draft(load_registry_of(dataset, path, [label for *_, label in read]))
    changed: list[tuple[str, str, GroupLabel]] = []
    before: dict[str, Raw | None] = {}
    moves: list[Move] = []
    for item_id, sample_id, raw, label in read:
        name = None if label is None else label.group_name
        if label is None or _is_for_a_run(draft, label):
            continue
        group_id = draft.id_of(name, label.group_id)
        confirmed = label.confirmed(group_id)
        if group_id is not None:
            group = draft.groups[group_id].name
            confirmed = replace(confirmed, label=group, assigned=group)  # in its spelling
            if lifts:
                draft.lift(group_id, [item_id])  # a run does, and reports it
        changed.append((item_id, sample_id, confirmed))
        moves.append((item_id, label.group_id if label.group_id in draft.registry.groups else None, group_id))
        before[item_id] = _rebuilt(store, raw)
    if not changed:
        return 0
    follow_last_images(store, draft, moves)
    before |= _in_history(Journal(dataset, path), {item_id for item_id, raw in before.items() if raw is None})
    plan = Plan(table_of(changed), draft.changes())
    names = Counter(label.label or "" for *_, label in changed)
    about = about_groups(dict(names.most_common()), store.target.noun[:-1], "to")
    # what is edited again meanwhile, stays
    return apply(store, plan, action=BY_HAND, rebuilt=before, about=about).n_written


def _rebuilt(store: LabelStore, raw: Raw) -> Raw | None:
    """The stored form of before the edit of a text; None where this plugin has not written it."""
    label, assigned = _key(store, "label"), _key(store, "assigned")
    return None if raw.get(assigned) is None else {**raw, label: raw[assigned]}


def _in_history(journal: Journal, wanted: set[str]) -> dict[str, Raw]:
    """The stored forms that the newest changes of some items have written, as far back as 20 MB."""
    found: dict[str, Raw] = {}
    n_bytes = 0
    for entry in reversed(journal.entries()):
        n_bytes += entry.n_bytes
        if len(found) == len(wanted) or n_bytes > _LARGEST:
            break
        if entry.state in (EntryState.DONE, EntryState.ASIDE):
            for chunk in journal.chunks(entry, skip_damaged=True):
                for item_id, _, _, after in chunk:
                    if item_id in wanted and item_id not in found:
                        found[item_id] = after or {}
    return found
