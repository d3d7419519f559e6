"""The history of a field: its last changes, undo, redo."""

from collections.abc import Callable
from dataclasses import replace

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError, check_type
from ..core.progress import ProgressCallback
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import resolve
from .changes import recover, write_entry
from .journal import FINISHED, Entry, EntryState, Journal
from .reports import ApplyReport, PastChange
from .store import LabelStore, install_label_schema


class NothingToUndoError(CCIPError):
    """There is no change to undo or redo."""


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
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> ApplyReport:
    """Reverts the last change of the character groups that is not reverted yet.

    A label that was edited since that change is left as it is, and counted in ``n_left``.

    Args:
        samples: the dataset, or any view of it; the whole change is reverted
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        progress (None): called with the number of labels restored

    Returns:
        an :class:`ApplyReport`

    Raises:
        NothingToUndoError: there is nothing to revert
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    return _turn(store, _last_done, EntryState.UNDOING, "undo", progress)


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
    return _turn(store, _last_undone, EntryState.REDOING, "redo", progress)


def _turn(
    store: LabelStore,
    choose: Callable[[list[Entry]], Entry | None],
    state: EntryState,
    action: str,
    progress: ProgressCallback | None,
) -> ApplyReport:
    with lease(store.target.dataset, store.path, ttl=SHORT_SECONDS) as held:
        journal = recover(store, held)
        entry = choose(journal.entries())
        if entry is None:
            raise NothingToUndoError(f"there is no change of {store.path!r} to {action}")
        store.check()
        if not store.is_declared():  # the change may have deleted the field
            store.declare()
            install_label_schema(store)
        done = write_entry(store, journal, journal.put(entry, state=state), held, progress=progress)
        return replace(done, action=f"{action} {entry.action}")


@with_database_errors
def history(
    samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None
) -> list[PastChange]:
    """The changes of the character groups that are kept, newest first.

    Args:
        samples: the dataset, or any view of it
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
    """
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    journal = Journal(store.target.dataset, store.path)
    return [_past_change(journal, entry) for entry in reversed(journal.entries())]


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
    return _chosen(Journal(dataset, path), _last_done)


def last_undone(dataset: fo.Dataset, path: str) -> PastChange | None:
    """The change that :func:`redo` would write again, None without any.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
    """
    return _chosen(Journal(dataset, path), _last_undone)


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
    )


def _last_done(entries: list[Entry]) -> Entry | None:
    """The newest change that is written, if only a part of it."""
    done = [entry for entry in entries if entry.state in (EntryState.DONE, EntryState.ASIDE)]
    return max(done, key=lambda entry: entry.number, default=None)


def _last_undone(entries: list[Entry]) -> Entry | None:
    """The oldest undone change: changes are undone from the newest on, and another change deletes them."""
    undone = [entry for entry in entries if entry.state == EntryState.UNDONE]
    return min(undone, key=lambda entry: entry.number, default=None)
