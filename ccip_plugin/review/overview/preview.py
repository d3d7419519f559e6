"""The groups as the overview has them that is kept with a dataset: enough for cards while the board is being read."""

import threading
from collections import Counter, OrderedDict
from functools import cached_property
from typing import Any

import fiftyone as fo

from ...core.calibration import load as load_calibration
from ...core.errors import CCIPError
from ...core.identity.groups import Registry
from ...core.identity.ids import texts_of
from ...embeddings.provenance import read_provenance
from ...labels.identities import load_registry
from ...labels.overview.making import counts_of
from ...labels.overview.stored import Overview, load_overview, marks_of
from ...labels.store import LabelStore
from ...storage.internals import dataset_id
from ...storage.targets import Target
from ..board import ReviewBoard
from ..cards import Table, plain_progress, table_of
from ..records import Records
from ..sources import Source, embeddings_fields, store_of
from .looks import Item, Looks

_KEPT = 4  # previews of a process


class Preview:
    """What the overview of a source says; it is never changed.

    Args:
        store: the labels of the whole dataset
        source: what is reviewed
        overview: the groups
        registry: the groups as they are registered, at the same revision
    """

    def __init__(self, store: LabelStore, source: Source, overview: Overview, registry: Registry):
        self.store, self.source, self.overview, self.registry = store, source, overview, registry
        self.lock = threading.RLock()
        self._places = {int(group_id): place for place, group_id in enumerate(overview.rows["id"].tolist())}
        self._records = Records(store.target.dataset, store.path)

    @property
    def threshold(self) -> float:
        """The difference up to which two images show one character."""
        return self.overview.threshold

    @property
    def target(self) -> Target:
        """All items."""
        return self.store.target

    @cached_property
    def table(self) -> Table:
        """The groups as columns."""
        rows = self.overview.rows
        groups = [self.registry.groups[group_id] for group_id in rows["id"].tolist()]
        return Table.of(rows, [group.name for group in groups], [not group.is_auto_named for group in groups])

    def name(self, group_id: int) -> str:
        """The name of a group."""
        return self.registry.groups[group_id].name

    def looks(self, group_id: int) -> Looks:
        """How a group looks."""
        row = self.overview.rows[self._places[group_id]]
        n = int(row["n_pictures"])
        ids, sample_ids = texts_of(row["items"][:n]), texts_of(row["samples"][:n])
        far, status = row["differences"][:n].tolist(), row["status"][:n].tolist()
        items = [Item(*each) for each in zip(ids, sample_ids, far, status, strict=True)]
        return Looks(items, bool(row["has_near_duplicates"]))

    def progress(self) -> dict[str, Any]:
        """How far the review is; what needs the board is not known yet."""
        with self.lock:
            self._records.refresh()
            answers = dict(Counter(each.kind for each in self._records.counted(self._records.heads())))
        table = self.table
        return {
            **plain_progress(self.source, self.overview.counts, table.sizes, table.confirmed),
            "purity": None,
            "left": None,
            "answers": answers,
            "revision": self.overview.marks.revision,
        }


class Previews:
    """The previews of this process, those used last."""

    def __init__(self) -> None:
        self._previews: OrderedDict[tuple[str, str], Preview] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, dataset: fo.Dataset, source: Source) -> Preview | None:
        """The preview of a source, if the overview that is kept is of the dataset as it is now.

        Args:
            dataset: the dataset
            source: what is reviewed
        """
        key = (str(dataset_id(dataset)), source.path)
        with self._lock:
            preview = self._previews.pop(key, None)
            if preview is None or marks_of(preview.store) != preview.overview.marks:
                preview = _loaded(dataset, source)
            if preview is not None:
                self._previews[key] = preview
                while len(self._previews) > _KEPT:
                    self._previews.popitem(last=False)
        return preview

    def clear(self) -> None:
        """Forgets all previews."""
        with self._lock:
            self._previews.clear()


PREVIEWS = Previews()
"""The previews of this process."""


def _loaded(dataset: fo.Dataset, source: Source) -> Preview | None:
    store = store_of(dataset, source)
    overview = load_overview(store)
    if overview is None or not _is_of(overview, store, source):
        return None
    registry = load_registry(dataset, store.path)
    is_same = registry.revision == overview.marks.revision
    if not is_same or not registry.groups.keys() >= set(overview.rows["id"].tolist()):
        return None
    return Preview(store, source, overview, registry)


def _is_of(overview: Overview, store: LabelStore, source: Source) -> bool:
    """Whether an overview is of the embeddings of which the board would be."""
    dataset = store.target.dataset
    fields = embeddings_fields(dataset, source)
    if not fields or fields[0] != overview.embeddings_field:
        return False
    provenance = read_provenance(dataset, store.target.path(fields[0]))
    if provenance is None or provenance.model_name != overview.model_name:
        return False
    try:
        return load_calibration(overview.model_name).threshold == overview.threshold
    except CCIPError:
        return False


def table_now(shelf: ReviewBoard | Preview) -> Table:
    """The groups as columns."""
    return shelf.table if isinstance(shelf, Preview) else table_of(shelf)


def n_labels(shelf: ReviewBoard | Preview) -> int:
    """The number of items with a label."""
    return (shelf.overview.counts if isinstance(shelf, Preview) else counts_of(shelf.status)).labeled
