"""Writes stored forms of labels, each only where the database still holds what is expected there.

What cannot be written is refused alone, with its id and the reason: the database allows a sample 16 MB.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection

from ..storage.updates import TOGETHER, Part, n_bytes, parts_of, write_parts
from .tables import GroupLabel

Raw = dict[str, Any]
Change = tuple[str, str, Raw | None, Raw | None]
"""The id of an item, of its sample, the stored form that is expected and the one to write."""

_TRIES = 3
_DECISION = 256  # bytes of a decision in the list of a sample, without its label


class Stored(NamedTuple):
    """Where an item is, and its stored form.

    Attributes:
        place: the path of the detection in its sample, None for a sample
        raw: its stored form; of a sample without a label {} where null is stored, and None where nothing is
        sample_id: the id of its sample
    """

    place: str | None
    raw: Raw | None
    sample_id: str


class Place(Protocol):
    """What the writer needs of a label store."""

    group_field: str

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the stored form of a label of a detection."""

    @property
    def documents(self) -> Collection[Raw]:
        """The samples."""

    def read_stored(self, sample_ids: Iterable[str]) -> dict[str, Stored]:
        """The items of some samples by their ids."""

    def from_raw(self, raw: Raw | None) -> GroupLabel | None:
        """The label of a stored form."""


@dataclass
class Written:
    """What was written.

    Attributes:
        n: number of labels
        n_gone: number of labels whose image or detection was deleted
        refused: the ids of what cannot be written, with the reason
    """

    n: int = 0
    n_gone: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def write(store: Place, changes: Sequence[Change], at: datetime.datetime) -> Written:
    """Writes changes that together are small.

    Args:
        store: where the labels are
        changes: the changes
        at: the ``last_modified_at`` of the samples

    Returns:
        what was written; the rest was changed by another process, or deleted
    """
    written = Written()
    left, together = list(changes), TOGETHER
    for _ in range(_TRIES):
        stored = store.read_stored({change[1] for change in left})
        written.n_gone += sum(change[0] not in stored for change in left)
        ready = [change for change in left if change[0] in stored and _is_same(stored[change[0]].raw, change[2])]
        parts = parts_of(ready, lambda change: ObjectId(change[1]), together=together)
        operation = partial(_operation, store, stored, at)
        n_missed, refused = write_parts(store.documents, parts, operation, partial(_growths, store))
        written.refused |= {change[0]: reason for change, reason in refused}
        if not n_missed:
            written.n += len(ready) - sum(change[0] in written.refused for change in ready)
            break
        # another process changed a label of a part at this moment: the others of the part are written on their own
        after = store.read_stored({change[1] for change in ready})
        done = [change for change in ready if change[0] in after and _is_same(after[change[0]].raw, change[3])]
        written.n += len(done)
        finished = {change[0] for change in done} | written.refused.keys()
        left, together = [change for change in ready if change[0] not in finished], 1
    return written


def _growths(store: Place, part: Part[Change]) -> list[int]:
    """The bytes that a sample grows by with each change, and with the names and decisions that are listed in it."""
    growths = [n_bytes(change[3] or {}) - n_bytes(change[2] or {}) for change in part.items]
    for number, (_, _, _, after) in enumerate(part.items):
        label = store.from_raw(after)
        if label is not None and label.is_human:
            growths[number] += _DECISION + n_bytes({"label": label.label})
    names = {(change[3] or {}).get(store.group_field) for change in part.items}
    growths[0] += n_bytes({"names": sorted(map(str, names))})
    return growths


def _operation(store: Place, stored: Mapping[str, Stored], at: datetime.datetime, part: Part[Change]) -> UpdateOne:
    expected: Raw = {"_id": part.sample_id}
    values: Raw = {"last_modified_at": at}
    gone: Raw = {}
    for item_id, _, before, after in part.items:
        place = stored[item_id].place
        if place is None:
            expected[store.group_field] = stored[item_id].raw or None  # as it is, whatever the order of its keys
            if after is None:
                gone[store.group_field] = ""
            else:
                values[store.group_field] = after or None
            continue
        before, after = before or {}, after or {}
        expected[f"{place}._id"] = ObjectId(item_id)
        # null stands for "not there" as well
        expected |= {f"{place}.{key}": before.get(key) for key in store.keys}
        values |= {f"{place}.{key}": after[key] for key in store.keys if key in after}
        gone |= {f"{place}.{key}": "" for key in store.keys if key in before and key not in after}
    return UpdateOne(expected, {"$set": values, **({"$unset": gone} if gone else {})})


def _is_same(stored: Raw | None, expected: Raw | None) -> bool:
    """Whether two stored forms are equal; null stands for a key that is not there."""
    left, right = (
        {key: value for key, value in (raw or {}).items() if value is not None} for raw in (stored, expected)
    )
    return left == right
