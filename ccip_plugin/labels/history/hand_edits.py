"""The edits by hand that the history has: which group they gave to which items."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..journal import BY_HAND, Entry, EntryState, Journal
from ..store import LabelStore

_LARGEST = 10_000_000  # bytes of the history that are read for it, the newest first; in half a second
_DONE = (EntryState.DONE, EntryState.ASIDE)


@dataclass(frozen=True)
class HandEdit:
    """Labels that people edited elsewhere, as the next change has recorded them.

    Attributes:
        number: the number of the change
        at: when it was recorded, in UTC
        groups: by the id of a group, the ids of the items that it got
    """

    number: int
    at: str
    groups: Mapping[int, tuple[str, ...]]


class HandEdits:
    """The edits by hand of a field that were not undone. Each is read once.

    Args:
        store: where the labels are
    """

    def __init__(self, store: LabelStore):
        self._store = store
        self._read: dict[tuple[int, str], HandEdit] = {}

    def among(self, heads: Iterable[Mapping[str, Any]]) -> list[HandEdit]:
        """The edits by hand among some changes, oldest first.

        Args:
            heads: the stored heads of the changes of the field
        """
        mine = [head for head in heads if head.get("action") == BY_HAND and head.get("state") in _DONE]
        wanted = {(int(head["number"]), str(head["at"])) for head in mine}
        self._read = {key: edit for key, edit in self._read.items() if key in wanted}
        if wanted - self._read.keys():
            self._read_new(wanted)
        return [self._read[key] for key in sorted(self._read)]

    def _read_new(self, wanted: set[tuple[int, str]]) -> None:
        journal, n_bytes = Journal(self._store.target.dataset, self._store.path), 0
        for entry in reversed(journal.entries()):
            key = entry.number, entry.at
            if key in wanted and key not in self._read:
                n_bytes += entry.n_bytes
                groups = self._groups(journal, entry) if n_bytes <= _LARGEST else {}
                self._read[key] = HandEdit(*key, groups)

    def _groups(self, journal: Journal, entry: Entry) -> dict[int, tuple[str, ...]]:
        groups: dict[int, list[str]] = {}
        for chunk in journal.chunks(entry, skip_damaged=True):
            for item_id, _, _, after in chunk:
                label = self._store.from_raw(after)
                if label is not None and label.group_id:
                    groups.setdefault(label.group_id, []).append(item_id)
        return {group_id: tuple(ids) for group_id, ids in groups.items()}
