"""Keeps the lists of decisions current: with each change of labels, and at the next run where they differ."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection

from ...core.identity.boxes import Box, box_of, overlapping
from ...core.identity.groups import Group
from ...storage.targets import Target, batched
from ...storage.updates import bulk_write
from ..identities import load_registry
from ..journal import EntryContent
from ..tables import GroupLabel
from ..writer import Change
from .field import decisions_field, declare_field, is_declared
from .records import Decision, Raw, TakeOver


class Place(Protocol):
    """What is needed of a label store."""

    target: Target
    group_field: str

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the stored form of a label of a detection."""

    @property
    def documents(self) -> Collection[Raw]:
        """The samples."""

    def from_raw(self, raw: Raw | None) -> GroupLabel | None:
        """The label of a stored form."""


class Detection(NamedTuple):
    """A detection as it is stored now: its box, None without a valid one, and its label."""

    box: Box | None
    label: GroupLabel | None


@dataclass(frozen=True)
class Listed:
    """The detections of a sample and the decisions about them, as they are stored now.

    Attributes:
        sample_id: the id of the sample
        detections: by their ids, in their order
        decisions: those about the groups in one attribute
        others: what else is in the list
        stored: the list
    """

    sample_id: ObjectId
    detections: Mapping[str, Detection]
    decisions: tuple[Decision, ...]
    others: tuple[Any, ...]
    stored: Any

    @property
    def lost(self) -> list[Decision]:
        """The decisions about detections that are gone."""
        return [decision for decision in self.decisions if decision.detection not in self.detections]


@dataclass(frozen=True)
class ListChanges:
    """What a change of labels changes in lists, besides the labels.

    Attributes:
        rejected: rejections that it adds: for the ids of detections, names of groups by their ids
        lifted: rejections that it removes, likewise
        taken_over: decisions that other detections take over
        is_backward: whether it is being undone
    """

    rejected: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    lifted: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    taken_over: tuple[TakeOver, ...] = ()
    is_backward: bool = False

    def rejections(self, decision: Decision) -> Decision:
        """A decision with its rejections after the change."""
        added, removed = (self.lifted, self.rejected) if self.is_backward else (self.rejected, self.lifted)
        kept = {**decision.rejected, **added.get(decision.detection, {})}
        gone = removed.get(decision.detection, {})
        return replace(decision, rejected={key: name for key, name in kept.items() if key not in gone})

    def concerns(self, store: Place, change: Change) -> bool:
        """Whether a changed label is a decision, was one, or comes with a rejection."""
        item_id, _, before, after = change
        labels = map(store.from_raw, (before, after))
        is_human = any(label is not None and label.is_human for label in labels)
        return is_human or item_id in self.rejected or item_id in self.lifted


def list_changes(dataset: fo.Dataset, path: str, content: EntryContent, *, is_backward: bool) -> ListChanges:
    """What an entry of the journal changes in lists.

    Args:
        dataset: the dataset
        path: the path of the grouped field
        content: what the entry changes besides labels
        is_backward: whether it is being undone
    """
    rejections = content.rejected, content.lifted
    group_ids = {int(key) for part in rejections for key in part}
    groups = load_registry(dataset, path, group_ids).groups if group_ids else {}
    rejected, lifted = (_by_detection(part, groups) for part in rejections)
    taken_over = filter(None, map(TakeOver.from_stored, content.taken_over))
    return ListChanges(rejected, lifted, tuple(taken_over), is_backward)


def _by_detection(rejections: Mapping[str, Sequence[str]], groups: Mapping[int, Group]) -> dict[str, dict[int, str]]:
    """For the ids of detections the groups in rejections, names by id."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for key, ids in rejections.items():
        name = groups[int(key)].name if int(key) in groups else ""
        for item_id in ids:
            found[item_id][int(key)] = name
    return dict(found)


def write_lists(store: Place, changes: Iterable[Change], others: ListChanges) -> dict[str, str]:
    """Updates the lists of the samples in which decisions are changed; to be called when their labels are written.

    Args:
        store: where the labels are
        changes: the changed labels
        others: what else is changed

    Returns:
        the ids of the samples where there is no room for the list, with the reason
    """
    if store.target.patches_field is None:
        return {}
    labels = {
        item_id: (sample_id, store.from_raw(after))
        for item_id, sample_id, before, after in changes
        if others.concerns(store, (item_id, sample_id, before, after))
    }
    sample_ids = {sample_id for sample_id, _ in labels.values()}
    after = {item_id: label for item_id, (_, label) in labels.items()}
    refused: dict[str, str] = {}
    for chunk in batched(sorted(sample_ids)):
        refused |= _write(
            store, ((listed, _changed(listed, store, after, others)) for listed in read_lists(store, chunk))
        )
    return refused


def write_taken_over(store: Place, others: ListChanges) -> dict[str, str]:
    """Updates the lists of the samples where detections take over decisions; see :func:`write_lists`."""
    refused: dict[str, str] = {}
    for chunk in batched(sorted({each.sample_id for each in others.taken_over})):
        refused |= _write(store, ((listed, _changed(listed, store, {}, others)) for listed in read_lists(store, chunk)))
    return refused


def read_lists(store: Place, sample_ids: Iterable[str]) -> Iterator[Listed]:
    """Reads the detections of some samples, and what is decided about them."""
    target = store.target
    name = decisions_field(f"{target.patches_field}")
    paths = [target.path(key) for key in ("_id", "bounding_box", *store.keys)]
    query = {"_id": {"$in": [ObjectId(sample_id) for sample_id in sample_ids]}}
    for document in store.documents.find(query, [*paths, name]):
        detections = (document.get(f"{target.patches_field}") or {}).get("detections") or []
        by_id = {
            str(each["_id"]): Detection(box_of(each.get("bounding_box")), _label(store, each)) for each in detections
        }
        stored = document.get(name)
        read = [(decision, value) for value in _items(stored) if (decision := Decision.from_stored(value)) is not None]
        is_ours = [decision.group_field == store.group_field for decision, _ in read]
        ours = tuple(decision for (decision, _), is_our in zip(read, is_ours, strict=True) if is_our)
        others = tuple(value for (_, value), is_our in zip(read, is_ours, strict=True) if not is_our)
        yield Listed(document["_id"], by_id, ours, others, stored)


def current(listed: Listed, group_field: str, rejected: Mapping[str, Mapping[int, str]]) -> list[Decision]:
    """The decisions about the detections that a sample has.

    Args:
        listed: the sample
        group_field: the attribute with the groups
        rejected: for the ids of detections the groups that they were rejected from, names by id
    """
    decided = [
        decision
        for key, detection in listed.detections.items()
        if (
            decision := Decision(key, group_field, detection.box, rejected=rejected.get(key, {})).labeled(
                detection.label
            )
        )
    ]
    if not decided:
        return []
    ids = [key for key, detection in listed.detections.items() if detection.box is not None]
    boxes = [detection.box for detection in listed.detections.values() if detection.box is not None]
    with_box = [decision for decision in decided if decision.box is not None]
    rows, columns, _ = overlapping([decision.box for decision in with_box if decision.box is not None], boxes)
    beside: dict[str, list[str]] = defaultdict(list)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if ids[column] != with_box[row].detection:
            beside[with_box[row].detection].append(ids[column])
    return [replace(decision, beside=tuple(beside.get(decision.detection, ()))) for decision in decided]


def update(listed: Listed, decisions: Sequence[Decision], name: str) -> UpdateOne | None:
    """The update that gives a sample these decisions; None where it has them."""
    values = [*listed.others, *(decision.stored() for decision in decisions)]
    if values == (listed.stored or []):
        return None
    query = {"_id": listed.sample_id, name: listed.stored}
    return UpdateOne(query, {"$set": {name: values}} if values else {"$unset": {name: ""}})


def write_updates(store: Place, updates: Sequence[tuple[Listed, UpdateOne]]) -> dict[str, str]:
    """Writes lists; one that was changed at this moment is left as it is.

    Returns:
        the ids of the samples where there is no room for the list, with the reason
    """
    if not updates:
        return {}
    dataset, name = store.target.dataset, decisions_field(f"{store.target.patches_field}")
    if not is_declared(dataset, name):
        declare_field(dataset, name)
    _, failed = bulk_write(store.documents, [each for _, each in updates])
    return {str(updates[number][0].sample_id): reason for number, (_, reason) in failed.items()}


def _write(store: Place, changed: Iterable[tuple[Listed, list[Decision]]]) -> dict[str, str]:
    name = decisions_field(f"{store.target.patches_field}")
    updates = ((listed, update(listed, decisions, name)) for listed, decisions in changed)
    return write_updates(store, [(listed, each) for listed, each in updates if each is not None])


def _changed(
    listed: Listed, store: Place, labels: Mapping[str, GroupLabel | None], changes: ListChanges
) -> list[Decision]:
    """The decisions in a sample after a change of labels; those about detections that are gone come last.

    What is undone about a detection that is gone is no decision any more. Its box stays, so that it can be redone.
    """
    before = {decision.detection: decision for decision in listed.decisions}
    known = [before.get(key) or Decision(key, store.group_field, None) for key in listed.detections]
    rejected = {decision.detection: changes.rejections(decision).rejected for decision in known}
    lost = [changes.rejections(decision) for decision in listed.lost]
    lost = [
        decision.labeled(labels[decision.detection]) if decision.detection in labels else decision for decision in lost
    ]
    taken = {each.decision.detection: each for each in changes.taken_over if each.sample_id == str(listed.sample_id)}
    if changes.is_backward:
        lost += [each.decision for key, each in taken.items() if key not in before and key not in listed.detections]
    else:
        lost = [each for each in lost if not _is_taken(listed, taken.get(each.detection))]
    return [*current(listed, store.group_field, rejected), *lost]


def _is_taken(listed: Listed, taken: TakeOver | None) -> bool:
    """Whether a decision was taken over: the detection may have been deleted, or its label refused."""
    if taken is None or taken.detection not in listed.detections:
        return False
    label = listed.detections[taken.detection].label
    return taken.decision.label is None or (label is not None and label.is_human)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _label(store: Place, detection: Raw) -> GroupLabel | None:
    return store.from_raw({key: detection[key] for key in store.keys if key in detection})
