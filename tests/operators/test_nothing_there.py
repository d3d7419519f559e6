"""Forms of operators where something is missing: they say what, and how to get it."""

import fiftyone as fo
import pytest

from ccip_plugin.core.errors import CCIPError
from ccip_plugin.embeddings import compute_embeddings
from tests.support import tiny_models
from tests.support.app.operator_tools import form, problems, run

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("models")]

URI = "@ccip/characters/"
WITH_A_TARGET = (
    *("compute_embeddings", "group_characters", "explore_parameters", "find_similar", "compute_visualization"),
    *("evaluate_model", "evaluate_groups", "calibrate", "compare_runs"),
)


@pytest.mark.parametrize("name", WITH_A_TARGET)
def test_without_images_there_is_nothing_to_do(dataset, gallery, name):
    assert list(problems(form(URI + name, dataset()))) == ["target_error"]
    assert problems(form(URI + name, dataset()))["target_error"].startswith("There are no images in this dataset: add")
    empty = gallery("a").match({"filepath": "no such file"})
    assert problems(form(URI + name, empty)) == {"target_error": "There are no images in this view."}


def test_without_detections_there_is_nothing_to_do(gallery):
    data = gallery("a")
    data.add_sample_field("faces", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    found = problems(form(f"{URI}compute_embeddings", data, patches_field="faces"))
    assert found["target_error"].startswith("There are no detections in this dataset: run a detector first")
    found = problems(form(f"{URI}compute_embeddings", data.to_patches("faces")))
    assert found["target_error"].startswith("There are no detections in this")


@pytest.mark.parametrize("patches_field", [None, "faces"])
def test_a_model_that_cannot_be_had_leaves_no_fields_behind(boxes, models, patches_field):
    before = list(boxes.get_field_schema(flat=True))
    (models / tiny_models.NAME / "model_feat.onnx").write_bytes(b"PK\x03\x04")
    with pytest.raises(CCIPError):
        compute_embeddings(boxes, patches_field=patches_field)
    boxes.reload()
    assert list(boxes.get_field_schema(flat=True)) == before


def test_a_field_that_cannot_be_written_is_refused_before_the_model_is_read(gallery, models):
    data = gallery("a")
    data.add_sample_field("ccip_error", fo.IntField)
    (models / tiny_models.NAME / "model_feat.onnx").unlink()
    with pytest.raises(CCIPError, match="ccip_error"):
        compute_embeddings(data)


@pytest.mark.parametrize(
    "name, how",
    [
        ("calibrate", "Run 'CCIP: compute embeddings' first."),
        ("apply_proposal", "run 'CCIP: group by character'"),
        ("compare_runs", "Run 'CCIP: group by character' into another field"),
        ("reject", "Run 'CCIP: group by character' first."),
        ("evaluate_groups", "Run 'CCIP: group by character' first."),
        ("evaluate_model", "Add one: a field of classifications"),
        ("group_characters", "Run 'CCIP: compute embeddings' first."),
    ],
)
def test_what_is_missing_comes_with_how_to_get_it(gallery, name, how):
    data = gallery("a")
    found = problems(form(URI + name, data, selected=data.values("id")))
    assert any(how in problem for problem in found.values()), found


def test_a_ground_truth_field_is_asked_for_with_how_to_get_it(gallery):
    data = gallery("aab")
    run(f"{URI}compute_embeddings", data)
    found = problems(form(f"{URI}calibrate", data, evidence="truth"))
    assert "Add one: a field of classifications" in found["ground_truth_field_error"]
