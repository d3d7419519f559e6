"""What a grouping would change, kept with the dataset until somebody applies it.

A proposal is a custom run, ``ccip_proposal_<field>``: its configuration has the counts, its results the ids of the
items by kind of change and the labels to write. So it loads in any process, with or without this plugin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from fiftyone import ViewField as F

from ..core.errors import CCIPError, ParameterError
from ..core.identity.matching import GroupChange
from ..core.progress import ProgressCallback
from ..labels.changes import Changes, LabelChange, apply
from ..labels.identities import Draft, Registry, load_registry, loaded_delta, registry_revision, stored_delta
from ..labels.store import GroupLabel, LabelStore
from ..reports.facts import Facts
from ..storage.fields import GROUP_FIELD, STATUS_AUTO
from ..storage.internals import refresh_run
from ..storage.runs import RunKind, proposal_key, read_config, register, restore
from ..storage.targets import field_path, items_view, resolve
from .plan import KINDS
from .report import CHANGE_LABELS, GroupingReport, describe_changes, describe_group_change


class NoProposalError(CCIPError):
    """There is no proposal to look at or to apply."""

    def __init__(self, path: str):
        super().__init__(f"there is no proposal for the character groups of {path!r}: make one with propose_groups")
        self.path = path


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a grouping would change.

    Attributes:
        store: the items, and where their labels are
        changes: the labels and groups to write
        ids: per kind of change (:data:`~ccip_plugin.grouping.plan.KINDS`), the ids of the items
        groups: what would become of whole groups
        report: the grouping, as it will be when it is applied
    """

    store: LabelStore
    changes: Changes
    ids: Mapping[str, Sequence[str]]
    groups: Sequence[GroupChange]
    report: GroupingReport

    @property
    def counts(self) -> dict[str, int]:
        """Per kind of change, how many items it is about."""
        return {kind: len(ids) for kind, ids in self.ids.items()}

    @property
    def key(self) -> str:
        """The key of the run that holds it."""
        return proposal_key(self.store.path)

    def view(self, kind: str) -> Any:
        """The items of one kind of change, as a view of the dataset.

        Args:
            kind: one of :data:`~ccip_plugin.grouping.plan.KINDS`
        """
        if kind not in KINDS:
            raise ParameterError("kind", kind, f"one of {', '.join(KINDS)}")
        return items_view(self.store.target, self.ids[kind])

    def __str__(self) -> str:
        return str(self.facts())

    def facts(self) -> Facts:
        """The proposal as text: items by kind of change, and what becomes of groups."""
        groups = [
            (change.name, f"{describe_group_change(change)} ({change.n_items:,} {self.store.target.noun})")
            for change in self.groups
            if change.other
        ]
        changes = [(CHANGE_LABELS[kind], n or None) for kind, n in self.counts.items()]
        return Facts.of(f"proposed: {describe_changes(self.counts)}", [*changes, *groups], self.report.warnings)


def save_proposal(proposal: Proposal) -> None:
    """Keeps a proposal with the dataset, in place of an earlier one for the same field."""
    store, changes = proposal.store, proposal.changes
    dataset = store.target.dataset
    register(
        dataset,
        proposal.key,
        RunKind.PROPOSAL,
        at=changes.run["at"],
        group_field=store.group_field,
        patches_field=store.target.patches_field,
        revision=changes.draft.registry.revision,
        next_id=changes.draft.next_id,
        run_key=changes.run_key,
        run=dict(changes.run),
        counts=proposal.counts,
        report=proposal.report.as_dict(),
    )
    results = dataset.init_run_results(
        proposal.key,
        ids={kind: list(ids) for kind, ids in proposal.ids.items()},
        groups=[vars(change) for change in proposal.groups],
        labels=[[i, sample_id, None if label is None else astuple(label)] for i, sample_id, label in changes.labels],
        registry=stored_delta(changes.draft.delta()),
    )
    dataset.save_run_results(proposal.key, results, cache=False)


def load_proposal(samples: Any, *, group_field: str = GROUP_FIELD, patches_field: str | None = None) -> Proposal:
    """Reads the proposal that is kept with a dataset.

    Args:
        samples: the dataset, or any view of it
        group_field ("character_group"): the field that it is for
        patches_field (None): the field with the detections, when it is for detections

    Raises:
        NoProposalError: there is none
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    dataset, key = store.target.dataset, proposal_key(store.path)
    config = read_config(dataset, key)
    refresh_run(dataset, key)
    results = dataset.load_run_results(key, cache=False, load_view=False) if config and dataset.has_run(key) else None
    if config is None or results is None:
        raise NoProposalError(store.path)
    registry = load_registry(dataset, store.path)
    draft = Draft(registry if registry.revision == config["revision"] else _outdated(config["revision"]))
    draft.take(loaded_delta(results.registry), config["next_id"])
    labels = [LabelChange(i, s, None if label is None else GroupLabel(*label)) for i, s, label in results.labels]
    changes = Changes("group_characters", labels, draft, run_key=config["run_key"], run=config["run"])
    groups = tuple(GroupChange(**change) for change in results.groups)
    return Proposal(store, changes, results.ids, groups, GroupingReport.from_dict(config["report"]))


def apply_proposal(
    samples: Any,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport:
    """Writes the proposal that is kept with a dataset, and drops it.

    Labels that people decided since then are kept. :func:`~ccip_plugin.labels.history.undo` takes it back.

    Args:
        samples: the dataset, or any view of it; the whole proposal is applied
        group_field ("character_group"): the field that it is for
        patches_field (None): the field with the detections, when it is for detections
        progress (None): called with the number of labels written

    Returns:
        a :class:`~ccip_plugin.grouping.report.GroupingReport`

    Raises:
        NoProposalError: there is none
        StaleGroupsError: the groups were changed since it was made; make another
        LeaseHeldError: another process is writing
    """
    proposal = load_proposal(samples, group_field=group_field, patches_field=patches_field)
    done = write(proposal, progress=progress)
    _drop(proposal)
    return done


def write(proposal: Proposal, *, progress: ProgressCallback | None = None) -> GroupingReport:
    """Writes a proposal that is in memory; the report says what became of it. Raises as :func:`apply_proposal`."""
    done = apply(proposal.store, proposal.changes, progress=progress)
    return replace(proposal.report, n_written=done.n_written, n_left=done.n_left, number=done.number, proposal_key=None)


def rescued_view(samples: Any, *, group_field: str = GROUP_FIELD, patches_field: str | None = None) -> Any:
    """The images or detections that the rescue put into their groups, and that no person has confirmed.

    Their mean difference to the group alone would have left them out, so they are worth a look: confirm them, or give
    them another label.

    Args:
        samples: a dataset or view
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
    """
    store = LabelStore(resolve(samples, patches_field), group_field)
    view = store.target.view.view()
    if store.target.dataset.get_field(store.attribute_path("rescued")) is None:
        return view.limit(0)
    rescued, status = (F(store.attribute_path(name).rpartition(".")[2]) for name in ("rescued", "status"))
    return view.filter_labels(store.target.patches_field or group_field, (rescued == True) & (status == STATUS_AUTO))  # noqa: E712


def _drop(proposal: Proposal) -> None:
    """Drops a stored proposal, unless another has taken its place meanwhile."""
    dataset = proposal.store.target.dataset
    config = read_config(dataset, proposal.key, ("run",))
    if config is not None and config["run"]["at"] == proposal.changes.run["at"]:
        restore(dataset, proposal.key, None)


def _outdated(revision: int) -> Registry:
    """Stands for a registry that is not there any more."""
    return Registry(revision)


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
