"""Reads and declares fields in the database, bypassing schemas in memory that may be outdated."""

from collections.abc import Mapping, Sequence
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from .internals import dataset_document, reload_schema
from .lease import lease

_LEASE = "schema"
_SHOWN = 100  # characters of a name, in a sentence


def has_dataset(name: str) -> bool:
    """Whether there is a dataset of a name; none has one that is no valid text, as half of a surrogate pair."""
    try:
        return bool(fo.dataset_exists(name))
    except UnicodeError:
        return False


class DatasetGoneError(CCIPError):
    """The dataset was deleted."""

    def __init__(self, name: str):
        shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}..."
        super().__init__(f"the dataset {shown} was deleted")
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


class StoredSchema:
    """The declared fields of a dataset as they are stored now: read once, for the checks of several fields.

    Args:
        dataset: the dataset, whose fields in memory may be outdated

    Raises:
        DatasetGoneError: the dataset was deleted
    """

    def __init__(self, dataset: fo.Dataset):
        self._dataset = dataset
        self._read()

    def field(self, path: str) -> Mapping[str, Any] | None:
        """The declaration of a field, with ``info`` and other properties; None when the field is not declared."""
        declarations = self._along(path)
        return declarations[-1] if len(declarations) == len(path.split(".")) else None

    def check_writable(self, path: str) -> None:
        """As :func:`check_writable`."""
        names = path.split(".")
        for depth, field in enumerate(self._along(path), start=1):
            if field.get("read_only"):
                raise FieldReadOnlyError(".".join(names[:depth]))

    def check_type(self, path: str, kind: type[fo.Field], document_type: type | None = None) -> None:
        """As :func:`check_type`."""
        self.refresh(path)
        field = self._dataset.get_field(path)
        if field is None:
            return
        if type(field) is not kind or (document_type is not None and field.document_type is not document_type):
            raise FieldTypeError(path, field, (document_type or kind).__name__)

    def refresh(self, path: str) -> None:
        """As :func:`refresh_field`."""
        if (self.field(path) is None) != (self._dataset.get_field(path) is None):
            reload_schema(self._dataset)

    def declare(self, path: str, kind: type[fo.Field], **options: Any) -> None:
        """As :func:`declare`."""
        self.check_writable(path)
        if self.field(path) is None:
            with lease(self._dataset, _LEASE):
                self._read()
                self.refresh(path)
                self._dataset.add_sample_field(path, kind, **options)
            self._read()
        self.check_type(path, kind, options.get("embedded_doc_type"))

    def _read(self) -> None:
        document = dataset_document(self._dataset, "sample_fields")
        if document is None:
            raise DatasetGoneError(self._dataset.name)
        self._fields: Sequence[Mapping[str, Any]] = document["sample_fields"]

    def _along(self, path: str) -> list[Mapping[str, Any]]:
        """The declarations of a field and of those that contain it, outermost first; ends at an undeclared one."""
        fields, declarations = self._fields, list[Mapping[str, Any]]()
        for name in path.split("."):
            declaration = next((field for field in fields if field["name"] == name), None)
            if declaration is None:
                break
            declarations.append(declaration)
            fields = declaration.get("fields") or ()
        return declarations


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
    return StoredSchema(dataset).field(path)


def check_writable(dataset: fo.Dataset, path: str) -> None:
    """Checks that neither a field nor a field that contains it is read-only. Undeclared fields pass.

    Raises:
        FieldReadOnlyError: one of them is read-only
    """
    StoredSchema(dataset).check_writable(path)


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
    StoredSchema(dataset).declare(path, kind, **options)


def check_type(dataset: fo.Dataset, path: str, kind: type[fo.Field], document_type: type | None = None) -> None:
    """Checks the type of a field. An undeclared field passes.

    Raises:
        FieldTypeError: the field has another type
    """
    StoredSchema(dataset).check_type(path, kind, document_type)


def refresh_field(dataset: fo.Dataset, path: str) -> None:
    """Updates a dataset object when another process declared or deleted a field. Samples in memory stay as they are."""
    StoredSchema(dataset).refresh(path)
