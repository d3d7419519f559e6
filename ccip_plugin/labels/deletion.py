"""Deletes a grouping: labels that runs wrote are removed, user labels stay."""

from dataclasses import dataclass, replace

import fiftyone as fo
import fiftyone.core.media as fomm
import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.identity.groups import Draft
from ..core.identity.planning import Plan
from ..core.identity.state import LabelTable, State
from ..core.progress import ProgressCallback
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD
from ..storage.indexes import drop_indexes
from ..storage.lease import lease
from ..storage.runs import RunKind, proposal_key, read_config, restore
from ..storage.schema import refresh_field
from ..storage.targets import all_images, resolve
from .changes import apply
from .identities import StaleGroupsError
from .overview.stored import delete_overview
from .snapshot import read_state
from .store import LabelStore
from .views import delete_views


@dataclass(frozen=True)
class Deletion:
    """Result of deleting a grouping, or of its dry run.

    Attributes:
        path: the path of the field with the groups
        n_labels: deleted labels: written by runs and unchanged since
        n_kept: user labels, which are kept
        n_groups: deleted groups
        run_keys: deleted records of runs and of a proposal
        fields: deleted fields, empty by then
        is_done: False for a dry run
    """

    path: str
    n_labels: int
    n_kept: int
    n_groups: int
    run_keys: tuple[str, ...]
    fields: tuple[str, ...]
    is_done: bool = False

    @property
    def counts(self) -> str:
        """What is deleted, as text."""
        return f"{counted(self.n_labels, 'label')} and {counted(self.n_groups, 'group')}"

    def facts(self) -> Facts:
        """The report as text."""
        deleted = "deleted" if self.is_done else "to be deleted"
        return Facts.of(
            f"{counted(self.n_labels, 'label')} {deleted}, {self.n_kept:,} kept",
            [
                (f"Labels {deleted}", self.n_labels),
                (f"Groups {deleted}", self.n_groups),
                ("User labels kept", self.n_kept or None),
                (f"Empty fields {deleted}", ", ".join(self.fields)),
                (f"Runs {deleted}", ", ".join(self.run_keys)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def delete_grouping(
    samples: SampleCollection,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Deletion:
    """Deletes the character groups of a field, except for user labels.

    Labels that users confirmed, ignored or changed stay, with their groups. An empty field is deleted. Ids of groups
    are not used again. What users decided about detections that are gone, and what they rejected, stays in the list
    ``<patches_field>_decisions``. :func:`~ccip_plugin.labels.history.undo` restores everything, except the proposal
    and records of runs under other keys than the first.

    Args:
        samples: the dataset, or any view of it; the grouping of the whole dataset is deleted
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only report
        progress (None): called with the number of deleted labels

    Returns:
        a :class:`Deletion`

    Raises:
        StaleGroupsError: another process changed the groups; try again
        LeaseHeldError: another process is writing
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    if dry_run:
        return _deletion(store, read_state(store))
    try:
        return _delete(store, progress)
    except StaleGroupsError:  # as after an interrupted change, which is finished by now
        return _delete(store, progress)


def _delete(store: LabelStore, progress: ProgressCallback | None) -> Deletion:
    state = read_state(store)
    planned = _deletion(store, state)
    run_key = next((key for key in planned.run_keys if key != proposal_key(store.path)), None)
    done = apply(store, _plan(store, state), action="delete_grouping", run_key=run_key, progress=progress)
    for key in planned.run_keys:
        restore(store.target.dataset, key, None)
    delete_overview(store)
    drop_indexes(store.target.dataset, store.indexed_paths)
    fields = _delete_empty_fields(store) if planned.fields else ()
    if store.path in fields:
        delete_views(store)
    n_kept = planned.n_kept + done.n_left
    return replace(planned, n_labels=done.n_written, n_kept=n_kept, fields=fields, is_done=True)


def _deletion(store: LabelStore, state: State) -> Deletion:
    n_kept, draft = int(state.is_user_label.sum()), state.draft()
    return Deletion(
        store.path,
        n_labels=int(state.labels.is_labeled.sum()) - n_kept,
        n_kept=n_kept,
        n_groups=sum(draft.root(group_id) == group_id for group_id in _deleted_groups(store, state, draft)),
        run_keys=_run_keys(store),
        fields=() if n_kept else tuple(path for path in store.own_fields() if _is_deleted(store, path)),
    )


def _is_deleted(store: LabelStore, path: str) -> bool:
    """Whether a field of ours will be empty; decisions stay when their detections are gone."""
    dataset = store.target.dataset
    if dataset.get_field(path) is None:
        return False
    return path != store.decisions_field or not all_images(dataset).count(path)


def _deleted_groups(store: LabelStore, state: State, draft: Draft) -> set[int]:
    """The groups without user labels, and those that were merged into one of them."""
    kept = set(np.unique(state.group_ids[state.is_user_label]).tolist()) | _used_elsewhere(store, state)
    return {group_id for group_id in draft.groups if draft.root(group_id) not in kept}


def _used_elsewhere(store: LabelStore, state: State) -> set[int]:
    """The groups of labels in other slices of a grouped dataset, which are not deleted."""
    target = store.target
    if target.dataset.media_type != fomm.GROUP:
        return set()
    everywhere = read_state(LabelStore(replace(target, view=all_images(target.dataset)), store.group_field))
    is_elsewhere = ~np.isin(everywhere.labels.ids, state.labels.ids)
    return set(np.unique(everywhere.group_ids[is_elsewhere]).tolist())


def _plan(store: LabelStore, state: State) -> Plan:
    labels, draft = state.labels, state.draft()
    rows = np.flatnonzero(labels.is_labeled & ~state.is_user_label)
    draft.drop(_deleted_groups(store, state, draft))
    return Plan(LabelTable.empty(labels.ids[rows], labels.sample_ids[rows]), draft.changes())


def _run_keys(store: LabelStore) -> tuple[str, ...]:
    """The records of the runs that grouped this field, and of a proposal for it."""
    dataset, target = store.target.dataset, store.target
    field = {"group_field": store.group_field, "patches_field": target.patches_field}
    proposal = proposal_key(store.path)
    found = [
        key for key in dataset.list_runs(method=RunKind.GROUPING) if read_config(dataset, key, tuple(field)) == field
    ]
    return (*found, proposal) if read_config(dataset, proposal, ("at",)) is not None else tuple(found)


def _delete_empty_fields(store: LabelStore) -> tuple[str, ...]:
    """Deletes our fields in which nothing is left."""
    dataset = store.target.dataset
    with lease(dataset, store.path):
        gone = [path for path in store.own_fields() if _is_empty(dataset, path)]
        if gone:
            dataset.delete_sample_fields(gone)
    return tuple(gone)


def _is_empty(dataset: fo.Dataset, path: str) -> bool:
    refresh_field(dataset, path)
    return dataset.get_field(path) is not None and not all_images(dataset).count(path)
