"""The one door through which character groups are changed: planned outside, applied here, undone here."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.errors import ParameterError
from ..core.progress import ProgressCallback, report
from ..reports.facts import Facts, counted
from ..storage.lease import SHORT_SECONDS, Lease, lease
from ..storage.runs import read_config, register, restore
from ..storage.targets import batched
from .identities import (
    Draft,
    StaleGroupsError,
    load_groups,
    loaded_delta,
    registry_revision,
    save_delta,
    stored_delta,
    stored_ids,
)
from .journal import DONE, PREPARED, PRUNED, REDOING, UNDOING, UNDONE, WRITING, Change, Entry, Journal, Plan
from .store import GroupLabel, LabelStore, install_label_schema

logger = logging.getLogger(__name__)

_OF_ONE_RUN = ("at", "changes")  # what differs in two runs that find the same

KEPT_CHANGES = 50
"""How many of the newest changes of a field can be undone; ``CCIP_KEPT_CHANGES`` says another number."""


class LabelChange(NamedTuple):
    """The label that an item is to have; None for no label."""

    id: str
    sample_id: str
    label: GroupLabel | None


@dataclass(frozen=True)
class Changes:
    """What is to be changed, as it was planned.

    Attributes:
        action: what is done, as the journal shows it
        labels: the labels to write; items that are not named keep theirs
        draft: the groups as planned, on the registry that the plan was made from
        is_automatic: whether a machine decided; then the labels that people decided are kept, whatever the plan says
        run_key: the run to record, None for none
        run: the configuration of the run, with its ``method``; empty to delete the record of that key
    """

    action: str
    labels: Sequence[LabelChange]
    draft: Draft
    is_automatic: bool = True
    run_key: str | None = None
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ApplyReport:
    """What became of a change.

    Attributes:
        number: the number of the entry in the journal, None when there was nothing to write
        action: what was done
        n_written: labels written
        n_kept: labels that a person decided, which the change did not touch
        n_left: labels that somebody changed, or that went, while it was being written
    """

    number: int | None
    action: str
    n_written: int = 0
    n_kept: int = 0
    n_left: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        action = self.action.replace("_", " ")
        return Facts.of(
            f"{action}, {counted(self.n_written, 'label')}",
            [
                ("Action", action if self.number is None else f"{action} (change {self.number})"),
                ("Labels written", self.n_written),
                ("User labels kept", self.n_kept or None),
                ("Edited since, not changed", self.n_left or None),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


def apply(store: LabelStore, changes: Changes, *, progress: ProgressCallback | None = None) -> ApplyReport:
    """Writes a planned change: all of it, or after a crash at the next call.

    Every label is written only where the database still holds what was read just before, so that an edit made in the
    App at the same moment is never overwritten. The newest 50 changes of a field can be undone, or as many as the
    environment variable ``CCIP_KEPT_CHANGES`` says; older ones are forgotten when a new one is applied.

    Args:
        store: where the labels are
        changes: what to change
        progress (None): called with the number of labels written

    Returns:
        an :class:`ApplyReport`

    Raises:
        StaleGroupsError: the groups were changed since the plan was made; plan again
        TooManyGroupsError: more groups than a field can hold; nothing is written
        LeaseHeldError: another process is writing
    """
    dataset, kept_changes = store.target.dataset, _n_kept_changes()
    with lease(dataset, store.path, ttl=SHORT_SECONDS) as held:
        recover(store, held)
        if registry_revision(dataset, store.path) != changes.draft.registry.revision:
            raise StaleGroupsError(store.path)
        changes.draft.check_size()
        store.declare()
        install_label_schema(store)
        journal = Journal(dataset, store.path)
        entry, n_kept = _prepare(store, journal, changes)
        if entry is None:
            return ApplyReport(None, changes.action, n_kept=n_kept)
        written = write_entry(store, journal, entry, held, progress=progress)
        journal.prune(kept_changes)
        return ApplyReport(entry.number, changes.action, written, n_kept, entry.n_labels - written)


def recover(store: LabelStore, held: Lease) -> None:
    """Finishes what a process that died had begun. Called by everything that writes, with the lease."""
    journal = Journal(store.target.dataset, store.path)
    for entry in journal.entries():
        if entry.state in (WRITING, PRUNED):
            journal.remove(entry)
        elif entry.state in (PREPARED, REDOING, UNDOING):
            logger.warning("finishing %s number %d, which was interrupted", entry.action, entry.number)
            write_entry(store, journal, entry, held)


def _n_kept_changes() -> int:
    text = os.environ.get("CCIP_KEPT_CHANGES") or KEPT_CHANGES
    try:
        return max(1, int(text))
    except ValueError:
        raise ParameterError("CCIP_KEPT_CHANGES", text, "a whole number, 1 or more") from None


def _prepare(store: LabelStore, journal: Journal, changes: Changes) -> tuple[Entry | None, int]:
    """Journals exactly what is going to change; None when nothing is."""
    dataset = store.target.dataset
    entry: Entry | None = None
    n_kept = 0
    for chunk in batched(changes.labels):
        before = store.read_raw([change.id for change in chunk], [change.sample_id for change in chunk])
        rows: list[Change] = []
        for change in chunk:
            if change.id not in before:
                continue  # deleted since the plan was made
            row, is_kept = _row(store, change, before[change.id], changes.is_automatic)
            n_kept += is_kept
            if row is not None:
                rows.append(row)
        if rows:
            entry = journal.add_chunk(entry or journal.begin(changes.action), rows)
    run_before = read_config(dataset, changes.run_key) if changes.run_key else None
    delta = changes.draft.delta()
    run_after = dict(changes.run) or None if changes.run_key else None
    if entry is None and not delta and not changes.draft.rejected and _is_same_run(run_before, run_after):
        return None, n_kept
    entry = entry or journal.begin(changes.action)
    journal.put_plan(entry, Plan(stored_delta(delta), run_before, run_after, stored_ids(changes.draft.rejected)))
    return journal.put(entry, state=PREPARED, next_id=changes.draft.next_id, run_key=changes.run_key), n_kept


def _is_same_run(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether a run found what the record of an earlier one says; also where there is neither."""
    if before is None or after is None:
        return before is after
    return all(before.get(name) == value for name, value in after.items() if name not in _OF_ONE_RUN)


def _row(store: LabelStore, change: LabelChange, before: Any, is_automatic: bool) -> tuple[Change | None, bool]:
    """What to write for an item, None for nothing; and whether that is because a person has decided."""
    now = store.from_raw(before)
    if is_automatic and now is not None and now.is_human:
        is_promotion = change.label is not None and change.label.label == now.label and change.label.is_human
        if now.is_settled or not is_promotion:
            return None, True
    after = store.to_raw(change.label, before)
    return (
        (None, False) if (after or None) == (before or None) else ((change.id, change.sample_id, before, after), False)
    )


def write_entry(
    store: LabelStore, journal: Journal, entry: Entry, held: Lease, *, progress: ProgressCallback | None = None
) -> int:
    """Writes the labels, the groups and the run of an entry, forward or backward; may be repeated after a crash."""
    dataset = store.target.dataset
    is_backward = entry.state == UNDOING
    seen = written = 0
    for chunk in journal.chunks(entry):
        held.check()
        rows = [(i, s, after, before) for i, s, before, after in chunk] if is_backward else chunk
        written += store.write_raw(rows)
        store.write_rollup({row[1] for row in rows})
        seen += len(rows)
        report(progress, "writing labels", seen, entry.n_labels)
    held.check()
    plan = journal.plan(entry)
    _write_groups(store, entry, plan, is_backward)
    if entry.run_key is not None:
        config = plan.run_before if is_backward else plan.run_after
        if is_backward or config is None:
            restore(dataset, entry.run_key, config)
        else:
            register(dataset, entry.run_key, **config)
    if entry.state == PREPARED:
        journal.forget_undone()
    journal.put(entry, state=UNDONE if is_backward else DONE)
    store.refresh()
    return written


def _write_groups(store: LabelStore, entry: Entry, plan: Plan, is_backward: bool) -> None:
    dataset = store.target.dataset
    groups = loaded_delta(plan.groups)
    revision, now = load_groups(dataset, store.path, groups)
    if is_backward:
        groups = {key: (after, before) for key, (before, after) in groups.items()}
    # a group that a later edit has changed again stays as that edit left it
    groups = {key: pair for key, pair in groups.items() if now.get(key) == pair[0]}
    save_delta(
        dataset,
        store.path,
        revision=revision,
        next_id=entry.next_id,
        groups=groups,
        rejected=plan.rejected,
        is_backward=is_backward,
    )
