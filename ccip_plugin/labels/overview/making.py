"""Makes the overview of a field from its labels and embeddings."""

import datetime
import logging
from dataclasses import dataclass
from typing import Any

import fiftyone.core.media as fomm
import numpy as np
from bson import ObjectId
from numpy.typing import NDArray

from ...core.arrays import BoolArray, IntArray
from ...core.identity.ids import Ids, ids_of, places_of
from ...core.identity.state import State, Status
from ...core.review.board import UNASSIGNED, Board
from ...core.review.overview.rows import PICTURES, Rows, fill_pictures, has_near_duplicates, rows_of, shown_rows
from ...storage.targets import all_images, resolve
from ..journal import Journal
from ..snapshot import read_state
from ..store import LabelStore
from .stored import Counts, Overview, marks_of, save_overview

logger = logging.getLogger(__name__)

MOST_GROUPS = 20_000
"""With more groups a run keeps no overview: comparing all of them with each other takes longer than a few seconds."""


@dataclass(frozen=True, eq=False)
class Items:
    """The items of a field in the order of a board: first the ``m`` ones with an embedding.

    Attributes:
        rows: ``(n,)`` their places in the labels
        has_label: ``(m of the embeddings,)`` which embeddings are of items with a label record
        ids: ``(n,)`` ids of the items
        sample_ids: ``(n,)`` ids of their samples
        group_ids: ``(n,)`` the group of each, 0 for none
        status: ``(n,)`` codes of the status; confirmed for all user labels
    """

    rows: IntArray
    has_label: BoolArray
    ids: Ids
    sample_ids: Ids
    group_ids: IntArray
    status: NDArray[np.int16]


def items_of(state: State, embedded: Ids) -> Items:
    """The items of a field in the order of a board.

    Args:
        state: the labels of the whole dataset
        embedded: the ids of the items with an embedding, in the order of their samples
    """
    places = places_of(embedded, state.labels.ids)
    has_label = places >= 0
    rest = np.setdiff1d(np.arange(len(state.labels)), places[has_label])
    rows = np.concatenate([places[has_label], rest]).astype(np.intp)
    labels = state.labels.take(rows)
    status = np.where(state.is_user_label[rows], Status.CONFIRMED, labels.status).astype(np.int16)
    status[labels.status == Status.IGNORED] = Status.IGNORED
    group_ids = np.maximum(state.group_ids[rows], UNASSIGNED)
    return Items(rows, has_label, labels.ids, labels.sample_ids, group_ids, status)


def counts_of(status: NDArray[np.int16]) -> Counts:
    """Numbers of items.

    Args:
        status: ``(n,)`` codes of the status
    """
    kinds = (status == Status.CONFIRMED, status == Status.IGNORED)
    return Counts(len(status), int((status != Status.NONE).sum()), *(int(each.sum()) for each in kinds))


@dataclass(frozen=True, eq=False)
class RunVectors:
    """The embeddings of a run.

    Attributes:
        ids: ``(p,)`` the ids of the items
        sample_ids: ``(p,)`` the ids of their samples
        vectors: ``(p, dim)`` their embeddings, of unit length
        embedded: ids of all items to group that have an embedding
        field: the field with the embeddings, or the attribute of detections
        model_name: their model
        threshold: the difference up to which two images are one character
        read_at: when they were read
    """

    ids: Ids
    sample_ids: Ids
    vectors: Any
    embedded: Ids
    field: str
    model_name: str
    threshold: float
    read_at: datetime.datetime


def keep_overview_of_run(store: LabelStore, run: RunVectors) -> str | None:
    """Keeps the overview of a field after a run, from the embeddings that the run has read. Never raises: without it,
    the panel reads them again when it is opened.

    Args:
        store: where the labels are
        run: the embeddings

    Returns:
        why it is not kept, None where it is
    """
    try:
        why = _keep(store, run)
    except Exception as error:
        logger.warning("the overview of %r cannot be kept, the run is done: %s", store.path, error, exc_info=True)
        return str(error)
    if why is not None:
        logger.info("the overview of %r is not kept: %s", store.path, why)
    return why


def _keep(store: LabelStore, run: RunVectors) -> str | None:
    whole = LabelStore(resolve(all_images(store.target.dataset), store.target.patches_field).whole(), store.group_field)
    marks = marks_of(whole)  # before the labels: what changes in between, changes them
    state = read_state(whole)
    if state.named:
        return "labels name groups that are not registered yet"
    if len(np.unique(state.group_ids)) > MOST_GROUPS:
        return f"there are more than {MOST_GROUPS:,} groups"
    order = np.argsort(run.sample_ids.view("S12"), kind="stable")
    is_sorted = np.array_equal(order, np.arange(len(order)))
    items = items_of(state, run.ids if is_sorted else run.ids[order])
    if why := _changed(whole, run) or _lacking(store, items, run):
        return why
    vectors = np.asarray(run.vectors)
    vectors = vectors if is_sorted else vectors[order]
    vectors = vectors if items.has_label.all() else vectors[items.has_label]
    m = len(vectors)
    is_out = (items.status[:m] == Status.IGNORED) | (items.group_ids[:m] == UNASSIGNED)  # in no mean
    board = Board(vectors, items.group_ids[:m], ignored=is_out, threshold=run.threshold)
    board.apart = state.draft().apart_pairs()
    rows = _rows(board, items, state)
    save_overview(whole, Overview(rows, counts_of(items.status), marks, run.field, run.model_name, run.threshold))
    return None


def _changed(whole: LabelStore, run: RunVectors) -> str | None:
    """Whether others changed samples since the embeddings were read: those could be others now."""
    at = run.read_at.replace(microsecond=run.read_at.microsecond // 1000 * 1000)
    stamps = [entry.stamp for entry in Journal(whole.target.dataset, whole.path).entries() if entry.stamp]
    own = [datetime.datetime.fromisoformat(stamp) for stamp in stamps]
    found = whole.documents.find_one({"last_modified_at": {"$gte": at, "$nin": own}}, {"_id": True})
    return None if found is None else "samples were changed during the run"


def _lacking(store: LabelStore, items: Items, run: RunVectors) -> str | None:
    """Whether images of groups are not among those of the run, but may have an embedding."""
    m = int(items.has_label.sum())
    lacking = items.ids[m:][(items.group_ids[m:] != UNASSIGNED) & (items.status[m:] != Status.IGNORED)]
    is_whole = store.target.is_whole and store.target.dataset.media_type != fomm.GROUP
    if len(lacking) and (not is_whole or (places_of(lacking, run.embedded) >= 0).any()):
        return "images of groups were not part of the run"
    return None


def _rows(board: Board, items: Items, state: State) -> Rows:
    rows = rows_of(board, items.group_ids, items.status == Status.CONFIRMED)
    m = len(board.group_of)
    covers, others = _covers(state, items), _without_embedding(items, m)
    shown = []
    for row in rows:
        group_id = int(row["id"])
        row["has_near_duplicates"] = has_near_duplicates(board, group_id)
        shown.append(shown_rows(board, group_id, covers.get(group_id), others.get(group_id, ())))
    differences = np.full(len(items.ids), np.nan, np.float32)
    differences[:m] = board.difference
    fill_pictures(rows, shown, items=items.ids, samples=items.sample_ids, differences=differences, status=items.status)
    return rows


def _covers(state: State, items: Items) -> dict[int, int]:
    """The rows of the covers that people chose, by group; of those that are in it."""
    groups = state.registry.groups.items()
    chosen = {group_id: group.cover for group_id, group in groups if group.cover and ObjectId.is_valid(group.cover)}
    places = places_of(ids_of(chosen.values()), items.ids).tolist()
    covers = dict(zip(chosen, places, strict=True))
    return {group_id: row for group_id, row in covers.items() if row >= 0 and items.group_ids[row] == group_id}


def _without_embedding(items: Items, m: int) -> dict[int, list[int]]:
    """The first rows of each group that have no embedding."""
    found: dict[int, list[int]] = {}
    for row in np.flatnonzero(items.group_ids[m:] != UNASSIGNED).tolist():
        found.setdefault(int(items.group_ids[m + row]), []).append(m + row)
    return {group_id: rows[:PICTURES] for group_id, rows in found.items()}
