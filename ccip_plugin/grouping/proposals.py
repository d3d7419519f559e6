"""Proposals: the changes that a grouping would make, stored with the dataset until a user applies them.

A proposal is a custom run, ``ccip_proposal_<field>``: its configuration has the counts, its results the ids of the
items by kind of change and the labels to write. So it loads in any process, with or without this plugin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F
from fiftyone.core.collections import SampleCollection

from ..core.errors import ParameterError, check_type
from ..core.identity.groups import IdentityChanges, Registry
from ..core.identity.ids import ids_of, places_of, texts_of
from ..core.identity.matching import GroupChange
from ..core.identity.planning import ITEM_CHANGES, ItemChange, Plan
from ..core.identity.state import NONE
from ..core.progress import ProgressCallback
from ..labels.changes import apply
from ..labels.edits.proposed import NoProposalError, ProposalOutdatedError, ProposedRow, TakenRows, take_rows
from ..labels.edits.report import EditReport
from ..labels.history.last_reports import ReportKind, keep_report
from ..labels.identities import (
    StaleGroupsError,
    load_registry,
    loaded_delta,
    registry_revision,
    stored_delta,
    stored_ids,
)
from ..labels.journal import Journal
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel, rows_of, table_of
from ..reports.facts import Facts
from ..reports.words import local_time
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD, STATUS_AUTO
from ..storage.internals import refresh_run
from ..storage.runs import RunKind, proposal_key, read_config, register, restore
from ..storage.targets import field_path, items_view, resolve
from .report import CHANGE_LABELS, GroupingReport, describe_changes, describe_group_change

N_ROWS = 50
"""Rows of a proposal that a form and its text show."""

_RESULTS = ("ids", "groups", "labels", "registry", "report", "lifted", "rows")


@dataclass(frozen=True, eq=False)
class Proposal:
    """The changes that a grouping would make.

    Attributes:
        store: the items, and where their labels are
        plan: the labels and groups to write
        report: the grouping, as it will be when it is applied
        run_key: the run that will record it, None for none
        run: the configuration of that run
        rows: the changes of labels, by the groups that items leave and come to, the largest first, to take one by one
        taken: the numbers of the rows that were taken
    """

    store: LabelStore
    plan: Plan
    report: GroupingReport
    run_key: str | None
    run: Mapping[str, Any]
    rows: tuple[ProposedRow, ...] = ()
    taken: tuple[int, ...] = ()

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
        rows = [(f"Row {row.number}", row.text(self.store.target.noun[:-1])) for row in self.rows[:N_ROWS]]
        changes = [(CHANGE_LABELS[kind], n or None) for kind, n in self.counts.items()]
        return Facts.of(f"proposed: {describe_changes(self.counts)}", [*changes, *groups, *rows], self.report.warnings)


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
        rows=TakenRows().texts(proposal.rows, Journal(dataset, store.path), store.target.noun[:-1], N_ROWS),
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
        rows=[row.as_dict() for row in proposal.rows],
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
    every = tuple(map(ProposedRow.from_dict, getattr(results, "rows", ())))  # earlier versions have none
    rows = TakenRows.from_stored(config.get("taken")).open_rows(every, Journal(dataset, store.path))
    if every and not rows:
        raise NoProposalError(store.path)
    taken = tuple(sorted({row.number for row in every} - {row.number for row in rows}))
    return Proposal(store, plan, GroupingReport.from_dict(report), config["run_key"], config["run"], rows, taken)


@with_database_errors
def apply_proposal(
    samples: SampleCollection,
    *,
    rows: Sequence[int] | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport | EditReport:
    """Writes the proposal that is stored with a dataset, and deletes it; or some of its rows, and keeps the others.

    Labels that users edited since then are kept. :func:`~ccip_plugin.labels.history.undo` reverts it. The whole is
    refused when the groups were changed since it was made. A row needs only its own items and groups to be what they
    were: images that are elsewhere by now, or decided by users, stay.

    Args:
        samples: the dataset, or any view of it; the whole proposal is applied
        rows (None): the numbers of some of its rows, see :attr:`Proposal.rows`; a row is open again when it is undone
        group_field ("character_group"): the field of the proposal
        patches_field (None): the field with the detections, for a proposal about detections
        progress (None): called with the number of labels written

    Returns:
        a :class:`~ccip_plugin.grouping.report.GroupingReport`; with ``rows`` an
        :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        NoProposalError: none is stored
        ParameterError: there is no such row
        RowOutdatedError: the group that a row comes to was merged or deleted since
        ProposalOutdatedError: rows of it were applied, or the groups were changed since it was made
        LeaseHeldError: another process is writing
    """
    proposal = load_proposal(samples, group_field=group_field, patches_field=patches_field)
    if rows is not None:
        return _take_rows(proposal, rows, progress)
    try:
        done = write(proposal, progress=progress)
    except StaleGroupsError as error:
        raise ProposalOutdatedError(proposal.store.path, proposal.rows, proposal.taken) from error
    _drop(proposal)
    return keep(done, proposal.store.target.dataset)


def _take_rows(proposal: Proposal, numbers: Sequence[int], progress: ProgressCallback | None) -> EditReport:
    """Writes some rows of a proposal, and keeps the others."""
    by_number = {row.number: row for row in proposal.rows}
    expected = f"numbers of its rows, {', '.join(map(str, list(by_number)[:N_ROWS])) or 'of which it has none'}"
    check_type("rows", numbers, Sequence, expected)
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number not in by_number:
            raise ParameterError("rows", number, expected)
    if not numbers:
        raise ParameterError("rows", numbers, f"one or more {expected}; None for the whole proposal")
    labels = {item_id: label for item_id, _, label in rows_of(proposal.plan.writes) if label is not None}
    chosen = [by_number[number] for number in dict.fromkeys(numbers)]
    done, made_groups = take_rows(proposal.store, chosen, labels, progress=progress)
    _record_taken(proposal, numbers, done.number, made_groups)
    return done


def _record_taken(
    proposal: Proposal, numbers: Sequence[int], change: int | None, made_groups: Mapping[int, ProposedRow]
) -> None:
    """Stores with a proposal which rows were taken: it is kept, as they are open again when that is undone."""
    dataset, journal = proposal.store.target.dataset, Journal(proposal.store.target.dataset, proposal.store.path)
    config = read_config(dataset, proposal.key)
    results = dataset.load_run_results(proposal.key, cache=False, load_view=False)
    if config is None or results is None or config["run"]["at"] != proposal.run["at"]:
        return  # a new one replaced it meanwhile
    at = next((entry.at for entry in journal.entries() if entry.number == change), "")
    taken = TakenRows.from_stored(config.get("taken")).with_rows(numbers, (change or 0, at), made_groups)
    kept = {name: getattr(results, name) for name in _RESULTS if hasattr(results, name)}
    rows = tuple(map(ProposedRow.from_dict, kept["rows"]))
    config["rows"] = taken.texts(rows, journal, proposal.store.target.noun[:-1], N_ROWS)
    restore(dataset, proposal.key, {**config, "taken": taken.stored(), "n_rows": len(rows)})
    dataset.save_run_results(proposal.key, dataset.init_run_results(proposal.key, **kept), cache=False)


def proposed_rows(plan: Plan) -> tuple[ProposedRow, ...]:
    """The rows of a plan, those of most items first."""
    after = np.full(len(plan.ids), NONE, np.int64)
    places = places_of(plan.ids, plan.writes.ids)
    after[places >= 0] = plan.writes.group_ids[places[places >= 0]]
    identities, groups = plan.identities, {**plan.identities.registry.groups, **plan.identities.after()}
    members: dict[tuple[int, int, int], list[int]] = {}
    for place in np.flatnonzero(plan.kinds != ITEM_CHANGES.index(ItemChange.UNCHANGED)).tolist():
        members.setdefault((int(plan.kinds[place]), int(plan.before[place]), int(after[place])), []).append(place)
    found = sorted(members.items(), key=lambda each: (-len(each[1]), each[0]))

    def named(group_id: int) -> tuple[int | None, str | None]:
        return (None, None) if group_id == NONE else (group_id, groups[group_id].name)

    return tuple(
        ProposedRow(
            number,
            ITEM_CHANGES[kind].value,
            *named(source),
            *named(target),
            target != NONE and target not in identities.registry.groups,
            tuple(texts_of(plan.ids[members_of])),
        )
        for number, ((kind, source, target), members_of) in enumerate(found, start=1)
    )


def write(proposal: Proposal, *, progress: ProgressCallback | None = None) -> GroupingReport:
    """Writes a proposal in memory; the report has the result. Raises as :func:`apply_proposal`."""
    about = replace(proposal.report, proposal_key=None).facts().headline
    run: dict[str, Any] = {"run_key": proposal.run_key, "run": proposal.run}
    done = apply(proposal.store, proposal.plan, action="group_characters", about=about, progress=progress, **run)
    report = replace(proposal.report, n_written=done.n_written, n_left=done.n_left, refused=done.refused)
    return replace(report, number=done.number, proposal_key=None)


def keep(report: GroupingReport, dataset: fo.Dataset) -> GroupingReport:
    """Keeps a report, to be shown again, and gives it back."""
    kind = ReportKind.GROUPING if report.proposal_key is None else ReportKind.PROPOSAL
    keep_report(dataset, kind, report.group_field, report.facts(), report.as_dict())
    return report


@with_database_errors
def rescued_view(samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None) -> Any:
    """The images or detections that were rescued into their groups and that no user confirmed.

    Their mean difference to the group exceeds the limit, so review them: confirm them, or give them another label.

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
        at: when it was made, in the time of this machine
        counts: per kind of change, how many items it is about
        is_outdated: whether the groups were changed since, so that it cannot be applied as a whole
        rows: its first rows, by number and as text; each can be taken by itself
    """

    group_field: str
    patches_field: str | None
    at: str
    counts: Mapping[str, int]
    is_outdated: bool
    rows: Sequence[tuple[int, str]] = ()

    @property
    def path(self) -> str:
        """The full path of the field."""
        return field_path(self.group_field, self.patches_field)


def pending_proposals(dataset: Any) -> list[Pending]:
    """The proposals that are kept with a dataset; quick, as ids and labels are not read."""
    found = []
    for key in dataset.list_runs(method=RunKind.PROPOSAL):
        names = ("group_field", "patches_field", "at", "counts")
        config = read_config(dataset, key, (*names, "revision", "rows", "taken", "n_rows"))
        if not config:
            continue
        group_field, patches_field, at, counts = (config.get(name) for name in names)
        pending = Pending(str(group_field), patches_field, local_time(str(at)), counts or {}, is_outdated=False)
        rows = [(int(number), str(text)) for number, text in config.get("rows") or ()]
        if config.get("taken") is not None:
            journal, taken = Journal(dataset, pending.path), TakenRows.from_stored(config["taken"])
            gone = {number for number in taken.changes if taken.is_taken(number, journal)}
            rows = [row for row in rows if row[0] not in gone][:N_ROWS]
            if len(gone) == config["n_rows"]:
                continue
        is_outdated = registry_revision(dataset, pending.path) != config["revision"]
        found.append(replace(pending, is_outdated=is_outdated, rows=rows))
    return found
