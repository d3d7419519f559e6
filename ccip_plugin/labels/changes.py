"""Applies planned label changes transactionally; supports recovery after a crash, and undo."""

import contextlib
import datetime
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bson.errors import InvalidDocument
from pymongo.errors import WriteError

from ..core.errors import ParameterError
from ..core.identity.planning import Plan
from ..core.plain import canonical_name
from ..core.progress import ProgressCallback, report
from ..storage.indexes import drop_indexes, ensure_indexes
from ..storage.internals import forget_runs
from ..storage.lease import SHORT_SECONDS, Lease, lease
from ..storage.runs import is_same_run, read_config, register, restore
from ..storage.targets import CHUNK
from .answers import PairAnswer, changed_answers, write_answers
from .decisions.lists import ListChanges, list_changes, write_lists, write_taken_over
from .decisions.records import TakeOver
from .identities import (
    RegistryFullError,
    StaleGroupsError,
    check_version,
    load_registry,
    registry_revision,
    save_delta,
    save_own_time,
    stored_ids,
)
from .journal import ABOUT, BY_HAND, Entry, EntryContent, EntryDamagedError, EntryState, Journal, UnstorableError
from .label_schema import install_label_schema
from .reports import ApplyReport
from .store import LabelStore
from .tables import GroupLabel, rows_of
from .writer import Change, Raw, Written

logger = logging.getLogger(__name__)

KEPT_CHANGES = 1000
"""The number of newest changes of a field that can be undone; ``CCIP_KEPT_CHANGES`` sets another one."""

KEPT_BYTES = 200_000_000
"""About the size of the changes of a field that can be undone; of a larger one, only the newest is kept."""


def apply(
    store: LabelStore,
    plan: Plan,
    *,
    action: str,
    is_automatic: bool = True,
    run_key: str | None = None,
    run: Mapping[str, Any] | None = None,
    taken_over: Sequence[TakeOver] = (),
    rebuilt: Mapping[str, Raw | None] = MappingProxyType({}),
    answers: Sequence[PairAnswer] = (),
    about: str = "",
    progress: ProgressCallback | None = None,
) -> ApplyReport:
    """Writes a planned change: all of it, or after a crash at the next call.

    Each label is written only where the database still holds what was read just before, so that an edit made in the
    App at the same moment is never overwritten. A label that cannot be written, as in a sample that is full, is refused
    alone. The newest 1,000 changes of a field can be undone, or the number in the environment variable
    ``CCIP_KEPT_CHANGES``, as far as they take less than about 200 MB; older ones are deleted when a new one is applied.

    Args:
        store: where the labels are
        plan: the labels and groups to change
        action: the name of the change in the journal
        is_automatic (True): keep user labels, whatever the plan says; False for an edit by a user
        run_key (None): the key of a run to record
        run (None): the configuration of that run, with its ``method``; None to delete the record of that key
        taken_over (()): decisions about detections that are gone, and the detections that take them over
        rebuilt ({}): of labels that were edited by hand, by the ids of the items: the stored form before that, which
            undo restores; None where it is not known
        answers (()): answers to pair questions to keep with the labels
        about (""): what it is about, for the history; of a long text the beginning is kept
        progress (None): called with the number of labels written

    Returns:
        an :class:`ApplyReport`

    Raises:
        StaleGroupsError: the groups were changed since the plan was made; plan again
        LeaseHeldError: another process is writing
    """
    dataset, kept_changes = store.target.dataset, _n_kept_changes()
    with lease(dataset, store.path, ttl=SHORT_SECONDS) as held:
        journal = recover(store, held)
        if registry_revision(dataset, store.path) != plan.identities.registry.revision:
            raise StaleGroupsError(store.path)
        if run_key is None and not taken_over and not answers and _is_nothing(plan):
            return ApplyReport(None, action)
        store.declare()
        install_label_schema(store)
        entry, n_kept, too_large = _journal_labels(store, journal, plan, action, is_automatic)
        content = EntryContent(
            plan.identities.groups,
            read_config(dataset, run_key) if run_key else None,
            run or None if run_key else None,
            stored_ids(plan.identities.rejected),
            stored_ids(plan.identities.lifted),
            [each.stored() for each in taken_over],
            {item_id: raw for item_id, raw in rebuilt.items() if raw is not None},
            changed_answers(store.target, answers),
        )
        n_unknown = len(rebuilt) - len(content.rebuilt)
        entry = _journal_content(journal, plan, entry, content, action, run_key, n_unknown, about[:ABOUT])
        if entry is None:
            return ApplyReport(None, action, n_kept=n_kept, refused=too_large)
        done = write_entry(store, journal, entry, held, progress=progress)
        journal.prune(kept_changes, KEPT_BYTES)
        return replace(done, n_kept=n_kept, refused={**too_large, **done.refused})


def _is_nothing(plan: Plan) -> bool:
    """Whether a plan changes neither labels nor groups: then no field is made either."""
    identities = plan.identities
    return not (len(plan.writes) or identities.groups or identities.rejected or identities.lifted)


def recover(store: LabelStore, held: Lease) -> Journal:
    """Finishes changes of a process that died. Called by everything that writes, with the lease.

    A change that cannot be finished is set aside: it is not tried again, and its entry says why.

    Returns:
        the journal

    Raises:
        FieldTypeError: such a change is of a field that holds something else now
        FieldReadOnlyError: the field of such a change is read-only now
        NewerGroupsError: a newer version of this plugin has written the groups
    """
    check_version(store.target.dataset, store.path)
    journal = Journal(store.target.dataset, store.path)
    for entry in journal.unfinished():
        if entry.state in (EntryState.WRITING, EntryState.PRUNED):
            journal.remove(entry)
        elif entry.state in (EntryState.PREPARED, EntryState.REDOING, EntryState.UNDOING):
            _finish(store, journal, entry, held)
    return journal


def finish_interrupted(store: LabelStore) -> None:
    """Finishes changes of a process that died, where nothing else is written. Raises as :func:`recover`."""
    with lease(store.target.dataset, store.path, ttl=SHORT_SECONDS) as held:
        recover(store, held)


def _finish(store: LabelStore, journal: Journal, entry: Entry, held: Lease) -> None:
    store.check()
    if not store.is_declared():
        set_aside(journal, entry, f"the field {store.path!r} was deleted before it was finished")
        return
    logger.warning("finishing %s number %d, which was interrupted", entry.action, entry.number)
    with contextlib.suppress(EntryDamagedError, RegistryFullError, UnstorableError):  # it is set aside, which says why
        write_entry(store, journal, journal.stamp(entry), held)


def set_aside(journal: Journal, entry: Entry, problem: str) -> Entry:
    """Gives up an entry that cannot be completed: what it wrote stays, and can be undone."""
    logger.warning(
        "change %d (%s) of %s is set aside: %s. It is in 'ccip history', and can be undone as far as it was written",
        entry.number,
        entry.action,
        entry.at,
        problem,
    )
    return journal.put(entry, state=EntryState.ASIDE, problem=problem)


def _n_kept_changes() -> int:
    text = os.environ.get("CCIP_KEPT_CHANGES") or KEPT_CHANGES
    try:
        return min(max(1, int(text)), sys.maxsize)
    except ValueError:
        raise ParameterError("CCIP_KEPT_CHANGES", text, "a whole number, 1 or more") from None


def _journal_labels(
    store: LabelStore, journal: Journal, plan: Plan, action: str, is_automatic: bool
) -> tuple[Entry | None, int, dict[str, str]]:
    """Journals exactly the labels that will change; no entry without any.

    Returns:
        the entry, the number of user labels that stay, and the ids of labels that are too large, with the reason
    """
    entry: Entry | None = None
    n_kept = 0
    too_large: dict[str, str] = {}
    for start in range(0, len(plan.writes), CHUNK):
        rows = rows_of(plan.writes.take(slice(start, start + CHUNK)))
        before = store.read_raw([row[0] for row in rows], [row[1] for row in rows])
        changes: list[Change] = []
        for item_id, sample_id, label in rows:
            if item_id not in before:
                continue  # deleted since the plan was made
            old = before[item_id]
            current = store.from_raw(old)
            if is_automatic and _is_kept(current, label):
                n_kept += 1
                continue
            if is_automatic and current is not None and label is not None and current.is_settled:
                label = replace(current, group_id=label.group_id)
            new = store.to_raw(label, old)
            if (new or None) != (old or None):
                changes.append((item_id, sample_id, old, new))
        if changes:
            entry, refused = journal.add_chunk(entry or journal.begin(action), changes)
            too_large |= refused
    return entry, n_kept, too_large


def _is_kept(current: GroupLabel | None, planned: GroupLabel | None) -> bool:
    """Whether a label stays because a user decided it; confirming it as it is changes nothing about it.

    Neither does the id of the group that it names, which may be out of date, as in a label that was ignored.
    """
    if current is None or not current.is_human:
        return False
    if planned is None or not planned.is_human:
        return True
    if current.is_settled and (planned.group_id == current.group_id or planned.status != current.status):
        return True
    return canonical_name(planned.label or "") != canonical_name(current.label or "")


def _journal_content(
    journal: Journal,
    plan: Plan,
    entry: Entry | None,
    content: EntryContent,
    action: str,
    run_key: str | None,
    n_unknown: int,
    about: str,
) -> Entry | None:
    """Completes an entry with the changed groups, the run and the answers; None when nothing changes at all."""
    is_same = not (content.groups or content.rejected or content.lifted or content.taken_over or content.answers)
    if entry is None and is_same and is_same_run(content.run_before, content.run_after):
        return None
    entry = journal.put_content(entry or journal.begin(action), content)
    head = {"next_id": plan.identities.next_id, "run_key": run_key, "n_unknown": n_unknown, "about": about}
    return journal.stamp(entry, state=EntryState.PREPARED, **head)


def write_entry(
    store: LabelStore, journal: Journal, entry: Entry, held: Lease, *, progress: ProgressCallback | None = None
) -> ApplyReport:
    """Writes the labels, the groups and the run of an entry, forward or backward; may be repeated after a crash.

    Raises:
        EntryDamagedError: the entry cannot be read; it is set aside
        RegistryFullError: there is no room for the groups; it is set aside
        UnstorableError: the database cannot store its values; it is set aside
    """
    try:
        written, n_left = _write_labels(store, journal, entry, held, progress)
        held.check()
        _write_rest(store, journal, entry)
    except (EntryDamagedError, RegistryFullError) as error:
        set_aside(journal, entry, str(error))
        store.refresh()
        raise
    except (UnicodeEncodeError, OverflowError, InvalidDocument) as error:  # the journal takes more than the database
        unstorable = UnstorableError(entry, error)
        set_aside(journal, entry, str(unstorable))
        store.refresh()
        raise unstorable from error
    except WriteError as error:  # the database refuses the change, not its server
        set_aside(journal, entry, f"the database refuses it: {error.details or error}")
        store.refresh()
        raise
    if entry.state == EntryState.UNDOING:
        if entry.problem is not None:
            journal.remove(entry)
        else:
            turn = max(each.turn for each in journal.entries()) + 1
            journal.put(entry, state=EntryState.UNDONE, turn=turn)
    else:
        if entry.state == EntryState.PREPARED:
            journal.forget_undone()
        journal.put(journal.put_refused(entry, written.refused), state=EntryState.DONE)
    if entry.run_key is not None:
        _index(store)
    store.refresh()
    return ApplyReport(entry.number, entry.action, written.n, 0, n_left, written.refused, written.n_gone)


def _index(store: LabelStore) -> None:
    """Indexes the labels after a run was written, which is quicker than before it; without labels there is none."""
    dataset, (label, *_) = store.target.dataset, store.indexed_paths
    has_labels = store.documents.find_one({label: {"$type": "string"}}, {"_id": True}) is not None
    (ensure_indexes if has_labels else drop_indexes)(dataset, store.indexed_paths)


def _write_rest(store: LabelStore, journal: Journal, entry: Entry) -> None:
    """Writes the groups and the run of an entry; of one that was set aside, what can be read of them."""
    dataset, is_backward = store.target.dataset, entry.state == EntryState.UNDOING
    try:
        content = journal.content(entry)
        run = _write_groups(store, entry, content, is_backward)
        write_answers(store.target, content.answers, is_backward=is_backward)
        del content  # it is large
    except EntryDamagedError:
        if is_backward and entry.problem is not None:
            return
        raise
    if entry.run_key is not None:
        if is_backward or run is None:
            restore(dataset, entry.run_key, run)
        else:
            register(dataset, entry.run_key, **run)
    forget_runs(dataset)


def _write_labels(
    store: LabelStore, journal: Journal, entry: Entry, held: Lease, progress: ProgressCallback | None
) -> tuple[Written, int]:
    """Writes the labels of an entry; returns what was written, and the number of labels that were edited meanwhile."""
    written, n_done = Written(), 0
    lists, at = _list_changes(store, journal, entry), datetime.datetime.fromisoformat(entry.stamp)
    rollups: dict[str, str] = {}
    for chunk in _chunks(journal, entry):
        held.check()
        part = store.write_raw(chunk, at)
        written.n += part.n
        written.n_gone += part.n_gone
        written.refused |= part.refused
        rollups |= store.write_rollup({sample_id for _, sample_id, _, _ in chunk})
        rollups |= write_lists(store, chunk, lists)
        n_done += len(chunk)
        report(progress, "writing labels", n_done, entry.n_labels)
    rollups |= write_taken_over(store, lists)
    n_left = n_done - written.n - len(written.refused)
    written.refused |= rollups
    return written, n_left


def _list_changes(store: LabelStore, journal: Journal, entry: Entry) -> ListChanges:
    """What an entry changes in the lists of decisions, as far as it can be read; only detections have these."""
    if not store.target.is_patches:
        return ListChanges()
    with contextlib.suppress(EntryDamagedError):  # it is set aside when its groups are written
        content, is_backward = journal.content(entry), entry.state == EntryState.UNDOING
        return list_changes(store.target.dataset, store.path, content, is_backward=is_backward)
    return ListChanges()


def _chunks(journal: Journal, entry: Entry) -> Iterator[list[Change]]:
    """The labels that an entry writes, forward or backward."""
    chunks = journal.chunks(entry, skip_damaged=entry.problem is not None)
    if entry.state not in (EntryState.UNDOING, EntryState.REDOING):
        yield from chunks
        return
    rebuilt = journal.content(entry).rebuilt if entry.action == BY_HAND else {}
    refused = journal.refused(entry) if entry.state == EntryState.UNDOING else {}
    for chunk in chunks:
        changes = [(item, sample, rebuilt.get(item, old), new) for item, sample, old, new in chunk]
        if entry.state == EntryState.UNDOING:
            changes = [(item, sample, new, old) for item, sample, old, new in changes if item not in refused]
        yield changes


def _write_groups(store: LabelStore, entry: Entry, content: EntryContent, is_backward: bool) -> dict[str, Any] | None:
    """Writes the changed groups; returns the configuration that the run is to have, None for no run."""
    dataset, groups = store.target.dataset, content.groups
    registry = load_registry(dataset, store.path, groups)
    if is_backward:
        groups = {group_id: (after, before) for group_id, (before, after) in groups.items()}
    # a group that a later edit has changed again stays as that edit left it
    groups = {group_id: pair for group_id, pair in groups.items() if registry.groups.get(group_id) == pair[0]}
    save_delta(
        dataset,
        store.path,
        revision=registry.revision,
        next_id=entry.next_id,
        groups=groups,
        rejected=content.rejected,
        lifted=content.lifted,
        is_backward=is_backward,
        is_run=entry.run_key is not None,
    )
    save_own_time(dataset, store.path, entry.stamp, entry.n_labels)
    run = content.run_before if is_backward else content.run_after
    return None if run is None else dict(run)
