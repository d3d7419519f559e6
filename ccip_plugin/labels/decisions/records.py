"""The decisions of users about one detection, as they are stored with its sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ...core.identity.boxes import Box, box_of
from ...core.identity.groups import is_too_long
from ...storage.fields import STATUS_CONFIRMED, STATUS_IGNORED
from ..tables import GroupLabel

Raw = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What users decided about a detection.

    Attributes:
        detection: its id
        group_field: the attribute with the groups that this is about
        box: its bounding box, None if it has no valid one
        label: the text of its user label, None without one
        status: ``confirmed`` or ``ignored``, None without a user label
        group_id: the id of the group, None in no group or where the label was edited since it was written
        rejected: the groups from which it was rejected, names by id
        beside: the ids of other detections that overlapped it from the beginning, so that they do not replace it
    """

    detection: str
    group_field: str
    box: Box | None
    label: str | None = None
    status: str | None = None
    group_id: int | None = None
    rejected: Mapping[int, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is decided."""
        return self.label is not None or bool(self.rejected)

    def labeled(self, label: GroupLabel | None) -> Self:
        """The same with the label that the detection has now: a user label, or else none."""
        if label is None or label.label is None or not label.is_human or is_too_long(label.label):
            return replace(self, label=None, status=None, group_id=None)
        status = STATUS_IGNORED if label.is_ignored else STATUS_CONFIRMED
        is_written = label.label == label.assigned and not label.is_ignored
        group_id = label.group_id if is_written else None
        return replace(self, label=label.group_name or label.label, status=status, group_id=group_id)

    def stored(self) -> Raw:
        """The decision as plain values, without those that are missing."""
        rejected = [{"group_id": key, "label": name} for key, name in sorted(self.rejected.items())]
        values = {
            "detection": self.detection,
            "group_field": self.group_field,
            "box": None if self.box is None else list(self.box),
            "label": self.label,
            "status": self.status,
            "group_id": self.group_id,
            "rejected": rejected or None,
            "beside": list(self.beside) or None,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_stored(cls, values: Any) -> Self | None:
        """The opposite of :meth:`stored`; None for what is no decision of ours."""
        if not is_decision(values):
            return None
        label, status, group_id = (values.get(name) for name in ("label", "status", "group_id"))
        is_label = isinstance(label, str) and status in (STATUS_CONFIRMED, STATUS_IGNORED)
        rejected = (each for each in _items(values.get("rejected")) if isinstance(each, Mapping))
        return cls(
            values["detection"],
            values["group_field"],
            box_of(values.get("box")),
            label if is_label else None,
            status if is_label else None,
            group_id if is_label and type(group_id) is int else None,
            {key: str(each.get("label")) for each in rejected if type(key := each.get("group_id")) is int},
            tuple(map(str, _items(values.get("beside")))),
        )


def is_decision(values: Any) -> bool:
    """Whether a stored value has the form of a decision."""
    return isinstance(values, Mapping) and all(
        isinstance(values.get(name), str) for name in ("detection", "group_field")
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True)
class TakeOver:
    """A decision that another detection takes over.

    Attributes:
        sample_id: the id of the sample
        detection: the id of the detection that takes it over
        decision: the decision
    """

    sample_id: str
    detection: str
    decision: Decision

    def stored(self) -> list[Any]:
        """As plain values."""
        return [self.sample_id, self.detection, self.decision.stored()]

    @classmethod
    def from_stored(cls, values: Any) -> Self | None:
        """The opposite of :meth:`stored`; None for something else."""
        if not isinstance(values, list) or len(values) != 3:
            return None
        decision = Decision.from_stored(values[2])
        return None if decision is None else cls(str(values[0]), str(values[1]), decision)
