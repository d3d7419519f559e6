"""The report of an edit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...reports.facts import Facts, counted
from ...storage.targets import split_path
from ..reports import action_text, refused_text

_SHOWN = 20  # groups that are listed


@dataclass(frozen=True)
class EditReport:
    """Result of an edit, or of its dry run.

    Attributes:
        action: what was done, e.g. ``confirm``
        path: the path of the field with the groups
        groups: number of changed labels by the name of their group afterwards, largest first
        n_same: number of labels that are like this already
        n_without: number of items in no group, which stay as they are
        n_lifted: number of rejections that this decision removes: of these items, from the group that they are in now
        n_left: labels that another user changed during the edit, not overwritten
        refused: the ids of items whose labels cannot be written, with the reason
        number: the number of the change, None when nothing was written
        is_done: False for a dry run
    """

    action: str
    path: str
    groups: Mapping[str, int] = field(default_factory=dict)
    n_same: int = 0
    n_without: int = 0
    n_lifted: int = 0
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None
    is_done: bool = False

    @property
    def n_changed(self) -> int:
        """Number of changed labels."""
        return sum(self.groups.values())

    @property
    def noun(self) -> str:
        """What the items are called; the groups of detections are in an attribute of theirs."""
        return "image" if split_path(self.path)[0] is None else "detection"

    def facts(self) -> Facts:
        """The report as text."""
        action, shown = action_text(self.action), list(self.groups.items())[:_SHOWN]
        others = [f"and {len(self.groups) - len(shown):,} other groups"] if len(self.groups) > len(shown) else []
        return Facts.of(
            f"{action}: {counted(self.n_changed, self.noun)}" + ("" if self.is_done else ", not written"),
            [
                ("Action", action if self.number is None else f"{action} (change {self.number})"),
                ("Labels changed" if self.is_done else "Labels to be changed", self.n_changed),
                ("Groups", ", ".join([*(f"{n:,} in {name!r}" for name, n in shown), *others]) or None),
                ("Like this already", self.n_same or None),
                ("In no group, not changed", self.n_without or None),
                ("Earlier rejections removed", self.n_lifted or None),
                ("Changed during the edit, not overwritten", self.n_left or None),
                ("Cannot be written", refused_text(self.refused)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())
