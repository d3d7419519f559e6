"""The label of one item, and tables of the labels of many."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.identity.groups import is_too_long
from ..core.identity.ids import ids_from, texts_of
from ..core.identity.state import NONE, LabelTable, Status, is_user_label
from ..core.plain import canonical_name
from ..storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED

_CODES = {STATUS_AUTO: Status.AUTO, STATUS_CONFIRMED: Status.CONFIRMED, STATUS_IGNORED: Status.IGNORED}
_OTHER = max(Status) + 1  # code of a status that is none of ours
_NAN = float("nan")
_MOST = 2**62
"""The largest id of a group; the ids that the registry gives are smaller."""
_ASSIGNED = 3  # the place of ``assigned`` in a GroupLabel, behind the status
_MOST_SOURCES = 1000  # others may write anything there


@dataclass(frozen=True)
class GroupLabel:
    """The character group of one item.

    Attributes:
        label: the name of the group, or :data:`~ccip_plugin.storage.fields.UNASSIGNED`
        group_id: the id of the group, None when in no group
        status: ``auto``, ``confirmed`` or ``ignored``
        confidence: in (0, 1], 0.5 at the threshold; None when in no group
        difference: the mean difference to the other images of the group, None when in no group
        margin: the mean difference to the nearest other group minus ``difference``, None when there is none
        assigned: the label that this plugin last wrote; another ``label`` is a user's edit
        rescued: True for an image that exceeds the limit and was assigned on other strong evidence, see
            :func:`~ccip_plugin.core.clustering.linkage.rescue.rescue`; None otherwise
        source: what an automatic label is from if not from a run, e.g. ``references``; None otherwise
    """

    label: str | None
    group_id: int | None = None
    status: str | None = None
    confidence: float | None = None
    difference: float | None = None
    margin: float | None = None
    assigned: str | None = None
    rescued: bool | None = None
    source: str | None = None

    @property
    def is_human(self) -> bool:
        """Whether a user decided this label; see :func:`~ccip_plugin.core.identity.state.is_user_label`."""
        return bool(is_user_label(self._status_code, self.label, self.assigned))

    @property
    def is_settled(self) -> bool:
        """Whether it is stored as a user label; an edited one is not until the next run confirms it."""
        return self._status_code > Status.AUTO and self.label == self.assigned

    @property
    def is_ignored(self) -> bool:
        """Whether a user marked the image as showing no character."""
        return self.status == STATUS_IGNORED

    @property
    def group_name(self) -> str | None:
        """The name of the group without blanks around it, None in no group, as with a text that is too long."""
        name = str(self.label or "").strip()  # an attribute of others may hold numbers
        return None if not name or name == UNASSIGNED or self.is_ignored or is_too_long(name) else name

    def confirmed(self, group_id: int | None) -> "GroupLabel":
        """The same label as a user label, with the id of the group of that name."""
        status = STATUS_IGNORED if self.is_ignored else STATUS_CONFIRMED
        label = self.group_name or self.label
        return replace(self, label=label, status=status, assigned=label, group_id=group_id)

    @property
    def _status_code(self) -> int:
        return Status.NONE if self.status is None else _CODES.get(self.status, _OTHER)


def values_of(stored: Sequence[Any]) -> Sequence[Any]:
    """The values of a label in their order, all None for no label, from the stored ones; of what is no id None.

    Without a text there is no label: a user deleted it, so that a run decides again. Unless it is ignored, or a user
    gave it a status before any run: then it is in no group.
    """
    label, group_id, status, *rest = stored
    group_id = None if (known := _id_or_none(group_id)) == NONE else known
    if label is not None:
        return (label, group_id, status, *rest)
    is_deleted = rest[_ASSIGNED] is not None and status != STATUS_IGNORED
    if status is None or status == STATUS_AUTO or is_deleted:
        return (None,) * len(stored)
    return (UNASSIGNED, group_id, status, *rest)


class TableBuilder:
    """Builds a :class:`~ccip_plugin.core.identity.state.LabelTable` row by row, without an object for each row."""

    def __init__(self) -> None:
        self._ids, self._sample_ids = bytearray(), bytearray()
        self._texts, self._statuses = {UNASSIGNED: 0}, {status: int(code) for status, code in _CODES.items()}
        self._label, self._assigned, self._group_ids = array("i"), array("i"), array("q")
        self._status, self._rescued, self._source = array("h"), array("b"), array("h")
        self._sources: dict[str, int] = {}
        self._numbers = array("d"), array("d"), array("d")

    def add(self, item_id: bytes, sample_id: bytes, values: Sequence[Any]) -> None:
        """Adds an item.

        Args:
            item_id: its id, 12 bytes
            sample_id: the id of its sample
            values: the values of a :class:`GroupLabel` in their order, as they are stored
        """
        label, group_id, status, *numbers, assigned, rescued, source = values_of(values)
        self._ids += item_id
        self._sample_ids += sample_id
        self._label.append(NONE if label is None else self._texts.setdefault(label, len(self._texts)))
        self._assigned.append(NONE if assigned is None else self._texts.setdefault(assigned, len(self._texts)))
        self._group_ids.append(_id_or_none(group_id))
        self._status.append(NONE if status is None else self._statuses.setdefault(status, len(self._statuses)))
        for column, number in zip(self._numbers, numbers, strict=True):
            column.append(_number_or_nan(number))
        self._rescued.append(NONE if rescued is None else bool(rescued))
        is_source = isinstance(source, str) and (source in self._sources or len(self._sources) < _MOST_SOURCES)
        self._source.append(self._sources.setdefault(source, len(self._sources)) if is_source else NONE)

    def build(self) -> LabelTable:
        """The table of the items added so far."""
        confidence, difference, margin = (np.frombuffer(column, np.float64) for column in self._numbers)
        ids = ids_from(self._ids)
        return LabelTable(
            ids,
            ids if self._ids == self._sample_ids else ids_from(self._sample_ids),
            tuple(self._texts),
            np.frombuffer(self._label, np.int32),
            np.frombuffer(self._assigned, np.int32),
            np.frombuffer(self._group_ids, np.int64),
            np.frombuffer(self._status, np.int16),
            tuple(self._statuses),
            confidence,
            difference,
            margin,
            np.frombuffer(self._rescued, np.int8),
            np.frombuffer(self._source, np.int16),
            tuple(self._sources),
        )


def _id_or_none(value: Any) -> int:
    """The id of a group; other tools may have written anything."""
    return value if type(value) is int and 0 < value <= _MOST else NONE


def _number_or_nan(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else _NAN


def table_of(labels: Iterable[tuple[str, str, GroupLabel | None]]) -> LabelTable:
    """A table of labels.

    Args:
        labels: for each item its id, the id of its sample, and its label, None for no label
    """
    builder = TableBuilder()
    for item_id, sample_id, label in labels:
        values = (None,) * 9 if label is None else tuple(vars(label).values())
        builder.add(bytes.fromhex(item_id), bytes.fromhex(sample_id), values)
    return builder.build()


def rows_of(table: LabelTable) -> list[tuple[str, str, GroupLabel | None]]:
    """The opposite of :func:`table_of`; makes an object for each row, so it is for parts of a large table."""
    columns = (table.group_ids, table.confidence, table.difference, table.margin, table.rescued)
    group_ids, *numbers, rescued = (column.tolist() for column in columns)
    texts, words = [*table.texts, None], [*table.statuses, None]  # the last is that of the code -1
    sources = [*table.sources, None]
    labels, assigned = ([texts[code] for code in codes.tolist()] for codes in (table.label, table.assigned))
    values = zip(
        labels,
        (None if group_id == NONE else group_id for group_id in group_ids),
        (words[code] for code in table.status.tolist()),
        *([None if number != number else number for number in column] for column in numbers),
        assigned,
        (None if value == NONE else bool(value) for value in rescued),
        (sources[code] for code in table.source.tolist()),
        strict=True,
    )
    made = (None if row[0] is None else GroupLabel(*row) for row in values)
    return list(zip(texts_of(table.ids), texts_of(table.sample_ids), made, strict=True))


def sizes_of_names(counts: Mapping[str, int]) -> dict[str, int]:
    """The names of groups with their numbers of items, the largest first.

    Spellings of one name are counted together, under the most frequent one.

    Args:
        counts: the numbers of items by the texts of their labels
    """
    sizes: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for text, n in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if (name := text.strip()) not in ("", UNASSIGNED):
            sizes[spelled.setdefault(canonical_name(name), name)] += n
    return dict(sorted(sizes.items(), key=lambda each: (-each[1], each[0])))


def spellings_of(name: str, texts: Iterable[object]) -> list[str]:
    """The texts of labels that are spellings of a name."""
    return [text for text in texts if isinstance(text, str) and canonical_name(text) == canonical_name(name)]
