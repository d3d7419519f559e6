"""Embeddings of detections."""

import os

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.preprocessing import crop, load_image
from ccip_plugin.embeddings import store
from ccip_plugin.embeddings.load import count_missing, load_embeddings
from ccip_plugin.embeddings.provenance import OtherOriginError, read_provenance
from ccip_plugin.storage.fields import ERROR_FIELD
from ccip_plugin.storage.updates import NO_ROOM
from tests.support.embeddings import FIELD, OTHER_MODEL, at
from tests.support.images import odd_images

PATCHES = {"patches_field": "found"}
VECTORS = f"found.detections.{FIELD}"
ERRORS = f"found.detections.{ERROR_FIELD}"


@pytest.fixture
def detected(dataset, tmp_path):
    """``detected([[box, ...], None, ...])``: a dataset of images with detections, None for no field at all."""

    def make(boxes, **options):
        samples = dataset(**options)
        for number, boxes_of_image in enumerate(boxes):
            path = tmp_path / f"二人 {number}.png"
            odd_images.drawing(200, 150, seed=number).save(path)
            boxes_and_labels = [
                fo.Detection(label="person", bounding_box=box, confidence=0.5) for box in boxes_of_image or ()
            ]
            found = None if boxes_of_image is None else fo.Detections(detections=boxes_and_labels)
            samples.add_sample(fo.Sample(str(path), found=found))
        return samples

    return make


LEFT, RIGHT, EMPTY = [0, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0.3, 0.3, 0, 0]


def flat(nested):
    return [value for values in nested for value in values or ()]


def test_embeds_every_detection_and_decodes_each_image_once(detected, embed, vectors_of, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        image_reading, "load_image", lambda file, **limits: decoded.append(file) or load_image(file, **limits)
    )
    boxes = [[LEFT, RIGHT, EMPTY], [RIGHT], None, []]
    samples = detected(boxes)
    report = embed(samples, **PATCHES, alpha=0.1, force_square=True)
    assert (report.n_total, report.n_computed, report.n_failed) == (4, 3, 1)
    assert len(decoded) == 2
    first, second = (load_image(path) for path in samples.values("filepath")[:2])
    crops = [
        crop(image, box, alpha=0.1, square=True) for image, box in ((first, LEFT), (first, RIGHT), (second, RIGHT))
    ]
    vectors = flat(samples.values(VECTORS))
    assert np.array_equal([vectors[0], vectors[1], vectors[3]], vectors_of(crops))
    assert [error is None for error in flat(samples.values(ERRORS))] == [True, True, False, True]
    assert vectors[2] is None
    assert samples.values("found.detections.label") == [["person"] * 3, ["person"], None, []]
    assert list(report.failures) == [samples.values("found.detections.id")[0][2]]
    assert isinstance(samples.get_field(VECTORS), fo.VectorField)
    recorded = read_provenance(samples, VECTORS)
    assert (recorded.alpha, recorded.force_square) == (0.1, True)
    assert embed(samples, **PATCHES, alpha=0.1, force_square=True).n_failed == 1
    assert len(decoded) == 3
    again = embed(samples, **PATCHES)  # boxes are cut as the field records
    assert (again.n_computed, again.n_failed) == (0, 1)


def test_detections_of_a_patches_view(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    patches = samples.to_patches("found")[1:]
    assert embed(patches).n_computed == 2
    assert [vector is not None for vector in flat(samples.values(VECTORS))] == [False, True, True]
    assert isinstance(samples.get_field(VECTORS), fo.VectorField)
    loaded = load_embeddings(patches)
    assert loaded.ids == patches.values("id")
    assert loaded.sample_ids == samples.values("id")
    assert embed(samples.to_patches("found")).n_computed == 1


def test_detections_of_a_filtered_view(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT, LEFT]])
    samples.set_values("found.detections.label", [["dog", "person"], ["person", "dog"]])
    people = samples.filter_labels("found", fo.ViewField("label") == "person")
    assert count_missing(people, **PATCHES) == (2, 2, 0)
    assert embed(people, **PATCHES).n_computed == 2
    assert [vector is not None for vector in flat(samples.values(VECTORS))] == [False, True, True, False]
    assert flat(samples.values("found.detections.label")) == ["dog", "person", "person", "dog"]
    assert count_missing(samples, **PATCHES) == (4, 2, 0)
    assert len(load_embeddings(people, **PATCHES).ids) == 2


@pytest.mark.parametrize("options", [{"alpha": 0.2}, {"force_square": True}, {"model_name": OTHER_MODEL}])
def test_other_crops_are_of_another_origin(options, detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT], [EMPTY]])
    embed(samples, **PATCHES)
    before = flat(samples.values(VECTORS))[0]
    with pytest.raises(OtherOriginError, match=next(iter(options)).split("_")[0]):
        embed(samples[:1], **PATCHES, **options)
    report = embed(samples, **PATCHES, **options)
    assert (report.n_computed, report.n_failed) == (3, 1)
    assert not np.array_equal(flat(samples.values(VECTORS))[0], before)


def test_detections_deleted_meanwhile(detected, embed, told_of_all, monkeypatch):
    monkeypatch.setattr(store, "BLOCK", 2)
    samples = detected([[LEFT, RIGHT]] * 6)
    ids = [ObjectId(i) for i in samples.values("id")]

    def change():
        samples._sample_collection.update_one({"_id": ids[0]}, {"$pop": {"found.detections": 1}})
        samples._sample_collection.update_one({"_id": ids[1]}, {"$set": {"found": None}})
        samples._sample_collection.update_one({"_id": ids[5]}, {"$pop": {"found.detections": -1}})

    report = embed(samples, **PATCHES, progress=at(1, change), workers=1)
    assert report.n_computed + report.n_gone == 12
    assert report.n_gone >= 1
    vectors = flat(samples.values(VECTORS))
    assert len(vectors) == 8
    assert all(vector is not None for vector in vectors)


def test_overwrite_and_verify_of_detections(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    embed(samples, **PATCHES)
    os.utime(samples.values("filepath")[0], ns=(0, 0))
    assert embed(samples, **PATCHES, verify=True).n_computed == 2
    assert embed(samples, **PATCHES, overwrite=True).n_computed == 3


def test_verify_finds_boxes_that_were_moved(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    embed(samples, **PATCHES)
    assert embed(samples, **PATCHES, verify=True).n_computed == 0
    sample = samples.first()
    sample[PATCHES["patches_field"]].detections[0].bounding_box = RIGHT
    sample.save()
    assert embed(samples, **PATCHES, verify=True).n_computed == 1
    first, second = samples.first()[PATCHES["patches_field"]].detections
    assert np.array_equal(first[FIELD], second[FIELD])
    assert embed(samples, **PATCHES, verify=True).n_computed == 0


def test_a_sample_without_room_for_more(detected, embed, monkeypatch):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    sample = samples.first()
    sample["notes"] = "x" * (16 * 2**20 - 4000)
    sample.save()
    report = embed(samples, **PATCHES)
    assert (report.n_computed, report.n_failed) == (2, 1)
    assert flat(samples.values(ERRORS)).count(NO_ROOM) == 1
    assert set(report.failures.values()) == {NO_ROOM}


def test_patches_in_memory_see_their_embeddings(detected, embed):
    samples = detected([[LEFT]])
    sample = samples.first()
    sample.tags = ["unsaved"]
    embed(samples, **PATCHES)
    assert sample.found.detections[0][FIELD] is not None
    assert sample.tags == ["unsaved"]
