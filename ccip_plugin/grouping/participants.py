"""Selects the items of a grouping run, with their embeddings, and the items that they are compared with."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from fiftyone import ViewField as F

from ..core.arrays import BoolArray, IntArray
from ..core.errors import CCIPError
from ..core.identity.ids import Ids, ids_of, places_of
from ..core.identity.state import NONE, State
from ..core.neighbors.vectors import UnitVectors
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import Provenance
from ..labels.store import LabelStore
from ..storage.fields import ADD, UNASSIGNED


class NothingToGroupError(CCIPError):
    """There is no item, or none has an embedding."""

    def __init__(self, embeddings_field: str, n_items: int, noun: str):
        super().__init__(
            f"none of the {n_items:,} {noun} has an embedding in {embeddings_field!r}: compute embeddings first"
            if n_items
            else f"there are no {noun} to group: the dataset or view is empty, or has no {noun}"
        )
        self.embeddings_field, self.n_items = embeddings_field, n_items


@dataclass(frozen=True, eq=False)
class Participants:
    """The ``p`` items of a grouping run: those to group, and those that they are compared with.

    Attributes:
        ids: ``(p,)`` their ids
        sample_ids: ``(p,)`` the ids of their samples
        vectors: ``(p, dim)`` their embeddings
        is_open: ``(p,)`` which may get another group; the others keep theirs
        embedded: ids of all items to group that have an embedding, participants or not
        provenance: model and settings of the embeddings
        n_missing: number of items to group without embedding
    """

    ids: Ids
    sample_ids: Ids
    vectors: UnitVectors
    is_open: BoolArray
    embedded: Ids
    provenance: Provenance
    n_missing: int

    def __len__(self) -> int:
        return len(self.ids)

    def group_ids(self, state: State) -> IntArray:
        """``(p,)`` the current group of each, -1 for none."""
        return np.append(state.group_ids, NONE)[places_of(self.ids, state.labels.ids)]


def read_participants(store: LabelStore, state: State, embeddings_field: str, mode: str) -> Participants:
    """Reads the embeddings of the participants of a run.

    These are the items of the target and, for a part of a dataset, the members of all groups outside of it. Items that
    users ignored or removed from their group do not participate, nor do those in no group in the mode ``add``: they
    stay in no group, and no group forms around them.

    Raises:
        NothingToGroupError: no item of the target has an embedding
    """
    target = store.target
    read = functools.partial(load_embeddings, embeddings_field=embeddings_field, patches_field=target.patches_field)
    embeddings = read(target.view)
    if not len(embeddings.ids) or embeddings.provenance is None:
        raise NothingToGroupError(embeddings_field, embeddings.n_missing, target.noun)
    embedded, n_missing = ids_of(embeddings.ids), embeddings.n_missing
    if not target.is_whole and store.is_declared():
        members = read(_grouped(store))
        is_elsewhere = places_of(ids_of(members.ids), embedded) == NONE
        embeddings = embeddings.joined(members.select(np.flatnonzero(is_elsewhere).tolist()))
    ids = embedded if len(embeddings.ids) == len(embedded) else ids_of(embeddings.ids)
    sample_ids = ids_of(embeddings.sample_ids) if target.is_patches else ids
    rows = places_of(ids, state.labels.ids)
    may_change = np.append(state.is_open(adds_only=mode == ADD), True)[rows]
    is_chosen = may_change | (np.append(state.group_ids, NONE)[rows] != NONE)
    if not is_chosen.all():
        embeddings = embeddings.select(np.flatnonzero(is_chosen).tolist())
        ids = ids[is_chosen]
        sample_ids = sample_ids[is_chosen] if target.is_patches else ids
    is_open = (may_change & (np.arange(len(rows)) < len(embedded)))[is_chosen]
    assert embeddings.provenance is not None
    return Participants(ids, sample_ids, embeddings.unit, is_open, embedded, embeddings.provenance, n_missing)


def _grouped(store: LabelStore) -> Any:
    """All items of the dataset that are in a group."""
    target = store.target
    is_grouped = F(store.attribute_path("label").rpartition(".")[2])
    is_grouped = is_grouped.exists() & (is_grouped != UNASSIGNED)
    return target.whole().view.filter_labels(target.patches_field or store.group_field, is_grouped)
