"""Embeddings in the database: what is there, what is missing, and writing them by id."""

import datetime
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from ..core.encoder.reading import Extracted, Item
from ..storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD, SOURCE_FIELD
from ..storage.internals import aggregate, reload_fields, sample_documents, samples_in_memory
from ..storage.schema import declare
from ..storage.targets import Target, check_field_name
from .provenance import Provenance, read_provenance

logger = logging.getLogger(__name__)

CHUNK = 500
TOO_LARGE = (10334, 17419, 17420)  # MongoDB's codes for a document over 16 MB
TOO_LARGE_REASON = "no room: MongoDB allows 16 MB for a sample with all its detections"
_VECTOR = fo.VectorField()
_ID_SIZE = 12


class Key(NamedTuple):
    """An item: a sample, or a detection in it."""

    sample_id: ObjectId
    label_id: ObjectId | None = None

    @property
    def item_id(self) -> str:
        """The id that people know the item by."""
        return str(self.label_id or self.sample_id)


class Keys:
    """Many keys in little memory: 12 bytes for an id."""

    def __init__(self, keys: Iterable[Key] = ()):
        self._samples, self._labels = bytearray(), bytearray()
        for key in keys:
            self.append(key)

    def append(self, key: Key) -> None:
        """Adds a key; all have a ``label_id`` or none has."""
        self._samples += key.sample_id.binary
        if key.label_id is not None:
            self._labels += key.label_id.binary

    def __len__(self) -> int:
        return len(self._samples) // _ID_SIZE

    def __iter__(self) -> Iterator[Key]:
        for start in range(0, len(self._samples), _ID_SIZE):
            ids = (bytes(ids[start : start + _ID_SIZE]) for ids in (self._samples, self._labels) if ids)
            yield Key(*map(ObjectId, ids))


class Coverage(NamedTuple):
    """How many items have an embedding.

    Attributes:
        n_total: the items
        n_missing: those without embedding
        n_failed: those of them for which a reason is recorded
    """

    n_total: int
    n_missing: int
    n_failed: int


class Stored(NamedTuple):
    """What the database holds for an item; ``box`` is that of a detection."""

    key: Key
    filepath: str
    has_vector: bool
    error: str | None
    source: str | None
    box: Sequence[float] | None


class EmbeddingStore:
    """The embeddings of the items of a target.

    Args:
        target: the items
        embeddings_field: the field (on detections: the attribute) with the embeddings

    Raises:
        TargetError: no field can have that name
    """

    def __init__(self, target: Target, embeddings_field: str = EMBEDDINGS_FIELD):
        check_field_name(embeddings_field)
        self.target, self.embeddings_field = target, embeddings_field
        is_default = embeddings_field == EMBEDDINGS_FIELD
        # a failure is about the file, fields share it; which state of the file was embedded is a matter of each field
        self._source_field = SOURCE_FIELD if is_default else f"{embeddings_field}_source"

    @property
    def path(self) -> str:
        """The full path of the embeddings; it names the lease."""
        return self.target.path(self.embeddings_field)

    @property
    def provenance(self) -> Provenance | None:
        """Where the embeddings come from, as the database has it now."""
        return read_provenance(self.target.dataset, self.path)

    def declare(self) -> None:
        """Declares the fields: the App shows undeclared vectors as bytes, and filters by declared fields only.

        Raises:
            FieldTypeError: a field of that name holds something else
            FieldReadOnlyError: the field is read-only
        """
        dataset, target = self.target.dataset, self.target
        declare(dataset, self.path, fo.VectorField, description="CCIP embedding")
        declare(dataset, target.path(ERROR_FIELD), fo.StringField, description="why there is no CCIP embedding")
        declare(dataset, target.path(self._source_field), fo.StringField, description="the file as it was embedded")

    # -- reading

    def coverage(self, *, everywhere: bool = False) -> Coverage:
        """Counts the items with and without embedding; reads no vector.

        Args:
            everywhere (False): in the whole dataset, not in the target only
        """
        has_vector, has_error = self._has(self.embeddings_field), self._has(ERROR_FIELD)
        counts = {
            "n_total": {"$sum": 1},
            "n_missing": {"$sum": {"$cond": [has_vector, 0, 1]}},
            "n_failed": {"$sum": {"$cond": [{"$and": [has_error, {"$not": has_vector}]}, 1, 0]}},
        }
        group = [{"$group": {"_id": None, **counts}}]
        found = list(self._aggregate(self.embeddings_field, ERROR_FIELD, then=group, everywhere=everywhere))
        return Coverage(*(found[0][name] for name in Coverage._fields)) if found else Coverage(0, 0, 0)

    def n_vectors_elsewhere(self) -> int:
        """How many embeddings the field has outside of the target."""
        if self.target.is_whole:
            return 0
        here = {key for key, _ in self._with_vectors({})}
        return sum(key not in here for key, _ in self._with_vectors({}, everywhere=True))

    def missing(self) -> Keys:
        """The items without embedding."""
        then = [{"$match": {self.path: None}}, {"$project": self._key_columns()}]
        return Keys(map(_key, self._aggregate(self.embeddings_field, then=then)))

    def keys(self) -> Keys:
        """All items."""
        return Keys(map(_key, self._aggregate(then=[{"$project": self._key_columns()}])))

    def scan(self) -> Iterator[Stored]:
        """What the database holds for each item, without the vector."""
        columns = {
            **self._key_columns(),
            "filepath": True,
            "has_vector": self._has(self.embeddings_field),
            "error": f"${self.target.path(ERROR_FIELD)}",
            "source": f"${self.target.path(self._source_field)}",
        }
        names = [self.embeddings_field, ERROR_FIELD, self._source_field]
        if self.target.is_patches:
            columns["box"] = f"${self.target.path('bounding_box')}"
            names.append("bounding_box")
        for row in self._aggregate(*names, then=[{"$project": columns}]):
            values = (row.get(name) for name in ("error", "source", "box"))
            yield Stored(_key(row), row["filepath"], row["has_vector"], *values)

    def vectors(self, *, everywhere: bool = False) -> Iterator[tuple[Key, Any]]:
        """The embeddings that are there, as they are stored.

        Args:
            everywhere (False): in the whole dataset, not in the target only
        """
        return self._with_vectors({"vector": f"${self.path}"}, everywhere=everywhere)

    def items(self, keys: Iterable[Key]) -> Iterator[Item]:
        """What there is to embed, as the database has it when an item's turn comes; items that are gone are left out.

        Args:
            keys: the items; detections of one sample follow each other

        Yields:
            an item per sample, with the keys of ``keys``
        """
        of_samples = itertools.groupby(keys, key=lambda key: key.sample_id)
        while chunk := {sample_id: list(group) for sample_id, group in itertools.islice(of_samples, CHUNK)}:
            documents = {document["_id"]: document for document in self._find(chunk)}
            for sample_id, wanted in chunk.items():
                if sample_id in documents and (item := self._item(documents[sample_id], wanted)):
                    yield item

    # -- writing

    def write(self, results: Sequence[Extracted]) -> dict[Key, str]:
        """Writes embeddings and failures; what was deleted meanwhile is left alone.

        A failure takes away the embedding, which would not be that of the file. But where the file could not even be
        opened, there is nothing newer, and it stays.

        Args:
            results: with a :class:`Key` as their key

        Returns:
            the embeddings that the database had no room for, and why
        """
        refused = self._write(results)
        if refused:
            failures = [Extracted(results[index].key, error=TOO_LARGE_REASON) for index in refused]
            if self._write(failures):
                logger.warning("%s: no room for %s of some detections", self.path, ERROR_FIELD)
        self._refresh(str(result.key.sample_id) for result in results)
        return {results[index].key: TOO_LARGE_REASON for index in refused}

    def clear(self) -> None:
        """Sets all embeddings of the field to None, in the whole dataset, with their errors and sources."""
        names = (self.embeddings_field, ERROR_FIELD, self._source_field)
        change: dict[str, Any] = {"$set": {"last_modified_at": _now()}}
        if self.target.is_patches:
            is_set = {"$or": [{name: {"$ne": None}} for name in names]}
            query: dict[str, Any] = {self.target.labels_path: {"$elemMatch": is_set}}
            filters = [{"$or": [{f"label.{name}": {"$ne": None}} for name in names]}]
            change["$set"] |= {f"{self.target.labels_path}.$[label].{name}": None for name in names}
        else:
            query, filters = {"$or": [{name: {"$ne": None}} for name in names]}, None
            change["$set"] |= dict.fromkeys(names)
        self._samples.update_many(query, change, array_filters=filters)
        self._refresh(list(samples_in_memory(self.target.dataset)))

    # -- the shape of documents

    @property
    def _samples(self) -> Any:
        return sample_documents(self.target.dataset)

    def _with_vectors(self, columns: dict[str, Any], *, everywhere: bool = False) -> Iterator[tuple[Key, Any]]:
        then = [{"$match": {self.path: {"$ne": None}}}, {"$project": {**self._key_columns(), **columns}}]
        for row in self._aggregate(self.embeddings_field, then=then, everywhere=everywhere):
            yield _key(row), row.get("vector")

    def _aggregate(self, *names: str, then: list[dict[str, Any]], everywhere: bool = False) -> Iterable[dict[str, Any]]:
        """Runs stages over the items, one document each, with the named attributes."""
        stages: list[dict[str, Any]]
        stages = [{"$project": {"filepath": True, **{self.target.path(name): True for name in ("_id", *names)}}}]
        if self.target.is_patches:
            stages.append({"$unwind": f"${self.target.labels_path}"})
        if everywhere:  # not the view of a dataset of groups, which has one slice only
            documents: Iterable[dict[str, Any]] = self._samples.aggregate(stages + then, allowDiskUse=True)
            return documents
        return aggregate(self.target.view, stages + then)

    def _key_columns(self) -> dict[str, Any]:
        return {"_id": True, "label_id": f"${self.target.labels_path}._id"} if self.target.is_patches else {"_id": True}

    def _has(self, name: str) -> dict[str, Any]:
        return {"$gt": [f"${self.target.path(name)}", None]}  # a value that is not there is less than null

    def _find(self, sample_ids: Iterable[ObjectId]) -> Iterable[Mapping[str, Any]]:
        columns = ["filepath"]
        if self.target.is_patches:
            columns += [f"{self.target.labels_path}.{name}" for name in ("_id", "bounding_box")]
        documents: Iterable[Mapping[str, Any]] = self._samples.find({"_id": {"$in": list(sample_ids)}}, columns)
        return documents

    def _item(self, document: Mapping[str, Any], wanted: Sequence[Key]) -> Item | None:
        if self.target.patches_field is None:
            return Item(wanted[0], document["filepath"])
        labels = (document.get(self.target.patches_field) or {}).get("detections") or ()
        boxes = {label["_id"]: label.get("bounding_box") for label in labels}
        found = {key: boxes[key.label_id] for key in wanted if key.label_id in boxes}
        return Item(wanted[0].sample_id, document["filepath"], found) if found else None

    def _write(self, results: Sequence[Extracted]) -> list[int]:
        """Writes results; gives the numbers of those that the database had no room for."""
        if not results:
            return []
        now = _now()
        try:
            self._samples.bulk_write([self._operation(result, now) for result in results], ordered=False)
        except BulkWriteError as error:
            problems = error.details["writeErrors"]
            if any(problem["code"] not in TOO_LARGE for problem in problems):
                raise
            return [problem["index"] for problem in problems]
        return []

    def _operation(self, result: Extracted, now: datetime.datetime) -> UpdateOne:
        values = {ERROR_FIELD: result.error}
        if result.error is None or result.source is not None:
            values |= {self.embeddings_field: _VECTOR.to_mongo(result.vector), self._source_field: result.source}
        query: dict[str, Any] = {"_id": result.key.sample_id}
        place = ""
        if self.target.is_patches:
            query[f"{self.target.labels_path}._id"] = result.key.label_id
            place = f"{self.target.labels_path}.$."
        return UpdateOne(query, {"$set": {"last_modified_at": now, **{place + key: values[key] for key in values}}})

    def _refresh(self, sample_ids: Iterable[str]) -> None:
        """Lets sample objects in memory see what was written; what they have unsaved in other fields stays."""
        in_memory = samples_in_memory(self.target.dataset)
        own = (self.embeddings_field, ERROR_FIELD, self._source_field)
        names = (self.target.patches_field,) if self.target.is_patches else own
        for sample_id in set(sample_ids):
            if (sample := in_memory.get(sample_id)) is not None:
                reload_fields(sample, (*names, "last_modified_at"))


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["_id"], row.get("label_id"))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
