"""Writes many values into samples; what a sample has no room for is refused alone, with the reason.

The database rewrites a whole sample with each update, so values of detections are written many at a time: with an
update for each, a sample with thousands of detections took minutes.
"""

import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import bson
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from .internals import Document, has_unsaved, reload_attributes, reload_fields, samples_in_memory
from .targets import Target

MAX_BYTES = 16 * 1024 * 1024
"""What the database allows for a sample."""

TOO_LARGE = frozenset({10334, 17419, 17420})
"""Codes of the database: the document would be larger than it allows."""

NO_ROOM = "its sample is full: the database allows 16 MB for one sample"

TOGETHER = 200
"""Detections to write with one update: the time that their conditions take grows with the square of the number."""

_PERMANENT = TOO_LARGE | {2, 9, 28, 52, 121}  # and: a bad value, path or name, a value that a rule refuses
_RESERVE = 1024  # bytes of a sample for what is not counted exactly

T = TypeVar("T")


class Part(NamedTuple, Generic[T]):
    """Items of one sample that are written with one update."""

    sample_id: ObjectId
    items: Sequence[T]


def parts_of(items: Sequence[T], sample_id: Callable[[T], ObjectId], *, together: int = TOGETHER) -> list[Part[T]]:
    """The items of each sample, in parts of one update."""
    by_sample: dict[ObjectId, list[T]] = {}
    for item in items:
        by_sample.setdefault(sample_id(item), []).append(item)
    return [
        Part(key, of_sample[start : start + together])
        for key, of_sample in by_sample.items()
        for start in range(0, len(of_sample), together)
    ]


def write_parts(
    documents: Collection[Document],
    parts: Sequence[Part[T]],
    operation: Callable[[Part[T]], UpdateOne],
    growths: Callable[[Part[T]], Sequence[int]],
) -> tuple[int, list[tuple[T, str]]]:
    """Writes parts; of one that its sample has no room for, the first items that fit.

    Args:
        documents: the samples
        parts: what to write
        operation: gives the update of a part
        growths: gives the bytes that a sample grows by with each item of a part, at most

    Returns:
        the number of updates that found no document, and the items that cannot be written, with the reason

    Raises:
        BulkWriteError: the database refused for another reason, such as that it is shutting down
    """
    n_matched, failed = bulk_write(documents, list(map(operation, parts)))
    n_missed = len(parts) - len(failed) - n_matched
    refused: list[tuple[T, str]] = []
    for number, (code, reason) in sorted(failed.items()):
        part = parts[number]
        n = _n_fitting(documents, part, growths) if code in TOO_LARGE and len(part.items) > 1 else 0
        refused += [(item, reason) for item in part.items[n:]]
        if n:
            fitting = [Part(part.sample_id, part.items[:n])]
            n_more, also_refused = write_parts(documents, fitting, operation, growths)
            n_missed, refused = n_missed + n_more, refused + also_refused
    return n_missed, refused


def _n_fitting(documents: Collection[Document], part: Part[T], growths: Callable[[Part[T]], Sequence[int]]) -> int:
    """The number of the first items that there is room for: less than all, and one in any case, which is tried."""
    size = {"$bsonSize": "$$ROOT"}
    found = list(documents.aggregate([{"$match": {"_id": part.sample_id}}, {"$project": {"size": size}}]))
    if not found:  # deleted at this moment
        return 0
    room = MAX_BYTES - found[0]["size"] - _RESERVE
    n = sum(1 for total in itertools.accumulate(growths(part)) if total <= room)
    return min(max(n, 1), len(part.items) - 1)


def bulk_write(
    documents: Collection[Document], operations: Sequence[UpdateOne]
) -> tuple[int, dict[int, tuple[int, str]]]:
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
        return 0, {0: (min(TOO_LARGE), NO_ROOM)}
    half = len(operations) // 2
    n_first, first = bulk_write(documents, operations[:half])
    n_second, second = bulk_write(documents, operations[half:])
    return n_first + n_second, {**first, **{number + half: each for number, each in second.items()}}


def _reason(error: Mapping[str, Any]) -> str:
    return NO_ROOM if error["code"] in TOO_LARGE else f"the database refuses it: {error['errmsg']}"


def update_labels(sample_id: ObjectId, labels_path: str, values: Mapping[ObjectId, Mapping[str, Any]]) -> UpdateOne:
    """An update of some labels in a list of a sample; those that were deleted are passed over.

    Args:
        sample_id: the sample
        labels_path: the path of the list
        values: the values to write by the id of a label, by their names
    """
    changed: Document = {"last_modified_at": now()}
    filters = []
    for number, (label_id, of_label) in enumerate(values.items()):
        changed |= {f"{labels_path}.$[label{number}].{name}": value for name, value in of_label.items()}
        filters.append({f"label{number}._id": label_id})
    query = {"_id": sample_id, f"{labels_path}._id": {"$in": list(values)}}
    return UpdateOne(query, {"$set": changed}, array_filters=filters)


def n_bytes(value: Mapping[str, Any]) -> int:
    """The size of a value in the database."""
    return len(bson.encode(value))


def now() -> datetime.datetime:
    """The present time as FiftyOne stores it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def refresh_samples(
    target: Target,
    names: Sequence[str],
    *,
    rollup: str | None = None,
    others: Sequence[str] = (),
    sample_ids: Iterable[str] | None = None,
) -> None:
    """Updates sample objects in memory with what was written; all that is unsaved stays, also in detections.

    Args:
        target: the items with the values
        names: the fields, on detections the attributes, that were written
        rollup (None): the field of samples that was written as well
        others (()): other such fields
        sample_ids (None): the samples that were written, all by default
    """
    patches_field = target.patches_field
    fields = ["last_modified_at", *filter(None, [rollup]), *others, *(names if patches_field is None else ())]
    in_memory = dict(samples_in_memory(target.dataset))
    for sample_id in set(in_memory if sample_ids is None else sample_ids):
        if (sample := in_memory.get(sample_id)) is None:
            continue
        if patches_field is not None and has_unsaved(sample, patches_field):
            reload_attributes(sample, patches_field, names)
            reload_fields(sample, fields)
        else:
            reload_fields(sample, [*fields, *filter(None, [patches_field])])
