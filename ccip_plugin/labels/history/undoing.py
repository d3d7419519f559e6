"""The history of a field: its last changes, undo, redo."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError, check_type
from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD
from ...storage.lease import SHORT_SECONDS, lease
from ...storage.targets import resolve
from ..changes import recover, write_entry
from ..edits.by_hand import count_by_hand
from ..identities import load_registry
from ..journal import FINISHED, Entry, EntryState, Journal
from ..label_schema import install_label_schema
from ..reports import ApplyReport, PastChange, action_text, shortened
from ..store import LabelStore
from .timeline import History
from .trace import trace_of


class NothingToUndoError(CCIPError):
    """There is no such change to undo, or none to redo."""

    def __init__(self, path: str, action: str, number: int | None = None, *, is_undone: bool = False):
        if is_undone:
            message = f"change {number} of {path!r} is undone already: redo repeats the one that was undone last"
        elif action == "redo":
            message = f"there is no change of {path!r} to redo: after an undo, any other change ends that"
        elif number is None:
            message = f"there is no change of {path!r} to undo"
        else:
            message = f"there is no change {number} of {path!r} to undo: the history has the numbers"
        super().__init__(message)
        self.path, self.action, self.number = path, action, number


class LaterChangesError(CCIPError):
    """A change cannot be undone alone: later ones wrote the same labels or groups.

    Attributes:
        number: its number
        later: the numbers of the later changes, newest first
        ids: the ids of the images or detections that they wrote, too
        groups: the names of the groups that they changed or used, too
    """

    def __init__(self, change: PastChange, later: Sequence[PastChange], ids: Sequence[str], groups: Sequence[str]):
        labels = [f"the labels of {shortened(ids)}"] if ids else []
        named = [f"the groups {shortened(groups)}"] if groups else []
        what = " and ".join([*labels, *named]) or "the same run"
        those = ", ".join(f"{each.number} ({action_text(each.action)})" for each in later)
        super().__init__(
            f"change {change.number} ({action_text(change.action)}) cannot be undone alone, because later changes "
            f"wrote {what}: {those}. Undo those first, from the newest on"
        )
        self.number, self.later = change.number, [each.number for each in later]
        self.ids, self.groups = list(ids), list(groups)


class NameTakenSinceError(CCIPError):
    """A change cannot be undone: another group has a name that it would bring back."""

    mentions = ("merge_groups",)

    def __init__(self, change: PastChange, name: str, group_id: int):
        super().__init__(
            f"change {change.number} ({action_text(change.action)}) cannot be undone alone: another group is "
            f"called {name!r} now. Rename that group first, or merge the two with merge_groups"
        )
        self.number, self.name, self.group_id = change.number, name, group_id


class NoSuchChangeError(CCIPError, ValueError):
    """No change with this number was set aside."""

    def __init__(self, path: str, number: int, aside: list[int]):
        those = f"those that were: {', '.join(map(str, aside))}" if aside else "none was"
        super().__init__(f"change {number} of {path!r} was not set aside, {those}; only these can be dropped")
        self.path, self.number = path, number


@with_database_errors
def undo(
    samples: SampleCollection,
    *,
    number: int | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> ApplyReport:
    """Reverts the last change of the character groups that is not reverted yet, or an earlier one alone.

    A label that was edited since that change is left as it is, and counted in ``n_left``.

    Args:
        samples: the dataset, or any view of it; the whole change is reverted
        number (None): the number of an earlier change in :func:`history`, which is reverted alone if no later one wrote
            a label or a group that it wrote; the last change by default
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        progress (None): called with the number of labels restored

    Returns:
        an :class:`ApplyReport`

    Raises:
        NothingToUndoError: there is nothing to revert, or no change with that number
        LaterChangesError: later changes wrote the same labels or groups; they are named
        NameTakenSinceError: another group has the name that a group had before this change
    """
    check_type("number", number, int | None, "the number of a change, or None for the last one")
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)

    def choose(journal: Journal) -> Entry | None:
        done = _done(journal.entries())
        if number is None:
            return done[-1] if done else None
        entry = next((each for each in done if each.number == number), None)
        if entry is not None:
            _check_later(store, journal, entry, [each for each in done if each.number > number])
            _check_names(store, journal, entry)
        return entry

    return _turn(store, choose, EntryState.UNDOING, "undo", progress, number)


@with_database_errors
def redo(
    samples: SampleCollection,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> ApplyReport:
    """Repeats the change that was undone last, unless another one was made since. See :func:`undo`."""
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    return _turn(store, lambda journal: _last_undone(journal.entries()), EntryState.REDOING, "redo", progress)


def _turn(
    store: LabelStore,
    choose: Callable[[Journal], Entry | None],
    state: EntryState,
    action: str,
    progress: ProgressCallback | None,
    number: int | None = None,
) -> ApplyReport:
    with lease(store.target.dataset, store.path, ttl=SHORT_SECONDS) as held:
        journal = recover(store, held)
        entry = choose(journal)
        if entry is None:
            is_undone = any(each.number == number and each.state == EntryState.UNDONE for each in journal.entries())
            raise NothingToUndoError(store.path, action, number, is_undone=is_undone)
        store.check()
        if not store.is_declared():  # the change may have deleted the field
            store.declare()
            install_label_schema(store)
        done = write_entry(store, journal, journal.stamp(entry, state=state), held, progress=progress)
        n_unknown = min(done.n_written, entry.n_unknown) if state == EntryState.UNDOING else 0
        n_written = done.n_written - n_unknown
        return replace(done, action=f"{action} {entry.action}", n_written=n_written, n_unknown=n_unknown)


def _check_later(store: LabelStore, journal: Journal, entry: Entry, later: Sequence[Entry]) -> None:
    """Checks that no later change wrote what a change wrote.

    Raises:
        LaterChangesError: some did
    """
    trace, found = trace_of(store, journal, entry), []
    ids: dict[str, None] = {}
    groups: set[int] = set()
    for each in reversed(later):
        other = trace_of(store, journal, each)
        if trace.is_touched_by(other):
            found.append(_past_change(journal, each))
            ids |= dict.fromkeys(sorted(trace.items & other.items))
            groups |= trace.groups & (other.groups | other.used)
    if found:
        registry = load_registry(store.target.dataset, store.path, groups).groups if groups else {}
        names = [registry[group_id].name if group_id in registry else f"{group_id}" for group_id in sorted(groups)]
        raise LaterChangesError(_past_change(journal, entry), found, list(ids), names)


def _check_names(store: LabelStore, journal: Journal, entry: Entry) -> None:
    """Checks that no other group has a name that the undo of a change brings back.

    Raises:
        NameTakenSinceError: one has
    """
    names = {
        before.name: group_id
        for group_id, (before, after) in journal.content(entry).groups.items()
        if before is not None and before.merged_into is None
        if after is None or after.merged_into is not None or after.name != before.name
    }
    registry = load_registry(store.target.dataset, store.path, names.values(), names)
    for name, group_id in names.items():
        owner = registry.ids_by_name().get(canonical_name(name))
        if owner not in (None, group_id):
            raise NameTakenSinceError(_past_change(journal, entry), name, int(owner or 0))


@with_database_errors
def history(samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None) -> History:
    """The changes of the character groups that are kept, newest first: what, when, how many labels, by whom.

    Labels that were edited by hand since the last change are counted; the next change records them. Printed, it is a
    table in which corrections of one person within a minute are one row; ``rows(each=True)`` has them
    all, and ``to_csv(path)`` writes them into a file.

    Args:
        samples: the dataset, or any view of it
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        a :class:`~ccip_plugin.labels.timeline.History`, a list of
        :class:`~ccip_plugin.labels.reports.PastChange`
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    journal = Journal(store.target.dataset, store.path)
    changes = (_past_change(journal, entry) for entry in reversed(journal.entries()))
    return History(changes, n_by_hand=count_by_hand(store))


@with_database_errors
def drop_change(
    samples: SampleCollection,
    number: int,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
) -> PastChange:
    """Deletes a change from the history that was set aside; what it has written stays.

    Args:
        samples: the dataset, or any view of it
        number: its number in :func:`history`
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        the change

    Raises:
        NoSuchChangeError: no change with that number was set aside
    """
    check_type("number", number, int, "the number of a change")
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    with lease(store.target.dataset, store.path, ttl=SHORT_SECONDS):
        journal = Journal(store.target.dataset, store.path)
        aside = {entry.number: entry for entry in journal.entries() if entry.state == EntryState.ASIDE}
        if number not in aside:
            raise NoSuchChangeError(store.path, number, list(aside))
        change = _past_change(journal, aside[number])
        journal.remove(aside[number])
        return change


def last_done(dataset: fo.Dataset, path: str) -> PastChange | None:
    """The change that :func:`undo` would revert, None without any.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
    """
    return _chosen(Journal(dataset, path), lambda entries: next(reversed(_done(entries)), None))


def last_undone(dataset: fo.Dataset, path: str) -> PastChange | None:
    """The change that :func:`redo` would write again, None without any.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
    """
    return _chosen(Journal(dataset, path), _last_undone)


def changed_at(dataset: fo.Dataset, path: str, *, undone: bool | None = None) -> str:
    """When the groups of a field were changed last, as text that can be compared; empty without any change.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
        undone (None): of the changes that are undone only, or of the others only; by default of all
    """
    entries = Journal(dataset, path).entries()
    counted = [each for each in entries if undone is None or undone == (each.state == EntryState.UNDONE)]
    return max((entry.stamp or entry.at for entry in counted), default="")


def _chosen(journal: Journal, choose: Callable[[list[Entry]], Entry | None]) -> PastChange | None:
    entry = choose(journal.entries())
    return None if entry is None else _past_change(journal, entry)


def _past_change(journal: Journal, entry: Entry) -> PastChange:
    return PastChange(
        entry.number,
        entry.action,
        entry.at,
        entry.n_labels,
        is_undone=entry.state == EntryState.UNDONE,
        is_finished=entry.state in FINISHED,
        problem=entry.problem,
        refused=journal.refused(entry),
        by=entry.by,
        n_unknown=entry.n_unknown,
        about=entry.about,
    )


def _done(entries: list[Entry]) -> list[Entry]:
    """The changes that are written, if only a part of them, oldest first."""
    return [entry for entry in entries if entry.state in (EntryState.DONE, EntryState.ASIDE)]


def _last_undone(entries: list[Entry]) -> Entry | None:
    """The change that was undone last; another change deletes them. Of earlier versions, which undid from the newest
    on, the oldest one."""
    undone = [entry for entry in entries if entry.state == EntryState.UNDONE]
    return min(undone, key=lambda entry: (-entry.turn, entry.number), default=None)
