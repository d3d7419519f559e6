"""The groups of a dataset with the embeddings of their members."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from fiftyone.core.collections import SampleCollection
from fiftyone.core.media import GROUP

from ..core.arrays import IntArray, Vectors
from ..core.errors import CCIPError
from ..core.identity.groups import Group
from ..core.identity.ids import ids_of, places_of, texts_of
from ..core.identity.state import NONE, State, Status
from ..core.library.records import Origin
from ..core.progress import ProgressCallback
from ..embeddings.cache import VECTORS
from ..embeddings.load import Embeddings, load_embeddings
from ..embeddings.provenance import Provenance
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..storage.targets import check_field_name, resolve


class NoEmbeddingsError(CCIPError, ValueError):
    """There are no embeddings to compare."""

    mentions = ("compute_embeddings",)

    def __init__(self, path: str):
        super().__init__(f"there are no embeddings in {path!r}: run compute_embeddings first")
        self.path = path


@dataclass(frozen=True, eq=False)
class Members:
    """The labels, groups and embeddings of a dataset, at one moment.

    Attributes:
        store: where the labels are
        state: all labels and groups
        embeddings: all embeddings
        provenance: of these
        places: for each label its place in the embeddings, -1 without one
    """

    store: LabelStore
    state: State
    embeddings: Embeddings
    provenance: Provenance
    places: IntArray

    @property
    def origin(self) -> Origin:
        """The model of the embeddings, as a library records it."""
        return Origin(self.provenance.model_name, self.provenance.sha256, self.provenance.reading_policy)

    @cached_property
    def groups(self) -> dict[int, Group]:
        """The groups that exist, by id."""
        draft = self.state.draft()
        return {group_id: group for group_id, group in draft.groups.items() if group.merged_into is None}

    @cached_property
    def rows_by_group(self) -> dict[int, IntArray]:
        """The rows of the labels with an embedding among the items, by the id of their group."""
        rows = self.state.target_rows
        rows = rows[(self.state.group_ids[rows] != NONE) & (self.places[rows] != NONE)]
        order = rows[np.argsort(self.state.group_ids[rows], kind="stable")]
        ids, starts = np.unique(self.state.group_ids[order], return_index=True)
        return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True)) if len(ids) else {}

    @property
    def open_rows(self) -> IntArray:
        """The rows of the items in no group that have an embedding and that no user decided about."""
        state, rows = self.state, self.state.target_rows
        is_open = (state.group_ids[rows] == NONE) & (self.places[rows] != NONE)
        is_open &= ~state.is_user_label[rows] & (state.labels.status[rows] != Status.IGNORED)
        open_rows: IntArray = rows[is_open]
        return open_rows

    def vectors(self, rows: IntArray) -> Vectors:
        """The embeddings of labels."""
        vectors: Vectors = self.embeddings.vectors[self.places[rows]]
        return vectors

    def vectors_of(self, item_ids: Sequence[str]) -> Vectors:
        """The embeddings of items, of those that have one."""
        places = places_of(ids_of(sorted(item_ids)), ids_of(self.embeddings.ids))
        vectors: Vectors = self.embeddings.vectors[places[places != NONE]]
        return vectors

    def item_ids(self, rows: IntArray) -> list[str]:
        """The ids of items."""
        return texts_of(self.state.labels.ids[rows])

    def sample_ids(self, rows: IntArray) -> list[str]:
        """The ids of their samples."""
        return texts_of(self.state.labels.sample_ids[rows])


def read_members(
    samples: SampleCollection,
    group_field: str,
    patches_field: str | None,
    embeddings_field: str,
    progress: ProgressCallback | None = None,
) -> Members:
    """Reads labels, groups and embeddings.

    Raises:
        NoEmbeddingsError: there are none
        TargetError: the samples or the fields are not supported
    """
    target = resolve(samples, patches_field)
    store = LabelStore(target, group_field)
    store.check()
    check_field_name(embeddings_field)
    if target.dataset.media_type == GROUP:
        view = target.view
        embeddings = load_embeddings(view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    else:
        embeddings = VECTORS.load(target.whole(), embeddings_field, progress)
    if embeddings.provenance is None:
        raise NoEmbeddingsError(target.path(embeddings_field))
    state = read_state(store)
    places = places_of(state.labels.ids, ids_of(embeddings.ids))
    return Members(store, state, embeddings, embeddings.provenance, places)
