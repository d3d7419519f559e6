"""The operator that computes embeddings: its form, its result."""

import re

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.embeddings import speeds
from ccip_plugin.storage.fields import ERROR_FIELD
from tests.operators.conftest import OTHER_MODEL
from tests.support import tiny_models
from tests.support.app.operator_tools import choices, facts, form, problems, run, said

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("models")]

COMPUTE = "@ccip/characters/compute_embeddings"


def test_the_models_are_described(gallery, models, monkeypatch):
    asked = form(COMPUTE, gallery("a"))
    words = choices(asked, "model_name")
    assert asked["model_name"]["default"] == tiny_models.NAME
    assert re.fullmatch(rf"{tiny_models.NAME}: default, F1 0.917, under 1 MB, on this machine", words[tiny_models.NAME])
    assert words["ccip-v2-caformer_s36-10"].endswith("F1 0.906, 150 MB, not in the folder of models")
    assert words["ccip-demo"] == "ccip-demo: stand-in, knows only the demo drawings"
    monkeypatch.delenv("CCIP_MODEL_DIR")
    words = choices(form(COMPUTE, gallery("a")), "model_name")
    assert words[tiny_models.NAME] == f"{tiny_models.NAME}: default, F1 0.917, 150 MB, will be downloaded"


def test_a_model_that_is_not_there_is_downloaded_or_refused(gallery, models, monkeypatch):
    dataset, absent = gallery("a"), "ccip-v2-caformer_s36-10"
    (problem,) = problems(form(COMPUTE, dataset, model_name=absent)).values()
    assert str(models) in problem and absent in problem
    monkeypatch.delenv("CCIP_MODEL_DIR")
    asked = form(COMPUTE, dataset, model_name=absent)
    assert problems(asked) == {}
    assert said(asked, "model_hint") == f"{absent} is not on this machine: 150 MB will be downloaded first."
    problem = problems(form(COMPUTE, dataset, model_dir=str(models)))["parameters_error"]
    assert problem == "model_dir: choose one of the offered folders"


@pytest.mark.parametrize(
    "name, problem",
    [
        pytest.param("髪の色", None, id="Japanese"),
        pytest.param("", None, id="empty is the default"),
        pytest.param("a b", "Letters, digits and _ only, a letter first", id="a space"),
        pytest.param("faces.x", "Letters, digits and _ only, a letter first", id="a path"),
        pytest.param("faces", "'faces' contains other values, not vectors: choose another name", id="another type"),
    ],
)
def test_the_name_of_the_field_is_checked(boxes, name, problem):
    expected = {} if problem is None else {"embeddings_field": problem}
    assert problems(form(COMPUTE, boxes, embeddings_field=name)) == expected


def test_asks_about_the_embeddings_that_are_there(gallery):
    dataset = gallery("aab")
    assert "existing" not in form(COMPUTE, dataset)
    run(COMPUTE, dataset.limit(2))
    asked = form(COMPUTE, dataset)
    assert said(asked, "count_hint") == "3 images, 1 without an embedding."
    assert list(choices(asked, "existing")) == ["keep", "verify", "overwrite"]
    assert asked["existing"]["default"] == "keep"


def test_says_that_another_model_replaces_the_embeddings(gallery):
    dataset = gallery("aab")
    run(COMPUTE, dataset, model_name=OTHER_MODEL)
    asked = form(COMPUTE, dataset)
    assert asked["model_name"]["default"] == OTHER_MODEL, "the one of the embeddings that are there"
    asked = form(COMPUTE, dataset, model_name=tiny_models.NAME)
    assert said(asked, "model_warning").startswith(f"The 3 existing embeddings are from {OTHER_MODEL}")
    assert "they will be replaced" in said(asked, "model_warning")
    assert "existing" not in asked
    assert "choose the whole dataset" in said(
        form(COMPUTE, dataset.limit(1), model_name=tiny_models.NAME), "model_warning"
    )
    assert facts(run(COMPUTE, dataset, model_name=tiny_models.NAME)["show_output"]["results"])["Embedded now"] == "3"


def test_says_how_long_it_will_take(gallery, monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    assert "cost_hint" not in form(COMPUTE, gallery("ab")), "nobody knows yet"
    run(COMPUTE, gallery("ab" * 10))
    model = tiny_models.NAME
    speeds.remember(model, speeds.Speed("CPUExecutionProvider", 0.5), speeds.LEAST)
    dataset = gallery("ab" * 30)
    words = "60 images to embed: about 2 min on CPU, at the speed of the last run."
    assert said(form(COMPUTE, dataset), "cost_hint") == words
    assert said(form(COMPUTE, dataset, provider="cpu"), "cost_hint") == words
    assert "cost_hint" not in form(COMPUTE, dataset, provider="cuda")
    run(COMPUTE, dataset)
    assert speeds.recall(model).per_second > 0.5
    assert "cost_hint" not in form(COMPUTE, dataset)
    assert said(form(COMPUTE, dataset, existing="overwrite"), "cost_hint").startswith("60 images to embed: ")


def test_vectors_of_unknown_origin_need_a_word(gallery):
    dataset = gallery("aab")
    dataset.add_sample_field("ccip_embedding", fo.VectorField)
    vectors = np.random.default_rng(0).normal(size=(3, 768)).astype(np.float32)
    dataset.set_values("ccip_embedding", list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)))
    asked = form(COMPUTE, dataset)
    assert list(problems(asked)) == ["existing_error"]
    assert "adopt" in choices(asked, "existing")
    assert problems(form(COMPUTE, dataset, existing="adopt", model_name=tiny_models.NAME)) == {}
    run(COMPUTE, dataset, existing="adopt", model_name=tiny_models.NAME)
    assert dataset.get_field("ccip_embedding").info["model_name"] == tiny_models.NAME


def test_boxes_are_cut_as_before(boxes):
    run(COMPUTE, boxes, patches_field="faces", alpha=0.25, force_square=True)
    asked = form(COMPUTE, boxes, patches_field="faces")
    assert (asked["alpha"]["default"], asked["force_square"]["default"]) == (0.25, True)


def test_counts_follow_the_data(gallery):
    dataset = gallery("aab")
    for n_missing in (3, 1, 2):
        if n_missing == 1:
            run(COMPUTE, dataset.limit(2))
        elif n_missing == 2:
            dataset.match({"filepath": dataset.first().filepath}).set_field("ccip_embedding", None).save()
        expected = f"3 images, {n_missing} without an embedding."
        assert [said(form(COMPUTE, dataset), "count_hint") for _ in range(2)] == [expected, expected]


def test_computes_embeddings_and_shows_a_summary(gallery, tmp_path):
    dataset = gallery("aabb")
    broken = tmp_path / "壊れた 💔.png"
    broken.write_bytes(b"no image")
    dataset.add_sample(fo.Sample(filepath=str(broken)))
    shown = run(COMPUTE, dataset)
    assert dataset.count("ccip_embedding") == 4
    assert shown["notify"] == {"message": "CCIP: 4 of 5 embedded, 0 already embedded, 1 failed", "variant": "warning"}
    results = shown["show_output"]["results"]
    found = facts(results)
    assert {name: found[name] for name in ("Embedded now", "Already embedded", "Failed", "Model", "Field")} == {
        "Embedded now": "4",
        "Already embedded": "0",
        "Failed": "1",
        "Model": tiny_models.NAME,
        "Field": "ccip_embedding",
    }
    assert found["Speed"].endswith("images/s on CPU")
    assert results["failures"] == [{"image": str(broken), "reason": dataset.last()[ERROR_FIELD]}]
    again = facts(run(COMPUTE, dataset)["show_output"]["results"])
    assert (again["Embedded now"], again["Already embedded"]) == ("0", "4")


def test_failures_of_detections_are_named_by_their_file(boxes):
    sample = boxes.first()
    sample.faces.detections[1].bounding_box = [2, 2, 0.5, 0.5]
    sample.save()
    results = run(COMPUTE, boxes, patches_field="faces")["show_output"]["results"]
    assert [row["image"] for row in results["failures"]] == [sample.filepath]


@pytest.mark.parametrize("existing, n_computed", [("keep", "0"), ("verify", "1"), ("overwrite", "3")])
def test_existing_embeddings(gallery, images, existing, n_computed):
    dataset = gallery("aab")
    run(COMPUTE, dataset)
    with open(dataset.first().filepath, "ab") as file:  # noqa: PTH123
        file.write(b" ")
    results = run(COMPUTE, dataset, existing=existing)["show_output"]["results"]
    assert facts(results)["Embedded now"] == n_computed
