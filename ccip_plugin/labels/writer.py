"""Writes stored forms of labels, each only where the database still holds what is expected there.

One update writes up to 200 detections of a sample: with an update for each, a sample with thousands of detections took
minutes, since the database rewrites the whole sample each time. What cannot be written is refused alone, with its id
and the reason: the database allows a sample 16 MB.
"""

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import bson
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

Raw = dict[str, Any]
Change = tuple[str, str, Raw | None, Raw | None]
"""The id of an item, of its sample, the stored form that is expected and the one to write."""

MAX_BYTES = 16 * 1024 * 1024
"""What the database allows for a sample."""

_TOGETHER = 200  # detections that one update writes: their conditions take time with the square of the number
_TRIES = 3
_RESERVE = 1024  # bytes of a sample for what is not counted exactly
TOO_LARGE = frozenset({10334, 17419, 17420})
"""Codes of the database: the document would be larger than it allows."""

_PERMANENT = TOO_LARGE | {2, 9, 28, 52, 121}  # and: a bad value, path or name, a value that a rule refuses
_NO_ROOM = "its sample is full: the database allows 16 MB for one sample"


class Stored(NamedTuple):
    """Where an item is, and its stored form.

    Attributes:
        place: the path of the detection in its sample, None for a sample
        raw: its stored form
    """

    place: str | None
    raw: Raw | None


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


@dataclass
class Written:
    """What was written.

    Attributes:
        n: number of labels
        refused: the ids of what cannot be written, with the reason
    """

    n: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def write(store: Place, changes: Sequence[Change]) -> Written:
    """Writes changes that together are small.

    Args:
        store: where the labels are
        changes: the changes

    Returns:
        what was written; the rest was changed by another process, or deleted
    """
    written = Written()
    left, together = list(changes), _TOGETHER
    for _ in range(_TRIES):
        stored = store.read_stored({change[1] for change in left})
        ready = [change for change in left if change[0] in stored and _is_same(stored[change[0]].raw, change[2])]
        parts = list(_parts(ready, together))
        n_missed = _write_parts(store, parts, stored, written)
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


def _parts(changes: Iterable[Change], together: int) -> Iterator[list[Change]]:
    """The changes of one update each."""
    by_sample: dict[str, list[Change]] = {}
    for change in changes:
        by_sample.setdefault(change[1], []).append(change)
    for of_sample in by_sample.values():
        for start in range(0, len(of_sample), together):
            yield of_sample[start : start + together]


def _write_parts(store: Place, parts: Sequence[list[Change]], stored: Mapping[str, Stored], written: Written) -> int:
    """Writes each part; returns the number of parts that another process changed meanwhile."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    operations = [_operation(store, part, stored, now) for part in parts]
    n_matched, failed = bulk_write(store.documents, operations)
    n_missed = len(parts) - len(failed) - n_matched
    for number, (code, reason) in sorted(failed.items()):
        part = parts[number]
        fitting = _fitting(store, part) if code in TOO_LARGE and len(part) > 1 else []
        kept = {change[0] for change in fitting}
        written.refused |= {change[0]: reason for change in part if change[0] not in kept}
        if fitting:
            n_missed += _write_parts(store, [fitting], stored, written)
    return n_missed


def bulk_write(documents: Collection[Raw], operations: Sequence[UpdateOne]) -> tuple[int, dict[int, tuple[int, str]]]:
    """Writes what can be written.

    Args:
        documents: the samples
        operations: the updates

    Returns:
        the number of updates that found their document, and code and reason of those that never can be written

    Raises:
        BulkWriteError: the database refused for another reason, such as that it is shutting down
    """
    if not operations:
        return 0, {}
    try:
        return documents.bulk_write(list(operations), ordered=False).matched_count, {}
    except BulkWriteError as error:
        details = error.details
        failed = {each["index"]: (each["code"], _reason(each)) for each in details["writeErrors"]}
        if details["writeConcernErrors"] or not {code for code, _ in failed.values()} <= _PERMANENT:
            raise
        return details["nMatched"], failed
    except (DocumentTooLarge, OperationFailure) as error:  # one update is too large to be sent
        if isinstance(error, OperationFailure) and error.code not in TOO_LARGE:
            raise
    if len(operations) == 1:
        return 0, {0: (min(TOO_LARGE), _NO_ROOM)}
    half = len(operations) // 2
    n_first, first = bulk_write(documents, operations[:half])
    n_second, second = bulk_write(documents, operations[half:])
    return n_first + n_second, {**first, **{number + half: each for number, each in second.items()}}


def _reason(error: Mapping[str, Any]) -> str:
    return _NO_ROOM if error["code"] in TOO_LARGE else f"the database refuses it: {error['errmsg']}"


def _fitting(store: Place, part: Sequence[Change]) -> list[Change]:
    """The first changes of a sample that there is room for."""
    size = {"$bsonSize": "$$ROOT"}
    found = list(store.documents.aggregate([{"$match": {"_id": ObjectId(part[0][1])}}, {"$project": {"size": size}}]))
    if not found:  # deleted at this moment
        return []
    growths = (len(bson.encode(change[3] or {})) - len(bson.encode(change[2] or {})) for change in part)
    names = {(change[3] or {}).get(store.group_field) for change in part}  # they are listed in the sample as well
    room = MAX_BYTES - found[0]["size"] - _RESERVE - len(bson.encode({"names": sorted(map(str, names))}))
    n = sum(1 for total in itertools.accumulate(growths) if total <= room)
    return list(part[: min(n, len(part) - 1)])


def _operation(store: Place, part: Sequence[Change], stored: Mapping[str, Stored], now: datetime.datetime) -> UpdateOne:
    expected: Raw = {"_id": ObjectId(part[0][1])}
    values: Raw = {"last_modified_at": now}
    gone: Raw = {}
    for item_id, _, before, after in part:
        place = stored[item_id].place
        if place is None:
            expected[store.group_field], values[store.group_field] = before, after
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
