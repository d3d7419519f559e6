"""Detections in a dataset: written once, resumed, with their provenance."""

from pathlib import Path

import fiftyone as fo
import pytest

from ccip_plugin.core.detection.files import find_detector
from ccip_plugin.core.detection.registry import get_detector
from ccip_plugin.core.encoder.reading import file_state
from ccip_plugin.core.errors import ModelFileMissingError, ParameterError
from ccip_plugin.core.preprocessing import READING_POLICY
from ccip_plugin.detection.provenance import OtherDetectorError, read_provenance
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.jobs.removal import remove_ccip
from ccip_plugin.storage.schema import FieldReadOnlyError, FieldTypeError, ForeignFieldError
from ccip_plugin.storage.targets import TargetError
from tests.support.detection.boxes import boxes_of
from tests.support.detection.rectangles import write_detector

from .conftest import HEADS, OTHER, PERSONS

A, B = (16, 16, 48, 48), (8, 4, 24, 60)


@pytest.fixture
def samples(dataset, draw):
    return dataset(draw("a.png", person=A), draw("b.png", person=B, head=(32, 8, 56, 24)), draw("c.png"))


def test_writes_detections_in_a_dataset_without_the_field(samples, detect):
    before = samples.values("last_modified_at")
    report = detect(samples)
    assert [boxes_of(sample) for sample in samples] == [[A], [B, (32, 8, 56, 24)], []]
    first = samples.first().persons.detections[0]
    assert (first.label, first.confidence) == ("person", pytest.approx(1, abs=1e-6))
    assert samples.get_field("persons").document_type is fo.Detections
    assert samples.values("persons_error") == [None] * 3
    assert samples.values("persons_source") == [file_state(Path(path).stat()) for path in samples.values("filepath")]
    written = [[entry["id"] for entry in entries] for entries in samples.values("persons_detected")]
    assert written == samples.values("persons.detections.id")
    assert all(now > then for now, then in zip(samples.values("last_modified_at"), before, strict=True))
    assert (report.n_total, report.n_done, report.n_skipped, report.n_failed, report.n_gone) == (3, 3, 0, 0, 0)
    assert (report.n_boxes, report.n_new, report.n_people, report.n_dropped, report.n_removed) == (3, 3, 0, 0, 0)
    assert report.facts().headline == "3 detections in 3 images"
    assert report.facts()["Speed"].endswith(" images/s on CPU")
    assert "persons" in str(report)


def test_records_where_detections_come_from(samples, detect, detectors):
    detect(samples)
    file = find_detector(get_detector(PERSONS), model_dir=detectors)
    assert dict(fo.load_dataset(samples.name).get_field("persons").info) == {
        "detector": PERSONS,
        "min_score": 0.3,
        "max_overlap": 0.5,
        "layout": "yolo",
        "reading_policy": READING_POLICY,
        "sha256": file.fingerprint,
        "revision": None,
        "providers": ["CPUExecutionProvider"],
    }


def test_keys_of_other_tools_in_the_info_stay(samples, detect):
    samples.add_sample_field("persons", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections, info={"mine": 1})
    detect(samples)
    detect(samples, overwrite=True)
    assert fo.load_dataset(samples.name).get_field("persons").info["mine"] == 1


def test_what_is_done_is_skipped(samples, detect, draw):
    detect(samples)
    ids = samples.values("persons.detections.id")
    again = detect(samples, model_dir="/no folder")  # no model is needed
    assert (again.n_done, again.n_skipped, again.provider) == (0, 3, None)
    assert again.facts().headline == "0 detections in 0 images, 3 already done"
    samples.add_sample(fo.Sample(filepath=str(draw("d.png", person=A))))
    report = detect(samples)
    assert (report.n_done, report.n_skipped, report.n_new) == (1, 3, 1)
    assert samples.values("persons.detections.id")[:3] == ids


def test_overwrite_keeps_ids_and_what_else_is_stored(samples, detect):
    detect(samples)
    sample = samples.first()
    sample.persons.detections[0]["character_group"] = "Rei"
    sample.save()
    ids = samples.values("persons.detections.id")
    report = detect(samples, overwrite=True)
    assert (report.n_done, report.n_boxes, report.n_new) == (3, 3, 0)
    assert samples.values("persons.detections.id") == ids
    assert samples.first().persons.detections[0]["character_group"] == "Rei"


def test_verify_detects_where_the_file_has_changed(samples, detect, draw):
    detect(samples)
    ids = samples.values("persons.detections.id")
    draw("a.png", person=(16, 16, 48, 56))
    assert detect(samples).n_done == 0
    report = detect(samples, verify=True)
    assert (report.n_done, report.n_skipped) == (1, 2)
    assert boxes_of(samples.first()) == [(16, 16, 48, 56)]
    assert samples.values("persons.detections.id") == ids, "the same person, with the same id"
    assert detect(samples, verify=True).n_done == 0


def test_a_failure_is_recorded_and_tried_again(samples, detect, draw):
    path = Path(samples.first().filepath)
    content = path.read_bytes()
    path.write_bytes(content[:60])
    report = detect(samples)
    key = samples.first().id
    assert (report.n_done, report.n_failed, set(report.failures)) == (2, 1, {key})
    assert samples.first().persons_error == report.failures[key]
    assert samples.first().persons is None
    assert report.facts().headline == "2 detections in 2 images, 1 failed"
    path.write_bytes(content)
    report = detect(samples)
    assert (report.n_done, report.n_skipped, report.n_failed) == (1, 2, 0)
    assert boxes_of(samples.first()) == [A]
    assert samples.values("persons_error") == [None] * 3


def test_boxes_stay_when_the_file_cannot_be_read_any_more(samples, detect):
    detect(samples)
    Path(samples.first().filepath).unlink()
    report = detect(samples, verify=True)
    assert report.failures == {samples.first().id: "file not found"}
    assert boxes_of(samples.first()) == [A]


def test_a_view_is_a_part(samples, detect):
    report = detect(samples[1:])
    assert (report.n_total, report.n_done) == (2, 2)
    assert [sample.persons is None for sample in samples] == [True, False, False]
    heads = samples.filter_labels("persons", fo.ViewField("label") == "head")
    report = detect(heads, overwrite=True)
    assert report.n_total == 1
    assert len(boxes_of(samples[samples.values("id")[1]])) == 2, "hidden detections stay"
    assert detect(samples.select_fields("filepath")).n_done == 1


@pytest.mark.parametrize("kind, name", [("persons", PERSONS), (OTHER, OTHER), ("heads", HEADS)])
def test_kinds_and_names(samples, detect, kind, name):
    report = detect(samples, detector=kind)
    assert report.detector == name
    assert report.field == get_detector(name).finds
    assert detect(samples, detector=kind).n_done == 0


def test_a_kind_stands_for_the_detector_of_the_field(samples, detect):
    detect(samples, detector=OTHER, min_score=0.6)
    report = detect(samples)
    assert (report.detector, report.n_done) == (OTHER, 0)


def test_another_detector_for_all(samples, detect):
    detect(samples)
    ids = samples.values("persons.detections.id")
    report = detect(samples, detector=OTHER)
    assert (report.n_done, report.n_boxes, report.n_new) == (3, 3, 0)
    assert samples.values("persons.detections.id") == ids
    assert read_provenance(samples, "persons").detector == OTHER
    assert detect(samples, min_score=0.99).n_done == 3
    assert read_provenance(samples, "persons").min_score == 0.99


def test_another_detector_for_a_part_is_refused(samples, detect):
    detect(samples)
    with pytest.raises(OtherDetectorError, match=f"detector {PERSONS} in the field, {OTHER} now"):
        detect(samples[:1], detector=OTHER)
    detect(samples[:1], detector=OTHER, field="others")
    detect(samples[:1], overwrite=True)


def test_another_file_of_the_same_name_is_another_detector(samples, detect, detectors):
    detect(samples)
    write_detector(detectors / PERSONS / "model.onnx", width=32)
    with pytest.raises(OtherDetectorError, match="SHA-256"):
        detect(samples[:1], overwrite=True)
    assert detect(samples, overwrite=True).n_done == 3


def test_other_options_that_are_wrong(samples, detect):
    with pytest.raises(ParameterError, match="detector is 'cats'"):
        detect(samples, detector="cats")
    with pytest.raises(ParameterError, match="min_score"):
        detect(samples, min_score=2)
    with pytest.raises(TargetError, match="cannot be a field"):
        detect(samples, field="a.b")
    assert set(samples.get_field_schema()) == {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"}


def test_a_missing_model_leaves_no_fields_behind(samples, detect, tmp_path):
    with pytest.raises(ModelFileMissingError, match=PERSONS):
        detect(samples, model_dir=tmp_path)
    assert "persons" not in samples.get_field_schema()


def test_patches_and_fields_of_other_types_are_refused(samples, detect):
    detect(samples)
    with pytest.raises(TargetError, match="not in patches"):
        detect(samples.to_patches("persons"))
    with pytest.raises(FieldTypeError):
        detect(samples, field="filepath")
    samples.add_sample_field("heads_source", fo.StringField)
    samples.set_values("heads_source", ["mine"] * 3)
    with pytest.raises(ForeignFieldError, match="heads_source"):
        detect(samples, detector="heads")
    field = samples.get_field("persons")
    field.read_only = True
    field.save()
    with pytest.raises(FieldReadOnlyError):
        detect(samples, overwrite=True)


def test_a_field_that_was_deleted_begins_anew(samples, detect):
    detect(samples)
    samples.delete_sample_field("persons")
    report = detect(samples)
    assert (report.n_done, report.n_boxes, report.n_dropped) == (3, 3, 0)
    samples.clear_sample_field("persons")
    report = detect(samples)
    assert (report.n_done, report.n_boxes) == (3, 3), "nobody deleted these boxes one by one"


def test_detections_are_embedded(samples, detect, model_dir):
    detect(samples)
    report = compute_embeddings(samples, patches_field="persons", model_dir=model_dir)
    assert (report.n_total, report.n_computed + report.n_blank) == (3, 3)


def test_a_slice_of_a_grouped_dataset(dataset, draw, detect):
    samples = dataset()
    samples.add_group_field("group", default="left")
    for n in range(2):
        group = fo.Group()
        samples.add_samples(
            fo.Sample(filepath=str(draw(f"{side}{n}.png", person=A)), group=group.element(side))
            for side in ("left", "right")
        )
    report = detect(samples.select_group_slices("left"))
    assert (report.n_total, report.n_boxes) == (2, 2)
    with pytest.raises(OtherDetectorError):
        detect(samples.select_group_slices("right"), detector=OTHER)
    assert detect(samples.select_group_slices(["left", "right"]), detector=OTHER).n_boxes == 4


def test_what_is_beside_the_detections_is_removed_with_the_rest(samples, detect):
    detect(samples)
    ids = samples.values("persons.detections.id")
    assert remove_ccip(samples).ours.fields == ("persons_detected", "persons_error", "persons_source")
    assert samples.values("persons.detections.id") == ids
    report = detect(samples)
    assert (report.n_people, report.n_new) == (3, 0), "nobody knows any more whose they are"
    assert samples.values("persons.detections.id") == ids
