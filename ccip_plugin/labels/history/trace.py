"""What a change of the history wrote, to find out whether two changes are about the same labels or groups."""

from dataclasses import dataclass

from ..decisions.records import TakeOver
from ..journal import Entry, EntryDamagedError, Journal
from ..store import LabelStore


@dataclass(frozen=True)
class Trace:
    """What a change wrote.

    Attributes:
        items: the ids of the images or detections with changed labels, or new or removed rejections
        groups: the ids of the changed groups
        used: the ids of the groups that changed labels name, before or after
        run_key: the run that it recorded, None for none
        is_readable: False where a part of it is missing
    """

    items: frozenset[str]
    groups: frozenset[int]
    used: frozenset[int]
    run_key: str | None = None
    is_readable: bool = True

    def is_touched_by(self, later: "Trace") -> bool:
        """Whether a later change wrote a label or a group of this one, or uses a group that this one changed."""
        is_same_run = self.run_key is not None and self.run_key == later.run_key
        if is_same_run or not (self.is_readable and later.is_readable):
            return True
        return bool(self.items & later.items or self.groups & (later.groups | later.used))


def trace_of(store: LabelStore, journal: Journal, entry: Entry) -> Trace:
    """Reads what a change wrote.

    Args:
        store: where the labels are
        journal: the history
        entry: the change
    """
    items, used = set[str](), set[int]()
    try:
        content = journal.content(entry)
        for chunk in journal.chunks(entry):
            for item_id, _, before, after in chunk:
                items.add(item_id)
                labels = map(store.from_raw, (before, after))
                used.update(label.group_id for label in labels if label is not None and label.group_id is not None)
    except EntryDamagedError:
        return Trace(frozenset(items), frozenset(), frozenset(used), entry.run_key, is_readable=False)
    for rejections in (content.rejected, content.lifted):
        for key, ids in rejections.items():
            items.update(ids)
            used.add(int(key))
    for first, second, *_ in content.answers:
        items |= {first, second}
    for taken in filter(None, map(TakeOver.from_stored, content.taken_over)):
        items |= {taken.detection, taken.decision.detection}
    return Trace(frozenset(items), frozenset(content.groups), frozenset(used), entry.run_key)
