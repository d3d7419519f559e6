"""Embeddings of whole datasets in memory: read once, and then only what has changed since."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bson import ObjectId

from ..core.progress import ProgressCallback, report
from ..storage.internals import dataset_id, sample_documents
from ..storage.targets import Target
from .load import Embeddings, load_embeddings
from .provenance import Provenance
from .store import EmbeddingStore

CACHE_BYTES = 1 << 30
"""What all vectors that are kept may take together: about 350,000 of them."""
_FEW = 0.2  # share of the samples up to which those that have changed are read one by one


@dataclass(frozen=True, eq=False)
class _Entry:
    """What is known of a field: when each sample was last written to, and the embeddings."""

    written: Mapping[ObjectId, Any]
    provenance: Provenance | None
    embeddings: Embeddings


class VectorCache:
    """Keeps the embeddings of a few fields, those asked for last.

    What is kept is never out of date: FiftyOne, and this plugin, write into each sample when it was last written to,
    and that is looked at on each call.

    Args:
        n_bytes: what the vectors may take together; of a field that takes more nothing is kept
    """

    def __init__(self, n_bytes: int = CACHE_BYTES):
        self._n_bytes = n_bytes
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, target: Target, embeddings_field: str, progress: ProgressCallback | None = None) -> Embeddings:
        """Gives what ``load_embeddings`` gives for a whole dataset; raises what that raises.

        Args:
            target: all items of a dataset
            embeddings_field: the field (on detections: the attribute) with the embeddings
            progress (None): told when vectors are read
        """
        key = (str(dataset_id(target.dataset)), target.path(embeddings_field))
        with self._lock:
            known = self._entries.pop(key, None)
            entry = _current(known, target, embeddings_field, progress)
            self._entries[key] = entry
            while self._entries and sum(e.embeddings.vectors.nbytes for e in self._entries.values()) > self._n_bytes:
                self._entries.popitem(last=False)
        return entry.embeddings

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()


VECTORS = VectorCache()
"""The cache of this process."""


def _current(known: _Entry | None, target: Target, embeddings_field: str, progress: ProgressCallback | None) -> _Entry:
    written = _written(target)  # before the vectors: what is written meanwhile is found at the next call
    provenance = EmbeddingStore(target, embeddings_field).provenance
    if known is None or known.provenance != provenance:
        return _read(written, provenance, target, embeddings_field, progress)
    gone = known.written.keys() - written.keys()
    changed = {key for key, when in written.items() if key not in known.written or known.written[key] != when}
    if not changed and not gone:
        return known
    if len(changed) > _FEW * len(written):
        return _read(written, provenance, target, embeddings_field, progress)
    some = target.dataset.select([str(key) for key in changed])
    new = load_embeddings(some, embeddings_field=embeddings_field, patches_field=target.patches_field)
    if new.provenance != provenance:
        return _read(written, provenance, target, embeddings_field, progress)
    return _Entry(written, provenance, _counted(target, written, _changed(known.embeddings, new, changed | gone)))


def _read(
    written: Mapping[ObjectId, Any],
    provenance: Provenance | None,
    target: Target,
    embeddings_field: str,
    progress: ProgressCallback | None,
) -> _Entry:
    report(progress, "reading embeddings", 0, None)
    found = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    return _Entry(written, provenance, _counted(target, written, _ordered(found, range(len(found.ids)))))


def _written(target: Target) -> dict[ObjectId, Any]:
    """When each sample of the dataset was last written to."""
    rows = sample_documents(target.dataset).find({}, {"last_modified_at": True})
    return {row["_id"]: row.get("last_modified_at") for row in rows}


def _changed(known: Embeddings, new: Embeddings, sample_ids: Set[ObjectId]) -> Embeddings:
    """What is known, with ``new`` in place of all that there is of some samples."""
    names = {str(key) for key in sample_ids}
    rows = [i for i, key in enumerate(known.sample_ids) if key in names]
    if [known.ids[i] for i in rows] != new.ids:
        left = set(rows)
        both = known.joined(new)
        return _ordered(both, [i for i in range(len(both.ids)) if i not in left])
    if np.array_equal(known.vectors[rows], new.vectors):
        return known  # as after the edit of a label
    vectors = known.vectors.copy()  # somebody may be comparing with those of before
    vectors[rows] = new.vectors
    return replace(known, vectors=vectors)


def _ordered(found: Embeddings, rows: Sequence[int]) -> Embeddings:
    """Some of the embeddings in the order of the samples, so that it does not matter what was read when."""
    places = np.asarray(rows, np.intp)
    order = places[np.argsort(np.array(found.sample_ids, dtype="S24")[places], kind="stable")].tolist()
    return found if order == list(range(len(found.ids))) else found.select(order)


def _counted(target: Target, written: Mapping[ObjectId, Any], found: Embeddings) -> Embeddings:
    n_items = target.view.count(target.labels_path) if target.is_patches else len(written)
    return replace(found, n_missing=n_items - len(found.ids))
