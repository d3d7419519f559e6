"""Boxes that people edited, added or deleted in a dataset survive; so do edits at the same moment."""

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.detection import store as detection_store
from ccip_plugin.embeddings import compute_embeddings
from tests.support.detection.boxes import boxes_of, relative

from .conftest import OTHER

A, B, EDITED, ADDED = (4, 4, 28, 60), (36, 4, 60, 60), (4, 4, 28, 40), (28, 20, 36, 60)


@pytest.fixture
def samples(dataset, draw, detect):
    made = dataset(draw("a.png", person=A, head=B), draw("b.png", person=A, head=B), draw("c.png", person=A, head=B))
    detect(made)
    return made


def by_label(sample):
    return {each.label: each for each in sample.persons.detections}


@pytest.mark.parametrize("options", [{"overwrite": True}, {"detector": OTHER}, {"min_score": 0.9}], ids=str)
def test_edited_added_and_deleted_boxes_survive(samples, detect, options):
    edited, added, deleted = samples
    by_label(edited)["person"].bounding_box = relative(*EDITED)
    added.persons.detections.append(fo.Detection(label="mine", bounding_box=relative(*ADDED)))
    edited.save()
    added.save()
    samples.delete_labels(ids=[by_label(deleted)["head"].id])
    before = samples.values("persons.detections")
    report = detect(samples, **options)
    assert report.n_done == 3
    samples.reload()
    assert samples.values("persons.detections") == before
    assert boxes_of(samples.first()) == [EDITED, B]
    assert (report.n_people, report.n_dropped, report.n_removed, report.n_new) == (2, 2, 0, 0)


def test_edits_through_a_patches_view(samples, detect):
    patches = samples.to_patches("persons")
    patch = patches.first()
    patch.persons.bounding_box = relative(*EDITED)
    patch.save()
    detect(samples, overwrite=True)
    assert sorted(boxes_of(samples.first())) == sorted([EDITED, B])


def test_boxes_of_another_tool_stay(dataset, draw, detect):
    samples = dataset(draw("a.png", person=A, head=B))
    truth = fo.Detection(label="truth", bounding_box=relative(4, 4, 28, 56), iscrowd=True)
    samples.set_values("persons", [fo.Detections(detections=[truth])])
    report = detect(samples)
    assert boxes_of(samples.first()) == [(4, 4, 28, 56), B]
    assert (report.n_people, report.n_dropped, report.n_new) == (1, 1, 1)
    detect(samples, detector=OTHER)
    kept = samples.first().persons.detections[0]
    assert (kept.id, kept.label, kept["iscrowd"]) == (truth.id, "truth", True)


def test_embeddings_of_boxes_that_moved_are_computed_again(samples, detect, draw, model_dir):
    compute_embeddings(samples, patches_field="persons", model_dir=model_dir, blank="embed")
    before = samples.values("persons.detections.ccip_embedding")
    detect(samples, overwrite=True)
    assert np.array_equal(samples.values("persons.detections.ccip_embedding"), before), "no box moved"
    draw("a.png", person=(4, 4, 28, 56), head=B)
    detect(samples, verify=True)
    assert [vector is None for vector in samples.values("persons.detections.ccip_embedding")[0]] == [True, False]
    report = compute_embeddings(samples, patches_field="persons", model_dir=model_dir, blank="embed")
    assert report.n_computed == 1


def test_a_label_that_is_written_at_the_same_moment_stays(samples, detect, monkeypatch):
    """Between reading an image and writing it: the boxes are read and merged again."""
    merge_boxes, edits = detection_store.merge_boxes, []

    def slow(documents, *arguments, **options):
        if len(edits) < 4:
            edits.append(1)
            changed = {f"persons.detections.{n}.character_group": f"Rei {len(edits)}" for n in range(2)}
            samples._sample_collection.update_many({}, {"$set": changed})
        return merge_boxes(documents, *arguments, **options)

    monkeypatch.setattr(detection_store, "merge_boxes", slow)
    report = detect(samples, overwrite=True)
    assert (report.n_done, report.n_failed, len(edits)) == (3, 0, 4)
    samples.reload()
    assert samples.values("persons.detections.character_group") == [["Rei 4"] * 2] * 3


def test_an_image_that_is_edited_again_and_again_is_a_failure(samples, detect, monkeypatch):
    merge_boxes, edits = detection_store.merge_boxes, []

    def slow(*arguments, **options):
        edits.append(1)
        samples._sample_collection.update_many({}, {"$set": {"persons.detections.0.n": len(edits)}})
        return merge_boxes(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(detection_store, "merge_boxes", slow)
        report = detect(samples, overwrite=True)
    assert (report.n_done, report.n_failed) == (0, 3)
    assert "edited" in samples.first().persons_error
    assert detect(samples).n_done == 3


def test_unsaved_edits_of_boxes_stay(samples, detect):
    sample = samples.first()
    sample.persons.detections[0].bounding_box = relative(*EDITED)
    report = detect(samples, overwrite=True)
    assert (report.n_done, report.n_failed) == (2, 1)
    assert "not saved" in report.failures[sample.id]
    assert sample.persons_error == report.failures[sample.id]
    sample.save()
    report = detect(samples)
    assert (report.n_done, report.n_people) == (1, 1)
    assert EDITED in boxes_of(samples.first())


def test_other_unsaved_changes_stay_and_samples_in_memory_have_the_boxes(samples, detect, draw):
    sample = samples.first()
    sample.tags = ["unsaved"]
    draw("a.png", person=A)
    detect(samples, verify=True)
    assert sample.tags == ["unsaved"]
    assert boxes_of(sample) == [A]
    sample.save()
    assert samples.values("tags")[0] == ["unsaved"]


def test_clones_know_what_was_detected(samples, detect):
    edited = samples.first()
    by_label(edited)["person"].bounding_box = relative(*EDITED)
    edited.save()
    copy = samples.clone()
    try:
        report = detect(copy, detector=OTHER)
        assert (report.n_people, report.n_removed) == (1, 0)
        assert EDITED in boxes_of(copy.first())
    finally:
        copy.delete()
