"""Keeps the overview of a field in an execution store: derived, in chunks, never journaled.

A chunk is named by its content and is never changed; the head lists the chunks and says of which state of the dataset
they are. It is written last, so that after a crash, and when two processes write at once, there is a head of one state
with the chunks of that state, or one with chunks that are missing, and that is not used.

All values are texts and numbers: the App makes JSON of what is written into a store, and stops telling of changes where
it cannot.
"""

import base64
import datetime
from dataclasses import dataclass
from typing import Any, NamedTuple

from fiftyone.operators.store import ExecutionStore

from ...core.review.overview.chunks import ChunkError, chunks_of, names_in, pack_names, rows_in
from ...core.review.overview.rows import ROW, Rows
from ...storage.internals import aggregate_values, dataset_document, dataset_id, delete_values, store_values
from ..identities import registry_revision
from ..store import LabelStore

STORE = "ccip_overview"
_FORMAT = 1
_HEAD, _CHUNK = "head", "chunk/"
_ATTEMPTS = 3  # as another process may delete just then what it does not need itself


class Marks(NamedTuple):
    """What changes with every change of a dataset.

    Attributes:
        revision: the revision of the groups
        newest: the last change of a sample, None without any
        n: number of samples
    """

    revision: int
    newest: datetime.datetime | None
    n: int


def marks_of(store: LabelStore) -> Marks:
    """The marks of a field as it is now, in three queries that cost the same for any size."""
    documents = store.documents
    newest = documents.find_one({}, {"last_modified_at": True}, sort=[("last_modified_at", -1)]) or {}
    revision = registry_revision(store.target.dataset, store.path)
    return Marks(revision, newest.get("last_modified_at"), documents.estimated_document_count())


@dataclass(frozen=True)
class Counts:
    """Numbers of items: all, with a label, confirmed by people, and ignored."""

    items: int
    labeled: int
    confirmed: int
    ignored: int


@dataclass(frozen=True, eq=False)
class Overview:
    """The groups of a field as cards show them.

    Attributes:
        rows: the groups, see :data:`~ccip_plugin.core.review.overview.rows.ROW`
        counts: numbers of items
        marks: the state of the dataset that this is of
        embeddings_field: the embeddings that the differences are of
        model_name: their model
        threshold: the difference up to which two images are one character
    """

    rows: Rows
    counts: Counts
    marks: Marks
    embeddings_field: str
    model_name: str
    threshold: float


def save_overview(store: LabelStore, overview: Overview) -> int:
    """Keeps the overview of a field in the place of the last one; writes the chunks that are others, and the head.

    Nothing is written where the same is there already, or where the dataset was changed meanwhile, or deleted.

    Returns:
        the number of bytes written
    """
    dataset, chunks = store.target.dataset, chunks_of(overview.rows)
    content = ExecutionStore.create(STORE, dataset_id(dataset))
    head, n_bytes = _head(overview, pack_names(chunks)), 0
    for _ in range(_ATTEMPTS):
        if dataset_document(dataset, "_id") is None or marks_of(store) != overview.marks:
            break
        before = _names(store)
        if before == chunks.keys() and _read_head(store) == head:
            break
        for name in chunks.keys() - before:
            content.set(f"{store.path}/{_CHUNK}{name}", _text(chunks[name]))
            n_bytes += len(chunks[name])
        content.set(f"{store.path}/{_HEAD}", head)
        n_bytes += len(head["chunks"])
        for name in before - chunks.keys():
            content.delete(f"{store.path}/{_CHUNK}{name}")
    return n_bytes


def load_overview(store: LabelStore) -> Overview | None:
    """The overview that is kept of a field, if it is of the dataset as it is now; else None, as where it is damaged."""
    dataset, path = store.target.dataset, store.path
    head = _read_head(store)
    if head is None or head.get("format") != _FORMAT or head.get("row") != ROW.itemsize:
        return None
    newest = head["newest"]
    marks = Marks(head["revision"], newest and datetime.datetime.fromisoformat(newest), head["n"])
    if marks_of(store) != marks:
        return None
    prefix = f"{path}/{_CHUNK}"
    try:
        stored = store_values(dataset, STORE, prefix).items()
        chunks = {key.removeprefix(prefix): base64.b64decode(value, validate=True) for key, value in stored}
        rows = rows_in(names_in(base64.b64decode(head["chunks"], validate=True)), chunks)
    except (ChunkError, ValueError, TypeError):
        return None
    counts = Counts(**head["counts"])
    return Overview(rows, counts, marks, head["embeddings_field"], head["model_name"], head["threshold"])


def delete_overview(store: LabelStore) -> None:
    """Deletes the overview of a field."""
    delete_values(store.target.dataset, STORE, f"{store.path}/")


def _head(overview: Overview, names: bytes) -> dict[str, Any]:
    counts, newest = overview.counts, overview.marks.newest
    return {
        "format": _FORMAT,
        "row": ROW.itemsize,
        **overview.marks._asdict(),
        "newest": newest and newest.isoformat(),
        "chunks": _text(names),
        "counts": {name: getattr(counts, name) for name in counts.__dataclass_fields__},
        "embeddings_field": overview.embeddings_field,
        "model_name": overview.model_name,
        "threshold": overview.threshold,
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _read_head(store: LabelStore) -> dict[str, Any] | None:
    key = f"{store.path}/{_HEAD}"
    head: dict[str, Any] | None = store_values(store.target.dataset, STORE, key).get(key)
    return head


def _names(store: LabelStore) -> set[str]:
    prefix = f"{store.path}/{_CHUNK}"
    found = aggregate_values(store.target.dataset, STORE, prefix, {"keys": {"$push": "$key"}})
    return {key.removeprefix(prefix) for key in found.get("keys", ())}
