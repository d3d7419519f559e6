"""Targets: the samples of a dataset or view, or the detections in one of its fields, by id."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import fiftyone as fo
import fiftyone.core.media as fomm
import fiftyone.core.patches as fop
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError, check_type
from .internals import filter_stages, is_dynamic_groups, is_generated, root_dataset, stages

CHUNK = 1000
"""The number of items that are read or written at once."""

_LABELS = "detections"  # the list in a fiftyone.Detections
_SLICING = (fo.SelectGroupSlices, fo.ExcludeGroupSlices)
T = TypeVar("T")


class TargetError(CCIPError, ValueError):
    """The samples or the field are not supported.

    Args:
        message: the reason
        mentions (()): the options that it names
    """

    def __init__(self, message: str, *, mentions: tuple[str, ...] = ()):
        super().__init__(message)
        self.mentions = mentions


def check_field_name(name: str) -> None:
    """Checks the name of a field to be written.

    Raises:
        TargetError: the name is invalid
    """
    if not is_field_name(name):
        raise TargetError(f"{name!r} cannot be a field: use letters, digits and _ only, no dots, a letter first")


def is_field_name(name: str) -> bool:
    """Whether a field can have that name; names that begin with ``_`` are FiftyOne's own."""
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")


def field_path(name: str, patches_field: str | None = None) -> str:
    """The full path of a field: of samples, or of an attribute of the detections in ``patches_field``.

    Example::

        field_path("character_group")  # "character_group"
        field_path("character_group", "faces")  # "faces.detections.character_group"
    """
    return f"{patches_field}.{_LABELS}.{name}" if patches_field is not None else name


def split_path(path: str) -> tuple[str | None, str]:
    """Splits a path of :func:`field_path` into the ``patches_field``, None for samples, and the name."""
    patches_field, separator, name = path.partition(f".{_LABELS}.")
    return (patches_field, name) if separator else (None, path)


def detection_fields(dataset: fo.Dataset) -> list[str]:
    """The fields of a dataset that hold detections."""
    schema = dataset.get_field_schema()
    return [name for name, field in schema.items() if getattr(field, "document_type", None) is fo.Detections]


@dataclass(frozen=True)
class Target:
    """The items of an operation: samples or, with a ``patches_field``, detections in them.

    Items are identified by id, since orders, views and objects in memory may change.

    Attributes:
        dataset: the dataset with the items, to which all writing goes
        view: the items, as ``dataset`` or a view of it; detections filtered out by it are no items
        patches_field: the field whose detections are the items, None for samples
    """

    dataset: fo.Dataset
    view: SampleCollection
    patches_field: str | None = None

    @property
    def is_patches(self) -> bool:
        """Whether the items are detections."""
        return self.patches_field is not None

    @property
    def noun(self) -> str:
        """The word for the items in messages."""
        return "detections" if self.is_patches else "images"

    @property
    def labels_path(self) -> str:
        """The path of the list of detections."""
        if self.patches_field is None:
            raise TargetError("samples have no list of detections")
        return f"{self.patches_field}.{_LABELS}"

    @property
    def is_whole(self) -> bool:
        """Whether the items are all of the dataset."""
        return isinstance(self.view, fo.Dataset)

    def path(self, name: str) -> str:
        """The full path of the attribute ``name`` of an item."""
        return field_path(name, self.patches_field)

    def schema(self) -> dict[str, fo.Field]:
        """The fields of an item that the dataset declares, by name."""
        owner = self.dataset.get_field(self.labels_path).field if self.is_patches else self.dataset
        return dict(owner.get_field_schema())

    def whole(self) -> "Target":
        """All items of this kind in the dataset; in a grouped dataset, in the same slices."""
        view = self.dataset
        if self.dataset.media_type == fomm.GROUP:
            view = filter_stages(self.view.view(), lambda stage: isinstance(stage, _SLICING))
        return Target(self.dataset, view, self.patches_field)

    def values(self, *names: str) -> tuple[list[str], list[str], dict[str, list[Any]]]:
        """Reads attributes of the items, in one query.

        Args:
            names: attributes of the items; undeclared ones read as None

        Returns:
            the ``n`` ids of the items, the ``n`` ids of their samples, and by name the ``n`` values
        """
        schema = self.dataset.get_field_schema(flat=True)
        declared = [name for name in names if self.path(name) in schema]
        if not self.is_patches:
            item_ids, *columns = self.view.values(["id", *declared])
            sample_ids = item_ids
        else:
            paths = [self.path(name) for name in ("id", *declared)]
            owners, *nested = self.view.values(["id", *paths])
            sample_ids = [owner for owner, labels in zip(owners, nested[0], strict=True) for _ in labels or ()]
            item_ids, *columns = (_flatten(column) for column in nested)
        by_name = dict(zip(declared, columns, strict=True))
        return item_ids, sample_ids, {name: by_name.get(name, [None] * len(item_ids)) for name in names}


def resolve(samples: SampleCollection, patches_field: str | None = None) -> Target:
    """Finds the items that ``samples`` and ``patches_field`` stand for.

    Args:
        samples: a dataset or a view of images; a patches view stands for its detections
        patches_field (None): the field with the detections, None for samples

    Returns:
        a :class:`Target`

    Raises:
        TargetError: not a dataset or view, not images (video, 3D), several slices at once, copies (frames, clips,
            evaluation patches), or ``patches_field`` is missing or holds no detections
    """
    if not isinstance(samples, fo.Dataset | fo.DatasetView):
        raise TargetError(f"a {type(samples).__name__} is neither a dataset nor a view")
    if isinstance(samples, fop.PatchesView):
        return _resolve_patches_view(samples, patches_field)
    if is_generated(samples):
        raise TargetError(
            f"a {type(samples).__name__} shows copies that cannot be written back; use a dataset of its own "
            "(view.clone()), or the dataset that it was made from"
        )
    if is_dynamic_groups(samples):
        samples = flatten_dynamic_groups(samples)
    dataset = root_dataset(samples)
    media_type = samples.media_type
    if media_type == fomm.GROUP:
        raise TargetError(
            f"{dataset.name!r} is a grouped dataset: select one slice first, e.g. "
            f"dataset.select_group_slices({samples.default_group_slice!r}); slices: {', '.join(samples.group_slices)}"
        )
    if media_type not in (None, fomm.IMAGE):
        raise TargetError(
            f"CCIP needs images, but {dataset.name!r} holds {media_type}; for video frames, make a dataset of their "
            "own with to_frames(...).clone()"
        )
    check_type("patches_field", patches_field, str | None, "the name of a field with detections, or None")
    if patches_field is not None:
        _check_detections(dataset, patches_field)
    return Target(dataset, _with_all_fields(samples), patches_field)


def flatten_dynamic_groups(tiles: fo.DatasetView) -> fo.DatasetView:
    """All samples of the groups of a view made by ``group_by``, of which it shows the first ones only."""
    flat = tiles.flatten()
    if flat.media_type != fomm.GROUP:
        return flat
    # of a slice, FiftyOne takes the flattened view for one of all slices
    return filter_stages(tiles, lambda stage: isinstance(stage, _SLICING)).select(flat.values("id"))


def _with_all_fields(samples: SampleCollection) -> SampleCollection:
    """The same samples with all fields, since hidden fields would read as missing."""
    hiding = (fo.SelectFields, fo.ExcludeFields)
    if isinstance(samples, fo.Dataset) or not any(isinstance(stage, hiding) for stage in stages(samples)):
        return samples
    return filter_stages(samples, lambda stage: not isinstance(stage, hiding))


def _resolve_patches_view(patches: fop.PatchesView, patches_field: str | None) -> Target:
    if is_dynamic_groups(patches):
        patches = patches.flatten()
    field = patches.patches_field
    if patches_field not in (None, field):
        raise TargetError(f"this view shows the patches of {field!r}, not of {patches_field!r}")
    dataset = root_dataset(patches)
    _check_detections(dataset, field)
    # the view holds copies of the labels, with the ids of the originals
    view = _slices_of(dataset, patches).select_labels(ids=patches.values("id"), fields=field)
    return Target(dataset, view, field)


def _slices_of(dataset: fo.Dataset, patches: fop.PatchesView) -> SampleCollection:
    """The dataset; of a grouped dataset, the slices that patches were made from, as a flat view."""
    if dataset.media_type != fomm.GROUP:
        return dataset
    samples = all_images(dataset)
    names = samples.select(patches.distinct("sample_id")).distinct(f"{dataset.group_field}.name")
    return dataset.select_group_slices(names) if names else samples


def _check_detections(dataset: fo.Dataset, patches_field: str) -> None:
    field = dataset.get_field(patches_field)
    if field is None:
        names = ", ".join(detection_fields(dataset)) or "none"
        raise TargetError(f"no field {patches_field!r} in {dataset.name!r}; fields with detections: {names}")
    if getattr(field, "document_type", None) is not fo.Detections:
        raise TargetError(f"{patches_field!r} holds {field}, not detections (fiftyone.Detections)")


def _flatten(nested: list[list[Any] | None]) -> list[Any]:
    return [value for values in nested for value in values or ()]


def all_images(dataset: fo.Dataset) -> SampleCollection:
    """The dataset; of a grouped dataset, the images of all slices, and not of the active one alone."""
    if dataset.media_type != fomm.GROUP:
        return dataset
    return dataset.select_group_slices([name for name, kind in dataset.group_media_types.items() if kind == fomm.IMAGE])


def items_view(target: Target, ids: Sequence[str]) -> fo.DatasetView:
    """A view of the dataset with the items of these ids; of a grouped dataset, in the same slices."""
    samples = target.whole().view
    if target.is_patches:
        return samples.select_labels(ids=list(ids), fields=target.patches_field)
    return samples.select(list(ids))


def named_ids(target: Target) -> list[str]:
    """The ids by which a view names its items, whether or not there are any; none where it does not."""
    ids: list[str] = []
    for stage in [] if target.is_whole else stages(target.view):
        if target.is_patches and isinstance(stage, fo.SelectLabels):
            labels = stage.labels or ()
            ids += [str(each) for each in [*(stage.ids or ()), *(label["label_id"] for label in labels)]]
        elif not target.is_patches and isinstance(stage, fo.Select):
            ids += map(str, stage.sample_ids)
    return list(dict.fromkeys(ids))


def batched(items: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Splits items into tuples of at most :data:`CHUNK`."""
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, CHUNK)):
        yield chunk
