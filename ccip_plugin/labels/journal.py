"""What was changed, kept so that a crash can be finished and any change can be undone.

An entry is written in full before the first label is: its head in the state ``writing`` says that no label was touched
yet, ``prepared`` that labels are being written, ``done`` that all of them are. The journal lives in an execution store
of the dataset, and goes when the dataset goes; a clone starts with an empty one. It takes about 1 kB for each changed
label; the oldest changes are forgotten (:meth:`Journal.prune`).
"""

import datetime
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import fiftyone as fo
from bson import json_util
from fiftyone.operators.store import ExecutionStore

from ..storage.internals import dataset_id

STORE = "ccip_journal"
CONTENT_STORE = "ccip_journal_content"

WRITING = "writing"
PREPARED = "prepared"
DONE = "done"
UNDOING = "undoing"
UNDONE = "undone"
REDOING = "redoing"
PRUNED = "pruned"

# the App turns every value of every store into JSON, which an ObjectId cannot be: so content is kept as text
_AS_STORED = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=False)

_PIECE = 8_000_000  # characters of a text that are kept together: the database takes 16 MB

Change = tuple[str, str, Any, Any]  # the id of an item, of its sample, the stored form before and after


@dataclass(frozen=True)
class Entry:
    """The head of a change.

    Attributes:
        number: counts the changes of a field, from 1
        action: what was done, e.g. ``group_characters``
        state: how far it is
        at: when it was begun (UTC)
        n_chunks: how many chunks of labels belong to it
        n_labels: how many labels it changes
        next_id: the id of the next new group after it
        run_key: the run that it recorded, None for none
    """

    number: int
    action: str
    state: str = WRITING
    at: str = ""
    n_chunks: int = 0
    n_labels: int = 0
    next_id: int = 1
    run_key: str | None = None


@dataclass(frozen=True)
class Plan:
    """What an entry changes besides labels.

    Attributes:
        groups: the changed groups, as :func:`~ccip_plugin.labels.identities.stored_delta` gives them
        run_before: the configuration that the run replaced
        run_after: the configuration of the run
        rejected: rejections that it adds, as :func:`~ccip_plugin.labels.identities.stored_ids` gives them
    """

    groups: dict[str, Any] = field(default_factory=dict)
    run_before: dict[str, Any] | None = None
    run_after: dict[str, Any] | None = None
    rejected: dict[str, list[str]] = field(default_factory=dict)


class Journal:
    """The changes of one grouped field, oldest first."""

    def __init__(self, dataset: fo.Dataset, path: str):
        self._heads = ExecutionStore.create(STORE, dataset_id(dataset))
        self._content = ExecutionStore.create(CONTENT_STORE, dataset_id(dataset))
        self._path = path

    def entries(self) -> list[Entry]:
        """All heads, oldest first."""
        keys = [key for key in self._heads.list_keys() if key.startswith(f"{self._path}/")]
        return [Entry(**self._heads.get(key)) for key in sorted(keys)]

    def begin(self, action: str) -> Entry:
        """Starts an entry in the state ``writing``."""
        numbers = [entry.number for entry in self.entries()]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return self.put(Entry(number=max(numbers, default=0) + 1, action=action, at=now))

    def put(self, entry: Entry, **changes: Any) -> Entry:
        """Writes the head, with some of its values changed."""
        entry = replace(entry, **changes)
        self._heads.set(self._key(entry), asdict(entry))
        return entry

    def add_chunk(self, entry: Entry, changes: Iterable[Change]) -> Entry:
        """Adds changed labels to an entry that is being written."""
        for text, n_labels in _pieces(changes):
            self._content.set(f"{self._key(entry)}/{entry.n_chunks:06d}", text)
            entry = replace(entry, n_chunks=entry.n_chunks + 1, n_labels=entry.n_labels + n_labels)
        return entry

    def chunks(self, entry: Entry) -> Iterator[list[Change]]:
        """The changed labels of an entry."""
        for number in range(entry.n_chunks):
            text = self._content.get(f"{self._key(entry)}/{number:06d}")
            yield [tuple(change) for change in json_util.loads(text, json_options=_AS_STORED)]

    def put_plan(self, entry: Entry, plan: Plan) -> None:
        """Adds the rest of what an entry changes."""
        text = json_util.dumps(asdict(plan), json_options=_AS_STORED)
        for key, start in zip(self._plan_keys(entry), range(0, len(text), _PIECE), strict=False):
            self._content.set(key, text[start : start + _PIECE])

    def plan(self, entry: Entry) -> Plan:
        """The rest of what an entry changes."""
        pieces = itertools.takewhile(bool, map(self._content.get, self._plan_keys(entry)))
        return Plan(**json_util.loads("".join(pieces), json_options=_AS_STORED))

    def remove(self, entry: Entry) -> None:
        """Forgets an entry: of which no label was written, or that is too old to keep."""
        chunk_keys = (f"{self._key(entry)}/{number:06d}" for number in itertools.count())
        for keys in (self._plan_keys(entry), chunk_keys):
            all(map(self._content.delete, keys))  # up to the first that is not there
        self._heads.delete(self._key(entry))

    def prune(self, keep: int) -> int:
        """Forgets the oldest changes, which then cannot be undone any more.

        Args:
            keep: how many of the newest stay

        Returns:
            how many went
        """
        old = self.entries()[:-keep] if keep > 0 else self.entries()
        finished = [entry for entry in old if entry.state in (DONE, UNDONE, PRUNED)]
        for entry in finished:
            self.remove(self.put(entry, state=PRUNED))  # so that a crash in between leaves nothing that looks whole
        return len(finished)

    def forget_undone(self) -> None:
        """Forgets the changes that were taken back: after another change they cannot be brought back any more."""
        for entry in self.entries():
            if entry.state == UNDONE:
                self.remove(self.put(entry, state=PRUNED))

    def _plan_keys(self, entry: Entry) -> Iterator[str]:
        """The keys of the pieces of a plan, without end."""
        key = f"{self._key(entry)}/plan"
        return itertools.chain([key], (f"{key}/{number:06d}" for number in itertools.count(1)))

    def _key(self, entry: Entry) -> str:
        return f"{self._path}/{entry.number:08d}"


def _pieces(changes: Iterable[Change]) -> Iterator[tuple[str, int]]:
    """Changes as texts that the database takes, with how many each holds: what others keep in labels can be large."""
    texts: list[str] = []
    size = 0
    for change in changes:
        text = json_util.dumps(change, json_options=_AS_STORED)
        if texts and size + len(text) > _PIECE:
            yield f"[{', '.join(texts)}]", len(texts)
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield f"[{', '.join(texts)}]", len(texts)
