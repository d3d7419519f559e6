"""Proposals: the changes that a grouping would make, stored with the dataset until a user applies them.

A proposal is a custom run, ``ccip_proposal_<field>``: its configuration has the counts, its results the ids of the
items by kind of change and the labels to write. So it loads in any process, with or without this plugin.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from fiftyone import ViewField as F
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError, ParameterError
from ..core.identity.groups import IdentityChanges, Registry
from ..core.identity.ids import ids_of, texts_of
from ..core.identity.matching import GroupChange
from ..core.identity.planning import ItemChange, Plan
from ..core.progress import ProgressCallback
from ..labels.changes import apply
from ..labels.identities import load_registry, loaded_delta, registry_revision, stored_delta, stored_ids
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel, rows_of, table_of
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD, STATUS_AUTO
from ..storage.internals import refresh_run
from ..storage.runs import RunKind, proposal_key, read_config, register, restore
from ..storage.targets import field_path, items_view, resolve
from .report import CHANGE_LABELS, GroupingReport, describe_changes, describe_group_change


class NoProposalError(CCIPError):
    """No proposal is stored."""

    mentions = ("propose_groups",)

    def __init__(self, path: str):
        super().__init__(f"there is no proposal for the character groups of {path!r}: make one with propose_groups")
        self.path = path


@dataclass(frozen=True, eq=False)
class Proposal:
    """The changes that a grouping would make.

    Attributes:
        store: the items, and where their labels are
        plan: the labels and groups to write
        report: the grouping, as it will be when it is applied
        run_key: the run that will record it, None for none
        run: the configuration of that run
    """

    store: LabelStore
    plan: Plan
    report: GroupingReport
    run_key: str | None
    run: Mapping[str, Any]

    @property
    def ids(self) -> dict[str, list[str]]:
        """The ids of the items by kind of change (:class:`~ccip_plugin.core.identity.planning.ItemChange`)."""
        return {kind.value: texts_of(ids) for kind, ids in self.plan.ids_by_kind().items()}

    @property
    def counts(self) -> dict[str, int]:
        """The number of items by kind of change."""
        return self.plan.n_by_kind()

    @property
    def groups(self) -> tuple[GroupChange, ...]:
        """What would happen to whole groups."""
        return self.plan.group_changes

    @property
    def key(self) -> str:
        """The key of the run that stores it."""
        return proposal_key(self.store.path)

    def view(self, kind: str) -> Any:
        """The items of one kind of change, as a view of the dataset.

        Args:
            kind: one of :class:`~ccip_plugin.core.identity.planning.ItemChange`
        """
        if kind not in list(ItemChange):
            raise ParameterError("kind", kind, f"one of {', '.join(ItemChange)}")
        return items_view(self.store.target, texts_of(self.plan.ids_by_kind()[ItemChange(kind)]))

    def __str__(self) -> str:
        return str(self.facts())

    def facts(self) -> Facts:
        """The proposal as text: items by kind of change, and what happens to groups."""
        groups = [
            (change.name, f"{describe_group_change(change)} ({change.n_items:,} {self.store.target.noun})")
            for change in self.groups
            if change.other
        ]
        changes = [(CHANGE_LABELS[kind], n or None) for kind, n in self.counts.items()]
        return Facts.of(f"proposed: {describe_changes(self.counts)}", [*changes, *groups], self.report.warnings)


def save_proposal(proposal: Proposal) -> None:
    """Stores a proposal with the dataset; it replaces an earlier one for the same field."""
    store, plan = proposal.store, proposal.plan
    dataset = store.target.dataset
    register(
        dataset,
        proposal.key,
        RunKind.PROPOSAL,
        at=proposal.run["at"],
        group_field=store.group_field,
        patches_field=store.target.patches_field,
        revision=plan.identities.registry.revision,
        next_id=plan.identities.next_id,
        run_key=proposal.run_key,
        run=dict(proposal.run),
        counts=proposal.counts,
    )
    results = dataset.init_run_results(
        proposal.key,
        ids=proposal.ids,
        groups=[change.as_dict() for change in plan.group_changes],
        labels=[
            [item_id, sample_id, None if label is None else astuple(label)]
            for item_id, sample_id, label in rows_of(plan.writes)
        ],
        registry=stored_delta(plan.identities.groups),
        report=proposal.report.as_dict(),
        lifted=stored_ids(plan.identities.lifted),
    )
    dataset.save_run_results(proposal.key, results, cache=False)


@with_database_errors
def load_proposal(
    samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None
) -> Proposal:
    """Reads the proposal that is stored with a dataset.

    Args:
        samples: the dataset, or any view of it
        group_field ("character_group"): the field of the proposal
        patches_field (None): the field with the detections, for a proposal about detections

    Raises:
        NoProposalError: none is stored
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    dataset, key = store.target.dataset, proposal_key(store.path)
    config = read_config(dataset, key)
    refresh_run(dataset, key)
    results = dataset.load_run_results(key, cache=False, load_view=False) if config and dataset.has_run(key) else None
    if config is None or results is None:
        raise NoProposalError(store.path)
    registry = load_registry(dataset, store.path)
    if registry.revision != config["revision"]:
        registry = Registry(config["revision"])  # which is outdated: the proposal can be inspected, not applied
    plan = Plan(
        table_of(
            (item, sample, None if label is None else GroupLabel(*label)) for item, sample, label in results.labels
        ),
        IdentityChanges(
            registry,
            max(registry.next_id, config["next_id"]),
            loaded_delta(results.registry),
            lifted={int(key): frozenset(ids) for key, ids in getattr(results, "lifted", {}).items()},  # not in 0.1.0
        ),
        ids_of(item_id for kind in ItemChange for item_id in results.ids[kind]),
        np.repeat(np.arange(len(ItemChange), dtype=np.int8), [len(results.ids[kind]) for kind in ItemChange]),
        tuple(map(GroupChange.from_dict, results.groups)),
    )
    report = config.get("report") or results.report  # earlier versions have it with the head
    return Proposal(store, plan, GroupingReport.from_dict(report), config["run_key"], config["run"])


@with_database_errors
def apply_proposal(
    samples: SampleCollection,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport:
    """Writes the proposal that is stored with a dataset, and deletes it.

    Labels that users edited since then are kept. :func:`~ccip_plugin.labels.history.undo` reverts it.

    Args:
        samples: the dataset, or any view of it; the whole proposal is applied
        group_field ("character_group"): the field of the proposal
        patches_field (None): the field with the detections, for a proposal about detections
        progress (None): called with the number of labels written

    Returns:
        a :class:`~ccip_plugin.grouping.report.GroupingReport`

    Raises:
        NoProposalError: none is stored
        StaleGroupsError: the groups were changed since it was made; make a new one
        LeaseHeldError: another process is writing
    """
    proposal = load_proposal(samples, group_field=group_field, patches_field=patches_field)
    done = write(proposal, progress=progress)
    _drop(proposal)
    return done


def write(proposal: Proposal, *, progress: ProgressCallback | None = None) -> GroupingReport:
    """Writes a proposal in memory; the report has the result. Raises as :func:`apply_proposal`."""
    done = apply(
        proposal.store,
        proposal.plan,
        action="group_characters",
        run_key=proposal.run_key,
        run=proposal.run,
        progress=progress,
    )
    report = replace(proposal.report, n_written=done.n_written, n_left=done.n_left, refused=done.refused)
    return replace(report, number=done.number, proposal_key=None)


@with_database_errors
def rescued_view(samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None) -> Any:
    """The images or detections that were rescued into their groups and that no user confirmed.

    Their mean difference to the group exceeds the limit, so they should be reviewed: confirm them, or give them another
    label.

    Args:
        samples: a dataset or view
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, if these were grouped
    """
    store = LabelStore(resolve(samples, patches_field), group_field)
    view = store.target.view.view()
    if store.target.dataset.get_field(store.attribute_path("rescued")) is None:
        return view.limit(0)
    rescued, status = (F(store.attribute_path(name).rpartition(".")[2]) for name in ("rescued", "status"))
    return view.filter_labels(store.target.patches_field or group_field, (rescued == True) & (status == STATUS_AUTO))  # noqa: E712


def _drop(proposal: Proposal) -> None:
    """Deletes a stored proposal, unless a new one replaced it meanwhile."""
    dataset = proposal.store.target.dataset
    config = read_config(dataset, proposal.key, ("run",))
    if config is not None and config["run"]["at"] == proposal.run["at"]:
        restore(dataset, proposal.key, None)


@dataclass(frozen=True)
class Pending:
    """A proposal that waits, as much of it as a form needs.

    Attributes:
        group_field: the field that it is for
        patches_field: the field with the detections, None for whole samples
        at: when it was made, in UTC
        counts: per kind of change, how many items it is about
        is_outdated: whether the groups were changed since, so that it cannot be applied
    """

    group_field: str
    patches_field: str | None
    at: str
    counts: Mapping[str, int]
    is_outdated: bool

    @property
    def path(self) -> str:
        """The full path of the field."""
        return field_path(self.group_field, self.patches_field)


def pending_proposals(dataset: Any) -> list[Pending]:
    """The proposals that are kept with a dataset; quick, as ids and labels are not read."""
    found = []
    for key in dataset.list_runs(method=RunKind.PROPOSAL):
        names = ("group_field", "patches_field", "at", "counts", "revision")
        config = read_config(dataset, key, names)
        if config:
            revision = config.pop("revision")
            pending = Pending(**config, is_outdated=False)
            found.append(replace(pending, is_outdated=registry_revision(dataset, pending.path) != revision))
    return found
