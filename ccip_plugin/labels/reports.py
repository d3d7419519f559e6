"""Reports about changes of labels."""

from dataclasses import dataclass

from ..reports.facts import Facts, counted


@dataclass(frozen=True)
class ApplyReport:
    """The result of writing a change.

    Attributes:
        number: the number of the entry in the journal, None when there was nothing to write
        action: what was done
        n_written: labels written
        n_kept: user labels that the change did not touch
        n_left: labels that were edited, or deleted, while the change was being written
    """

    number: int | None
    action: str
    n_written: int = 0
    n_kept: int = 0
    n_left: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        action = action_text(self.action)
        return Facts.of(
            f"{action}, {counted(self.n_written, 'label')}",
            [
                ("Action", action if self.number is None else f"{action} (change {self.number})"),
                ("Labels written", self.n_written),
                ("User labels kept", self.n_kept or None),
                ("Edited since, not changed", self.n_left or None),
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
    """

    number: int
    action: str
    at: str
    n_labels: int

    def __str__(self) -> str:
        at = self.at.replace("T", " ").removesuffix("+00:00")
        return f"'{action_text(self.action)}' of {at} (UTC), which changed {counted(self.n_labels, 'label')}"


def action_text(action: str) -> str:
    """The name of an action as text: ``group characters``."""
    return action.replace("_", " ")
