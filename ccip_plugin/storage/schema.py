"""Fields of a dataset as the database has them now, whatever a dataset object remembers."""

from collections.abc import Mapping
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from .internals import dataset_document, reload_schema
from .lease import lease

LEASE = "schema"


class DatasetGoneError(CCIPError):
    """The dataset was deleted."""

    def __init__(self, name: str):
        super().__init__(f"the dataset {name!r} was deleted")
        self.name = name


class FieldTypeError(CCIPError, TypeError):
    """A field of the name that is needed exists and holds something else."""

    def __init__(self, path: str, found: object, expected: str):
        super().__init__(f"the field {path!r} holds {found}, not {expected}; choose another field name")
        self.path = path


class FieldReadOnlyError(CCIPError, ValueError):
    """A field that has to be written, or one that it is in, is read-only."""

    def __init__(self, path: str):
        super().__init__(
            f"the field {path!r} is read-only, so nothing is written there; choose another field, or allow it: "
            f"field = dataset.get_field({path!r}); field.read_only = False; field.save()"
        )
        self.path = path


class ForeignFieldError(CCIPError, ValueError):
    """A field that this plugin would write has values of somebody else."""

    def __init__(self, path: str, n_values: int, remedy: str):
        super().__init__(f"the field {path!r} has {n_values:,} values that are not from this plugin; {remedy}")
        self.path = path


def stored_field(dataset: fo.Dataset, path: str) -> Mapping[str, Any] | None:
    """Reads the declaration of a field from the database.

    Args:
        dataset: the dataset
        path: the full path of the field

    Returns:
        the stored declaration, with ``info`` among others; None when the field is not declared

    Raises:
        DatasetGoneError: there is no such dataset any more
    """
    found = _stored_along(dataset, path)
    return found[-1] if len(found) == len(path.split(".")) else None


def _stored_along(dataset: fo.Dataset, path: str) -> list[Mapping[str, Any]]:
    """The declarations of what a field is in and of itself, up to the first that there is not."""
    document = dataset_document(dataset, "sample_fields")
    if document is None:
        raise DatasetGoneError(dataset.name)
    fields, along = document["sample_fields"], []
    for name in path.split("."):
        found = next((field for field in fields if field["name"] == name), None)
        if found is None:
            break
        along.append(found)
        fields = found.get("fields") or ()
    return along


def check_writable(dataset: fo.Dataset, path: str) -> None:
    """Checks that neither a field nor anything that it is in is read-only; a field that is not there may be written.

    Raises:
        FieldReadOnlyError: one of them is
    """
    names = path.split(".")
    for depth, field in enumerate(_stored_along(dataset, path), start=1):
        if field.get("read_only"):
            raise FieldReadOnlyError(".".join(names[:depth]))


def declare(dataset: fo.Dataset, path: str, kind: type[fo.Field], **options: Any) -> None:
    """Declares a field, unless it is declared.

    A dataset object that has not seen what other processes declared would declare it again, and so erase the ``info``
    of the field, or drop a field that was declared at the same moment. So the database is asked, and only one of our
    processes declares at a time.

    Args:
        dataset: the dataset
        path: the full path of the field
        kind: its type
        options: what else ``add_sample_field`` takes

    Raises:
        FieldReadOnlyError: it, or what it is in, is read-only
        FieldTypeError: there is a field of that name and of another type
    """
    check_writable(dataset, path)
    if stored_field(dataset, path) is None:
        with lease(dataset, LEASE):
            refresh_field(dataset, path)
            dataset.add_sample_field(path, kind, **options)
    check_type(dataset, path, kind, options.get("embedded_doc_type"))


def check_type(dataset: fo.Dataset, path: str, kind: type[fo.Field], document_type: type | None = None) -> None:
    """Checks that a field, if there is one, has a type.

    Raises:
        FieldTypeError: it has another one
    """
    refresh_field(dataset, path)
    found = dataset.get_field(path)
    if found is None:
        return
    if type(found) is not kind or (document_type is not None and found.document_type is not document_type):
        raise FieldTypeError(path, found, (document_type or kind).__name__)


def refresh_field(dataset: fo.Dataset, path: str) -> None:
    """Lets a dataset object see a field that another process declared or deleted. Samples in memory are not touched."""
    if (stored_field(dataset, path) is None) != (dataset.get_field(path) is None):
        reload_schema(dataset)
