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
from ..core.identity.ids import ids_of, texts_of
from ..core.identity.state import Status
from ..core.identity.typed import typed_id, with_typed_ids
from ..core.plain import canonical_name
from ..core.review.board import UNASSIGNED, Board
from ..core.review.overview.rows import PICTURES, has_near_duplicates, shown_rows
from ..embeddings.cache import VECTORS
from ..embeddings.load import are_embedded
from ..labels.identities import load_registry
from ..labels.overview.making import items_of
from ..labels.overview.stored import Marks, marks_of
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel
from ..storage.internals import dataset_id
from ..storage.targets import Target, batched
from .overview.looks import Item, Looks
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
        packed_ids: both as arrays
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
        is_near: of groups of which it is known, whether two images are nearly the same picture
        on_change: called after each change
    """

    def __init__(self, store: LabelStore, source: Source):
        self.store, self.source, self.lock = store, source, threading.RLock()
        self.version = self.generation = 0
        self.writing = threading.Lock()
        self.queue: Any = None
        self.on_change: Callable[[], None] | None = None
        self.is_near: dict[int, bool] = {}
        self._shown: dict[int, list[int]] = {}
        self._derived: dict[str, tuple[int, Any]] = {}
        self._read()

    @property
    def target(self) -> Target:
        """All items."""
        return self.store.target

    @property
    def marks(self) -> Marks:
        """The state of the dataset of which this is, or of a later one."""
        return self._seen

    @property
    def has_names_of_labels(self) -> bool:
        """Whether labels name groups that are not registered yet."""
        return bool(self._typed)

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

    def item(self, row: int) -> Item:
        """What is shown of an item."""
        difference = float(self.board.difference[row]) if row < self.n_embedded else float("nan")
        return Item(self.ids[row], self.sample_ids[row], difference, int(self.status[row]))

    def looks(self, group_id: int) -> Looks:
        """How a group looks."""
        rows = self.shown(group_id)
        return Looks([self.item(row) for row in rows], self.is_near[group_id])

    def shown(self, group_id: int) -> list[int]:
        """The rows of the pictures of a group; what takes time is kept until its images change."""
        if not self.has_looked(group_id):
            is_full, m = self.board.size(group_id) >= PICTURES, self.n_embedded
            others = [] if is_full else (np.flatnonzero(self.group_ids[m:] == group_id)[:PICTURES] + m).tolist()
            self._shown[group_id] = shown_rows(self.board, group_id, None, others)
            if group_id not in self.is_near:
                self.is_near[group_id] = has_near_duplicates(self.board, group_id)
        group = self.registry.groups.get(group_id)
        cover = self.place.get(group.cover or "") if group is not None else None
        if cover is None or self.group_ids[cover] != group_id:
            return self._shown[group_id]
        return list(dict.fromkeys([cover, *self._shown[group_id]]))[:PICTURES]

    def has_looked(self, group_id: int) -> bool:
        """Whether :meth:`shown` is known of a group."""
        return group_id in self._shown and group_id in self.is_near

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
            marks = marks_of(self.store)
            if marks != self._seen:
                self._follow(marks)

    # -- reading

    def _read(self) -> None:
        dataset = self.store.target.dataset
        fields = embeddings_fields(dataset, self.source)
        if not fields:
            helps = action("Compute embeddings", "@ccip/characters/compute_embeddings")
            raise ReviewError("no_embeddings", f"the {self.source.noun} have no CCIP embeddings: compute them", helps)
        self._seen = marks_of(self.store)
        self._times = self._modified_since(self._since())
        state = read_state(self.store)
        embeddings = VECTORS.load(self.store.target, fields[0])
        if embeddings.provenance is None:
            raise ReviewError("no_embeddings", f"no {self.source.noun} have a CCIP embedding yet: compute them")
        items = items_of(state, ids_of(embeddings.ids))
        self.packed_ids = items.ids, items.sample_ids
        self.ids, self.sample_ids = map(texts_of, self.packed_ids)
        self.place = {item_id: row for row, item_id in enumerate(self.ids)}
        self._owners = self._rows_of_samples()
        self.group_ids, self._typed = with_typed_ids(items.group_ids, state.named)
        self.status, self.registry = items.status, state.registry
        self.embeddings_field, self.model_name = fields[0], embeddings.provenance.model_name
        self.threshold = load_calibration(self.model_name).threshold
        vectors = embeddings.vectors if items.has_label.all() else embeddings.vectors[items.has_label]
        self._make_board(vectors)

    def _rows_of_samples(self) -> dict[str, list[int]]:
        owners: dict[str, list[int]] = {}
        for row, sample_id in enumerate(self.sample_ids):
            owners.setdefault(sample_id, []).append(row)
        return owners

    def _make_board(self, vectors: Any) -> None:
        m = len(vectors)
        self.generation += 1
        self._shown, self.is_near = {}, {}
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
        self.board.apart = draft.apart_pairs()
        self.board.rejected = {
            group_id: {row for item_id in ids if (row := self.place.get(item_id, -1)) in range(self.n_embedded)}
            for group_id, ids in draft.rejections.items()
        }
        for rows in self.board.rejected.values():
            self.board.has_rejections[list(rows)] = True
        living = {group_id: group.name for group_id, group in self.registry.groups.items() if group.merged_into is None}
        self.names = {**self._typed, **living}
        self.version += 1
        if self.on_change is not None:
            self.on_change()

    def _since(self) -> Any:
        """From when on the times of samples are compared."""
        newest = self._seen.newest
        if newest is None:
            return None
        n_late = self.store.documents.count_documents({"last_modified_at": {"$gte": newest - _LATE}}, limit=_FEW + 1)
        return newest - (_JUST if n_late > _FEW else _LATE)

    def _modified_since(self, since: Any) -> dict[Any, Any]:
        query = {} if since is None else {"last_modified_at": {"$gte": since}}
        rows = self.store.documents.find(query, {"last_modified_at": True})
        return {row["_id"]: row.get("last_modified_at") for row in rows}

    def _follow(self, marks: Marks) -> None:
        """Reads the labels of the samples that were modified, or all where there are many, or others."""
        since, n = self._since(), marks.n
        times = self._modified_since(since)
        changed = [str(key) for key, at in times.items() if self._times.get(key) != at]
        are_known = n == self._seen.n and all(key in self._owners for key in changed)
        if not are_known or len(changed) > max(100, _SHARE * n):
            self._read()
            return
        revision = self._seen.revision
        self._seen, self._times = marks, times
        if marks.revision != revision and self._typed:
            self._read()  # names that were only in labels may be registered now, under other ids
            return
        if marks.revision != revision:
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
        unmoved: set[str] = set()
        for chunk in batched(sample_ids):
            stored = self.store.read_stored(chunk)
            if len(stored) != sum(len(self._owners[key]) for key in chunk) or not stored.keys() <= self.place.keys():
                return False
            for item_id, each in stored.items():
                row, label = self.place[item_id], self.store.from_raw(each.raw)
                group_id = 0 if label is None else draft.id_of(label.group_name, label.group_id) or UNASSIGNED
                group_id, status = self._stable(group_id, draft), _status(label)
                if (group_id, status) != (self.group_ids[row], self.status[row]):
                    moves.setdefault((group_id, status), []).append(row)
                else:
                    unmoved.add(self.sample_ids[row])
        if unmoved and not self._has_vectors_of(sorted(unmoved)):
            return False
        for (group_id, status), rows in moves.items():
            self._put(np.array(rows, np.intp), group_id, status)
        return True

    def _stable(self, group_id: int, draft: Draft) -> int:
        """The id of a group, that of its name where it is not registered."""
        if not group_id or group_id in self.registry.groups or group_id in self._typed:
            return group_id
        name = draft.groups[group_id].name
        stable = typed_id(name, self._typed)
        self._typed[stable] = name
        return stable

    def _has_vectors_of(self, sample_ids: list[str]) -> bool:
        """Whether the embeddings of some samples, of which no label has changed, are those of the board."""
        rows = [row for each in sample_ids for row in self._owners[each] if row < self.n_embedded]
        known = {self.ids[row]: self.board.vectors[row] for row in rows}
        view = self.target.whole().view.select(sample_ids)
        field, patches_field = self.embeddings_field, self.target.patches_field
        return are_embedded(view, known, self.model_name, embeddings_field=field, patches_field=patches_field)

    def _put(self, rows: IntArray, group_id: int, status: int) -> None:
        is_moved = self.group_ids[rows] != group_id
        was_plain = self.status[rows] == Status.AUTO
        for each in {group_id, *self.group_ids[rows].tolist()}:
            self._shown.pop(each, None)
            self.is_near.pop(each, None)
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

    def peek(self, dataset: fo.Dataset, source: Source) -> ReviewBoard | None:
        """The board of a source, if there is one already, as it was at its last use."""
        with self._lock:
            return self._boards.get((str(dataset_id(dataset)), source.path))

    def clear(self) -> None:
        """Forgets all boards."""
        with self._lock:
            self._boards.clear()


BOARDS = Boards()
"""The boards of this process."""
