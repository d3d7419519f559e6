"""The field of samples that lists the decisions about their detections."""

import fiftyone as fo

from ...storage.internals import sample_documents
from ...storage.schema import ForeignFieldError, StoredSchema, declare, refresh_field, stored_field
from .records import is_decision

DESCRIPTION = "user labels and rejections of the detections, by their boxes; written by CCIP"


def decisions_field(patches_field: str) -> str:
    """The name of the field for the detections in ``patches_field``."""
    return f"{patches_field}_decisions"


def check_field(dataset: fo.Dataset, name: str) -> None:
    """Checks that the field is ours, or can be: that it is not declared, is empty or has decisions.

    Raises:
        ForeignFieldError: it has values of another tool
        FieldTypeError: it is empty and of another type
        FieldReadOnlyError: it is read-only
    """
    schema = StoredSchema(dataset)
    declaration = schema.field(name)
    if declaration is None:
        return
    if declaration.get("description") != DESCRIPTION:
        n_foreign = _count_foreign(dataset, name)
        if n_foreign:
            remedy = "user labels of detections are listed there: rename it with rename_sample_field"
            raise ForeignFieldError(name, n_foreign, remedy)
    schema.check_type(name, fo.ListField)
    schema.check_writable(name)


def is_decisions_field(dataset: fo.Dataset, name: str) -> bool:
    """Whether the field is declared as ours, or has decisions only."""
    declaration = stored_field(dataset, name)
    is_ours = declaration is not None and declaration.get("description") == DESCRIPTION
    return is_ours or (declaration is not None and not _count_foreign(dataset, name))


def declare_field(dataset: fo.Dataset, name: str) -> None:
    """Declares the field, unless it is declared.

    Raises:
        CCIPError: as :func:`check_field` does
    """
    check_field(dataset, name)
    declare(dataset, name, fo.ListField, subfield=fo.DictField, description=DESCRIPTION)
    field = dataset.get_field(name)
    if field.description != DESCRIPTION:  # as after a merge of datasets
        field.description = DESCRIPTION
        field.save()


def is_declared(dataset: fo.Dataset, name: str) -> bool:
    """Whether the field is declared, in the database as well as in a dataset object."""
    refresh_field(dataset, name)
    return dataset.get_field(name) is not None


def _count_foreign(dataset: fo.Dataset, name: str) -> int:
    """The number of samples with values that are no decisions."""
    documents = sample_documents(dataset).find({name: {"$nin": [None, []]}}, [name])
    values = (document[name] for document in documents)
    return sum(not isinstance(value, list) or not all(map(is_decision, value)) for value in values)
