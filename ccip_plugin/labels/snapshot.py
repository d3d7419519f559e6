"""The labels and identities of a field at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..storage.fields import ALL
from .identities import Draft, load_registry
from .store import GroupLabel, LabelStore


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The labels of a whole dataset and its groups, as they were at one moment.

    Attributes:
        labels: by the ids of the items that have one
        current: the ids of the groups that these labels mean, None for those in no group
        draft: the groups; names that people used for the first time are new groups in it
    """

    labels: Mapping[str, GroupLabel]
    current: Mapping[str, int | None]
    draft: Draft


def take_snapshot(store: LabelStore) -> Snapshot:
    """Reads all labels and groups."""
    target = store.target.whole()
    ids, _, labels = store.read(target)
    now = {key: label for key, label in zip(ids, labels, strict=True) if label is not None}
    draft = Draft(load_registry(target.dataset, store.path))
    return Snapshot(now, {key: draft.id_of(label) for key, label in now.items()}, draft)


def is_open(snapshot: Snapshot, mode: str, key: str) -> bool:
    """Whether a run may give an item another label."""
    label = snapshot.labels.get(key)
    return label is None or (mode == ALL and not label.is_human)
