"""Reads and writes the detections of images, and what is recorded beside them, in the database."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne

from ..core.detection.pipeline import Found
from ..core.encoder.reading import Item, file_state
from ..storage.internals import aggregate, has_unsaved, sample_documents, samples_in_memory
from ..storage.schema import ForeignFieldError, StoredSchema, declare, stored_field
from ..storage.targets import Target, check_field_name
from ..storage.updates import bulk_write, now, refresh_samples
from .merging import Merged, merge_boxes
from .provenance import Provenance, read_provenance

DESCRIPTIONS = {
    "detected": "what the detector wrote: id, box and class of each detection; written by CCIP",
    "source": "state of the file in which characters were detected; written by CCIP",
    "error": "why there are no detections of CCIP",
}
"""The description of each field beside the detections, by the end of its name."""

BLOCK = 100
"""Number of samples that are read at once."""

_ATTEMPTS = 10  # where people edit the same image at the same moment
_KINDS: Mapping[str, type[fo.Field]] = {"detected": fo.ListField, "source": fo.StringField, "error": fo.StringField}
_ID_SIZE = 12
_UNSAVED = "its boxes have changes in this process that are not saved: save() the sample first"
_EDITED = "its boxes were edited again and again meanwhile"


class Ids:
    """A compact list of sample ids: 12 bytes each."""

    def __init__(self, ids: Iterable[ObjectId] = ()):
        self._bytes = bytearray().join(each.binary for each in ids)

    def __len__(self) -> int:
        return len(self._bytes) // _ID_SIZE

    def __iter__(self) -> Iterator[ObjectId]:
        return (ObjectId(bytes(self._bytes[at : at + _ID_SIZE])) for at in range(0, len(self._bytes), _ID_SIZE))

    def blocks(self) -> Iterator[list[ObjectId]]:
        """Yields :data:`BLOCK` ids at a time."""
        for at in range(0, len(self._bytes), BLOCK * _ID_SIZE):
            part = bytes(self._bytes[at : at + BLOCK * _ID_SIZE])
            yield [ObjectId(part[start : start + _ID_SIZE]) for start in range(0, len(part), _ID_SIZE)]


@dataclass
class Written:
    """What was written for some images.

    Attributes:
        merged: what became of the boxes of each image
        refused: why nothing could be written, by the id of an image
        n_gone: number of images that were deleted meanwhile
    """

    merged: list[Merged]
    refused: dict[str, str]
    n_gone: int = 0


class DetectionStore:
    """The detections of the images of a target.

    Args:
        target: the images
        field: the field for the detections

    Raises:
        TargetError: the name is not a valid field name
    """

    def __init__(self, target: Target, field: str):
        check_field_name(field)
        self.target, self.field = target, field
        self._names = {end: f"{field}_{end}" for end in DESCRIPTIONS}

    @property
    def provenance(self) -> Provenance | None:
        """The provenance of the detections, read from the database."""
        return read_provenance(self.target.dataset, self.field)

    @property
    def error_field(self) -> str:
        """The field with the reasons of failures."""
        return self._names["error"]

    def check(self) -> None:
        """Checks whether the fields can be declared and written, and changes nothing.

        Raises:
            FieldTypeError: a field of that name has another type
            FieldReadOnlyError: a field is read-only
            ForeignFieldError: a field beside the detections has values of another tool
        """
        schema = StoredSchema(self.target.dataset)
        schema.check_writable(self.field)
        schema.check_type(self.field, fo.EmbeddedDocumentField, fo.Detections)
        for end, name in self._names.items():
            declaration = schema.field(name)
            if declaration is None:
                continue
            if declaration.get("description") != DESCRIPTIONS[end] and (n := self._count({name: {"$ne": None}})):
                raise ForeignFieldError(name, n, "rename it with rename_sample_field, or choose another field")
            schema.check_writable(name)
            schema.check_type(name, _KINDS[end])

    def declare(self) -> None:
        """Declares the fields."""
        dataset = self.target.dataset
        declare(dataset, self.field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
        for end, name in self._names.items():
            options = {"subfield": fo.DictField} if end == "detected" else {}
            declare(dataset, name, _KINDS[end], description=DESCRIPTIONS[end], **options)

    # -- reading

    def ids(self) -> Ids:
        """All images."""
        return Ids(row["_id"] for row in self._rows({}))

    def todo(self, *, verify: bool) -> Ids:
        """The images that are not done, or failed.

        Args:
            verify: whether images whose file has changed are not done
        """
        columns = {
            "filepath": True,
            "source": f"${self._names['source']}",
            "error": f"${self._names['error']}",
            "has_boxes": {"$gt": [f"${self.field}", None]},  # a missing value is less than null
        }
        return Ids(row["_id"] for row in self._rows(columns) if not _is_done(row, verify=verify))

    def n_done_elsewhere(self) -> int:
        """Number of images outside of the target that are done."""
        is_done = {self._names["source"]: {"$ne": None}}
        here = sum(row.get("source") is not None for row in self._rows({"source": f"${self._names['source']}"}))
        return self._count(is_done) - here

    def items(self, ids: Ids) -> Iterator[Item]:
        """Yields the images, read from the database when they are needed; skips deleted ones."""
        for block in ids.blocks():
            documents = self._samples.find({"_id": {"$in": block}}, ["filepath"])
            paths = {document["_id"]: document["filepath"] for document in documents}
            yield from (Item(each, paths[each]) for each in block if each in paths)

    # -- writing

    def forget(self, *, record: bool) -> None:
        """Makes all images of the dataset undone.

        Args:
            record: whether to forget what the detector wrote as well, so that all boxes are a person's
        """
        names = [self._names["source"], *([self._names["detected"], self._names["error"]] if record else [])]
        is_set = {"$or": [{name: {"$ne": None}} for name in names]}
        self._samples.update_many(is_set, {"$set": {**dict.fromkeys(names), "last_modified_at": now()}})
        refresh_samples(self.target, names)

    def write(self, results: Sequence[Found]) -> Written:
        """Writes detections and errors; an error leaves the boxes as they are. Deleted images are skipped."""
        written = Written([], {})
        documents = {document["_id"]: document for document in self._find([result.key for result in results])}
        in_memory, vector_names = dict(samples_in_memory(self.target.dataset)), self._vector_names()
        of_boxes, of_errors = list[str](), list[str]()
        for result in results:
            key = str(result.key)
            sample = in_memory.get(key)
            if result.key not in documents:
                written.n_gone += 1
            elif result.error is not None:
                self._update(result.key, {}, {self.error_field: result.error})
                of_errors.append(key)
            elif sample is not None and self.field in sample.field_names and has_unsaved(sample, self.field):
                written.refused[key] = _UNSAVED
            else:
                self._write_boxes(result, documents[result.key], vector_names, written)
                of_boxes.append(key)
        for key, reason in written.refused.items():
            self._update(ObjectId(key), {}, {self.error_field: reason})
        refresh_samples(self.target, [self.field, *self._names.values()], sample_ids=of_boxes)
        refresh_samples(self.target, [self.error_field], sample_ids=[*of_errors, *written.refused])
        return written

    def _write_boxes(
        self, result: Found, document: Mapping[str, Any] | None, vector_names: Sequence[str], written: Written
    ) -> None:
        """Merges the boxes of one image; again when they were changed at the same moment."""
        detections = [_detection(box, result.size) for box in result.boxes]
        reason = _EDITED
        for _ in range(_ATTEMPTS):
            if document is None:
                written.n_gone += 1
                return
            label = document.get(self.field)
            merged = merge_boxes(
                list((label or {}).get("detections") or ()),
                None if label is None else document.get(self._names["detected"]),  # cleared: as a new image
                detections,
                vector_names=vector_names,
            )
            values = {
                self.field: {**(label or _EMPTY), "detections": merged.documents},
                self._names["detected"]: merged.record,
                self._names["source"]: result.source,
                self._names["error"]: None,
            }
            n_matched, failed = self._update(result.key, {self.field: label}, values)
            if failed:
                reason = failed[0][1]
                break
            if n_matched:
                written.merged.append(merged)
                return
            document = next(iter(self._find([result.key])), None)
        written.refused[str(result.key)] = reason

    # -- documents

    @property
    def _samples(self) -> Any:
        return sample_documents(self.target.dataset)

    def _vector_names(self) -> list[str]:
        """The attributes of detections that hold vectors."""
        boxes = replace(self.target, patches_field=self.field)
        declaration = stored_field(self.target.dataset, boxes.labels_path) or {}
        kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in (fo.VectorField, fo.ArrayField)}
        return [each["name"] for each in declaration.get("fields") or () if each.get("ftype") in kinds]

    def _rows(self, columns: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        return aggregate(self.target.view, [{"$project": {"_id": True, **columns}}], batch_size=500)

    def _count(self, query: Mapping[str, Any]) -> int:
        return int(self._samples.count_documents(query))

    def _find(self, sample_ids: Sequence[ObjectId]) -> Iterable[Mapping[str, Any]]:
        documents: Iterable[Mapping[str, Any]] = self._samples.find(
            {"_id": {"$in": list(sample_ids)}}, [self.field, self._names["detected"]]
        )
        return documents

    def _update(
        self, key: ObjectId, expected: Mapping[str, Any], values: Mapping[str, Any]
    ) -> tuple[int, dict[int, tuple[int, str]]]:
        """Changes a sample whose values are as expected; returns how many there were, and a failure."""
        change = {"$set": {**values, "last_modified_at": now()}}
        return bulk_write(self._samples, [UpdateOne({"_id": key, **expected}, change)])


_EMPTY = {"_cls": "Detections"}


def _detection(box: Any, size: tuple[int, int]) -> dict[str, Any]:
    detection = fo.Detection(label=box.label, bounding_box=box.relative(*size), confidence=box.score)
    return dict(detection.to_mongo())


def _is_done(row: Mapping[str, Any], *, verify: bool) -> bool:
    if row.get("source") is None or row.get("error") is not None or not row["has_boxes"]:
        return False
    return not verify or row["source"] == _file_state(row["filepath"])


def _file_state(filepath: str) -> str | None:
    try:
        return file_state(os.stat(filepath))  # noqa: PTH116 - the name may be invalid
    except (OSError, ValueError):
        return None
