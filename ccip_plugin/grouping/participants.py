"""Who takes part in a grouping: what is grouped, what it is compared with, and the labels that are there."""

import functools
from dataclasses import dataclass
from typing import Any

from fiftyone import ViewField as F

from ..core.errors import CCIPError
from ..embeddings.load import Embeddings, load_embeddings
from ..embeddings.provenance import Provenance
from ..labels.snapshot import Snapshot, is_open
from ..labels.store import LabelStore
from ..storage.fields import UNASSIGNED


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
class Lineup:
    """The items that take part in a grouping.

    Attributes:
        embeddings: of the items to group, and of those with which they are compared
        embedded: the ids of the items to group that have an embedding, whether they take part or not
        open: the ids of those that may get another group; the others stay where they are
        provenance: where the embeddings come from
    """

    embeddings: Embeddings
    embedded: frozenset[str]
    open: frozenset[str]
    provenance: Provenance


def line_up(store: LabelStore, snapshot: Snapshot, embeddings_field: str, mode: str) -> Lineup:
    """Reads the embeddings of those who take part.

    These are the items of the target, and for a part of a dataset the members of all groups outside of it. Items that
    people ignored or put into no group take no part, and in the mode :data:`ADD` neither do those in no group: so they
    are in no group afterwards, and no group forms around them.

    Raises:
        NothingToGroupError: no item of the target has an embedding
    """
    target = store.target
    read = functools.partial(load_embeddings, embeddings_field=embeddings_field, patches_field=target.patches_field)
    embeddings = read(target.view)
    if not len(embeddings.ids) or embeddings.provenance is None:
        raise NothingToGroupError(embeddings_field, embeddings.n_missing, target.noun)
    of_target = frozenset(embeddings.ids)
    if not target.is_whole and store.is_declared():
        members = read(_grouped(store))
        embeddings = embeddings.joined(members.select([i for i, key in enumerate(members.ids) if key not in of_target]))
    may_change = functools.partial(is_open, snapshot, mode)
    chosen = [i for i, key in enumerate(embeddings.ids) if may_change(key) or snapshot.current.get(key) is not None]
    if len(chosen) < len(embeddings.ids):
        embeddings = embeddings.select(chosen)
    assert embeddings.provenance is not None
    return Lineup(embeddings, of_target, frozenset(filter(may_change, of_target)), embeddings.provenance)


def _grouped(store: LabelStore) -> Any:
    """All items of the dataset that are in a group."""
    target = store.target
    is_grouped = F(store.attribute_path("label").rpartition(".")[2])
    is_grouped = is_grouped.exists() & (is_grouped != UNASSIGNED)
    if target.is_patches:
        return target.dataset.filter_labels(target.patches_field, is_grouped)
    return target.dataset.filter_labels(store.group_field, is_grouped)
