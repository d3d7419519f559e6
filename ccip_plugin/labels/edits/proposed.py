"""Rows of a proposal, each taken by itself: items of one group that a run would put into another one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from ...core.errors import CCIPError
from ...core.progress import ProgressCallback
from ...reports.facts import counted
from ...storage.fields import STATUS_AUTO, UNASSIGNED
from ...storage.targets import items_view
from ..identities import StaleGroupsError
from ..journal import EntryState, Journal
from ..store import LabelStore
from ..tables import GroupLabel
from .chosen import Edit, edit
from .report import EditReport

ACTION = "apply_proposal"
_TAKEN = "changes", "made"
_NAMED = 20  # numbers of rows that a message lists


class NoProposalError(CCIPError):
    """No proposal is stored."""

    mentions = ("propose_groups",)

    def __init__(self, path: str):
        super().__init__(f"there is no proposal for the character groups of {path!r}: make one with propose_groups")
        self.path = path


class RowOutdatedError(CCIPError):
    """The group of a row is not what it was when it was proposed."""

    def __init__(self, row: "ProposedRow"):
        super().__init__(
            f"row {row.number} cannot be taken: the group {row.target_name!r} was merged, renamed or deleted since it "
            "was proposed. Propose the groups again, or take other rows"
        )
        self.row = row


class ProposalOutdatedError(StaleGroupsError):
    """The whole of a proposal cannot be applied: rows of it were, or the groups were changed since it was made.

    Attributes:
        rows: the rows that are left
        taken: the numbers of those that were applied
    """

    mentions = ("propose_groups",)

    def __init__(self, path: str, rows: "Sequence[ProposedRow]", taken: Sequence[int]):
        why = f"the character groups of {path!r} were changed since it was made"
        if taken:
            why = f"{_listed(taken)} of it {'was' if len(taken) == 1 else 'were'} applied already"
        how = f"apply what is left by its numbers, {_listed([row.number for row in rows])}, or " if rows else ""
        CCIPError.__init__(
            self, f"the proposal cannot be applied as a whole: {why}; {how}make a new one with propose_groups"
        )
        self.path, self.rows, self.taken = path, tuple(rows), tuple(taken)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join([*map(str, numbers[:_NAMED]), *["..."] * (len(numbers) > _NAMED)])
    return f"{'row' if len(numbers) == 1 else 'rows'} {shown}"


@dataclass(frozen=True)
class ProposedRow:
    """Items of one group, or of none, that a proposal puts into another group, or into none.

    Attributes:
        number: its number in the proposal, from 1
        kind: what happens to the items, see :class:`~ccip_plugin.core.identity.planning.ItemChange`
        source: the id of the group that they are in, None for none
        source_name: its name
        target: the id of the group that they come to, None for none
        target_name: its name
        is_new: whether that group is to be made
        ids: the ids of the items
    """

    number: int
    kind: str
    source: int | None
    source_name: str | None
    target: int | None
    target_name: str | None
    is_new: bool
    ids: tuple[str, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What :meth:`as_dict` gave."""
        return cls(**{**values, "ids": tuple(values["ids"])})

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values."""
        return {**asdict(self), "ids": list(self.ids)}

    def text(self, noun: str) -> str:
        """The row in a sentence, e.g. ``3 images from 'Rei' to 'Asuka'``.

        Args:
            noun: what an item is called
        """
        items = counted(len(self.ids), noun)
        target = f"a new group ({self.target_name})" if self.is_new else repr(self.target_name)
        if self.target is None:
            return f"{items} out of {self.source_name!r}" if self.source is not None else f"{items} in no group"
        if self.source is None:
            return f"{items} into {target}"
        texts = {"merged": f"merge {self.source_name!r} ({items}) into {target}"}
        return texts.get(self.kind, f"{items} from {self.source_name!r} to {target}")


def take_rows(
    store: LabelStore,
    rows: Sequence[ProposedRow],
    labels: Mapping[str, GroupLabel],
    *,
    progress: ProgressCallback | None = None,
) -> tuple[EditReport, dict[int, ProposedRow]]:
    """Writes rows of a proposal as one change. Items that are elsewhere by now, or decided by users, stay.

    Args:
        store: the groups of the whole dataset
        rows: the rows
        labels: the proposed labels by the ids of the items
        progress (None): called with the number of labels written

    Returns:
        the report, and for each new group that was made, by its proposed id, a row that comes to it as it is now

    Raises:
        RowOutdatedError: the group that a row comes to is not what it was
    """
    target = replace(store.target, view=items_view(store.target, [item_id for row in rows for item_id in row.ids]))
    others = [ref for row in rows for ref in (row.source, row.target) if ref is not None]
    made_groups: dict[int, ProposedRow] = {}

    def plan(made: Edit) -> None:
        made_groups.clear()
        items = {item_id: (sample_id, label) for item_id, sample_id, label in made.rows}
        n_left = sum(_take(made, row, items, labels, made_groups) for row in rows)
        if n_left:
            made.details["Changed since, not taken"] = f"{n_left:,}"

    chosen = LabelStore(target, store.group_field)
    done = edit(chosen, ACTION, plan, groups=None, others=others, dry_run=False, progress=progress)
    return done, made_groups


def _take(
    made: Edit,
    row: ProposedRow,
    items: Mapping[str, tuple[str, GroupLabel | None]],
    labels: Mapping[str, GroupLabel],
    made_groups: dict[int, ProposedRow],
) -> int:
    """Plans a row; gives the number of items that stay because they were changed since."""
    group_id: int | None = None
    n_left = 0
    if _is_decided(made, row):
        return len(row.ids)
    for item_id in row.ids:
        sample_id, label = items.get(item_id, ("", None))
        is_same = sample_id and (made.group_of(label) == row.source) and not (label is not None and label.is_human)
        if not is_same:
            n_left += 1
            continue
        if row.target is not None and group_id is None:
            group_id = _group_of(made, row, made_groups)
        if group_id is not None and item_id in made.draft.rejections.get(group_id, ()):
            n_left += 1
            continue
        name = UNASSIGNED if group_id is None else made.draft.groups[group_id].name
        after = replace(labels[item_id], label=name, assigned=name, group_id=group_id, status=STATUS_AUTO)
        made.write(item_id, sample_id, label, after)
    return n_left


def _is_decided(made: Edit, row: ProposedRow) -> bool:
    """Whether users have since said of the groups of a row as a whole what contradicts it."""
    source = None if row.source is None else made.draft.groups.get(row.source)
    if source is None or row.source == row.target:
        return False
    is_named_since = row.kind == "merged" and not source.is_auto_named
    is_apart = row.target in made.draft.groups and made.draft.are_apart(row.source or 0, row.target or 0)
    return source.is_held or is_named_since or is_apart


def _group_of(made: Edit, row: ProposedRow, made_groups: dict[int, ProposedRow]) -> int:
    """The group that a row comes to; a new one is made once for all rows."""
    target = row.target or 0
    if row.is_new:
        if target not in made_groups:
            group_id = made.draft.new_group()
            name = made.draft.groups[group_id].name
            made_groups[target] = replace(row, target=group_id, target_name=name, is_new=False)
        return made_groups[target].target or 0
    group = made.draft.groups.get(target)
    if group is None or group.merged_into is not None:
        raise RowOutdatedError(row)
    return target


@dataclass(frozen=True)
class TakenRows:
    """The rows of a proposal that were taken, and the groups that were made for them.

    A row whose change was undone is open again, and so is the group that this change made.

    Attributes:
        changes: for the numbers of the rows, the number and the time of the change that took each, 0 for a row that had
            nothing to change
        made: for the proposed ids of new groups, the number of the row that each was made for, its id and its name
    """

    changes: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    made: Mapping[int, tuple[int, int, str]] = field(default_factory=dict)

    @classmethod
    def from_stored(cls, values: Mapping[str, Mapping[str, Any]] | None) -> Self:
        """The opposite of :meth:`stored`; None for none."""
        read = ({int(key): tuple(row) for key, row in (values or {}).get(name, {}).items()} for name in _TAKEN)
        return cls(*read)

    def stored(self) -> dict[str, dict[str, Any]]:
        """As plain values."""
        return {name: {str(key): list(row) for key, row in getattr(self, name).items()} for name in _TAKEN}

    def with_rows(self, rows: Iterable[int], change: tuple[int, str], made: Mapping[int, ProposedRow]) -> Self:
        """With more rows.

        Args:
            rows: their numbers
            change: the number and the time of the change that took them
            made: for each new group that was made, by its proposed id, a row that comes to it as it is now
        """
        groups = {key: (row.number, row.target or 0, row.target_name or "") for key, row in made.items()}
        return replace(self, changes={**self.changes, **dict.fromkeys(rows, change)}, made={**self.made, **groups})

    def is_taken(self, number: int, journal: Journal) -> bool:
        """Whether a row was taken, and its change was not undone."""
        change, at = self.changes.get(number, (None, ""))
        if not change:
            return change is not None
        entries = {entry.number: entry for entry in journal.entries()}
        if change in entries and entries[change].at == at:
            return entries[change].state not in (EntryState.UNDONE, EntryState.UNDOING)
        return not any(other < change for other in entries)  # the oldest are forgotten first, except undone ones

    def open_rows(self, rows: Iterable[ProposedRow], journal: Journal) -> tuple[ProposedRow, ...]:
        """The rows that can be taken, with the groups that were made for others.

        Args:
            rows: all rows of the proposal
            journal: the history of its field
        """
        left = []
        for row in rows:
            if self.is_taken(row.number, journal):
                continue
            number, group_id, name = self.made.get(row.target or 0, (0, 0, ""))
            is_made = row.is_new and number and self.is_taken(number, journal)
            left.append(replace(row, target=group_id, target_name=name, is_new=False) if is_made else row)
        return tuple(left)

    def texts(self, rows: Sequence[ProposedRow], journal: Journal, noun: str, n_shown: int) -> list[list[Any]]:
        """The first open rows as text by their numbers, and those that were taken, which may be open again.

        Args:
            rows: all rows of the proposal
            journal: the history of its field
            noun: what an item is called
            n_shown: how many rows are shown
        """
        is_open = {row.number: row for row in self.open_rows(rows, journal)[:n_shown]}
        shown = [row for row in rows if row.number in is_open or row.number in self.changes]
        return [[row.number, is_open.get(row.number, row).text(noun)] for row in shown]
