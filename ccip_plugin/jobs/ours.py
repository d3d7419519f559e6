"""Finds what this plugin keeps with a dataset, by its marks: descriptions and info of fields, kinds of runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import fiftyone as fo

from ..brain.runs import ORIGIN
from ..core.registry import MODELS
from ..detection.store import DESCRIPTIONS as OF_DETECTIONS
from ..embeddings.provenance import read_provenance
from ..embeddings.store import DESCRIPTIONS as OF_EMBEDDINGS
from ..labels.decisions.field import DESCRIPTION as OF_DECISIONS
from ..labels.decisions.field import is_decisions_field
from ..labels.history.first import had_labels
from ..labels.store import ROLLUP, TYPES, LabelStore
from ..labels.views import saved_names
from ..search.difference_field import MARK
from ..storage.internals import reload_brain_runs, reload_schema, stores_of
from ..storage.lease import held_leases
from ..storage.runs import RunKind, read_config
from ..storage.targets import Target, field_path, split_path
from .grid import DESCRIPTION as OF_THUMBNAILS


@dataclass(frozen=True)
class Ours:
    """What this plugin keeps with a dataset.

    Attributes:
        groups: the paths of the fields with character groups
        embeddings: the paths of the fields with embeddings
        fields: the paths of all fields to delete
        kept: the paths of fields that hold what others wrote, with what happens to them
        replaced: the paths where another field is now than the one that this plugin made; they are left alone
        runs: the keys of custom runs
        brain_runs: the keys of similarity indexes and visualizations
        views: the names of saved views
        stores: the names of the stores with the history
        n_leases: number of locks, left by processes that died
        dependent: keys of brain runs of others that read a deleted field, and will not work any more
    """

    groups: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    kept: Mapping[str, str] | None = None
    replaced: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    brain_runs: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    n_leases: int = 0
    dependent: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        found = (self.fields, self.kept, self.runs, self.brain_runs, self.views, self.stores)
        return any(found) or bool(self.n_leases)


def find_ours(dataset: fo.Dataset) -> Ours:
    """Finds what this plugin keeps with a dataset. Nothing is changed."""
    reload_schema(dataset)
    schema = {path: field for path, field in dataset.get_field_schema(flat=True).items() if _is_ours_to_see(path)}
    recorded = _group_paths(dataset, schema)
    replaced = [each for path in recorded for each in _replaced(schema, store_of(dataset, path))]
    groups = [path for path in recorded if path not in replaced]
    embeddings, adopted = _embeddings(dataset, schema)
    foreign = [path for path in groups if had_labels(store_of(dataset, path))]
    fields = [*embeddings, *_marked(schema), *_of_groups(dataset, recorded, foreign)]
    kept = dict.fromkeys(adopted, "the vectors were there before, and stay; their recorded model is forgotten")
    kept |= dict.fromkeys(foreign, "it had labels before the first run: names that users gave or confirmed stay")
    fields = [path for path in dict.fromkeys(fields) if path in schema and path not in kept and path not in replaced]
    brain_runs, dependent = _brain_runs(dataset, {*embeddings, *adopted}, set(fields))
    ours = Ours(tuple(groups), tuple(embeddings), _outermost(fields), kept or None, tuple(replaced))
    return replace(
        ours,
        runs=_runs(dataset),
        brain_runs=brain_runs,
        views=tuple(name for path in recorded for name in saved_names(store_of(dataset, path))),
        stores=stores_of(dataset, "ccip_"),
        n_leases=held_leases(dataset),
        dependent=dependent,
    )


def store_of(dataset: fo.Dataset, path: str) -> LabelStore:
    """The labels at a path."""
    patches_field, group_field = split_path(path)
    return LabelStore(Target(dataset, dataset, patches_field), group_field)


def _is_ours_to_see(path: str) -> bool:
    return not any(name.startswith("_") for name in path.split("."))


def _group_paths(dataset: fo.Dataset, schema: Mapping[str, fo.Field]) -> list[str]:
    """The fields of which groups are recorded, as far as they are there."""
    found: dict[str, None] = {}
    for key in dataset.list_runs():
        config = read_config(dataset, key, ("method", "path", "group_field", "patches_field")) or {}
        if config.get("method") == RunKind.REGISTRY and isinstance(config.get("path"), str):
            found[config["path"]] = None
        elif config.get("method") == RunKind.GROUPING and isinstance(config.get("group_field"), str):
            found[field_path(config["group_field"], config.get("patches_field"))] = None
    return [path for path in found if path in schema]


def _replaced(schema: Mapping[str, fo.Field], store: LabelStore) -> list[str]:
    """The paths of a field with groups, and of those beside it, where another field is now."""
    return [path for path in store.own_fields() if path in schema and not _is_as_written(schema[path], store, path)]


def _is_as_written(field: fo.Field, store: LabelStore, path: str) -> bool:
    """Whether a field can be the one that this plugin made at a path."""
    if path == store.decisions_field:
        return is_decisions_field(store.target.dataset, path)
    if path == store.rollup_field:
        return isinstance(field, fo.ListField) and isinstance(field.field, fo.StringField)
    if store.target.is_patches:
        kinds = {store.attribute_path(name): kind for name, kind in TYPES.items()}
        return type(field) is kinds[path]
    is_label = isinstance(field, fo.EmbeddedDocumentField) and field.document_type is fo.Classification
    return is_label and (store.is_declared() or had_labels(store))


def _embeddings(dataset: fo.Dataset, schema: Mapping[str, fo.Field]) -> tuple[list[str], list[str]]:
    """The fields with embeddings of ours, and those whose vectors were there before."""
    ours, adopted = [], []
    for path, field in schema.items():
        provenance = read_provenance(dataset, path) if isinstance(field, fo.VectorField) else None
        if provenance is not None and provenance.adopted:
            adopted.append(path)
        elif provenance is not None:
            ours.append(path)
    return ours, adopted


def _marked(schema: Mapping[str, fo.Field]) -> list[str]:
    """Fields that say of themselves that they are ours."""
    descriptions = {*OF_EMBEDDINGS, *OF_DETECTIONS.values(), OF_DECISIONS, OF_THUMBNAILS, ROLLUP}
    return [path for path, field in schema.items() if field.description in descriptions or (field.info or {}).get(MARK)]


def _of_groups(dataset: fo.Dataset, groups: Iterable[str], foreign: Iterable[str]) -> list[str]:
    fields: list[str] = []
    for path in groups:
        store = store_of(dataset, path)
        fields += store.helper_paths() if path in set(foreign) else store.own_fields()
    return fields


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths without those inside of others."""
    paths = set(paths)
    return tuple(
        sorted(path for path in paths if not any(path.startswith(f"{other}.") for other in paths if other != path))
    )


def _runs(dataset: fo.Dataset) -> tuple[str, ...]:
    """The custom runs of ours; the registries of groups last, by which an interrupted removal finds its way."""
    methods = {key: (read_config(dataset, key, ("method",)) or {}).get("method") for key in dataset.list_runs()}
    found = [key for key, method in methods.items() if method in set(RunKind)]
    return tuple(sorted(found, key=lambda key: (methods[key] == RunKind.REGISTRY, key)))


def _brain_runs(
    dataset: fo.Dataset, embeddings: set[str], deleted: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The brain runs of ours, and those of others on a field that is deleted."""
    reload_brain_runs(dataset)
    ours, others = [], []
    for key in dataset.list_brain_runs():
        config = dataset.get_brain_info(key).config
        path = _read_field(config)
        is_recorded = path in embeddings and getattr(config, "model", None) in MODELS
        if hasattr(config, ORIGIN) or is_recorded:
            ours.append(key)
        elif path in deleted:
            others.append(key)
    return tuple(ours), tuple(others)


def _read_field(config: Any) -> str | None:
    name = getattr(config, "embeddings_field", None)
    return field_path(name, getattr(config, "patches_field", None)) if isinstance(name, str) else None
