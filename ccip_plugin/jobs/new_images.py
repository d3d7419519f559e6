"""New images of a folder: added to a dataset, embedded, and put into existing groups."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection

from ..core.progress import ProgressCallback
from ..embeddings.compute import compute_embeddings
from ..embeddings.report import EmbeddingsReport
from ..grouping.participants import NothingToGroupError
from ..grouping.report import GroupingReport
from ..grouping.run import group_characters
from ..io.images import IngestReport, add_found, find_images, open_dataset
from ..labels.store import LabelStore
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.fields import ADD, EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import TargetError, batched, resolve

_GROUPS = {"Character groups": "Character groups with new images"}
_DETECTIONS = (
    "add_and_group groups whole images, as new ones have no detections yet: add the images to the dataset, run your "
    "detector on them, then call compute_embeddings and group_characters(mode='add') with patches_field"
)


@dataclass(frozen=True)
class AdditionReport:
    """Result of :func:`add_and_group`.

    Attributes:
        dataset: the dataset
        images: what was found and added
        ids: the ids of the new samples: those of the folder that had no group label before
        embeddings: how they were embedded; None without new ones
        grouping: how they were grouped; None without new ones, or when none of them has an embedding
    """

    dataset: fo.Dataset
    images: IngestReport
    ids: tuple[str, ...] = ()
    embeddings: EmbeddingsReport | None = None
    grouping: GroupingReport | None = None

    @property
    def view(self) -> fo.DatasetView:
        """A view of exactly the new samples."""
        return self.dataset.select(list(self.ids))

    def facts(self) -> Facts:
        """The report as text."""
        grouped = None if self.grouping is None else self.grouping.facts()
        failed = 0 if self.embeddings is None else self.embeddings.n_failed
        n_known = self.images.n_found - len(self.ids)
        headline = f"no new images: all {self.images.n_found:,} are in the dataset, with labels"
        if self.ids:
            headline = f"none of {counted(len(self.ids), 'new image')} could be embedded"
        return Facts.of(
            headline if grouped is None else grouped.headline,
            [
                ("Image files found", self.images.n_found),
                ("Added to the dataset", self.images.n_added),
                ("In the dataset before, with a label", n_known or None),
                ("New images", len(self.ids)),
                ("Cannot be embedded", failed or None),
                *(() if grouped is None else ((_GROUPS.get(what, what), told) for what, told in grouped.pairs)),
                ("After an undo", "these images stay in the dataset, without labels" if self.ids else None),
            ],
            () if grouped is None else grouped.warnings,
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def add_and_group(
    dataset: fo.Dataset | str,
    *paths: str | os.PathLike[str],
    recursive: bool = True,
    model_name: str | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    provider: str = "auto",
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    progress: ProgressCallback | None = None,
) -> AdditionReport:
    """Adds the new images of a folder to a dataset, embeds them, and puts them into existing groups.

    New are the images of these paths without a group label; no label of another image changes. So it continues where
    it was interrupted, and can be called again whenever the folder has more. Images that fit no group make new groups
    or stay in none. :func:`~ccip_plugin.labels.history.undo` removes their labels; the samples stay.

    Args:
        dataset: a dataset of images or its name; a new name creates a persistent dataset
        paths: image files and folders
        recursive (True): whether to search subfolders
        model_name (None): the CCIP model, that of the embeddings there are by default
        model_dir (None): a folder of models, as for :func:`~ccip_plugin.embeddings.compute.compute_embeddings`
        provider ("auto"): the execution provider of onnxruntime
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field with the groups
        patches_field (None): refused: new images have no detections yet; the message says what to do instead
        progress (None): called with the stage and its progress

    Returns:
        an :class:`AdditionReport`

    Raises:
        IngestError: a path does not exist, or there are no images
        TargetError: the dataset is no image dataset, or a ``patches_field`` was given
        CCIPError: the model or the fields cannot be used; the message says why
    """
    if patches_field is not None:
        raise TargetError(_DETECTIONS)
    found = find_images(*paths, recursive=recursive, progress=progress)
    opened = open_dataset(dataset) if isinstance(dataset, str) else dataset
    store = LabelStore(resolve(opened), group_field)
    store.check()
    images = add_found(opened, found, progress=progress)
    ids = tuple(_without_label(store, found.paths))
    if not ids:
        return AdditionReport(opened, images)
    new = opened.select(list(ids))
    fields: dict[str, Any] = {"embeddings_field": embeddings_field, "model_dir": model_dir}
    embedded = compute_embeddings(new, model_name=model_name, provider=provider, progress=progress, **fields)
    return AdditionReport(opened, images, ids, embedded, _grouped(new, group_field, fields, progress))


def _grouped(
    new: SampleCollection, group_field: str, fields: dict[str, Any], progress: ProgressCallback | None
) -> GroupingReport | None:
    """Groups the new images; None where none of them has an embedding."""
    try:
        grouped: GroupingReport = group_characters(new, mode=ADD, group_field=group_field, progress=progress, **fields)
    except NothingToGroupError:
        return None
    return grouped


def _without_label(store: LabelStore, paths: Iterable[str]) -> list[str]:
    """The samples with these files that have no group label, in the order of the files."""
    label, found = store.attribute_path("label"), []
    for chunk in batched(paths):
        query = {"filepath": {"$in": list(chunk)}, label: None}
        by_path = {each["filepath"]: str(each["_id"]) for each in store.documents.find(query, ["filepath"])}
        found += [by_path[path] for path in chunk if path in by_path]
    return found
