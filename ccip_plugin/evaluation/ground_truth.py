"""Who is who: the names of characters in a field that people, or a published dataset, have filled."""

from typing import Any

import fiftyone as fo

from ..labels.store import LabelStore
from ..storage.fields import ERROR_FIELD, SOURCE_FIELD, UNASSIGNED
from ..storage.targets import Target, TargetError

_NAMES = (fo.StringField, fo.IntField, fo.ObjectIdField)


def name_attribute(target: Target, field: str) -> str:
    """The attribute of the items that has the names, as :meth:`~ccip_plugin.storage.targets.Target.values` wants it.

    Args:
        target: the items
        field: a field of samples: a ``Classification``, or names or numbers; on detections an attribute, e.g.
            ``label``, or its full path

    Raises:
        TargetError: there is no such field, or it has something else; names those that would do
    """
    name = field.removeprefix(f"{target.labels_path}.") if target.is_patches else field
    found = target.dataset.get_field(target.path(name))
    if isinstance(found, _NAMES):
        return name
    if getattr(found, "document_type", None) is fo.Classification:
        return f"{name}.label"
    problem = f"there is no field {field!r}" if found is None else f"{field!r} holds {found}, not one name for each"
    known = ", ".join(name_fields(target)) or "none"
    raise TargetError(f"{problem}; fields with names in {target.dataset.name!r}: {known}")


def name_fields(target: Target) -> list[str]:
    """The fields, on detections the attributes, that can say who is who; without those that are there for others."""
    schema = target.schema()
    found = [
        name
        for name, field in schema.items()
        if type(field) in (fo.StringField, fo.IntField) or getattr(field, "document_type", None) is fo.Classification
    ]
    helpers = {"filepath", ERROR_FIELD, SOURCE_FIELD, "index", "mask_path"}  # detections have the last two
    helpers.update(f"{name}_source" for name, field in schema.items() if isinstance(field, fo.VectorField))
    if target.is_patches:
        stores = (LabelStore(target, name) for name in found)
        helpers.update(name for store in stores if store.is_declared() for name in store.helper_attributes)
    return [name for name in found if name not in helpers]


def read_names(target: Target, field: str) -> tuple[list[str], list[str], list[str | None]]:
    """Reads who is who.

    Args:
        target: the items
        field: as for :func:`name_attribute`

    Returns:
        the ids of the ``n`` items, those of their samples, and their names; None for empty ones and "unassigned"

    Raises:
        TargetError: there is no such field
    """
    attribute = name_attribute(target, field)
    ids, sample_ids, columns = target.values(attribute)
    return ids, sample_ids, [_name(value) for value in columns[attribute]]


def _name(value: Any) -> str | None:
    text = "" if value is None else str(value)
    return None if not text.strip() or text == UNASSIGNED else text
