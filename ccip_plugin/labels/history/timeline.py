"""The history of a field as people read it: rows, in which corrections in quick succession are one, and a CSV file."""

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...reports.export import write_csv
from ...reports.facts import counted
from ...reports.tables import table_text
from ..reports import PastChange, action_text

BURST_SECONDS = 60
"""Corrections of one person within this time are one row."""

_CORRECTIONS = frozenset({"confirm", "ignore", "move", "reject", "answer", "keep_apart", "keep_together"})
_COLUMNS = ("change", "time", "action", "about", "labels", "by", "state")
_NAMED = 2  # texts of changes in a row of several


@dataclass(frozen=True)
class HistoryRow:
    """A change, or corrections of one person within a minute.

    Attributes:
        changes: the changes, newest first
    """

    changes: tuple[PastChange, ...]

    @property
    def number(self) -> str:
        """The number of the change, or the first and the last one."""
        first, last = self.changes[-1].number, self.changes[0].number
        return f"{first}" if first == last else f"{first}-{last}"

    @property
    def action(self) -> str:
        """What was done; of several changes how often."""
        counts = Counter(action_text(change.action) for change in self.changes)
        if len(self.changes) == 1:
            return next(iter(counts))
        return ", ".join(f"{action} ({n:,})" for action, n in counts.most_common())

    @property
    def about(self) -> str:
        """What was done it to; of several changes the newest ones."""
        texts = list(dict.fromkeys(change.about for change in self.changes if change.about))
        more = [f"and {len(texts) - _NAMED:,} more"] if len(texts) > _NAMED else []
        return "; ".join([*texts[:_NAMED], *more])

    @property
    def n_labels(self) -> int:
        """The number of changed labels."""
        return sum(change.n_labels for change in self.changes)

    def cells(self) -> dict[str, str]:
        """The row as text, by column."""
        newest = self.changes[0]
        values = (
            self.number,
            newest.local_time,
            self.action,
            self.about,
            f"{self.n_labels:,}",
            newest.by or "",
            newest.state,
        )
        return dict(zip(_COLUMNS, values, strict=True))


class History(list[PastChange]):
    """The changes of a field, newest first. As text it is a table, with a row for corrections in quick succession.

    Attributes:
        n_by_hand: number of labels that were edited by hand since, which the next change records
    """

    def __init__(self, changes: Iterable[PastChange] = (), n_by_hand: int = 0):
        super().__init__(changes)
        self.n_by_hand = n_by_hand

    def rows(self, *, each: bool = False) -> list[HistoryRow]:
        """The rows of the table.

        Args:
            each (False): a row for each change; by default corrections of one person within a minute are one
        """
        rows: list[list[PastChange]] = []
        for change in self:
            if not each and rows and _is_one_row(rows[-1], change):
                rows[-1].append(change)
            else:
                rows.append([change])
        return [HistoryRow(tuple(row)) for row in rows]

    def text(self, *, each: bool = False) -> str:
        """The changes as a table, and below it what could not be written. Takes the arguments of :meth:`rows`."""
        by_hand = f"edited by hand since, recorded with the next change: {counted(self.n_by_hand, 'label')}"
        since = [by_hand] if self.n_by_hand else []
        if not self:
            return "\n".join(["no changes", *since])
        table = table_text([list(row.cells().values()) for row in self.rows(each=each)], _COLUMNS, right=(0, 4))
        problems = (change.problem_text for change in self)
        return "\n".join([table, *(f"\n{text}" for text in [*filter(None, problems), *since])])

    def to_csv(self, path: str | Path) -> Path:
        """Writes a row for each change into a CSV file, which replaces one of that name, and returns its path.

        Args:
            path: the file

        Raises:
            FileNotWrittenError: it cannot be written
        """
        return write_csv(path, map(_record, self))

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


def _is_one_row(row: Sequence[PastChange], change: PastChange) -> bool:
    newest = row[0]
    if newest.action not in _CORRECTIONS or change.action not in _CORRECTIONS:
        return False
    if (newest.by, newest.state) != (change.by, change.state) or any(each.problem_text for each in (newest, change)):
        return False
    return abs(_time(newest) - _time(change)) <= datetime.timedelta(seconds=BURST_SECONDS)


def _time(change: PastChange) -> datetime.datetime:
    return datetime.datetime.fromisoformat(change.at)


def _record(change: PastChange) -> dict[str, object]:
    """A change as a row of a file."""
    return {
        "change": change.number,
        "time": change.local_time,
        "time_utc": change.at,
        "action": action_text(change.action),
        "about": change.about,
        "labels": change.n_labels,
        "by": change.by or "",
        "state": change.state,
        "problem": change.problem_text or "",
    }
