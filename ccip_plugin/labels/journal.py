"""The journal of a field: label changes with their previous values, for undo, redo and recovery after a crash.

An entry is written completely before the first label is. Its state: ``writing``, no label was
changed yet; ``prepared``, labels are being written; ``done``, all are written; ``aside``, it could not be completed and
is not tried again. The journal is an execution store of the dataset and is deleted with it; a clone starts with an
empty one. It takes about 1 kB for each changed label; the oldest entries are deleted (:meth:`Journal.prune`).
"""

import contextlib
import datetime
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

import fiftyone as fo
from bson import json_util
from fiftyone.operators.store import ExecutionStore

from ..core.errors import CCIPError
from ..core.identity.groups import GroupDelta
from ..core.plain import pieces
from ..storage.internals import aggregate_values, dataset_id, delete_values, store_values
from ..storage.person import current_person
from ..storage.updates import now
from .identities import loaded_delta, stored_delta
from .writer import Change, Raw

STORE = "ccip_journal"
CONTENT_STORE = "ccip_journal_content"

# the App turns every value of every store into JSON, which has no ObjectId: so content is stored as text
_AS_STORED = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)

_PIECE = 1_000_000  # characters that are stored together: several copies of them are made on the way
_LARGEST = 15_000_000  # characters of one change
ABOUT = 200  # characters of what an entry was about
T = TypeVar("T")

BY_HAND = "edited_by_hand"
"""The action of an entry for labels that people edited elsewhere, as in the App's editor; who did is not known."""

_FEW = 20  # of the oldest heads that are read together
_REFUSED = 20_000  # ids of refused labels that are stored together
_LATER = "lifted", "taken_over", "rebuilt", "answers"  # of the content; earlier versions know the others


class EntryState(StrEnum):
    """How far an entry is."""

    WRITING = "writing"
    PREPARED = "prepared"
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"
    REDOING = "redoing"
    PRUNED = "pruned"
    ASIDE = "aside"


_COMPLETE = (EntryState.DONE, EntryState.ASIDE)
FINISHED = (EntryState.DONE, EntryState.UNDONE, EntryState.PRUNED, EntryState.ASIDE)
"""The states of an entry that is not written any more."""


class EntryDamagedError(CCIPError):
    """A part of an entry is missing or unreadable."""

    def __init__(self, entry: "Entry", part: str):
        super().__init__(f"change {entry.number} ({entry.action}) cannot be read: its {part} is missing or damaged")
        self.number, self.part = entry.number, part


class UnstorableError(CCIPError, ValueError):
    """An entry has values that the database cannot store."""

    def __init__(self, entry: "Entry", reason: object):
        super().__init__(f"change {entry.number} ({entry.action}) cannot be written: the database refuses it, {reason}")
        self.number = entry.number


class NewerJournalError(CCIPError):
    """The journal was written by a newer version of this plugin."""

    def __init__(self, path: str):
        super().__init__(f"the history of {path!r} was written by a newer version of this plugin; update this one")
        self.path = path


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
        n_bytes: about the size of its content
        problem: why it could not be completed, None if it was
        n_refused: number of items whose labels could not be written
        by: who made it, None where that is not known
        turn: counts the undone changes in the order in which they were undone, 0 where that is not known
        stamp: the ``last_modified_at`` of the samples that it wrote last, empty where that is not known
        n_unknown: number of labels edited by hand whose label before that is not known
        about: what it was about, as text such as ``3 images to 'Rei'``; empty where that is not known
    """

    number: int
    action: str
    state: EntryState = EntryState.WRITING
    at: str = ""
    n_chunks: int = 0
    n_labels: int = 0
    next_id: int = 1
    run_key: str | None = None
    n_bytes: int = 0
    problem: str | None = None
    n_refused: int = 0
    by: str | None = None
    turn: int = 0
    stamp: str = ""
    n_unknown: int = 0
    about: str = ""


@dataclass(frozen=True)
class EntryContent:
    """What an entry changes besides labels.

    Attributes:
        groups: the changed groups
        run_before: the configuration of the run that was replaced
        run_after: the configuration of the run
        rejected: rejections that it adds, as :func:`~ccip_plugin.labels.identities.stored_ids` gives them
        lifted: rejections that it removes, likewise
        taken_over: decisions that other detections take over, as plain values
        rebuilt: for the ids of items whose labels were edited by hand the stored forms of before, which undo restores
        answers: answers to pair questions: two ids, the answer before and the one after, each in a list or an empty one
    """

    groups: GroupDelta = field(default_factory=dict)
    run_before: Mapping[str, Any] | None = None
    run_after: Mapping[str, Any] | None = None
    rejected: Mapping[str, list[str]] = field(default_factory=dict)
    lifted: Mapping[str, list[str]] = field(default_factory=dict)
    taken_over: Sequence[list[Any]] = ()
    rebuilt: Mapping[str, Raw | None] = field(default_factory=dict)
    answers: Sequence[list[Any]] = ()


_NAMES = frozenset(each.name for each in fields(Entry))
_SUMMARY = {
    "n": {"$sum": 1},
    "n_bytes": {"$sum": "$value.n_bytes"},
    "newest": {"$last": "$value"},
    "open": {"$push": {"$cond": [{"$in": ["$value.state", list(_COMPLETE)]}, "$$REMOVE", "$value"]}},
}


class Journal:
    """The entries of one grouped field, oldest first.

    Heads are read once and kept: whoever writes has the lease on the field. At first those of the newest entry and of
    the ones that are not done, so that a change costs the same after many others; all, when they are asked for.

    Raises:
        NewerJournalError: a newer version of this plugin has written such an entry
    """

    def __init__(self, dataset: fo.Dataset, path: str):
        self._heads = ExecutionStore.create(STORE, dataset_id(dataset))
        self._content = ExecutionStore.create(CONTENT_STORE, dataset_id(dataset))
        self._dataset, self._path = dataset, path
        found = aggregate_values(dataset, STORE, f"{path}/", _SUMMARY)
        heads = [head for head in (found.get("newest"), *found.get("open", ())) if head is not None]
        self._entries = {entry.number: entry for entry in map(self._entry, heads)}
        self._newest, self._has_all = max(self._entries, default=0), False
        self._n_others = found.get("n", 0) - len(self._entries)
        self._others_bytes = found.get("n_bytes", 0) - sum(each.n_bytes for each in self._entries.values())

    def entries(self) -> list[Entry]:
        """All heads, oldest first."""
        if not self._has_all:
            heads = store_values(self._dataset, STORE, f"{self._path}/").values()
            self._entries = {entry.number: entry for entry in map(self._entry, heads)}
            self._has_all, self._n_others, self._others_bytes = True, 0, 0
        return [self._entries[number] for number in sorted(self._entries)]

    def unfinished(self) -> list[Entry]:
        """The heads of entries that are not done, oldest first."""
        return [entry for _, entry in sorted(self._entries.items()) if entry.state not in _COMPLETE]

    def begin(self, action: str) -> Entry:
        """Starts an entry in the state ``writing``."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._newest += 1
        by = None if action == BY_HAND else current_person()
        return self.put(Entry(number=self._newest, action=action, at=now, by=by))

    def put(self, entry: Entry, **changes: Any) -> Entry:
        """Writes the head, with some of its values changed."""
        entry = replace(entry, **changes)
        self._heads.set(self._key(entry), {**asdict(entry), "state": str(entry.state)})
        self._entries[entry.number] = entry
        return entry

    def stamp(self, entry: Entry, **changes: Any) -> Entry:
        """Writes the head of an entry whose labels are about to be written, with some of its values changed."""
        return self.put(entry, stamp=now().isoformat(timespec="milliseconds"), **changes)

    def add_chunk(self, entry: Entry, changes: Iterable[Change]) -> tuple[Entry, dict[str, str]]:
        """Adds changed labels to an entry that is being written.

        Returns:
            the entry, and the ids of labels that are too large for it, with the reason
        """
        too_large: dict[str, str] = {}
        for text, n_labels in _pieces_of_changes(changes, too_large):
            self._content.set(f"{self._key(entry)}/{entry.n_chunks:06d}", text)
            n_bytes = entry.n_bytes + len(text)
            entry = replace(entry, n_chunks=entry.n_chunks + 1, n_labels=entry.n_labels + n_labels, n_bytes=n_bytes)
        return entry, too_large

    def chunks(self, entry: Entry, *, skip_damaged: bool = False) -> Iterator[list[Change]]:
        """The changed labels of an entry.

        Args:
            entry: the entry
            skip_damaged (False): leave out what is missing or unreadable

        Raises:
            EntryDamagedError: some of them are missing or unreadable
        """
        for number in range(entry.n_chunks):
            text = self._content.get(f"{self._key(entry)}/{number:06d}")
            try:
                yield _loaded(entry, f"part {number + 1} of {entry.n_chunks}", text, _changes)
            except EntryDamagedError:
                if not skip_damaged:
                    raise

    def put_content(self, entry: Entry, content: EntryContent) -> Entry:
        """Adds the rest of what an entry changes."""
        for key, text in zip(self._content_keys(entry), pieces(_fragments(content), _PIECE), strict=False):
            self._content.set(key, text)
            entry = replace(entry, n_bytes=entry.n_bytes + len(text))
        return entry

    def content(self, entry: Entry) -> EntryContent:
        """The rest of what an entry changes.

        Raises:
            EntryDamagedError: it is missing or unreadable
        """
        pieces = itertools.takewhile(bool, map(self._content.get, self._content_keys(entry)))
        return _loaded(entry, "list of groups", "".join(pieces), _content)

    def put_refused(self, entry: Entry, refused: Mapping[str, str]) -> Entry:
        """Adds the ids of what could not be written, with the reason."""
        for start, key in zip(range(0, len(refused), _REFUSED), self._refused_keys(entry), strict=False):
            self._content.set(key, _text(list(refused.items())[start : start + _REFUSED]))
        return self.put(entry, n_refused=len(refused))

    def refused(self, entry: Entry) -> dict[str, str]:
        """The ids of what could not be written, with the reason, as far as they can be read."""
        refused: dict[str, str] = {}
        for key in itertools.islice(self._refused_keys(entry), -(-entry.n_refused // _REFUSED)):
            with contextlib.suppress(EntryDamagedError):  # they are shown only
                refused |= _loaded(entry, "list of refused labels", self._content.get(key), dict)
        return refused

    def remove(self, entry: Entry) -> None:
        """Deletes an entry: of which no label was written, or that is too old to keep."""
        delete_values(self._dataset, CONTENT_STORE, f"{self._key(entry)}/")
        self._heads.delete(self._key(entry))
        del self._entries[entry.number]

    def prune(self, keep: int, keep_bytes: int) -> int:
        """Deletes the oldest entries, which can then no longer be undone. The newest one is always kept.

        Args:
            keep: the number of the newest entries to keep; up to a fiftieth more, which are then deleted together
            keep_bytes: about the size of the content to keep

        Returns:
            the number of deleted entries
        """
        n, n_removed = self._n_others + len(self._entries), 0
        n_bytes = self._others_bytes + sum(each.n_bytes for each in self._entries.values())
        is_room = n <= keep + keep // 50 and n_bytes <= keep_bytes
        for entry in () if is_room else self._oldest():
            if n == 1 or (n <= keep and n_bytes <= keep_bytes):
                break
            n, n_bytes = n - 1, n_bytes - entry.n_bytes
            if entry.state in FINISHED:
                self.remove(self.put(entry, state=EntryState.PRUNED))  # so that a crash leaves none that looks complete
                n_removed += 1
        return n_removed

    def _oldest(self) -> Iterator[Entry]:
        """All heads, oldest first, of which a few are read at first."""
        first = list(map(self._entry, store_values(self._dataset, STORE, f"{self._path}/", limit=_FEW).values()))
        for entry in first:
            if entry.number not in self._entries:
                self._entries[entry.number] = entry
                self._n_others, self._others_bytes = self._n_others - 1, self._others_bytes - entry.n_bytes
        yield from first
        if len(first) == _FEW:
            yield from (entry for entry in self.entries() if entry.number > first[-1].number)

    def forget_undone(self) -> None:
        """Deletes the undone entries: after another change they can no longer be redone."""
        for entry in self.unfinished():
            if entry.state == EntryState.UNDONE:
                self.remove(self.put(entry, state=EntryState.PRUNED))

    def _entry(self, head: Mapping[str, Any]) -> Entry:
        if not head.keys() <= _NAMES or head["state"] not in set(EntryState):
            raise NewerJournalError(self._path)
        return Entry(**{**head, "state": EntryState(head["state"])})

    def _content_keys(self, entry: Entry) -> Iterator[str]:
        """The keys of the pieces of the content, without end."""
        key = f"{self._key(entry)}/plan"
        return itertools.chain([key], (f"{key}/{number:06d}" for number in itertools.count(1)))

    def _refused_keys(self, entry: Entry) -> Iterator[str]:
        return (f"{self._key(entry)}/refused/{number:06d}" for number in itertools.count())

    def _key(self, entry: Entry) -> str:
        return f"{self._path}/{entry.number:08d}"


def _loaded(entry: Entry, part: str, text: str | None, convert: Callable[[Any], T]) -> T:
    try:
        stored = json_util.loads(text or "", json_options=_AS_STORED)
        del text  # of many groups it is large
        return convert(stored)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EntryDamagedError(entry, part) from error


def _changes(stored: Any) -> list[Change]:
    return [(item_id, sample_id, before, after) for item_id, sample_id, before, after in stored]


def _content(stored: Any) -> EntryContent:
    return EntryContent(**{**stored, "groups": loaded_delta(stored["groups"])})


def _text(value: Any) -> str:
    return str(json_util.dumps(value, json_options=_AS_STORED))


def _fragments(content: EntryContent) -> Iterator[str]:
    """Content as JSON, a group at a time."""
    yield '{"groups": {'
    for number, (group_id, pair) in enumerate(content.groups.items()):
        yield (", " if number else "") + _text(stored_delta({group_id: pair}))[1:-1]
    later = [name for name in _LATER if getattr(content, name)]
    names = ("run_before", "run_after", "rejected", *later)
    yield "}, " + _text({name: getattr(content, name) for name in names})[1:]


def _pieces_of_changes(changes: Iterable[Change], too_large: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Changes as texts that the database allows, with the number in each: others may store large values in labels."""
    texts: list[str] = []
    size = 0
    for change in changes:
        text = _text(change)
        if len(text) > _LARGEST:
            too_large[change[0]] = (
                f"with what others keep in it, its label is too large for the history: {len(text):,} bytes"
            )
            continue
        if texts and size + len(text) > _PIECE:
            yield f"[{', '.join(texts)}]", len(texts)
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield f"[{', '.join(texts)}]", len(texts)
