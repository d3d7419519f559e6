"""Reads and declares fields in the database, bypassing schemas in memory that may be outdated."""

from collections.abc import Mapping, Sequence
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from .internals import dataset_document, reload_schema
from .lease import lease

_LEASE = "schema"


class DatasetGoneError(CCIPError):
    """The dataset was deleted."""

    def __init__(self, name: str):
        super().__init__(f"the dataset {name!r} was deleted")
        self.name = name


class FieldTypeError(CCIPError, TypeError):
    """A field that is needed exists with another type."""

    def __init__(self, path: str, field: object, expected: str):
        super().__init__(f"the field {path!r} holds {field}, not {expected}; choose another field name")
        self.path = path


class FieldReadOnlyError(CCIPError, ValueError):
    """A field to be written, or a field that contains it, is read-only."""

    def __init__(self, path: str):
        super().__init__(
            f"the field {path!r} is read-only. Choose another field, or allow writing: "
            f"field = dataset.get_field({path!r}); field.read_only = False; field.save()"
        )
        self.path = path


class ForeignFieldError(CCIPError, ValueError):
    """A field to be written has values that this plugin did not write."""

    mentions = ("group_field",)

    def __init__(self, path: str, n_values: int, remedy: str):
        super().__init__(f"the field {path!r} has {n_values:,} values that this plugin did not write; {remedy}")
        self.path = path


def stored_field(dataset: fo.Dataset, path: str) -> Mapping[str, Any] | None:
    """Reads the declaration of a field from the database.

    Args:
        dataset: the dataset
        path: the full path of the field

    Returns:
        the stored declaration, with ``info`` and other properties; None when the field is not declared

    Raises:
        DatasetGoneError: the dataset was deleted
    """
    declarations = _declarations_along(dataset, path)
    return declarations[-1] if len(declarations) == len(path.split(".")) else None


def _declarations_along(dataset: fo.Dataset, path: str) -> list[Mapping[str, Any]]:
    """The declarations of a field and of the fields that contain it, outermost first; ends at an undeclared one."""
    document = dataset_document(dataset, "sample_fields")
    if document is None:
        raise DatasetGoneError(dataset.name)
    fields: Sequence[Mapping[str, Any]] = document["sample_fields"]
    declarations: list[Mapping[str, Any]] = []
    for name in path.split("."):
        declaration = next((field for field in fields if field["name"] == name), None)
        if declaration is None:
            break
        declarations.append(declaration)
        fields = declaration.get("fields") or ()
    return declarations


def check_writable(dataset: fo.Dataset, path: str) -> None:
    """Checks that neither a field nor a field that contains it is read-only. Undeclared fields pass.

    Raises:
        FieldReadOnlyError: one of them is read-only
    """
    names = path.split(".")
    for depth, field in enumerate(_declarations_along(dataset, path), start=1):
        if field.get("read_only"):
            raise FieldReadOnlyError(".".join(names[:depth]))


def declare(dataset: fo.Dataset, path: str, kind: type[fo.Field], **options: Any) -> None:
    """Declares a field, unless it is declared.

    A dataset object with an outdated schema would declare the field again, which erases its ``info``, or would drop a
    field that another process declares at the same moment. So the stored schema decides, and a lease lets only one
    process declare at a time.

    Args:
        dataset: the dataset
        path: the full path of the field
        kind: its type
        options: other arguments of ``add_sample_field``

    Raises:
        FieldReadOnlyError: the field, or one that contains it, is read-only
        FieldTypeError: the field exists with another type
    """
    check_writable(dataset, path)
    if stored_field(dataset, path) is None:
        with lease(dataset, _LEASE):
            refresh_field(dataset, path)
            dataset.add_sample_field(path, kind, **options)
    check_type(dataset, path, kind, options.get("embedded_doc_type"))


def check_type(dataset: fo.Dataset, path: str, kind: type[fo.Field], document_type: type | None = None) -> None:
    """Checks the type of a field. An undeclared field passes.

    Raises:
        FieldTypeError: the field has another type
    """
    refresh_field(dataset, path)
    field = dataset.get_field(path)
    if field is None:
        return
    if type(field) is not kind or (document_type is not None and field.document_type is not document_type):
        raise FieldTypeError(path, field, (document_type or kind).__name__)


def refresh_field(dataset: fo.Dataset, path: str) -> None:
    """Updates a dataset object when another process declared or deleted a field. Samples in memory stay as they are."""
    if (stored_field(dataset, path) is None) != (dataset.get_field(path) is None):
        reload_schema(dataset)
