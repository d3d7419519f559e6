"""Reads and writes character groups in the fields of samples or detections."""

import datetime
import logging
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import fiftyone as fo
from bson import ObjectId
from fiftyone import ViewField as F
from pymongo import UpdateOne
from pymongo.collection import Collection

from ..core.identity.ids import Ids, ids_from
from ..core.identity.state import LabelTable
from ..storage.fields import STATUS_AUTO, STATUS_IGNORED, STATUSES
from ..storage.internals import aggregate, sample_documents
from ..storage.schema import ForeignFieldError, StoredSchema
from ..storage.targets import CHUNK, Target, TargetError, all_images, batched, check_field_name
from ..storage.updates import bulk_write, refresh_samples
from .decisions.field import check_field, decisions_field, is_declared
from .identities import registry_revision
from .tables import GroupLabel, TableBuilder, sizes_of_names, values_of
from .writer import Change, Raw, Stored, Written, write

logger = logging.getLogger(__name__)

_NAMES = tuple(field.name for field in fields(GroupLabel))
TYPES = {
    "label": fo.StringField,
    "group_id": fo.IntField,
    "status": fo.StringField,
    "confidence": fo.FloatField,
    "difference": fo.FloatField,
    "margin": fo.FloatField,
    "assigned": fo.StringField,
    "rescued": fo.BooleanField,
    "source": fo.StringField,
}
"""The types of the fields of a label."""

ROLLUP = "the names of the character groups of the detections"
"""The description of the field that lists the names in the detections of a sample."""

_OF_DETECTORS = frozenset(fo.Detection().field_names)


class LabelStore:
    """The character groups of the items of a target.

    On samples a group is a ``fiftyone.Classification``. On detections it is a set of attributes beside the ones of the
    detector, which are never touched, and a list of names on the sample that is derived from them.

    Args:
        target: the items
        group_field: the field (on detections: the attribute) with the name of the group

    Raises:
        TargetError: no field can have that name
    """

    def __init__(self, target: Target, group_field: str):
        check_field_name(group_field)
        self.target, self.group_field = target, group_field
        prefix = group_field.removesuffix("_group")
        self._twin = prefix if prefix != group_field else f"{prefix}_group"
        self._attributes = {
            "label": group_field,
            "group_id": f"{group_field}_id",
            **{
                name: f"{prefix}_{name}"
                for name in ("status", "confidence", "difference", "margin", "assigned", "rescued", "source")
            },
        }

    @property
    def path(self) -> str:
        """The full path of the field; it names the lease, the journal and the registry."""
        return self.target.path(self.group_field)

    @property
    def rollup_field(self) -> str | None:
        """The field of samples that lists the names in its detections, None when the items are samples."""
        return f"{self.target.patches_field}_characters" if self.target.is_patches else None

    @property
    def decisions_field(self) -> str | None:
        """The field of samples that lists what users decided about its detections, None when the items are samples."""
        return decisions_field(f"{self.target.patches_field}") if self.target.is_patches else None

    @property
    def helper_attributes(self) -> list[str]:
        """The attributes of detections that complement the name of the group."""
        return [name for name in self._attributes.values() if name != self.group_field]

    def helper_paths(self) -> list[str]:
        """The paths of all fields that hold nothing but what this plugin writes beside a name."""
        if not self.target.is_patches:
            own = set(_NAMES) - set(fo.Classification().field_names)
            return [self.attribute_path(name) for name in _NAMES if name in own]
        return [path for path in self.own_fields() if path != self.path]

    def own_fields(self) -> list[str]:
        """The paths of all fields that hold groups and nothing else."""
        if not self.target.is_patches:
            return [self.group_field]
        return [*map(self.target.path, self._attributes.values()), f"{self.rollup_field}", f"{self.decisions_field}"]

    def attribute_path(self, name: str) -> str:
        """The full path of one of our values, e.g. of ``difference``."""
        if self.target.is_patches:
            return self.target.path(self._attributes[name])
        return f"{self.group_field}.{name}"

    @property
    def indexed_paths(self) -> list[str]:
        """The paths of the values by which groups are found and the App sorts."""
        return [self.attribute_path(name) for name in ("label", "group_id", "confidence", "margin")]

    def declare(self) -> None:
        """Declares every attribute on the dataset, as the App's sidebar needs to filter by it.

        Raises:
            CCIPError: as :meth:`check` does
        """
        schema = self.check()
        if not self.target.is_patches:
            schema.declare(self.group_field, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
        for name in _NAMES:
            schema.declare(self.attribute_path(name), TYPES[name])
        if self.rollup_field is not None:
            schema.declare(self.rollup_field, fo.ListField, subfield=fo.StringField, description=ROLLUP)

    def check(self) -> StoredSchema:
        """Checks that nothing else is in the fields, so that groups can be written there later; returns what it read.

        Raises:
            FieldTypeError: a field of that name holds something else
            FieldReadOnlyError: a field is read-only
            ForeignFieldError: a field beside that of the names has values of another tool
            TargetError: the attribute is the detector's, or another field with groups has the same ones
        """
        dataset = self.target.dataset
        if self.target.is_patches and self.group_field in _OF_DETECTORS:
            raise TargetError(f"{self.group_field!r} is the detector's, and stays as it is: choose another group_field")
        twin = self.target.path(self._twin)
        if self.target.is_patches and registry_revision(dataset, twin):
            raise TargetError(
                f"{self.path!r} and {twin!r}, which has groups, would share attributes: choose another group_field"
            )
        schema = StoredSchema(dataset)
        if not self.target.is_patches:
            schema.check_type(self.path, fo.EmbeddedDocumentField, fo.Classification)
        for name in _NAMES:
            schema.check_type(self.attribute_path(name), TYPES[name])
            schema.check_writable(self.attribute_path(name))
        if self.rollup_field is not None:
            schema.check_type(self.rollup_field, fo.ListField)
            schema.check_writable(self.rollup_field)
            check_field(dataset, f"{self.decisions_field}")
            if not self.is_declared():
                self._check_not_foreign(schema)
        return schema

    def _check_not_foreign(self, schema: StoredSchema) -> None:
        """Before the first run, values beside the names are from another tool; existing names are kept as labels."""
        is_no_name = {"$elemMatch": {self.group_field: {"$type": ["array", "object"]}}}
        n_others = self.documents.count_documents({self.target.labels_path: is_no_name})
        if n_others:
            raise ForeignFieldError(self.path, n_others, "choose another group_field")
        for name in self.helper_attributes:
            self._check_empty(self.target.path(name), "choose another group_field")
        rollup = schema.field(f"{self.rollup_field}")
        if rollup is not None and rollup.get("description") != ROLLUP:
            names = f"the names of the groups in {self.target.patches_field!r}"
            self._check_empty(f"{self.rollup_field}", f"{names} are listed there: rename it with rename_sample_field")

    def _check_empty(self, path: str, remedy: str) -> None:
        dataset = self.target.dataset
        n_values = all_images(dataset).count(path) if dataset.has_field(path) else 0
        if n_values:
            raise ForeignFieldError(path, n_values, remedy)

    def schema_attributes(self) -> list[dict[str, Any]]:
        """How the App's editor shows our attributes."""
        numbers = {"group_id": "int", "difference": "float", "margin": "float"}
        attributes: dict[str, dict[str, Any]] = {
            name: {"type": kind, "component": "text", "read_only": True} for name, kind in numbers.items()
        }
        attributes["rescued"] = {"type": "bool", "component": "toggle", "read_only": True}
        attributes["source"] = {"type": "str", "component": "text", "read_only": True}
        attributes["status"] = {"type": "str", "component": "radio", "values": list(STATUSES)}
        if self.target.is_patches:
            attributes["label"] = {"type": "str", "component": "text"}
            attributes["assigned"] = {"type": "str", "component": "text", "read_only": True}
            attributes["confidence"] = {"type": "float", "component": "text", "read_only": True}
        names = self._attributes if self.target.is_patches else {name: name for name in attributes}
        return [{"name": names[name], **attribute} for name, attribute in attributes.items()]

    def is_declared(self) -> bool:
        """Whether a run has declared the field before."""
        return self.target.dataset.get_field(self.attribute_path("assigned")) is not None

    def exists(self) -> bool:
        """Whether the field is there, of a run or of another tool."""
        return self.target.dataset.get_field(self.attribute_path("label")) is not None

    def group_sizes(self) -> dict[str, int]:
        """The names of all groups in the dataset with their numbers of items, the largest first."""
        path = self.attribute_path("label")
        is_named: Raw = {"$match": {path: {"$type": "string"}}}
        unwound = [{"$unwind": f"${self.target.labels_path}"}, is_named] if self.target.is_patches else []
        count = {"$group": {"_id": f"${path}", "n": {"$sum": 1}}}
        return sizes_of_names(
            {each["_id"]: each["n"] for each in self.documents.aggregate([is_named, *unwound, count])}
        )

    def read(self, target: Target | None = None) -> tuple[list[str], list[str], list[GroupLabel | None]]:
        """Reads the groups of the items, None where an item has none.

        Args:
            target (None): other items than the ones of this store

        Returns:
            the ids of the ``n`` items, the ids of their samples, and the ``n`` labels
        """
        target = target or self.target
        names = [self._attributes[name] if target.is_patches else f"{self.group_field}.{name}" for name in _NAMES]
        ids, sample_ids, columns = target.values(*names)
        rows = map(values_of, zip(*(columns[name] for name in names), strict=True))
        return ids, sample_ids, [GroupLabel(*row) if row[0] is not None else None for row in rows]

    def read_table(self, target: Target | None = None) -> LabelTable:
        """Reads the groups of the items into arrays, in one query.

        Args:
            target (None): other items than the ones of this store
        """
        builder = TableBuilder()
        for document in self._rows(target or self.target, _NAMES):
            values = [document.get(name) for name in _NAMES]
            builder.add(document["item_id"].binary, document["_id"].binary, values)
        return builder.build()

    def read_ids(self) -> Ids:
        """Reads the ids of the items."""
        return ids_from(b"".join(document["item_id"].binary for document in self._rows(self.target, ())))

    def _rows(self, target: Target, names: Iterable[str]) -> Iterator[Raw]:
        """A document for each item: ``item_id``, the id of its sample as ``_id``, and the named values.

        Detections that other software wrote without an id are left out, as nothing can be written to them alone.
        """
        n_without = 0
        for document in self._documents_of(target, names):
            if isinstance(document.get("item_id"), ObjectId):
                yield document
            else:
                n_without += 1
        if n_without:
            logger.warning("%s: %s detections have no id, and are left out", self.path, f"{n_without:,}")

    def _documents_of(self, target: Target, names: Iterable[str]) -> Iterable[Raw]:
        schema = target.dataset.get_field_schema(flat=True)
        paths = {name: self.attribute_path(name) for name in names if self.attribute_path(name) in schema}
        item_id = f"{target.labels_path}._id" if target.is_patches else "_id"
        stages: list[Raw] = [{"$project": dict.fromkeys(("_id", item_id, *paths.values()), True)}]
        if target.is_patches:
            stages.append({"$unwind": f"${target.labels_path}"})
        columns = {name: f"${path}" for name, path in {"item_id": item_id, **paths}.items()}
        return aggregate(target.view, [*stages, {"$project": columns}], batch_size=CHUNK)

    def user_label_expression(self) -> Any:
        """Whether a user decided a label, as an expression of the database on samples or detections.

        The same as :func:`~ccip_plugin.core.identity.state.is_user_label`.
        """
        is_patches = self.target.is_patches
        paths = (self.attribute_path(name) for name in ("status", "label", "assigned"))
        status, label, assigned = (F(path.rpartition(".")[2] if is_patches else path) for path in paths)
        is_there = label.exists() | (status == STATUS_IGNORED) | ~assigned.exists()  # else its text was deleted
        return (status.exists() & (status != STATUS_AUTO) & is_there) | (label.exists() & (label != assigned))

    def count_user_labels(self) -> int:
        """The number of user labels among the items, counted by the database."""
        target, expression = self.target, self.user_label_expression()
        if not target.is_patches:
            return int(target.view.match(expression).count())
        return int(target.view.filter_labels(target.patches_field, expression).count(target.labels_path))

    # -- what the journal keeps: the stored form, exactly as it is in the database

    def read_raw(self, ids: list[str], sample_ids: list[str]) -> dict[str, Raw | None]:
        """Reads the stored form of the labels of some items; an item that is gone is left out."""
        stored = self.read_stored(sample_ids)
        return {item_id: stored[item_id].raw for item_id in ids if item_id in stored}

    def read_stored(self, sample_ids: Iterable[str]) -> dict[str, Stored]:
        """Reads the stored form of the labels of all items of some samples, and where they are."""
        stored: dict[str, Stored] = {}
        for document in self._find(sample_ids):
            sample_id = str(document["_id"])
            if not self.target.is_patches:
                empty: Raw | None = {} if self.group_field in document else None
                stored[sample_id] = Stored(None, document.get(self.group_field) or empty, sample_id)
                continue
            for number, label in enumerate(_detections(document, self.target)):
                raw = {key: label[key] for key in self.keys if key in label}
                stored[str(label["_id"])] = Stored(f"{self.target.labels_path}.{number}", raw, sample_id)
        return stored

    def to_raw(self, label: GroupLabel | None, before: Raw | None) -> Raw | None:
        """The stored form of a label; what others keep in the same place stays."""
        if label is None:
            return {}
        if self.target.is_patches:
            values = {self._attributes[name]: getattr(label, name) for name in _NAMES}
            return {key: value for key, value in values.items() if value is not None}
        kept = before or {"_id": ObjectId(), "_cls": "Classification", "tags": []}
        names = [name for name in _NAMES if name != "source" or label.source is not None or name in kept]
        return {**kept, **{name: getattr(label, name) for name in names}}

    def from_raw(self, raw: Raw | None) -> GroupLabel | None:
        """The label of a stored form."""
        if not raw:
            return None
        names = self._attributes if self.target.is_patches else {}
        label = GroupLabel(*values_of([raw.get(names.get(name, name)) for name in _NAMES]))
        return label if label.label is not None else None

    def write_raw(self, changes: Iterable[Change], at: datetime.datetime) -> Written:
        """Writes stored forms, each only where the database still holds what is expected there.

        Args:
            changes: the id of an item, of its sample, what is expected and what to write
            at: the ``last_modified_at`` of the samples, in UTC

        Returns:
            what was written, and refused; the rest was changed by another process, or deleted
        """
        written = Written()
        for part in (write(self, chunk, at) for chunk in batched(changes)):
            written.n += part.n
            written.n_gone += part.n_gone
            written.refused |= part.refused
        return written

    def refresh(self) -> None:
        """Updates sample objects in memory; all that is unsaved stays, also in detections."""
        names = self.keys if self.target.is_patches else [self.group_field]
        name = self.decisions_field
        others = [name] if name is not None and is_declared(self.target.dataset, name) else []
        refresh_samples(self.target, names, rollup=self.rollup_field, others=others)

    def write_rollup(self, sample_ids: Iterable[str]) -> dict[str, str]:
        """Lists on each sample the names of the characters in its detections.

        Returns:
            the ids of the samples where there is no room for them, with the reason
        """
        refused: dict[str, str] = {}
        for chunk in batched(sorted(set(sample_ids)) if self.rollup_field is not None else ()):
            documents = list(self._find(chunk))
            _, failed = bulk_write(self.documents, [self._rollup_operation(document) for document in documents])
            refused |= {str(documents[number]["_id"]): reason for number, (_, reason) in failed.items()}
        return refused

    def _find(self, sample_ids: Iterable[str]) -> Iterable[Raw]:
        """The labels of some samples, or of their detections, as they are stored."""
        paths = [self.group_field]
        if self.target.is_patches:
            paths = [self.target.path(name) for name in ("_id", *self._attributes.values())]
        query = {"_id": {"$in": [ObjectId(sample_id) for sample_id in set(sample_ids)]}}
        documents: Iterable[Raw] = self.documents.find(query, paths)
        return documents

    @property
    def documents(self) -> Collection[Raw]:
        """The samples, as the database has them."""
        return sample_documents(self.target.dataset)

    @property
    def keys(self) -> list[str]:
        """The keys of our values in a detection."""
        return list(self._attributes.values())

    def _rollup_operation(self, document: Raw) -> UpdateOne:
        labels = [
            self.from_raw({key: label[key] for key in self.keys if key in label})
            for label in _detections(document, self.target)
        ]
        names = sorted({label.group_name for label in labels if label is not None and label.group_name})
        value = names if any(label is not None for label in labels) else None
        change = {"$unset": {self.rollup_field: ""}} if value is None else {"$set": {self.rollup_field: value}}
        return UpdateOne({"_id": document["_id"]}, change)


def _detections(document: Raw, target: Target) -> list[Raw]:
    return (document.get(target.patches_field or "") or {}).get("detections") or []
