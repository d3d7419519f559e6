"""Reads the labels of a field and its groups, as arrays."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import IntArray
from ..core.identity.groups import Draft, Registry, is_too_long
from ..core.identity.ids import places_of
from ..core.identity.state import NONE, LabelTable, State, Status
from ..core.plain import canonical_name
from ..storage.fields import UNASSIGNED
from .identities import load_registry
from .store import LabelStore


def read_state(store: LabelStore) -> State:
    """Reads all labels of a dataset, the groups, and which items a store is about.

    Costs one query for the labels, and one more for the ids of a view.
    """
    target = store.target.whole()
    registry = load_registry(target.dataset, store.path)
    labels, names = _with_names(store.read_table(target), registry)
    group_ids, named = _group_ids(labels, names, registry)
    rows = np.arange(len(labels))
    if not store.target.is_whole:
        rows = places_of(store.read_ids(), labels.ids)
    return State(labels, group_ids, names, registry, named, rows[rows != NONE])


def _with_names(labels: LabelTable, registry: Registry) -> tuple[LabelTable, NDArray[np.int32]]:
    """The labels, and for each text the code of the group name in it; names are added to the texts where needed.

    Names that differ in their Unicode form only are one: that of the group, or else the first one.
    """
    codes = {text: code for code, text in enumerate(labels.texts)}
    spelling = {canonical_name(group.name): group.name for group in registry.groups.values()}
    stripped = [text.strip() for text in labels.texts]
    spelled = [spelling.setdefault(canonical_name(name), name) for name in stripped]
    names = [
        NONE if name in ("", UNASSIGNED) or is_too_long(name) else codes.setdefault(name, len(codes))
        for name in spelled
    ]
    names += range(len(names), len(codes))
    return replace(labels, texts=tuple(codes)), np.array(names, np.int32)


def _group_ids(
    labels: LabelTable, names: NDArray[np.int32], registry: Registry
) -> tuple[IntArray, tuple[tuple[int, str], ...]]:
    """The group that each label names, and the groups that the registry does not have yet."""
    name = np.where(labels.is_labeled & (labels.status != Status.IGNORED), names[labels.label], NONE)
    rows = np.flatnonzero(name != NONE)
    stored, codes = np.unique(labels.group_ids[rows], return_inverse=True)
    pairs, first, places = np.unique(name[rows] * np.int64(len(stored)) + codes, return_index=True, return_inverse=True)
    draft, ids = Draft(registry), np.empty(len(pairs), np.int64)
    for number in np.argsort(first).tolist():  # new groups get their ids in the order of the items
        text, code = divmod(int(pairs[number]), len(stored))
        group_id = None if stored[code] == NONE else int(stored[code])
        ids[number] = draft.id_of(labels.texts[text], group_id) or NONE
    group_ids = np.full(len(labels), NONE, np.int64)
    group_ids[rows] = ids[places]
    added = [group_id for group_id in draft.groups if group_id not in registry.groups]
    return group_ids, tuple((group_id, draft.groups[group_id].name) for group_id in added)
