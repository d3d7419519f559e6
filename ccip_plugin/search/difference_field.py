"""Writes the differences that a search found to the items of a dataset."""

from collections.abc import Iterator, Mapping, Sequence

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne

from ..core.arrays import Vectors
from ..storage.internals import sample_documents
from ..storage.lease import lease
from ..storage.schema import declare, stored_field
from ..storage.targets import Target, batched, is_field_name
from ..storage.updates import Part, n_bytes, now, parts_of, refresh_samples, update_labels, write_parts

MARK = "ccip_find_similar"
"""A key of the ``info`` of fields that hold differences and nothing else."""

Value = tuple[str, str, float | None]
"""The id of an item, of its sample, and its difference."""


def field_problem(target: Target, name: str) -> str | None:
    """The reason why differences cannot be written to a field (on detections: an attribute), None if they can."""
    if not is_field_name(name):
        return "use letters, digits and _ only, a letter first"
    field = stored_field(target.dataset, target.path(name))
    if field is not None and not (field.get("info") or {}).get(MARK):
        return "it holds other values; choose another name"
    return None


def write_differences(
    target: Target, name: str, ids: Sequence[str], sample_ids: Sequence[str], differences: Vectors
) -> Mapping[str, str]:
    """Writes differences; they replace all that were written before.

    Args:
        target: the searched items
        name: the field (on detections: the attribute) to write to
        ids: the ids of ``n`` items
        sample_ids: the ids of their samples
        differences: ``(n,)``

    Returns:
        the ids of items whose difference cannot be written, with the reason
    """
    dataset, path = target.dataset, target.path(name)
    description = "CCIP difference to the last query of find_similar"
    refused: dict[str, str] = {}
    with lease(dataset, path) as held:
        declare(dataset, path, fo.FloatField, description=description, info={MARK: True})
        values: dict[str, Value] = {item_id: (item_id, owner, None) for item_id, owner in _with_value(target, name)}
        found = zip(ids, sample_ids, map(float, differences), strict=True)
        values |= {item_id: (item_id, owner, difference) for item_id, owner, difference in found}
        for chunk in batched(values.values()):
            held.check()
            refused |= _write(target, name, chunk)
    refresh_samples(target, [name])
    return refused


def _write(target: Target, name: str, values: Sequence[Value]) -> dict[str, str]:
    def operation(part: Part[Value]) -> UpdateOne:
        if target.is_patches:
            of_labels = {ObjectId(item_id): {name: value} for item_id, _, value in part.items}
            return update_labels(part.sample_id, str(target.labels_path), of_labels)
        return UpdateOne({"_id": part.sample_id}, {"$set": {name: part.items[0][2], "last_modified_at": now()}})

    def growths(part: Part[Value]) -> list[int]:
        return [n_bytes({name: value}) for _, _, value in part.items]

    parts = parts_of(values, lambda value: ObjectId(value[1]))
    _, refused = write_parts(sample_documents(target.dataset), parts, operation, growths)
    return {item_id: reason for (item_id, _, _), reason in refused}


def _with_value(target: Target, name: str) -> Iterator[tuple[str, str]]:
    """The ids of the items of the dataset that have a value, and of their samples."""
    item_id, path = target.path("_id"), target.path(name)
    stages: list[dict[str, object]] = [{"$match": {path: {"$ne": None}}}, {"$project": {item_id: True, path: True}}]
    if target.is_patches:
        stages += [{"$unwind": f"${target.labels_path}"}, {"$match": {path: {"$ne": None}}}]
    stages.append({"$project": {"item": f"${item_id}"}})
    for row in sample_documents(target.dataset).aggregate(stages):
        yield str(row["item"]), str(row["_id"])
