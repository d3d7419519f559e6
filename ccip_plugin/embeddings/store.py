"""Reads and writes the embeddings of items in the database, by id."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import fiftyone as fo
from bson import ObjectId
from pymongo import UpdateOne

from ..core.encoder.reading import Extracted, Item
from ..storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD, SOURCE_FIELD
from ..storage.internals import aggregate, sample_documents
from ..storage.schema import check_type, check_writable, declare, stored_field
from ..storage.targets import Target, check_field_name
from ..storage.updates import Part, n_bytes, now, parts_of, refresh_samples, update_labels, write_parts
from .provenance import Provenance, read_provenance

logger = logging.getLogger(__name__)

CHUNK = 500

BLOCK = 100
"""Number of samples that are read at once to be embedded."""

_VECTOR = fo.VectorField()
_ID_SIZE = 12


class Key(NamedTuple):
    """An item: a sample, or a detection in it."""

    sample_id: ObjectId
    label_id: ObjectId | None = None

    @property
    def item_id(self) -> str:
        """The id of the sample or detection as a string."""
        return str(self.label_id or self.sample_id)


class Keys:
    """A compact list of keys: 12 bytes for each id."""

    def __init__(self, keys: Iterable[Key] = ()):
        self._samples, self._labels = bytearray(), bytearray()
        for key in keys:
            self.append(key)

    def append(self, key: Key) -> None:
        """Appends a key; either all keys have a ``label_id``, or none has."""
        self._samples += key.sample_id.binary
        if key.label_id is not None:
            self._labels += key.label_id.binary

    def __len__(self) -> int:
        return len(self._samples) // _ID_SIZE

    def blocks(self) -> list[tuple[int, int]]:
        """The first and last place (exclusive) of blocks of about 100 keys; those of one sample are in one block."""
        starts = [0]
        for start in range(BLOCK, len(self), BLOCK):
            while start < len(self) and self._sample(start) == self._sample(start - 1):
                start += 1
            if starts[-1] < start < len(self):
                starts.append(start)
        return list(itertools.pairwise([*starts, len(self)])) if len(self) else []

    def part(self, start: int, stop: int) -> list[Key]:
        """The keys from one place to another (exclusive)."""
        return [self[place] for place in range(start, stop)]

    def _sample(self, index: int) -> bytes:
        return bytes(self._samples[index * _ID_SIZE : (index + 1) * _ID_SIZE])

    def __getitem__(self, index: int) -> Key:
        place = slice(index * _ID_SIZE, (index + 1) * _ID_SIZE)
        return Key(*(ObjectId(bytes(ids[place])) for ids in (self._samples, self._labels) if ids))

    def __iter__(self) -> Iterator[Key]:
        return map(self.__getitem__, range(len(self)))


class Coverage(NamedTuple):
    """Number of items with and without embedding.

    Attributes:
        n_total: number of items
        n_missing: number of items without embedding
        n_failed: number of items without embedding and with a recorded error
    """

    n_total: int
    n_missing: int
    n_failed: int


DESCRIPTIONS = "CCIP embedding", "why there is no CCIP embedding", "state of the embedded file"
"""The descriptions of the fields with embeddings, with errors, and with the state of the files."""


class Stored(NamedTuple):
    """The stored values of an item without its vector; ``box`` is the bounding box of a detection."""

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
        TargetError: the name is not a valid field name
    """

    def __init__(self, target: Target, embeddings_field: str = EMBEDDINGS_FIELD):
        check_field_name(embeddings_field)
        self.target, self.embeddings_field = target, embeddings_field
        is_default = embeddings_field == EMBEDDINGS_FIELD
        # an error is about the file, so all fields share it; each field has its own record of the embedded file state
        self._source_field = SOURCE_FIELD if is_default else f"{embeddings_field}_source"

    @property
    def path(self) -> str:
        """The full path of the embeddings, also the name of the lease."""
        return self.target.path(self.embeddings_field)

    @property
    def provenance(self) -> Provenance | None:
        """The provenance of the embeddings, read from the database."""
        return read_provenance(self.target.dataset, self.path)

    def declare(self) -> None:
        """Declares the fields: the App shows undeclared vectors as bytes, and filters by declared fields only.

        Raises:
            FieldTypeError: a field of that name has another type
            FieldReadOnlyError: the field is read-only
        """
        for path, kind, description in self._fields():
            declare(self.target.dataset, path, kind, description=description)

    def check(self) -> None:
        """Checks whether the fields can be declared and written, and changes nothing.

        Raises:
            FieldTypeError: a field of that name has another type
            FieldReadOnlyError: the field is read-only
        """
        for path, kind, _ in self._fields():
            check_writable(self.target.dataset, path)
            if stored_field(self.target.dataset, path) is not None:
                check_type(self.target.dataset, path, kind)

    def _fields(self) -> list[tuple[str, type[fo.Field], str]]:
        """The path, type and description of each field."""
        paths = self.path, self.target.path(ERROR_FIELD), self.target.path(self._source_field)
        kinds = fo.VectorField, fo.StringField, fo.StringField
        return list(zip(paths, kinds, DESCRIPTIONS, strict=True))

    # -- reading

    def coverage(self, *, everywhere: bool = False) -> Coverage:
        """Counts the items with and without embedding, without reading vectors.

        Args:
            everywhere (False): whether to count in the whole dataset, not only in the target
        """
        has_vector, has_error = self._has(self.embeddings_field), self._has(ERROR_FIELD)
        counts = {
            "n_total": {"$sum": 1},
            "n_missing": {"$sum": {"$cond": [has_vector, 0, 1]}},
            "n_failed": {"$sum": {"$cond": [{"$and": [has_error, {"$not": has_vector}]}, 1, 0]}},
        }
        group = [{"$group": {"_id": None, **counts}}]
        rows = list(self._aggregate(self.embeddings_field, ERROR_FIELD, then=group, everywhere=everywhere))
        return Coverage(*(rows[0][name] for name in Coverage._fields)) if rows else Coverage(0, 0, 0)

    def n_vectors_elsewhere(self) -> int:
        """Number of embeddings of the field outside the target."""
        if self.target.is_whole:
            return 0
        in_target = {key for key, _ in self._with_vectors({})}
        return sum(key not in in_target for key, _ in self._with_vectors({}, everywhere=True))

    def missing(self) -> Keys:
        """The items without embedding."""
        then = [{"$match": {self.path: None}}, {"$project": self._key_columns()}]
        return Keys(map(_key, self._aggregate(self.embeddings_field, then=then)))

    def embedded(self, keys: Iterable[Key]) -> set[Key]:
        """Those of some items that have an embedding; reads their samples only."""
        then = [{"$match": {self.path: {"$ne": None}}}, {"$project": self._key_columns()}]
        sample_ids = list({key.sample_id for key in keys})
        return set(map(_key, self._aggregate(self.embeddings_field, then=then, sample_ids=sample_ids)))

    def keys(self) -> Keys:
        """All items."""
        return Keys(map(_key, self._aggregate(then=[{"$project": self._key_columns()}])))

    def scan(self) -> Iterator[Stored]:
        """Yields the stored values of each item, without its vector."""
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
        """Yields the existing embeddings as they are stored.

        Args:
            everywhere (False): whether to read the whole dataset, not only the target
        """
        return self._with_vectors({"vector": f"${self.path}"}, everywhere=everywhere)

    def items(self, keys: Iterable[Key]) -> Iterator[Item]:
        """Yields the images and crops to embed, read from the database when they are needed; skips deleted items.

        Args:
            keys: the items; detections of one sample must be adjacent

        Yields:
            an item for each sample, with the keys of ``keys``
        """
        of_samples = itertools.groupby(keys, key=lambda key: key.sample_id)
        while chunk := {sample_id: list(group) for sample_id, group in itertools.islice(of_samples, BLOCK)}:
            documents = {document["_id"]: document for document in self._find(chunk)}
            for sample_id, keys_of_sample in chunk.items():
                if sample_id in documents and (item := self._item(documents[sample_id], keys_of_sample)):
                    yield item

    # -- writing

    def write(self, results: Sequence[Extracted]) -> dict[Key, str]:
        """Writes embeddings and errors; deleted items are skipped.

        An error removes the embedding, which would not be of the current file. If the file could not be opened, the
        embedding is kept, as there is no newer content.

        Args:
            results: results with a :class:`Key` as their key

        Returns:
            why embeddings cannot be written, such as that their sample is full
        """
        refused = {result.key: reason for result, reason in self._write(results)}
        if refused and self._write([Extracted(key, error=reason) for key, reason in refused.items()]):
            logger.warning("%s: there is no room for %s of some detections", self.path, ERROR_FIELD)
        self._refresh(str(result.key.sample_id) for result in results)
        return refused

    def clear(self) -> None:
        """Sets all embeddings of the field, their errors and file states to None, in the whole dataset."""
        names = (self.embeddings_field, ERROR_FIELD, self._source_field)
        change: dict[str, Any] = {"$set": {"last_modified_at": now()}}
        if self.target.is_patches:
            is_set = {"$or": [{name: {"$ne": None}} for name in names]}
            query: dict[str, Any] = {self.target.labels_path: {"$elemMatch": is_set}}
            filters = [{"$or": [{f"label.{name}": {"$ne": None}} for name in names]}]
            change["$set"] |= {f"{self.target.labels_path}.$[label].{name}": None for name in names}
        else:
            query, filters = {"$or": [{name: {"$ne": None}} for name in names]}, None
            change["$set"] |= dict.fromkeys(names)
        self._samples.update_many(query, change, array_filters=filters)
        self._refresh(None)

    # -- documents

    @property
    def _samples(self) -> Any:
        return sample_documents(self.target.dataset)

    def _with_vectors(self, columns: dict[str, Any], *, everywhere: bool = False) -> Iterator[tuple[Key, Any]]:
        then = [{"$match": {self.path: {"$ne": None}}}, {"$project": {**self._key_columns(), **columns}}]
        for row in self._aggregate(self.embeddings_field, then=then, everywhere=everywhere):
            yield _key(row), row.get("vector")

    def _aggregate(
        self,
        *names: str,
        then: list[dict[str, Any]],
        everywhere: bool = False,
        sample_ids: Sequence[ObjectId] | None = None,
    ) -> Iterable[dict[str, Any]]:
        """Runs an aggregation pipeline over the items, one document each, with the named attributes.

        Args:
            names: the attributes
            then: the stages
            everywhere (False): whether over the whole dataset, not only the target
            sample_ids (None): over all items of these samples instead
        """
        stages: list[dict[str, Any]]
        stages = [{"$project": {"filepath": True, **{self.target.path(name): True for name in ("_id", *names)}}}]
        if self.target.is_patches:
            stages.append({"$unwind": f"${self.target.labels_path}"})
            stages.append({"$match": {self.target.path("_id"): {"$type": "objectId"}}})  # else it cannot be written to
        if sample_ids is not None:
            stages.insert(0, {"$match": {"_id": {"$in": list(sample_ids)}}})
        if everywhere or sample_ids is not None:  # the view of a grouped dataset has one slice only
            rows: Iterable[dict[str, Any]] = self._samples.aggregate(stages + then, allowDiskUse=True)
            return rows
        return aggregate(self.target.view, stages + then, batch_size=CHUNK)

    def _key_columns(self) -> dict[str, Any]:
        return {"_id": True, "label_id": f"${self.target.labels_path}._id"} if self.target.is_patches else {"_id": True}

    def _has(self, name: str) -> dict[str, Any]:
        return {"$gt": [f"${self.target.path(name)}", None]}  # a missing value is less than null

    def _find(self, sample_ids: Iterable[ObjectId]) -> Iterable[Mapping[str, Any]]:
        columns = ["filepath"]
        if self.target.is_patches:
            columns += [f"{self.target.labels_path}.{name}" for name in ("_id", "bounding_box")]
        documents: Iterable[Mapping[str, Any]] = self._samples.find({"_id": {"$in": list(sample_ids)}}, columns)
        return documents

    def _item(self, document: Mapping[str, Any], keys: Sequence[Key]) -> Item | None:
        if self.target.patches_field is None:
            return Item(keys[0], document["filepath"])
        labels = (document.get(self.target.patches_field) or {}).get("detections") or ()
        box_by_id = {label["_id"]: label.get("bounding_box") for label in labels}
        boxes = {key: box_by_id[key.label_id] for key in keys if key.label_id in box_by_id}
        return Item(keys[0].sample_id, document["filepath"], boxes) if boxes else None

    def _write(self, results: Sequence[Extracted]) -> list[tuple[Extracted, str]]:
        """Writes results; returns those that there is no room for, with the reason."""
        parts = parts_of(results, lambda result: result.key.sample_id)
        return write_parts(self._samples, parts, self._operation, self._growths)[1]

    def _operation(self, part: Part[Extracted]) -> UpdateOne:
        if self.target.is_patches:
            values = {result.key.label_id: self._values(result) for result in part.items}
            return update_labels(part.sample_id, str(self.target.labels_path), values)
        return UpdateOne({"_id": part.sample_id}, {"$set": {"last_modified_at": now(), **self._values(part.items[0])}})

    def _values(self, result: Extracted) -> dict[str, Any]:
        values = {ERROR_FIELD: result.error}
        if result.error is None or result.source is not None:
            values |= {self.embeddings_field: _VECTOR.to_mongo(result.vector), self._source_field: result.source}
        return values

    def _growths(self, part: Part[Extracted]) -> list[int]:
        """The bytes that a sample grows by with each result; what it replaces counts as well."""
        names = (self.embeddings_field, ERROR_FIELD, self._source_field)
        sizes = {"$bsonSize": {name: f"${self.target.path(name)}" for name in names}}
        then = [{"$project": {**self._key_columns(), "size": sizes}}]
        before = {_key(row): row["size"] for row in self._aggregate(*names, then=then, sample_ids=[part.sample_id])}
        return [n_bytes(self._values(result)) - before.get(result.key, 0) for result in part.items]

    def _refresh(self, sample_ids: Iterable[str] | None) -> None:
        """Updates sample objects in memory with the written values; unsaved values are kept."""
        names = (self.embeddings_field, ERROR_FIELD, self._source_field)
        refresh_samples(self.target, names, sample_ids=sample_ids)


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["_id"], row.get("label_id"))
