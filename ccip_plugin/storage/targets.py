"""What to work on: the samples of a collection, or the detections in one of its fields, as ids."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import fiftyone as fo
import fiftyone.core.media as fomm
import fiftyone.core.patches as fop

from ..core.errors import CCIPError
from .internals import filter_stages, is_dynamic_groups, is_generated, root_dataset, stages

CHUNK = 1000
"""How many items are read or written at once."""

_LABELS = "detections"  # the list in a fiftyone.Detections
_SLICING = (fo.SelectGroupSlices, fo.ExcludeGroupSlices)
T = TypeVar("T")


class TargetError(CCIPError, ValueError):
    """The collection or the field cannot be worked on."""


def check_field_name(name: str) -> None:
    """Checks the name of a field that is to be written.

    Raises:
        TargetError: no field can have that name
    """
    if not is_field_name(name):
        raise TargetError(f"{name!r} cannot be a field: letters, digits and _ only, no dots, a letter first")


def is_field_name(name: str) -> bool:
    """Whether a field can have that name; FiftyOne keeps those that begin with ``_`` for itself."""
    return name.isidentifier() and not name.startswith("_")


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
    """The items that a piece of work is about.

    An item is a sample or, with a ``patches_field``, one of the detections in it. Items are known by their ids: an
    order, a view or an object in memory may change, an id does not.

    Attributes:
        dataset: the dataset that holds the items; all writing goes there
        view: the items, as a collection of ``dataset``; with a ``patches_field``, labels filtered out are not items
        patches_field: the field whose detections are the items, None for whole samples
    """

    dataset: fo.Dataset
    view: Any
    patches_field: str | None = None

    @property
    def is_patches(self) -> bool:
        """Whether the items are detections."""
        return self.patches_field is not None

    @property
    def noun(self) -> str:
        """What the items are called."""
        return "detections" if self.is_patches else "images"

    @property
    def labels_path(self) -> str:
        """The path of the list of detections."""
        if self.patches_field is None:
            raise TargetError("whole samples have no list of detections")
        return f"{self.patches_field}.{_LABELS}"

    @property
    def is_whole(self) -> bool:
        """Whether every item of the dataset is meant, not a part of them."""
        return isinstance(self.view, fo.Dataset)

    def path(self, name: str) -> str:
        """The full path of the attribute ``name`` of an item."""
        return field_path(name, self.patches_field)

    def schema(self) -> dict[str, fo.Field]:
        """The fields of an item that the dataset declares, by name."""
        owner = self.dataset.get_field(self.labels_path).field if self.is_patches else self.dataset
        return dict(owner.get_field_schema())

    def whole(self) -> "Target":
        """The same kind of item, in the whole dataset; of a grouped one, in the same slices of all groups."""
        view: Any = self.dataset
        if self.dataset.media_type == fomm.GROUP:
            view = filter_stages(self.view.view(), lambda stage: isinstance(stage, _SLICING))
        return Target(self.dataset, view, self.patches_field)

    def values(self, *names: str) -> tuple[list[str], list[str], dict[str, list[Any]]]:
        """Reads attributes of the items, in one query.

        Args:
            names: attributes of the items; one that the dataset does not declare reads as None

        Returns:
            the ``n`` ids of the items, the ``n`` ids of their samples, and per name the ``n`` values
        """
        schema = self.dataset.get_field_schema(flat=True)
        known = [name for name in names if self.path(name) in schema]
        if not self.is_patches:
            ids, *columns = self.view.values(["id", *known])
            sample_ids, item_ids = ids, ids
        else:
            paths = [self.path(name) for name in ("id", *known)]
            owners, *nested = self.view.values(["id", *paths])
            sample_ids = [owner for owner, labels in zip(owners, nested[0], strict=True) for _ in labels or ()]
            item_ids, *columns = (_flatten(column) for column in nested)
        found = dict(zip(known, columns, strict=True))
        return item_ids, sample_ids, {name: found.get(name, [None] * len(item_ids)) for name in names}


def resolve(samples: Any, patches_field: str | None = None) -> Target:
    """Says what ``samples`` and ``patches_field`` stand for.

    Args:
        samples: a dataset or a view of images; a patches view stands for its detections
        patches_field (None): the field with the detections to work on, None for whole samples

    Returns:
        a :class:`Target`

    Raises:
        TargetError: no samples, no images (video, 3D), several slices at once, copies (of frames, clips or evaluated
            patches), no such field, or not a field of detections
    """
    if not isinstance(samples, fo.Dataset | fo.DatasetView):
        raise TargetError(f"a {type(samples).__name__} is no dataset and no view")
    if isinstance(samples, fop.PatchesView):
        return _resolve_patches_view(samples, patches_field)
    if is_generated(samples):
        raise TargetError(
            f"a {type(samples).__name__} shows copies that cannot be written back; work on a dataset of their own "
            "(view.clone()), or on the dataset that they were made from"
        )
    if is_dynamic_groups(samples):
        samples = samples.flatten()  # all of each group, not its first sample only
    dataset = root_dataset(samples)
    media_type = samples.media_type
    if media_type == fomm.GROUP:
        raise TargetError(
            f"{dataset.name!r} is a grouped dataset: choose one slice first, e.g. "
            f"dataset.select_group_slices({samples.default_group_slice!r}); slices: {', '.join(samples.group_slices)}"
        )
    if media_type not in (None, fomm.IMAGE):
        raise TargetError(
            f"CCIP looks at images, {dataset.name!r} holds {media_type}; for the frames of videos make a dataset of "
            "their own, with to_frames(...).clone()"
        )
    if patches_field is not None:
        _check_detections(dataset, patches_field)
    return Target(dataset, _with_all_fields(samples), patches_field)


def _with_all_fields(samples: Any) -> Any:
    """The same samples without the stages that hide fields: what is hidden is there, and must not look missing."""
    hiding = (fo.SelectFields, fo.ExcludeFields)
    if isinstance(samples, fo.Dataset) or not any(isinstance(stage, hiding) for stage in stages(samples)):
        return samples
    return filter_stages(samples, lambda stage: not isinstance(stage, hiding))


def _resolve_patches_view(patches: fop.PatchesView, patches_field: str | None) -> Target:
    field = patches.patches_field
    if patches_field not in (None, field):
        raise TargetError(f"this view shows the patches of {field!r}, not of {patches_field!r}")
    dataset = root_dataset(patches)
    _check_detections(dataset, field)
    # the view keeps copies of the labels: their ids lead back to the labels themselves
    view = dataset.select_labels(ids=patches.values("id"), fields=field)
    return Target(dataset, view, field)


def _check_detections(dataset: fo.Dataset, patches_field: str) -> None:
    field = dataset.get_field(patches_field)
    if field is None:
        known = ", ".join(detection_fields(dataset)) or "none"
        raise TargetError(f"no field {patches_field!r} in {dataset.name!r}; fields with detections: {known}")
    if getattr(field, "document_type", None) is not fo.Detections:
        raise TargetError(f"{patches_field!r} holds {field}, not detections (fiftyone.Detections)")


def _flatten(nested: list[list[Any] | None]) -> list[Any]:
    return [value for values in nested for value in values or ()]


def items_view(target: Target, ids: Sequence[str]) -> Any:
    """Items by their ids, as a view of the dataset."""
    if target.is_patches:
        return target.dataset.select_labels(ids=list(ids), fields=target.patches_field)
    return target.dataset.select(list(ids))


def batched(changes: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Cuts changes into parts that are read or written at once."""
    iterator = iter(changes)
    while chunk := tuple(itertools.islice(iterator, CHUNK)):
        yield chunk
