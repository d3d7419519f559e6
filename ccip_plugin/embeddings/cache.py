"""Cache of the embeddings of whole datasets: read once, then only what has changed since."""

import contextlib
import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bson import ObjectId
from cachetools import LRUCache

from ..core.progress import ProgressCallback, report
from ..storage.internals import dataset_id, sample_documents
from ..storage.targets import Target
from .load import Embeddings, load_embeddings
from .provenance import Provenance
from .store import EmbeddingStore

CACHE_BYTES = 1 << 30
"""Memory limit of all cached vectors together: about 350,000 of them."""
_FEW = 0.2  # largest share of changed samples for which these are read one by one
_ABSENT = object()


@dataclass(frozen=True, eq=False)
class _Entry:
    """A cached field: its embeddings, and when each sample was last modified."""

    modified: Mapping[ObjectId, Any]
    provenance: Provenance | None
    embeddings: Embeddings


def _n_bytes(entry: _Entry) -> int:
    return entry.embeddings.vectors.nbytes


class VectorCache:
    """Keeps the embeddings of the fields that were used last.

    Cached embeddings are never out of date: FiftyOne and this plugin record in each sample when it was last modified,
    and each call compares these times.

    Args:
        n_bytes: memory limit of all vectors together; a field that needs more is not cached
    """

    def __init__(self, n_bytes: int = CACHE_BYTES):
        self._entries: LRUCache[tuple[str, str], _Entry] = LRUCache(n_bytes, getsizeof=_n_bytes)
        self._lock = threading.Lock()

    def load(self, target: Target, embeddings_field: str, progress: ProgressCallback | None = None) -> Embeddings:
        """The embeddings of a whole dataset, as ``load_embeddings`` returns them; raises what that raises.

        Args:
            target: all items of a dataset
            embeddings_field: the field (on detections: the attribute) with the embeddings
            progress (None): called when vectors are read
        """
        key = (str(dataset_id(target.dataset)), target.path(embeddings_field))
        with self._lock:
            entry = _current(self._entries.pop(key, None), target, embeddings_field, progress)
            with contextlib.suppress(ValueError):  # larger than the whole cache
                self._entries[key] = entry
        return entry.embeddings

    def clear(self) -> None:
        """Empties the cache."""
        with self._lock:
            self._entries.clear()


VECTORS = VectorCache()
"""The cache of this process."""


def _current(cached: _Entry | None, target: Target, embeddings_field: str, progress: ProgressCallback | None) -> _Entry:
    modified = _modification_times(target)  # before the vectors: a change in between is seen by the next call
    provenance = EmbeddingStore(target, embeddings_field).provenance
    if cached is None or cached.provenance != provenance:
        return _read(modified, provenance, target, embeddings_field, progress)
    deleted = cached.modified.keys() - modified.keys()
    changed = {key for key, when in modified.items() if cached.modified.get(key, _ABSENT) != when}
    if not changed and not deleted:
        return cached
    if len(changed) > _FEW * len(modified):
        return _read(modified, provenance, target, embeddings_field, progress)
    samples = target.whole().view.select([str(key) for key in changed])
    fresh = load_embeddings(samples, embeddings_field=embeddings_field, patches_field=target.patches_field)
    if fresh.provenance != provenance:
        return _read(modified, provenance, target, embeddings_field, progress)
    embeddings = _updated(cached.embeddings, fresh, changed | deleted)
    return _Entry(modified, provenance, _counted(target, modified, embeddings))


def _read(
    modified: Mapping[ObjectId, Any],
    provenance: Provenance | None,
    target: Target,
    embeddings_field: str,
    progress: ProgressCallback | None,
) -> _Entry:
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    in_order = _in_sample_order(embeddings, range(len(embeddings.ids)))
    return _Entry(modified, provenance, _counted(target, modified, in_order))


def _modification_times(target: Target) -> dict[ObjectId, Any]:
    """When each sample of the dataset was last modified."""
    rows = sample_documents(target.dataset).find({}, {"last_modified_at": True})
    return {row["_id"]: row.get("last_modified_at") for row in rows}


def _updated(cached: Embeddings, fresh: Embeddings, sample_ids: Set[ObjectId]) -> Embeddings:
    """The cached embeddings, with those of some samples replaced by ``fresh``."""
    names = {str(key) for key in sample_ids}
    rows = [row for row, key in enumerate(cached.sample_ids) if key in names]
    if [cached.ids[row] for row in rows] != fresh.ids:
        replaced = set(rows)
        joined = cached.joined(fresh)
        return _in_sample_order(joined, [row for row in range(len(joined.ids)) if row not in replaced])
    if np.array_equal(cached.vectors[rows], fresh.vectors):
        return cached  # as after the edit of a label
    vectors = cached.vectors.copy()  # a caller may still be using the cached ones
    vectors[rows] = fresh.vectors
    return replace(cached, vectors=vectors)


def _in_sample_order(embeddings: Embeddings, rows: Sequence[int]) -> Embeddings:
    """Some of the embeddings in the order of their samples, whatever the order in which they were read."""
    places = np.asarray(rows, np.intp)
    order = places[np.argsort(np.array(embeddings.sample_ids, dtype="S24")[places], kind="stable")].tolist()
    return embeddings if order == list(range(len(embeddings.ids))) else embeddings.select(order)


def _counted(target: Target, modified: Mapping[ObjectId, Any], embeddings: Embeddings) -> Embeddings:
    n_items = target.view.count(target.labels_path) if target.is_patches else len(modified)
    return replace(embeddings, n_missing=n_items - len(embeddings.ids))
