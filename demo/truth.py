"""What is true about the demo images, beside what was found: as fields of the dataset, and in numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo

from ccip_plugin.core.evaluation.groups import GroupMetrics, group_metrics
from ccip_plugin.reports.tables import table_text
from ccip_plugin.storage.fields import GROUP_FIELD, UNASSIGNED

from .world import TrueImage

TRUTH_FIELD = "character"  # of a sample, and of each of its people
PEOPLE_FIELD = "people"
PERSON = "person"  # what a detector of people would call them

_SCORES = {
    "adjusted Rand index": "ari",
    "B-cubed F": "bcubed_f1",
    "pair precision": "pair_precision",
    "pair recall": "pair_recall",
}


def write_truth(dataset: fo.Dataset, images: Iterable[TrueImage], folder: Path) -> int:
    """Writes who is on the images of a folder, on those where nothing is written yet.

    An image of one character gets it as a ``Classification``. An image of several gets a ``Detection`` for each, as a
    detector of people would find them, that knows the character.

    Args:
        dataset: the dataset with the images
        images: the truth
        folder: the folder that the paths of the truth are below

    Returns:
        how many images were written
    """
    declare(dataset)
    truth = {image.path: image for image in images if image.seen}
    ids, paths, characters, people = dataset.values(["id", "filepath", TRUTH_FIELD, PEOPLE_FIELD])
    single: dict[str, fo.Classification] = {}
    several: dict[str, fo.Detections] = {}
    for key, path, character, boxes in zip(ids, paths, characters, people, strict=True):
        image = truth.get(_below(path, folder))
        if image is None or character is not None or boxes is not None:
            continue
        if len(image.seen) == 1:
            single[key] = fo.Classification(label=image.seen[0].name)
        else:
            several[key] = _detections(image)
    for field, values in ((TRUTH_FIELD, single), (PEOPLE_FIELD, several)):
        if values:
            dataset.set_values(field, values, key_field="id")
    return len(single) + len(several)


def declare(dataset: fo.Dataset) -> None:
    """Declares the fields of the truth."""
    label, text = fo.EmbeddedDocumentField, fo.StringField
    dataset.add_sample_field(TRUTH_FIELD, label, embedded_doc_type=fo.Classification)
    dataset.add_sample_field(PEOPLE_FIELD, label, embedded_doc_type=fo.Detections)
    dataset.add_sample_field(f"{PEOPLE_FIELD}.detections.{TRUTH_FIELD}", text)


def measure(dataset: fo.Dataset, images: Iterable[TrueImage], folder: Path) -> dict[str, GroupMetrics]:
    """Compares the groups with the truth.

    Args:
        dataset: the dataset, grouped
        images: the truth
        folder: the folder that the paths of the truth are below

    Returns:
        the scores of images with at most one character, and those of the people in images with several. An image
        without a character agrees with the truth when it is in no group; it adds nothing to the number of characters
    """
    kinds = {image.path: image.kind for image in images}
    paths, found, true = dataset.values(["filepath", f"{GROUP_FIELD}.label", f"{TRUTH_FIELD}.label"])
    names = [_below(path, folder) for path in paths]
    n_characters = len({who for who in true if who is not None})
    true = [name if kinds.get(name) == "nobody" else who for name, who in zip(names, true, strict=True)]
    scores = {"images": replace(group_metrics(_groups(found), true), n_characters=n_characters)}
    boxes = f"{PEOPLE_FIELD}.detections"
    if dataset.count(boxes):
        found, true = dataset.values([f"{boxes}.{GROUP_FIELD}", f"{boxes}.{TRUTH_FIELD}"], unwind=True)
        scores["people in images with several"] = group_metrics(_groups(found), true)
    return scores


def render(scores: Mapping[str, GroupMetrics]) -> str:
    """The scores as aligned lines of text."""
    rows: list[list[str]] = [["agreement with the truth", *scores]]
    rows.append(["compared", *(f"{each.n_images:,}" for each in scores.values())])
    rows.append(["characters", *(f"{each.n_characters:,}" for each in scores.values())])
    rows.append(["groups", *(f"{each.n_groups - each.n_noise:,}" for each in scores.values())])
    rows.append(["in no group", *(f"{each.n_noise:,}" for each in scores.values())])
    for title, name in _SCORES.items():
        rows.append([title, *(f"{getattr(each, name):.3f}" for each in scores.values())])
    return table_text(rows, right=range(1, len(rows[0])))


def _detections(image: TrueImage) -> fo.Detections:
    return fo.Detections(
        detections=[
            fo.Detection(label=PERSON, bounding_box=list(seen.box), **{TRUTH_FIELD: seen.name}) for seen in image.seen
        ]
    )


def _below(path: str, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _groups(labels: Iterable[Any]) -> list[str | None]:
    return [None if label == UNASSIGNED else label for label in labels]
