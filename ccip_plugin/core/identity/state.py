"""The labels of a field as parallel arrays, and the groups that they name."""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..arrays import BoolArray, FloatArray, IntArray
from .groups import Draft, Registry, is_too_long, looks_default
from .ids import Ids

Codes = NDArray[np.int32]

NONE = -1
"""Code of a value that an item does not have, and id of no group."""

IN_NO_GROUP = 0
"""Code of the text of a label in no group: the first of :attr:`LabelTable.texts`."""


class Status(IntEnum):
    """Codes of the status of a label; larger ones are other words, which users wrote."""

    NONE = -1
    AUTO = 0
    CONFIRMED = 1
    IGNORED = 2


def is_user_label(status: Any, label: Any, assigned: Any) -> Any:
    """Whether a user decided a label: it has a status of theirs, was edited, or existed before the first run.

    The definition of a user label. Takes single values and arrays; ``LabelStore.user_label_expression`` is the same
    for the database.

    Args:
        status: the code of its status, see :class:`Status`
        label: its text, or the code of it
        assigned: the text that this plugin last wrote, or the code of it
    """
    return (status > Status.AUTO) | (label != assigned)


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labels of ``n`` items.

    Attributes:
        ids: ids of the items
        sample_ids: ids of their samples
        texts: the distinct texts; the first is that of a label in no group
        label: the text of the label, by its place in ``texts``; -1 for no label
        assigned: the text that this plugin last wrote, likewise; -1 for none
        group_ids: the id of the group in the label; -1 for none
        status: codes of :class:`Status`
        statuses: the words of the codes, the first three as in :class:`Status`
        confidence: NaN for none
        difference: NaN for none
        margin: NaN for none
        rescued: 1, 0, or -1 for none
        source: the word for what the label is from, other than a run, by its place in ``sources``; -1 for none
        sources: these words
    """

    ids: Ids
    sample_ids: Ids
    texts: tuple[str, ...]
    label: Codes
    assigned: Codes
    group_ids: IntArray
    status: NDArray[np.int16]
    statuses: tuple[str, ...]
    confidence: FloatArray
    difference: FloatArray
    margin: FloatArray
    rescued: NDArray[np.int8]
    source: NDArray[np.int16]
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, ids: Ids, sample_ids: Ids) -> Self:
        """Items without labels."""
        n = len(ids)
        return cls(
            ids,
            sample_ids,
            texts=(),
            label=np.full(n, NONE, np.int32),
            assigned=np.full(n, NONE, np.int32),
            group_ids=np.full(n, NONE, np.int64),
            status=np.full(n, Status.NONE, np.int16),
            statuses=(),
            confidence=np.full(n, np.nan),
            difference=np.full(n, np.nan),
            margin=np.full(n, np.nan),
            rescued=np.full(n, NONE, np.int8),
            source=np.full(n, NONE, np.int16),
        )

    def take(self, rows: IntArray | slice) -> Self:
        """Some rows of the table."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        taken = {name: column[rows] for name, column in columns.items() if not isinstance(column, tuple)}
        if self.sample_ids is self.ids:  # items that are samples: one array for both
            taken["sample_ids"] = taken["ids"]
        return replace(self, **taken)

    @property
    def is_labeled(self) -> BoolArray:
        """``(n,)`` whether an item has a label."""
        is_labeled: BoolArray = self.label != NONE
        return is_labeled


@dataclass(frozen=True, eq=False)
class State:
    """The labels of the items of a dataset in one field, and its groups, at one moment.

    Attributes:
        labels: the labels of all items
        group_ids: ``(n,)`` the id of the group that each label names, -1 for none
        names: ``(len(labels.texts),)`` for each text the code of the name of the group in it, without blanks around
            it; -1 for texts that name no group
        registry: the groups
        named: groups that labels name and the registry does not have: ids and names
        target_rows: ``(m,)`` rows of the items to group, in their order
    """

    labels: LabelTable
    group_ids: IntArray
    names: Codes
    registry: Registry
    named: tuple[tuple[int, str], ...]
    target_rows: IntArray

    def draft(self, *, created: str | None = None) -> Draft:
        """A new draft of the groups, with those that labels name."""
        draft = Draft(self.registry, created=created)
        for group_id, name in self.named:
            draft.new_group(name, group_id)
        return draft

    @cached_property
    def is_user_label(self) -> BoolArray:
        """``(n,)`` whether users decided the label; see :func:`is_user_label`."""
        labels = self.labels
        decided: BoolArray = labels.is_labeled & is_user_label(labels.status, labels.label, labels.assigned)
        return decided

    @cached_property
    def is_too_long(self) -> BoolArray:
        """``(n,)`` whether the text of the label is too long for the name of a group. Such labels stay as they are."""
        of_text = np.array([*map(is_too_long, self.labels.texts), False], np.bool_)  # the last is that of no label
        of_label: BoolArray = of_text[self.labels.label]
        return of_label

    @cached_property
    def has_default_name_of_others(self) -> BoolArray:
        """``(n,)`` whether users decided a label with a default name that this registry did not give. In two datasets,
        such a name means two characters."""
        ids = [group_id for group_id, name in self.named if looks_default(name)]
        of_others: BoolArray = self.is_user_label & np.isin(self.group_ids, ids)
        return of_others

    @cached_property
    def is_held(self) -> BoolArray:
        """``(n,)`` whether users said of the whole group of an automatic label that its items stay in it."""
        held = [group_id for group_id, group in self.registry.groups.items() if group.is_held]
        is_held: BoolArray = np.isin(self.group_ids, held) & ~self.is_user_label
        return is_held

    def is_open(self, *, adds_only: bool) -> BoolArray:
        """``(n,)`` whether a run may change the group of an item.

        Args:
            adds_only: it only adds labels to items without one; else it may change all but what users decided about
                items and groups
        """
        return ~(self.labels.is_labeled if adds_only else self.is_user_label | self.is_held)
