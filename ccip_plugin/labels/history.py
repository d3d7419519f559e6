"""The history of a field: its last changes, undo, redo."""

from collections.abc import Callable

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError
from ..core.progress import ProgressCallback
from ..storage.fields import GROUP_FIELD
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import resolve
from .changes import recover, write_entry
from .journal import Entry, EntryState, Journal
from .reports import ApplyReport, PastChange
from .store import LabelStore, install_label_schema


class NothingToUndoError(CCIPError):
    """There is no change to undo or redo."""


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
    dataset = store.target.dataset
    with lease(dataset, store.path, ttl=SHORT_SECONDS) as held:
        recover(store, held)
        journal = Journal(dataset, store.path)
        entry = choose(journal.entries())
        if entry is None:
            raise NothingToUndoError(f"there is no change of {store.path!r} to {action}")
        store.check()
        if not store.is_declared():  # the change may have deleted the field
            store.declare()
            install_label_schema(store)
        entry = journal.put(entry, state=state)
        written = write_entry(store, journal, entry, held, progress=progress)
        return ApplyReport(entry.number, f"{action} {entry.action}", written, 0, entry.n_labels - written)


def last_done(dataset: fo.Dataset, path: str) -> PastChange | None:
    """The change that :func:`undo` would revert, None without any.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
    """
    return _past_change(_last_done(Journal(dataset, path).entries()))


def last_undone(dataset: fo.Dataset, path: str) -> PastChange | None:
    """The change that :func:`redo` would write again, None without any.

    Args:
        dataset: the dataset
        path: the full path of the field with the groups
    """
    return _past_change(_last_undone(Journal(dataset, path).entries()))


def _past_change(entry: Entry | None) -> PastChange | None:
    return None if entry is None else PastChange(entry.number, entry.action, entry.at, entry.n_labels)


def _last_done(entries: list[Entry]) -> Entry | None:
    done = [entry for entry in entries if entry.state == EntryState.DONE]
    return max(done, key=lambda entry: entry.number, default=None)


def _last_undone(entries: list[Entry]) -> Entry | None:
    """The oldest undone change: changes are undone from the newest on, and another change deletes them."""
    undone = [entry for entry in entries if entry.state == EntryState.UNDONE]
    return min(undone, key=lambda entry: entry.number, default=None)
