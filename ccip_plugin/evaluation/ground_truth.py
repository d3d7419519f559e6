"""Ground truth fields: the true character names of items."""

from typing import Any

import fiftyone as fo

from ..core.errors import check_type
from ..core.plain import canonical_name
from ..labels.store import LabelStore
from ..storage.fields import ERROR_FIELD, SOURCE_FIELD, UNASSIGNED
from ..storage.targets import Target, TargetError

_NAMES = (fo.StringField, fo.IntField, fo.ObjectIdField)


def name_attribute(target: Target, field: str) -> str:
    """The attribute of the items with the names, as :meth:`~ccip_plugin.storage.targets.Target.values` takes it.

    Args:
        target: the items
        field: a field of samples: a ``Classification``, or names or numbers; on detections an attribute, e.g.
            ``label``, or its full path

    Raises:
        TargetError: there is no such field, or it has other values; names the fields that can be used
    """
    check_type("ground_truth_field", field, str, "the name of a field with names")
    name = field.removeprefix(f"{target.labels_path}.") if target.is_patches else field
    kind = target.dataset.get_field(target.path(name))
    if isinstance(kind, _NAMES):
        return name
    if getattr(kind, "document_type", None) is fo.Classification:
        return f"{name}.label"
    problem = f"there is no field {field!r}" if kind is None else f"{field!r} contains {kind}, not one name per item"
    usable = ", ".join(name_fields(target)) or "none"
    raise TargetError(f"{problem}; fields with names in {target.dataset.name!r}: {usable}")


def name_fields(target: Target) -> list[str]:
    """The fields (on detections: the attributes) that can hold names; without those of FiftyOne and of this plugin."""
    schema = target.schema()
    names = [
        name
        for name, field in schema.items()
        if type(field) in (fo.StringField, fo.IntField) or getattr(field, "document_type", None) is fo.Classification
    ]
    helpers = {"filepath", ERROR_FIELD, SOURCE_FIELD, "index", "mask_path"}  # detections have the last two
    helpers.update(f"{name}_source" for name, field in schema.items() if isinstance(field, fo.VectorField))
    if target.is_patches:
        stores = (LabelStore(target, name) for name in names)
        helpers.update(name for store in stores if store.is_declared() for name in store.helper_attributes)
    return [name for name in names if name not in helpers]


def likely_ground_truth(target: Target) -> list[str]:
    """The fields (on detections: the attributes) with names that no grouping wrote."""
    return [name for name in name_fields(target) if not LabelStore(target, name).is_declared()]


def read_names(target: Target, field: str) -> tuple[list[str], list[str], list[str | None]]:
    """Reads the names of items.

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


def read_groups_and_names(
    target: Target, group_field: str, ground_truth_field: str
) -> tuple[list[str], list[str | None], list[str | None], int]:
    """The items, their groups and their names, None for none; without ignored items, and the number of these."""
    ids, _, names = read_names(target, ground_truth_field)
    store = LabelStore(target, group_field)
    if store.is_declared():
        _, _, labels = store.read()
        ignored = [label is not None and label.is_ignored for label in labels]
        groups = [None if label is None else label.group_name for label in labels]
    else:  # groups of another tool
        _, _, groups = read_names(target, group_field)
        ignored = [False] * len(ids)
    kept = [i for i, is_ignored in enumerate(ignored) if not is_ignored]
    return [ids[i] for i in kept], [groups[i] for i in kept], [names[i] for i in kept], len(ids) - len(kept)


def read_members(target: Target, group_field: str, ground_truth_field: str) -> dict[str, dict[str, list[str]]]:
    """The ids of the items of each group, by their names in the ground truth field."""
    members: dict[str, dict[str, list[str]]] = {}
    ids, groups, names, _ = read_groups_and_names(target, group_field, ground_truth_field)
    for item_id, group, name in zip(ids, groups, names, strict=True):
        if group is not None and name is not None:
            members.setdefault(group, {}).setdefault(name, []).append(item_id)
    return members


def _name(value: Any) -> str | None:
    name = canonical_name("" if value is None else str(value))
    return None if name in ("", UNASSIGNED) else name
