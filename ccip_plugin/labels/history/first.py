"""Whether a field had labels before this plugin wrote any."""

from ...storage.fields import STATUS_AUTO
from ..journal import EntryDamagedError, Journal
from ..store import LabelStore
from ..tables import GroupLabel


def had_labels(store: LabelStore) -> bool:
    """Whether the first change of a field found labels there, as far as that change is kept.

    Labels with our own values, as in a clone, do not count.
    """
    journal = Journal(store.target.dataset, store.path)
    first = next((entry for entry in journal.entries() if entry.number == 1), None)
    if first is None:
        return False
    try:
        return any(_is_foreign(store.from_raw(before)) for part in journal.chunks(first) for _, _, before, _ in part)
    except EntryDamagedError:
        return True


def _is_foreign(label: GroupLabel | None) -> bool:
    return label is not None and label.assigned is None and label.status in (None, STATUS_AUTO)
