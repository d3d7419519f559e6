"""How the App's editor shows the labels: its label schema."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fiftyone as fo

from .store import LabelStore

logger = logging.getLogger(__name__)


@contextmanager
def _as_it_is(field: str) -> Iterator[None]:
    """Leaves schemas alone that FiftyOne refuses: it checks those of all fields when it writes one."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError, ExceptionGroup) as error:
        reason = " ".join(str(error).split())
        logger.warning("the label schema of %r stays as it is: FiftyOne cannot use the stored ones (%s)", field, reason)


def install_label_schema(store: LabelStore) -> None:
    """Tells the App's editor how to edit the labels: status is a choice, numbers are read-only.

    On detections the field is the detector's, and so is its schema: only our attributes are added to it. Schemas that
    FiftyOne refuses are left alone, with a warning.
    """
    field = store.target.patches_field or store.group_field
    with _as_it_is(field):
        _install(store, field)


def _install(store: LabelStore, field: str) -> None:
    dataset = store.target.dataset
    known = dataset.label_schemas.get(field)
    wanted = {attribute["name"]: attribute for attribute in store.schema_attributes()}
    if known is None and store.target.is_patches:
        schema = dataset.generate_label_schemas(field, scan_samples=False)
    else:
        schema = known or {"type": "classification", "component": "text"}
    if wanted.keys() <= {attribute.get("name") for attribute in (known or {}).get("attributes", ())}:
        return
    if not all(attribute.get("name") for attribute in schema.get("attributes", ())):
        logger.warning(
            "the label schema of %r stays: it has an attribute without a name, which FiftyOne refuses", field
        )
        return
    others = [attribute for attribute in schema.get("attributes", ()) if attribute["name"] not in wanted]
    dataset.update_label_schema(field, {**schema, "attributes": [*others, *wanted.values()]})
    if field not in dataset.active_label_schemas:
        dataset.activate_label_schemas(field)


def remove_label_schema(store: LabelStore, *, gone: Iterable[str] = ()) -> None:
    """Removes what :func:`install_label_schema` has added; a schema that is as FiftyOne generates it then goes, too.

    Args:
        store: where the labels were; their fields are deleted by now
        gone (()): the paths of other deleted fields
    """
    field = store.target.patches_field or store.group_field
    with _as_it_is(field):
        _remove(store, field, gone)


def _remove(store: LabelStore, field: str, gone: Iterable[str]) -> None:
    dataset = store.target.dataset
    schema = dataset.label_schemas.get(field)
    if schema is None:
        return
    ours = {attribute["name"] for attribute in store.schema_attributes()}
    deleted = {*gone, *store.own_fields()}
    attributes = schema.get("attributes", ())
    rest = [each for each in attributes if each.get("name") not in ours and _path(store, each) not in deleted]
    if dataset.get_field(field) is None or _is_generated(dataset, field, {**schema, "attributes": rest}):
        dataset.delete_label_schemas(field)
    elif len(rest) < len(attributes):
        dataset.update_label_schema(field, {**schema, "attributes": rest})


def _path(store: LabelStore, attribute: Mapping[str, Any]) -> str:
    return store.target.path(f"{attribute.get('name')}")


def _is_generated(dataset: fo.Dataset, field: str, schema: dict[str, Any]) -> bool:
    """Whether a schema has nothing that FiftyOne would not put there itself, where it may know more fields by now."""
    generated = dataset.generate_label_schemas(field, scan_samples=False)
    known = generated.get("attributes", [])
    is_same = {**generated, "attributes": None} == {**schema, "attributes": None}
    return is_same and all(attribute in known for attribute in schema["attributes"])
