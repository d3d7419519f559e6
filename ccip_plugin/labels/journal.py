"""The journal of a field: label changes with their previous values, for undo, redo and recovery after a crash.

An entry is written completely before the first label is. Its state: ``writing``, no label was
changed yet; ``prepared``, labels are being written; ``done``, all are written. The journal is an execution store of the
dataset and is deleted with it; a clone starts with an empty one. It takes about 1 kB for each changed label; the oldest
entries are deleted (:meth:`Journal.prune`).
"""

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import fiftyone as fo
from bson import json_util
from fiftyone.operators.store import ExecutionStore

from ..core.identity.groups import GroupDelta
from ..storage.internals import dataset_id
from .identities import loaded_delta, stored_delta

STORE = "ccip_journal"
CONTENT_STORE = "ccip_journal_content"

# the App turns every value of every store into JSON, which has no ObjectId: so content is stored as text
_AS_STORED = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)

_PIECE = 8_000_000  # characters that are stored together: the database allows 16 MB

Change = tuple[str, str, Any, Any]  # the id of an item, of its sample, the stored form before and after


class EntryState(StrEnum):
    """How far an entry is."""

    WRITING = "writing"
    PREPARED = "prepared"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    REDOING = "redoing"
    PRUNED = "pruned"


@dataclass(frozen=True)
class Entry:
    """The head of a change.

    Attributes:
        number: counts the changes of a field, from 1
        action: what was done, e.g. ``group_characters``
        state: its state
        at: when it was begun, in UTC
        n_chunks: number of chunks of labels that belong to it
        n_labels: number of labels that it changes
        next_id: the id of the next new group after it
        run_key: the run that it recorded, None for none
    """

    number: int
    action: str
    state: EntryState = EntryState.WRITING
    at: str = ""
    n_chunks: int = 0
    n_labels: int = 0
    next_id: int = 1
    run_key: str | None = None


@dataclass(frozen=True)
class EntryContent:
    """What an entry changes besides labels.

    Attributes:
        groups: the changed groups
        run_before: the configuration of the run that was replaced
        run_after: the configuration of the run
        rejected: rejections that it adds, as :func:`~ccip_plugin.labels.identities.stored_ids` gives them
    """

    groups: GroupDelta = field(default_factory=dict)
    run_before: Mapping[str, Any] | None = None
    run_after: Mapping[str, Any] | None = None
    rejected: Mapping[str, list[str]] = field(default_factory=dict)


class Journal:
    """The entries of one grouped field, oldest first."""

    def __init__(self, dataset: fo.Dataset, path: str):
        self._heads = ExecutionStore.create(STORE, dataset_id(dataset))
        self._content = ExecutionStore.create(CONTENT_STORE, dataset_id(dataset))
        self._path = path

    def entries(self) -> list[Entry]:
        """All heads, oldest first."""
        keys = [key for key in self._heads.list_keys() if key.startswith(f"{self._path}/")]
        heads = (self._heads.get(key) for key in sorted(keys))
        return [Entry(**{**head, "state": EntryState(head["state"])}) for head in heads]

    def begin(self, action: str) -> Entry:
        """Starts an entry in the state ``writing``."""
        numbers = [entry.number for entry in self.entries()]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return self.put(Entry(number=max(numbers, default=0) + 1, action=action, at=now))

    def put(self, entry: Entry, **changes: Any) -> Entry:
        """Writes the head, with some of its values changed."""
        entry = replace(entry, **changes)
        self._heads.set(self._key(entry), {**asdict(entry), "state": str(entry.state)})
        return entry

    def add_chunk(self, entry: Entry, changes: Iterable[Change]) -> Entry:
        """Adds changed labels to an entry that is being written."""
        for text, n_labels in _pieces_of_changes(changes):
            self._content.set(f"{self._key(entry)}/{entry.n_chunks:06d}", text)
            entry = replace(entry, n_chunks=entry.n_chunks + 1, n_labels=entry.n_labels + n_labels)
        return entry

    def chunks(self, entry: Entry) -> Iterator[list[Change]]:
        """The changed labels of an entry."""
        for number in range(entry.n_chunks):
            text = self._content.get(f"{self._key(entry)}/{number:06d}")
            yield [tuple(change) for change in json_util.loads(text, json_options=_AS_STORED)]

    def put_content(self, entry: Entry, content: EntryContent) -> None:
        """Adds the rest of what an entry changes."""
        for key, text in zip(self._content_keys(entry), _pieces(_fragments(content)), strict=False):
            self._content.set(key, text)

    def content(self, entry: Entry) -> EntryContent:
        """The rest of what an entry changes."""
        pieces = itertools.takewhile(bool, map(self._content.get, self._content_keys(entry)))
        stored = json_util.loads("".join(pieces), json_options=_AS_STORED)
        return EntryContent(**{**stored, "groups": loaded_delta(stored["groups"])})

    def remove(self, entry: Entry) -> None:
        """Deletes an entry: of which no label was written, or that is too old to keep."""
        chunk_keys = (f"{self._key(entry)}/{number:06d}" for number in itertools.count())
        for keys in (self._content_keys(entry), chunk_keys):
            all(map(self._content.delete, keys))  # up to the first missing one
        self._heads.delete(self._key(entry))

    def prune(self, keep: int) -> int:
        """Deletes the oldest entries, which can then no longer be undone.

        Args:
            keep: the number of the newest entries to keep

        Returns:
            the number of deleted entries
        """
        old = self.entries()[:-keep] if keep > 0 else self.entries()
        finished = [entry for entry in old if entry.state in (EntryState.DONE, EntryState.UNDONE, EntryState.PRUNED)]
        for entry in finished:
            self.remove(self.put(entry, state=EntryState.PRUNED))  # so that a crash leaves none that looks complete
        return len(finished)

    def forget_undone(self) -> None:
        """Deletes the undone entries: after another change they can no longer be redone."""
        for entry in self.entries():
            if entry.state == EntryState.UNDONE:
                self.remove(self.put(entry, state=EntryState.PRUNED))

    def _content_keys(self, entry: Entry) -> Iterator[str]:
        """The keys of the pieces of the content, without end."""
        key = f"{self._key(entry)}/plan"
        return itertools.chain([key], (f"{key}/{number:06d}" for number in itertools.count(1)))

    def _key(self, entry: Entry) -> str:
        return f"{self._path}/{entry.number:08d}"


def _text(value: Any) -> str:
    return str(json_util.dumps(value, json_options=_AS_STORED))


def _fragments(content: EntryContent) -> Iterator[str]:
    """Content as JSON, a group at a time."""
    yield '{"groups": {'
    for number, (group_id, pair) in enumerate(content.groups.items()):
        yield (", " if number else "") + _text(stored_delta({group_id: pair}))[1:-1]
    rest = {"run_before": content.run_before, "run_after": content.run_after, "rejected": content.rejected}
    yield "}, " + _text(rest)[1:]


def _pieces(fragments: Iterable[str]) -> Iterator[str]:
    """Fragments of a text, joined to pieces that the database allows."""
    texts: list[str] = []
    size = 0
    for fragment in fragments:
        for start in range(0, len(fragment), _PIECE):
            part = fragment[start : start + _PIECE]
            if texts and size + len(part) > _PIECE:
                yield "".join(texts)
                texts, size = [], 0
            texts.append(part)
            size += len(part)
    if texts:
        yield "".join(texts)


def _pieces_of_changes(changes: Iterable[Change]) -> Iterator[tuple[str, int]]:
    """Changes as texts that the database allows, with the number in each: others may store large values in labels."""
    texts: list[str] = []
    size = 0
    for change in changes:
        text = _text(change)
        if texts and size + len(text) > _PIECE:
            yield f"[{', '.join(texts)}]", len(texts)
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield f"[{', '.join(texts)}]", len(texts)
