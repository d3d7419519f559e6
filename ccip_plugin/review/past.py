"""The history of a field as the panel lists it."""

import datetime
from typing import Any

from ..labels.history import history, last_undone
from ..labels.history.timeline import HistoryRow
from ..labels.reports import PastChange, action_text
from ..storage.targets import Target


def history_page(target: Target, group_field: str, *, n: int, skip: int) -> dict[str, Any]:
    """Rows of the history, newest first; corrections in quick succession are one row that unfolds.

    Args:
        target: the dataset
        group_field: the field with the groups
        n: how many rows
        skip: how many newer ones to leave out
    """
    changes = history(target.view, group_field=group_field, patches_field=target.patches_field)
    rows = changes.rows()
    can_redo = last_undone(target.dataset, target.path(group_field)) is not None
    return {
        "rows": [_row(row) for row in rows[skip : skip + n]],
        "n": len(rows),
        "by_hand": changes.n_by_hand,
        "can_redo": can_redo,
    }


def _row(row: HistoryRow) -> dict[str, Any]:
    first = row.changes[0]
    if len(row.changes) == 1:
        return _plain(first)
    return {**_plain(first), "text": row.action, "n": row.n_labels, "unfolds": [_plain(each) for each in row.changes]}


def _plain(change: PastChange) -> dict[str, Any]:
    return {
        "number": change.number,
        "text": f"{action_text(change.action)}: {change.about}" if change.about else action_text(change.action),
        "at": _local(change.at),
        "by": change.by,
        "n": change.n_labels,
        "undone": change.is_undone,
        "state": change.state,
        "problem": change.problem_text,
        "unfolds": None,
    }


def _local(at: str) -> str:
    """A time in the time of this machine, as ISO 8601."""
    try:
        return datetime.datetime.fromisoformat(at).astimezone().isoformat(timespec="seconds")
    except ValueError:
        return at
