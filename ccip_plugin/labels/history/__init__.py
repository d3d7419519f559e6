"""The history of a field: its changes, undo, redo."""

from typing import TYPE_CHECKING

from ...core.lazy import lazy_names

__all__ = [
    "History",
    "LastReport",
    "LaterChangesError",
    "NoReportError",
    "NoSuchChangeError",
    "NothingToUndoError",
    "changed_at",
    "drop_change",
    "history",
    "last_done",
    "last_report",
    "last_undone",
    "redo",
    "undo",
]

if TYPE_CHECKING:
    from .last_reports import LastReport, NoReportError, last_report
    from .timeline import History
    from .undoing import (
        LaterChangesError,
        NoSuchChangeError,
        NothingToUndoError,
        changed_at,
        drop_change,
        history,
        last_done,
        last_undone,
        redo,
        undo,
    )

_MODULES = {
    "last_reports": ("LastReport", "NoReportError", "last_report"),
    "timeline": ("History",),
    "undoing": (
        "LaterChangesError",
        "NoSuchChangeError",
        "NothingToUndoError",
        "changed_at",
        "drop_change",
        "history",
        "last_done",
        "last_undone",
        "redo",
        "undo",
    ),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
