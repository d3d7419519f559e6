"""The groups of a field as this process knows them: read once, then only what has changed since."""

import datetime
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import fiftyone as fo
import numpy as np

from ..core.arrays import BoolArray, IntArray
from ..core.calibration import load as load_calibration
from ..core.identity.groups import Draft
from ..core.identity.ids import ids_of, places_of, texts_of
from ..core.identity.state import Status
from ..core.plain import canonical_name
from ..core.review.board import UNASSIGNED, Board
from ..embeddings.cache import VECTORS
from ..labels.identities import load_registry, registry_revision
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel
from ..storage.internals import dataset_id
from ..storage.targets import batched
from .problems import ReviewError, action
from .sources import Source, embeddings_fields, store_of

_KEPT = 4  # boards of a process
_LATE = datetime.timedelta(minutes=10)  # how late the clock of another machine may be that edits labels
_JUST = datetime.timedelta(seconds=2)  # and where so many samples were modified lately that they are not looked at
_FEW = 2_000
_SHARE = 0.2  # largest share of changed samples that are read one by one


class ReviewBoard:
    """The items of a source, their groups and statuses.

    Rows are places in the arrays; those with an embedding come first, and are the rows of ``board``. Whoever reads
    holds ``lock``; nothing is written to the database under it.

    Args:
        store: the labels of the whole dataset
        source: what is reviewed

    Attributes:
        ids: ``n`` ids of the items
        sample_ids: ``n`` ids of their samples
        group_ids: ``(n,)`` the group of each, 0 for none
        status: ``(n,)`` codes of :class:`~ccip_plugin.core.identity.state.Status`; confirmed for all user labels
        registry: the groups as they are registered
        names: the names of all groups that have items, by id
        board: the groups with their means and rivals, of the items with an embedding
        version: grows with each change
        generation: grows when all is read again, and rows may be others
        queue: the questions about it, once there are some
        writing: held by what writes, one after the other; reading does not wait for it
        threshold: the difference up to which two images show one character
    """

    def __init__(self, store: LabelStore, source: Source):
        self.store, self.source, self.lock = store, source, threading.RLock()
        self.version = self.generation = 0
        self.writing = threading.Lock()
        self.queue: Any = None
        self._derived: dict[str, tuple[int, Any]] = {}
        self._read()

    @property
    def revision(self) -> int:
        """The revision of the groups: it grows with each change that this plugin writes, of any process."""
        return self.registry.revision

    @property
    def n_embedded(self) -> int:
        """Number of items with an embedding."""
        return len(self.board.group_of)

    @property
    def confirmed(self) -> BoolArray:
        """``(n,)`` whether a person decided the group."""
        confirmed: BoolArray = self.status == Status.CONFIRMED
        return confirmed

    def name(self, group_id: int) -> str:
        """The name of a group."""
        return self.names.get(group_id) or self.registry.groups[group_id].name

    def named(self, name: str, *, but: int) -> int | None:
        """The group with items that has a name, also in other characters that look the same; None where there is none.

        Args:
            name: the name
            but: a group that is not meant
        """
        wanted = canonical_name(name)
        alike = (key for key, each in self.names.items() if key != but and canonical_name(each) == wanted)
        return next((key for key in alike if len(self.members(key))), None)

    def is_named(self, group_id: int) -> bool:
        """Whether a person gave a group its name."""
        group = self.registry.groups.get(group_id)
        return group is None or not group.is_auto_named

    def reference(self, group_id: int) -> int | str:
        """How the edits name a group: one that only labels name, as people typed it, has no id yet."""
        return group_id if group_id in self.registry.groups else self.name(group_id)

    def members(self, group_id: int) -> IntArray:
        """The rows of a group, also those without an embedding."""
        rows: IntArray = np.flatnonzero(self.group_ids == group_id)
        return rows

    def derived(self, name: str, compute: Callable[["ReviewBoard"], Any]) -> Any:
        """What follows from the board, computed once for each version of it.

        Args:
            name: its name
            compute: computes it from the board
        """
        version, value = self._derived.get(name, (-1, None))
        if version != self.version:
            value = compute(self)
            self._derived[name] = self.version, value
        return value

    def row_of(self, item_id: str) -> int | None:
        """The row of an item, or of the first item of a sample; None where there is none."""
        row = self.place.get(item_id)
        return row if row is not None else next(iter(self._owners.get(item_id, ())), None)

    def refresh(self) -> None:
        """Reads what has changed since the last call, whoever has changed it."""
        with self.lock:
            marks = self._marks()
            if marks != self._seen:
                self._follow(marks)

    # -- reading

    def _marks(self) -> tuple[int, Any, int]:
        """What changes with every change of the dataset: the revision, the last change of a sample, their number."""
        documents = self.store.documents
        newest = documents.find_one({}, {"last_modified_at": True}, sort=[("last_modified_at", -1)]) or {}
        revision = registry_revision(self.store.target.dataset, self.store.path)
        return revision, newest.get("last_modified_at"), documents.estimated_document_count()

    def _read(self) -> None:
        dataset = self.store.target.dataset
        fields = embeddings_fields(dataset, self.source)
        if not fields:
            helps = action("Compute embeddings", "@ccip/characters/compute_embeddings")
            raise ReviewError("no_embeddings", f"the {self.source.noun} have no CCIP embeddings: compute them", helps)
        self._seen = self._marks()
        self._times = self._modified_since(self._since())
        state = read_state(self.store)
        embeddings = VECTORS.load(self.store.target, fields[0])
        if embeddings.provenance is None:
            raise ReviewError("no_embeddings", f"no {self.source.noun} have a CCIP embedding yet: compute them")
        places = places_of(ids_of(embeddings.ids), state.labels.ids)
        is_there = places >= 0
        rest = np.setdiff1d(np.arange(len(state.labels)), places[is_there])
        order = np.concatenate([places[is_there], rest]).astype(np.intp)
        labels = state.labels.take(order)
        self.ids, self.sample_ids = texts_of(labels.ids), texts_of(labels.sample_ids)
        self.place = {item_id: row for row, item_id in enumerate(self.ids)}
        self._owners = self._rows_of_samples()
        self.group_ids = np.maximum(state.group_ids[order], UNASSIGNED)
        self.status = np.where(state.is_user_label[order], Status.CONFIRMED, labels.status).astype(np.int16)
        self.status[labels.status == Status.IGNORED] = Status.IGNORED
        self.registry = state.registry
        self._typed = dict(state.named)
        self.threshold = load_calibration(embeddings.provenance.model_name).threshold
        vectors = embeddings.vectors if is_there.all() else embeddings.vectors[is_there]
        self._make_board(vectors)

    def _rows_of_samples(self) -> dict[str, list[int]]:
        owners: dict[str, list[int]] = {}
        for row, sample_id in enumerate(self.sample_ids):
            owners.setdefault(sample_id, []).append(row)
        return owners

    def _make_board(self, vectors: Any) -> None:
        m = len(vectors)
        self.generation += 1
        self.board = Board(
            vectors,
            self.group_ids[:m],
            confirmed=self.confirmed[:m],
            ignored=self.status[:m] == Status.IGNORED,
            threshold=self.threshold,
        )
        self._told()

    def _told(self) -> None:
        """Takes over what people said of groups: which are kept apart, and which items are not of them."""
        draft = Draft(self.registry)
        self.board.apart = {
            frozenset((group_id, draft.root(other)))
            for group_id, group in self.registry.groups.items()
            if group.merged_into is None
            for other in group.apart
            if draft.root(other) != group_id
        }
        self.board.rejected = {
            group_id: {row for item_id in ids if (row := self.place.get(item_id, -1)) in range(self.n_embedded)}
            for group_id, ids in draft.rejections.items()
        }
        living = {group_id: group.name for group_id, group in self.registry.groups.items() if group.merged_into is None}
        self.names = {**self._typed, **living}
        self.version += 1

    def _since(self) -> Any:
        """From when on the times of samples are compared."""
        newest = self._seen[1]
        if newest is None:
            return None
        n_late = self.store.documents.count_documents({"last_modified_at": {"$gte": newest - _LATE}}, limit=_FEW + 1)
        return newest - (_JUST if n_late > _FEW else _LATE)

    def _modified_since(self, since: Any) -> dict[Any, Any]:
        query = {} if since is None else {"last_modified_at": {"$gte": since}}
        rows = self.store.documents.find(query, {"last_modified_at": True})
        return {row["_id"]: row.get("last_modified_at") for row in rows}

    def _follow(self, marks: tuple[int, Any, int]) -> None:
        """Reads the labels of the samples that were modified, or all where there are many, or others."""
        since, n = self._since(), marks[2]
        times = self._modified_since(since)
        changed = [str(key) for key, at in times.items() if self._times.get(key) != at]
        are_known = n == self._seen[2] and all(key in self._owners for key in changed)
        if not are_known or len(changed) > max(100, _SHARE * n):
            self._read()
            return
        revision = self._seen[0]
        self._seen, self._times = marks, times
        if marks[0] != revision and self._typed:
            self._read()  # names that were only in labels may be registered now, under other ids
            return
        if marks[0] != revision:
            self.registry = load_registry(self.store.target.dataset, self.store.path)
        if not self._take(changed):
            self._read()
            return
        self._told()

    def _take(self, sample_ids: Iterable[str]) -> bool:
        """Takes over the labels of some samples; False where their items are others now."""
        draft = Draft(self.registry)
        for group_id, name in self._typed.items():
            draft.new_group(name, group_id)
        moves: dict[tuple[int, int], list[int]] = {}
        for chunk in batched(sample_ids):
            stored = self.store.read_stored(chunk)
            if len(stored) != sum(len(self._owners[key]) for key in chunk) or not stored.keys() <= self.place.keys():
                return False
            for item_id, each in stored.items():
                row, label = self.place[item_id], self.store.from_raw(each.raw)
                group_id = 0 if label is None else draft.id_of(label.group_name, label.group_id) or UNASSIGNED
                status = _status(label)
                if (group_id, status) != (self.group_ids[row], self.status[row]):
                    moves.setdefault((group_id, status), []).append(row)
        self._typed |= {key: group.name for key, group in draft.groups.items() if key not in self.registry.groups}
        for (group_id, status), rows in moves.items():
            self._put(np.array(rows, np.intp), group_id, status)
        return True

    def _put(self, rows: IntArray, group_id: int, status: int) -> None:
        is_moved = self.group_ids[rows] != group_id
        was_plain = self.status[rows] == Status.AUTO
        self.group_ids[rows], self.status[rows] = group_id, status
        inside = rows < self.n_embedded
        if status == Status.IGNORED:
            self.board.ignore(rows[inside])
        elif status == Status.CONFIRMED and not is_moved.any() and was_plain.all():
            self.board.confirm(rows[inside])
        elif inside.any():
            self.board.assign(rows[inside], group_id, confirmed=status == Status.CONFIRMED)


def _status(label: GroupLabel | None) -> int:
    if label is None:
        return int(Status.NONE)
    if label.is_ignored:
        return int(Status.IGNORED)
    return int(Status.CONFIRMED if label.is_human else Status.AUTO)


class Boards:
    """The boards of this process, those used last."""

    def __init__(self) -> None:
        self._boards: OrderedDict[tuple[str, str], ReviewBoard] = OrderedDict()
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, dataset: fo.Dataset, source: Source) -> ReviewBoard:
        """The board of a source, up to date.

        Args:
            dataset: the dataset
            source: what is reviewed
        """
        key = (str(dataset_id(dataset)), source.path)
        with self._lock:
            building = self._locks.setdefault(key, threading.Lock())
        with building:
            board = self._boards.get(key)
            if board is None:
                board = ReviewBoard(store_of(dataset, source), source)
            else:
                board.refresh()
            with self._lock:
                self._boards[key] = board
                self._boards.move_to_end(key)
                while len(self._boards) > _KEPT:
                    self._boards.popitem(last=False)
        return board

    def clear(self) -> None:
        """Forgets all boards."""
        with self._lock:
            self._boards.clear()


BOARDS = Boards()
"""The boards of this process."""
