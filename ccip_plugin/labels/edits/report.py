"""The report of an edit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...core.plain import abridged
from ...reports.facts import Facts, counted
from ...storage.fields import UNASSIGNED
from ...storage.targets import split_path
from ..reports import action_text, refused_text

NOT_AGAIN, AGAIN = "Not this character, so no run puts them into", "No longer marked as not this character"
"""What a report calls added and removed rejections."""
_SHOWN = 20  # groups that are listed
_NAMED, _LONGEST = 3, 40  # groups in a line of the history, and characters of a name there


def names_text(names: Iterable[str]) -> str:
    """Names of groups in a sentence, the first of many."""
    listed = list(names)
    more = [f"and {counted(len(listed) - _SHOWN, 'other group')}"] if len(listed) > _SHOWN else []
    return ", ".join([*map(repr, listed[:_SHOWN]), *more])


def _in_group(name: str, n: int) -> str:
    return f"{n:,} in no group" if name == UNASSIGNED else f"{n:,} in {name!r}"


def about_groups(groups: Mapping[str, int], noun: str, how: str) -> str:
    """What a change is about, for the history: ``3 images to 'Rei', 1 to 'Asuka'``.

    Args:
        groups: number of items by the name of their group, largest first
        noun: what an item is called
        how: ``to`` or ``of``
    """
    (_, most), *_ = [*groups.items()] or [("", 0)]
    parts = [f"{n:,} {how} {brief(name)}" for name, n in list(groups.items())[:_NAMED]]
    if not parts:
        return ""
    parts[0] = f"{counted(most, noun)}{parts[0].removeprefix(f'{most:,}')}"
    return ", ".join([*parts, *_more(len(groups) - _NAMED)])


def about_names(names: Iterable[str]) -> str:
    """The first names of groups, for the history."""
    listed = list(names)
    return ", ".join([*map(brief, listed[:_NAMED]), *_more(len(listed) - _NAMED)])


def brief(name: str) -> str:
    """The name of a group in quotes; of a long one the beginning."""
    return repr(abridged(name, _LONGEST))


def _more(n: int) -> list[str]:
    return [f"and {counted(n, 'more group')}"] if n > 0 else []


@dataclass(frozen=True)
class EditReport:
    """Result of an edit, or of its dry run.

    Attributes:
        action: what was done, e.g. ``confirm``
        path: the path of the field with the groups
        groups: number of changed labels by the name of their group afterwards, largest first
        n_same: number of labels that are like this already
        n_without: number of items in no group, which stay as they are
        lifted: the rejections that this decision removes: by the name of the group, the ids of the items
        rejected: the rejections that it adds, likewise
        parted: pairs of groups that were kept apart until this decision
        gone: the names of groups that are part of another one now
        n_groups: number of groups that are changed themselves, such as their names
        details: what else it does, by what it is called
        n_left: labels that another user changed during the edit, not overwritten
        refused: the ids of items whose labels cannot be written, with the reason
        number: the number of the change, None when nothing was written
        is_done: False for a dry run
        n_by_hand: number of labels that were edited by hand, and that were recorded before as a change of their own
    """

    action: str
    path: str
    groups: Mapping[str, int] = field(default_factory=dict)
    n_same: int = 0
    n_without: int = 0
    lifted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rejected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parted: tuple[tuple[str, str], ...] = ()
    gone: tuple[str, ...] = ()
    n_groups: int = 0
    details: Mapping[str, str] = field(default_factory=dict)
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None
    is_done: bool = False
    n_by_hand: int = 0

    @property
    def n_changed(self) -> int:
        """Number of changed labels."""
        return sum(self.groups.values())

    @property
    def is_change(self) -> bool:
        """Whether it changes anything."""
        return bool(self.n_changed or self.n_groups or self.n_rejected or self.n_lifted)

    @property
    def n_rejected(self) -> int:
        """Number of added rejections, one for each image and group."""
        return sum(map(len, self.rejected.values()))

    @property
    def n_lifted(self) -> int:
        """Number of removed rejections."""
        return sum(map(len, self.lifted.values()))

    @property
    def noun(self) -> str:
        """What the items are called; the groups of detections are in an attribute of theirs."""
        return "image" if split_path(self.path)[0] is None else "detection"

    def facts(self) -> Facts:
        """The report as text."""
        action, shown = action_text(self.action), list(self.groups.items())[:_SHOWN]
        others = (
            [f"and {counted(len(self.groups) - len(shown), 'other group')}"] if len(self.groups) > len(shown) else []
        )
        return Facts.of(
            f"{action}: {self._what()}" + ("" if self.is_done else ", not written"),
            [
                ("Action", action if self.number is None else f"{action} (change {self.number})"),
                ("Labels changed" if self.is_done else "Labels to be changed", self.n_changed),
                ("Groups", ", ".join([*(_in_group(name, n) for name, n in shown), *others]) or None),
                *self.details.items(),
                ("Merged groups", names_text(self.gone) or None),
                ("No longer kept apart", ", ".join(f"{one!r} and {other!r}" for one, other in self.parted) or None),
                ("Like this already", self.n_same or None),
                ("In no group, not changed", self.n_without or None),
                (NOT_AGAIN, self._names_with(self.rejected)),
                (AGAIN, self._names_with(self.lifted)),
                ("Changed during the edit, not overwritten", self.n_left or None),
                ("Edited by hand before, confirmed", self.n_by_hand or None),
                ("Cannot be written", refused_text(self.refused)),
            ],
        )

    def _what(self) -> str:
        """What was done; decisions that change no label are named."""
        if not self.n_changed and self.details:
            return "; ".join(f"{what.lower()} {text}" for what, text in self.details.items())
        if not self.n_changed and self.is_change:
            parts = [(self.n_rejected, "mark", " as not this character"), (self.n_lifted, "mark", " removed")]
            marks = [f"{counted(n, noun)}{end}" for n, noun, end in parts if n]
            return ", ".join(marks) or counted(self.n_groups, "group")
        return counted(self.n_changed, self.noun)

    def _names_with(self, items: Mapping[str, tuple[str, ...]]) -> str | None:
        shown = [f"{name!r} ({counted(len(ids), self.noun)})" for name, ids in list(items.items())[:_SHOWN]]
        more = [f"and {counted(len(items) - _SHOWN, 'other group')}"] if len(items) > _SHOWN else []
        return ", ".join([*shown, *more]) or None

    def __str__(self) -> str:
        return str(self.facts())
