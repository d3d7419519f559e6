"""Rows of a proposal, each taken by itself: items of one group that a run would put into another one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ...core.errors import CCIPError
from ...core.progress import ProgressCallback
from ...reports.facts import counted
from ...storage.fields import STATUS_AUTO, UNASSIGNED
from ...storage.targets import items_view
from ..store import LabelStore
from ..tables import GroupLabel
from .chosen import Edit, edit
from .report import EditReport

ACTION = "apply_proposal"


class RowOutdatedError(CCIPError):
    """The group of a row is not what it was when it was proposed."""

    def __init__(self, row: "ProposedRow"):
        super().__init__(
            f"row {row.number} cannot be taken: the group {row.target_name!r} was merged, renamed or deleted since it "
            "was proposed. Propose the groups again, or take other rows"
        )
        self.row = row


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


def without_rows(
    rows: Iterable[ProposedRow], taken: Iterable[int], made_groups: Mapping[int, ProposedRow]
) -> tuple[ProposedRow, ...]:
    """The rows that are left, with the groups that were made for those that were taken."""
    gone = set(taken)
    left = [row for row in rows if row.number not in gone]
    changed = {row.number: made_groups[row.target or 0] for row in left if row.is_new and row.target in made_groups}
    return tuple(
        replace(row, target=changed[row.number].target, target_name=changed[row.number].target_name, is_new=False)
        if row.number in changed
        else row
        for row in left
    )
