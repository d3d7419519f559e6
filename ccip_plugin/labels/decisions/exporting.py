"""Writes what users decided about the images of a dataset into a file."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fiftyone.core.collections import SampleCollection

from ...core.arrays import BoolArray
from ...core.identity.boxes import Box, box_of
from ...core.identity.groups import Draft, Group
from ...core.identity.ids import ids_of, places_of
from ...core.identity.state import NONE, State
from ...core.progress import ProgressCallback, report
from ...reports.facts import Facts, counted
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD, STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED
from ...storage.targets import batched, resolve
from ..snapshot import read_state
from ..store import LabelStore
from ..tables import GroupLabel, rows_of
from .document import Decisions, GroupEntry, ItemEntry, content_hash

_HASHED = 20  # files between two reports of progress
_MEMBERS = 50  # images that tell which group is meant, of one that users neither named nor shaped


@dataclass(frozen=True)
class DecisionsExport:
    """Result of writing decisions into a file.

    Attributes:
        path: the file
        n_items: number of images or detections in it
        n_user_labels: number of these that users labeled
        n_rejections: number of rejections
        n_groups: number of groups that users named or shaped
        n_unreadable: number of files that could not be read, so that only their paths are known
        n_covers: number of images that show their groups
    """

    path: Path
    n_items: int
    n_user_labels: int
    n_rejections: int
    n_groups: int
    n_unreadable: int
    n_covers: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"decisions about {counted(self.n_items, 'item')} are in {self.path}",
            [
                ("User labels", self.n_user_labels),
                ("Rejections (not this character)", self.n_rejections or None),
                ("Groups named or shaped by users", self.n_groups or None),
                ("Covers", self.n_covers or None),
                ("Files that cannot be read, known by their paths", self.n_unreadable or None),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def export_decisions(
    samples: SampleCollection,
    path: str | Path,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> DecisionsExport:
    """Writes what users decided: names, confirmed and ignored images, rejections, groups kept apart and covers.

    Images are known by the content of their files, so that :func:`import_decisions` finds them after a folder was moved
    or renamed, or imported again. Of groups that users named or shaped all images are listed; of others from which
    images were rejected, up to 50, so that the group is known again. The file is JSON, and has the paths of the images.

    Args:
        samples: the dataset, or any view of it; the decisions about the whole dataset are written
        path: the file, which is replaced
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        progress (None): called with the number of files that are read

    Returns:
        a :class:`DecisionsExport`

    Raises:
        FileNotWrittenError: the file cannot be written
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    decisions = collect(store, progress)
    items = decisions.items
    return DecisionsExport(
        decisions.save(path),
        len(items),
        sum(item.status in (STATUS_CONFIRMED, STATUS_IGNORED) for item in items),
        sum(len(item.rejected) for item in items),
        len(decisions.groups),
        sum(item.sha256 is None for item in items),
        sum(item.is_cover for item in items),
    )


def collect(store: LabelStore, progress: ProgressCallback | None = None) -> Decisions:
    """The decisions of a field.

    Args:
        store: the field, of the whole dataset
        progress (None): called with the number of files that are read
    """
    state = read_state(store)
    draft = state.draft()
    rejected, covers = _rejected(state, draft), _covers(state, draft)
    shaped, meant = _shaped(draft), _meant(draft)
    rows = np.flatnonzero(_is_listed(state, {*rejected, *covers}, shaped, meant - shaped))
    labels = rows_of(state.labels.take(rows))
    places = item_places(store, {sample_id for _, sample_id, _ in labels})
    files: dict[str, tuple[str | None, int]] = {}
    items = []
    for number, (item_id, _, label) in enumerate(labels):
        if item_id not in places:
            continue  # deleted meanwhile
        path, box = places[item_id]
        if path not in files:
            files[path] = content_hash(path)
        group_id = int(state.group_ids[rows[number]])
        name, status = _decision(label, draft.groups.get(group_id), group_id in shaped, group_id in meant)
        not_of = tuple(sorted(rejected.get(item_id, ())))
        items.append(ItemEntry(*files[path], path, name, status, not_of, box, item_id in covers))
        if number % _HASHED == 0:
            report(progress, "reading files", number, len(labels))
    patches_field = store.target.patches_field
    return Decisions(store.group_field, patches_field, _groups(draft), tuple(items))


def _rejected(state: State, draft: Draft) -> dict[str, set[str]]:
    """For the ids of items the names of the groups that they were rejected from."""
    rejected: dict[str, set[str]] = defaultdict(set)
    for group_id, ids in draft.rejections.items():
        if group_id in draft.groups:
            for item_id in ids:
                rejected[item_id].add(draft.groups[group_id].name)
    return rejected


def _covers(state: State, draft: Draft) -> set[str]:
    """The ids of the items that show the groups that they are in."""
    covers = {group_id: group.cover for group_id, group in draft.groups.items() if group.cover is not None}
    places = places_of(ids_of(sorted(covers.values())), state.labels.ids)
    group_of = dict(zip(sorted(covers.values()), np.append(state.group_ids, NONE)[places].tolist(), strict=True))
    return {item_id for group_id, item_id in covers.items() if group_of[item_id] == group_id}


def _is_listed(state: State, item_ids: set[str], shaped: set[int], meant: set[int]) -> BoolArray:
    """``(n,)`` whether an item is in the file: user labels, items of which there is more to say, members of groups that
    users shaped, and the nearest members of those that are only meant."""
    is_listed: BoolArray = state.is_user_label | np.isin(state.group_ids, sorted(shaped))
    places = places_of(ids_of(sorted(item_ids)), state.labels.ids)
    is_listed[places[places != NONE]] = True
    rows = np.flatnonzero(np.isin(state.group_ids, sorted(meant)))
    rows = rows[np.lexsort((state.labels.difference[rows], state.group_ids[rows]))]  # the nearest first, NaN last
    _, first, sizes = np.unique(state.group_ids[rows], return_index=True, return_counts=True)
    is_listed[rows[np.arange(len(rows)) - np.repeat(first, sizes) < _MEMBERS]] = True
    return is_listed


def _meant(draft: Draft) -> set[int]:
    """The groups from which users rejected items, or for which they chose a cover."""
    with_cover = {group_id for group_id, group in draft.groups.items() if group.cover is not None}
    return (draft.rejections.keys() | with_cover) & draft.groups.keys()


def _shaped(draft: Draft) -> set[int]:
    """The groups that users named, shaped, or kept apart from others."""
    found = set[int]()
    for group_id, group in draft.groups.items():
        if group.merged_into is None and (not group.is_auto_named or group.is_held):
            found |= {group_id, *map(draft.root, group.apart)} & draft.groups.keys()
    return found


def _decision(
    label: GroupLabel | None, group: Group | None, is_shaped: bool, is_meant: bool
) -> tuple[str | None, str | None]:
    """The name and the status of an entry."""
    if label is None or label.is_ignored:
        return None, None if label is None else STATUS_IGNORED
    name = None if group is None else group.name
    if label.is_human:
        return name, STATUS_CONFIRMED
    return (name, STATUS_AUTO) if is_shaped else (name if is_meant else None, None)


def _groups(draft: Draft) -> tuple[GroupEntry, ...]:
    entries = []
    for group_id in sorted(_shaped(draft)):
        group = draft.groups[group_id]
        others = sorted({draft.root(other) for other in group.apart} & draft.groups.keys() - {group_id})
        apart = tuple(draft.groups[other].name for other in others)
        entries.append(GroupEntry(group.name, not group.is_auto_named, group.held_by is not None, apart))
    return tuple(entries)


def item_places(store: LabelStore, sample_ids: set[str]) -> dict[str, tuple[str, Box | None]]:
    """The file of each item of some samples, and its box."""
    target = store.target
    places: dict[str, tuple[str, Box | None]] = {}
    for chunk in batched(sorted(sample_ids)):
        view = target.whole().view.select(list(chunk))
        if target.patches_field is None:
            places |= {key: (path, None) for key, path in zip(*view.values(["id", "filepath"]), strict=True)}
            continue
        columns = view.values(["filepath", target.path("id"), target.path("bounding_box")])
        for path, ids, boxes in zip(*columns, strict=True):
            places |= {key: (path, box_of(box)) for key, box in zip(ids or (), boxes or (), strict=True)}
    return places
