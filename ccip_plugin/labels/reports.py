"""Reports about changes of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..reports.facts import Facts, counted
from ..reports.words import local_time

_ACTIONS = {
    "group_characters": "group by character",
    "reject": "not this character",
    "confirm": "confirm",
    "ignore": "ignore",
    "move": "move to a group",
    "apply_proposal": "rows of a proposal",
    "rename_group": "rename group",
    "name_characters": "name characters",
    "merge_groups": "merge groups",
    "split_group": "split group",
    "keep_together": "keep together",
    "keep_apart": "keep apart",
    "set_cover": "choose cover",
    "delete_grouping": "delete character groups",
    "import_decisions": "import decisions",
    "take_over_decisions": "decisions taken over by new boxes",
    "edited_by_hand": "edited by hand",
    "answer": "answer a question",
}
_TURNS = {"undo": "undid", "redo": "redid"}
_NAMED = 5  # ids that are named in a report


@dataclass(frozen=True)
class ApplyReport:
    """The result of writing a change.

    Attributes:
        number: the number of the entry in the journal, None when there was nothing to write
        action: what was done
        n_written: labels written
        n_kept: user labels that the change did not touch
        n_left: labels that were edited, or deleted, while the change was being written
        refused: the ids of items whose labels cannot be written, with the reason
        n_gone: how many of ``n_left`` are of images or detections that were deleted
        n_unknown: number of labels edited by hand that undo left as they were edited, as that of before is not known
    """

    number: int | None
    action: str
    n_written: int = 0
    n_kept: int = 0
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    n_gone: int = 0
    n_unknown: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        action = action_text(self.action)
        return Facts.of(
            f"{action}: {counted(self.n_written, 'label')}",
            [
                ("Action", action if self.number is None else f"{action} (change {self.number})"),
                ("Labels written", self.n_written),
                ("User labels kept", self.n_kept or None),
                ("Edited since, not changed", self.n_left - self.n_gone or None),
                ("Deleted since, or replaced by others", self.n_gone or None),
                ("Kept as edited by hand, the label before is not known", self.n_unknown or None),
                ("Cannot be written", refused_text(self.refused)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@dataclass(frozen=True)
class PastChange:
    """A change in the history of a field.

    Attributes:
        number: counts the changes of the field, from 1
        action: what was done, e.g. ``group_characters``
        at: when, in UTC, as ISO 8601
        n_labels: the number of changed labels
        is_undone: whether it was undone
        is_finished: False for a change that was interrupted; the next one that is made finishes it first
        problem: why it was set aside and not completed, None if it was completed
        refused: the ids of items whose labels could not be written, with the reason
        by: who made it, None where that is not known
        n_unknown: number of labels edited by hand whose label before that is not known: undo leaves them
        about: what it was about, as text; empty for changes of earlier versions
    """

    number: int
    action: str
    at: str
    n_labels: int
    is_undone: bool = False
    is_finished: bool = True
    problem: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    n_unknown: int = 0
    about: str = ""

    @property
    def state(self) -> str:
        """``done``, ``undone``, ``interrupted`` or ``set aside``."""
        if not self.is_finished:
            return "interrupted"
        return "set aside" if self.problem is not None else "undone" if self.is_undone else "done"

    @property
    def local_time(self) -> str:
        """When, in the time of this machine."""
        return local_time(self.at)

    @property
    def problem_text(self) -> str | None:
        """What could not be written, and why; None if all was."""
        refused = f"cannot be written: {refused_text(self.refused)}" if self.refused else None
        unknown = f"{self.n_unknown:,} of {self.n_labels:,} cannot be undone" if self.n_unknown else None
        parts = [part for part in (self.problem, refused, unknown) if part is not None]
        return f"change {self.number}: {'; '.join(parts)}" if parts else None

    def __str__(self) -> str:
        about = f" ({self.about})" if self.about else ""
        return (
            f"'{action_text(self.action)}'{about} of {self.local_time}, which changed {counted(self.n_labels, 'label')}"
        )


def refused_text(refused: Mapping[str, str]) -> str | None:
    """How many labels cannot be written, where and why; None without any."""
    if not refused:
        return None
    by_reason: dict[str, list[str]] = {}
    for item_id, reason in refused.items():
        by_reason.setdefault(reason, []).append(item_id)
    return "; ".join(f"{shortened(ids)}: {reason}" for reason, ids in by_reason.items())


def shortened(ids: Sequence[str]) -> str:
    """The first few of many ids, and how many there are."""
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return f"{len(ids):,} ({', '.join(ids[:_NAMED])}{more})"


def action_text(action: str) -> str:
    """An action as text, named like its operator: ``group by character``, ``undid group by character``."""
    turn, _, rest = action.partition(" ")
    if turn in _TURNS:
        return f"{_TURNS[turn]} {action_text(rest)}"
    return _ACTIONS.get(action, action.replace("_", " "))
