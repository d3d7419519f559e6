"""The operators, as FiftyOne loads and runs them: forms, runs, delegation, calls from Python."""

import asyncio
import importlib
import re
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionError

from ccip_plugin.app.execution import WRITING_LABELS
from ccip_plugin.embeddings import speeds
from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.history import undo
from ccip_plugin.storage.fields import ERROR_FIELD
from tests.support import tiny_models
from tests.support.operator_tools import choices, facts, form, problems, run, said

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).resolve().parents[2]
COMPUTE, GROUP = "@ccip/characters/compute_embeddings", "@ccip/characters/group_characters"
UNDO, REDO = "@ccip/characters/undo", "@ccip/characters/redo"
EXPLORE, APPLY = "@ccip/characters/explore_parameters", "@ccip/characters/apply_proposal"
OTHER_MODEL = "ccip-caformer_b36-24"
WHOLE_IMAGES = "(whole images)"


@pytest.fixture(autouse=True)
def models(model_dir, monkeypatch):
    """Two tiny models, where CCIP_MODEL_DIR says."""
    tiny_models.write_model_dir(model_dir, name=OTHER_MODEL, variant="other_weights")
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return model_dir


@pytest.fixture
def gallery(dataset, images):
    """``gallery("aab")`` gives a dataset of small images."""
    return lambda characters: dataset(*images(characters))


@pytest.fixture
def boxes(gallery):
    """A dataset with two detections in each of its images."""
    new = gallery("aabb")
    for sample in new:
        both = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        detections = [fo.Detection(label="face", bounding_box=box, confidence=0.9) for box in both]
        sample["faces"] = fo.Detections(detections=detections)
        sample.save()
    return new


def labels(dataset, path="character_group.label"):
    return dataset.values(path)


# -- what FiftyOne knows of them


def test_each_says_what_it_is():
    for uri in (COMPUTE, GROUP, UNDO, REDO, EXPLORE, APPLY):
        config = foo.get_operator(uri).config.to_json()
        assert config["risk_level"] == ("low" if uri == EXPLORE else "medium")
        assert config["dynamic"] and config["execute_as_generator"]
        for name in ("icon", "light_icon", "dark_icon"):
            assert (ROOT / config[name].removeprefix("/")).is_file()
        assert config["allow_immediate_execution"] and not config["default_choice_to_delegated"]
        assert config["allow_delegated_execution"] == (uri in (COMPUTE, GROUP, EXPLORE))


def test_there_is_a_button_and_it_asks_the_database_nothing(gallery):
    placement = foo.get_operator(GROUP).resolve_placement(ExecutionContext({"dataset_name": "no such dataset"}))
    assert placement.to_json()["view"]["label"] == "CCIP: group by character"


def test_loading_the_plugin_is_light(run_python):
    code = """
        import sys
        import fiftyone as fo
        before = set(sys.modules)
        import fiftyone.operators as foo
        assert foo.get_operator("@ccip/characters/group_characters")
        print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
    """
    loaded = set(run_python(code).stdout.split())
    assert loaded.isdisjoint({"onnxruntime", "sklearn", "scipy", "huggingface_hub", "torch"})


# -- what to work on


@pytest.mark.parametrize("uri", [COMPUTE, GROUP, EXPLORE, APPLY])
def test_without_a_dataset_the_form_says_so(uri):
    resolved = foo.get_operator(uri).resolve_type(ExecutionContext({"params": {}}), "inputs").to_json()
    assert problems(resolved["type"]["properties"]) == {"dataset_error": "Open a dataset first."}


@pytest.mark.parametrize("uri", [COMPUTE, GROUP])
def test_ticked_tiles_are_not_the_default_target(gallery, uri):
    dataset = gallery("aabb")
    ticked = dataset.values("id")[:1]
    assert form(uri, dataset)["view_target"]["view"]["name"] == "HiddenView"
    asked = form(uri, dataset, selected=ticked)["view_target"]
    assert (asked["default"], asked["type"]["values"]) == ("DATASET", ["DATASET", "SELECTED_SAMPLES"])
    asked = form(uri, dataset.limit(3), selected=ticked)["view_target"]
    assert asked["default"] == "CURRENT_VIEW"
    assert asked["type"]["values"] == ["DATASET", "CURRENT_VIEW", "SELECTED_SAMPLES"]


@pytest.mark.parametrize(
    "target, n",
    [
        pytest.param(None, 3, id="the view"),
        pytest.param("CURRENT_VIEW", 3, id="the view, chosen"),
        pytest.param("DATASET", 4, id="the dataset"),
        pytest.param("SELECTED_SAMPLES", 1, id="ticked tiles"),
    ],
)
def test_works_on_what_was_chosen(gallery, target, n):
    dataset = gallery("aabb")
    view, ticked = dataset.limit(3), dataset.values("id")[:1]
    params = {} if target is None else {"view_target": target}
    counted = said(form(COMPUTE, view, selected=ticked, **params), "count_hint")
    assert counted.startswith(f"{n} image")
    run(COMPUTE, view, selected=ticked, **params)
    assert dataset.count("ccip_embedding") == n


def test_offers_the_detections(boxes):
    asked = form(COMPUTE, boxes)
    assert choices(asked, "patches_field") == {WHOLE_IMAGES: "Whole images", "faces": "Detections in 'faces'"}
    assert asked["patches_field"]["default"] == WHOLE_IMAGES
    assert said(asked, "count_hint") == "4 images, 4 without an embedding."
    assert "alpha" not in asked
    asked = form(COMPUTE, boxes, patches_field="faces")
    assert said(asked, "count_hint") == "8 detections, 8 without an embedding."
    assert "alpha" in asked


def test_a_patches_view_stands_for_its_detections(boxes):
    patches = boxes.to_patches("faces")
    asked = form(COMPUTE, patches.limit(3))
    assert "patches_field" not in asked
    assert said(asked, "count_hint") == "3 detections, 3 without an embedding."
    run(COMPUTE, patches)
    run(GROUP, patches)
    assert boxes.count("faces.detections.ccip_embedding") == 8
    assert set(boxes.values("faces.detections.character_group", unwind=True)) == {"character_0001", "character_0002"}
    assert boxes.count_values("faces.detections.label") == {"face": 8}


def test_a_grouped_dataset_is_taken_slice_by_slice(dataset, images):
    new = dataset()
    new.add_group_field("shot", default="front")
    samples = []
    for front, back in zip(images("aabb"), images("ccdd"), strict=True):
        group = fo.Group()
        samples += [fo.Sample(filepath=str(front), shot=group.element("front"))]
        samples += [fo.Sample(filepath=str(back), shot=group.element("back"))]
    new.add_samples(samples)
    asked = form(COMPUTE, new)
    assert asked["view_target"]["default"] == "CURRENT_VIEW"
    assert said(asked, "count_hint") == "4 images, 4 without an embedding."
    run(COMPUTE, new)
    run(GROUP, new)
    assert new.count_values("character_group.label") == {"character_0001": 2, "character_0002": 2}
    assert new.select_group_slices("back").count("ccip_embedding") == 0


def test_whatever_cannot_be_worked_on_is_said(dataset):
    new = dataset()
    new.add_sample(fo.Sample(filepath="/絵/a.mp4"))
    (problem,) = problems(form(COMPUTE, new)).values()
    assert problem.startswith("CCIP needs images")


# -- the form of compute_embeddings


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
    assert problems(form(COMPUTE, dataset, model_dir=str(models))) == {}


@pytest.mark.parametrize(
    "name, problem",
    [
        pytest.param("髪の色", None, id="Japanese"),
        pytest.param("", None, id="empty is the default"),
        pytest.param("a b", "Letters, digits and _ only, a letter first", id="a space"),
        pytest.param("faces.x", "Letters, digits and _ only, a letter first", id="a path"),
        pytest.param("faces", "'faces' has something else in it, not vectors: choose another name", id="another type"),
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
    assert said(asked, "model_warning").startswith(f"The 3 embeddings that are there are from {OTHER_MODEL}")
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
    words = "60 to embed: about 2 min on CPUExecutionProvider, if it goes as fast as the last time."
    assert said(form(COMPUTE, dataset), "cost_hint") == words
    assert said(form(COMPUTE, dataset, provider="cpu"), "cost_hint") == words
    assert "cost_hint" not in form(COMPUTE, dataset, provider="cuda")
    run(COMPUTE, dataset)
    assert speeds.recall(model).per_second > 0.5
    assert "cost_hint" not in form(COMPUTE, dataset)
    assert said(form(COMPUTE, dataset, existing="overwrite"), "cost_hint").startswith("60 to embed: about")


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


@pytest.mark.parametrize("uri", [COMPUTE, GROUP])
def test_large_datasets_are_not_counted(gallery, monkeypatch, uri):
    dataset = gallery("aab")
    run(COMPUTE, dataset)
    package = type(foo.get_operator(uri)).__module__.partition(".operators.")[0]
    monkeypatch.setattr(importlib.import_module(f"{package}.app.forms"), "COUNT_LIMIT", 2)
    asked = form(uri, dataset)
    assert "bout 3 images" in said(asked, "count_hint")
    assert problems(asked) == {}


def test_counts_follow_the_data(gallery):
    dataset = gallery("aab")
    for n_missing in (3, 1, 2):
        if n_missing == 1:
            run(COMPUTE, dataset.limit(2))
        elif n_missing == 2:
            dataset.match({"filepath": dataset.first().filepath}).set_field("ccip_embedding", None).save()
        expected = f"3 images, {n_missing} without an embedding."
        assert [said(form(COMPUTE, dataset), "count_hint") for _ in range(2)] == [expected, expected]


# -- the form of group_characters


def test_says_to_compute_embeddings_first(boxes):
    first = "Run 'CCIP: compute embeddings' first."
    assert problems(form(GROUP, boxes)) == {"embeddings_error": f"The images have no CCIP embeddings yet. {first}"}
    asked = form(GROUP, boxes, patches_field="faces")
    assert problems(asked) == {"embeddings_error": f"The detections have no CCIP embeddings yet. {first}"}
    run(COMPUTE, boxes.limit(1))
    expected = f"None of the 3 images has an embedding in 'ccip_embedding' yet. {first}"
    assert problems(form(GROUP, boxes.skip(1))) == {"count_error": expected}


def test_says_what_is_embedded(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset.limit(3))
    expected = f"4 images, 3 of them embedded with {tiny_models.NAME}; 1 without an embedding will have no group."
    assert said(form(GROUP, dataset), "count_hint") == expected
    run(COMPUTE, dataset)
    assert said(form(GROUP, dataset), "count_hint") == f"4 images, all embedded with {tiny_models.NAME}."


def test_methods_are_explained_and_show_what_was_published(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    asked = form(GROUP, dataset)
    assert asked["method"]["default"] == "linkage"
    offered = choices(asked, "method")
    assert next(iter(offered.items())) == ("linkage", "Average linkage (recommended)")
    assert offered.keys() >= {"dbscan", "dbscan_2", "dbscan_free", "optics", "optics_best"}
    words = {choice["value"]: choice["description"] for choice in asked["method"]["view"]["choices"]}
    assert all(words.values())
    for method, published in (
        ("linkage", ("0.1785", "2")),
        ("dbscan_2", ("0.1292", "2")),
        ("optics_best", ("0.1836", "5")),
    ):
        asked = form(GROUP, dataset, method=method)
        assert tuple(asked[name]["view"]["placeholder"] for name in ("eps", "min_samples")) == published


@pytest.mark.parametrize(
    "name, value, problem",
    [
        pytest.param("eps", 0, None, id="eps 0"),
        pytest.param("eps", 1, None, id="eps 1"),
        pytest.param("eps", "", None, id="no eps"),
        pytest.param("eps", 1.01, "A difference from 0 to 1", id="eps too large"),
        pytest.param("eps", -0.1, "A difference from 0 to 1", id="eps negative"),
        pytest.param("eps", "much", "A difference from 0 to 1", id="eps no number"),
        pytest.param("min_samples", 1, None, id="one image is a group"),
        pytest.param("min_samples", 0, "A whole number, at least 1", id="no image is a group"),
        pytest.param("min_samples", 2.5, "A whole number, at least 1", id="half an image"),
        pytest.param("group_field", "キャラ", None, id="Japanese"),
        pytest.param("group_field", "", None, id="empty is the default"),
        pytest.param("group_field", "my groups", "Letters, digits and _ only, a letter first", id="a space"),
        pytest.param("group_field", "ccip_embedding", "This field has the embeddings", id="the embeddings"),
        pytest.param(
            "group_field",
            "faces",
            "'faces' has something else in it, not character groups: choose another name",
            id="another type",
        ),
    ],
)
def test_answers_are_checked(boxes, name, value, problem):
    run(COMPUTE, boxes)
    expected = {} if problem is None else {name: problem}
    assert problems(form(GROUP, boxes, **{name: value})) == expected


@pytest.mark.parametrize("patches_field", [None, "faces"], ids=["images", "detections"])
def test_says_how_many_labels_people_decided(boxes, patches_field):
    options = {"patches_field": patches_field}
    run(COMPUTE, boxes, **options)
    run(GROUP, boxes, **options)
    assert said(form(GROUP, boxes, **options), "human_hint") is None
    sample = boxes.first()
    if patches_field:
        sample.faces.detections[0]["character_group"] = "Rei"
    else:
        sample.character_group.label = "Rei"
    sample.save()
    noun = "detection" if patches_field else "image"
    expected = f"Kept as they are: 1 {noun} with a label in 'character_group' that people decided."
    assert said(form(GROUP, boxes, **options), "human_hint") == expected


def test_asks_which_embeddings_when_there_are_several(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset, embeddings_field="a_other", model_name=OTHER_MODEL)
    assert "embeddings_field" not in form(GROUP, dataset)
    run(COMPUTE, dataset)
    asked = form(GROUP, dataset)
    assert list(choices(asked, "embeddings_field")) == ["ccip_embedding", "a_other"], "the default first"
    assert OTHER_MODEL in said(form(GROUP, dataset, embeddings_field="a_other"), "count_hint")
    results = run(GROUP, dataset, embeddings_field="a_other", group_field="other_group")["show_output"]["results"]
    assert facts(results)["Embeddings"] == f"a_other, {OTHER_MODEL}"


# -- running


def test_computes_embeddings_and_shows_a_summary(gallery, tmp_path):
    dataset = gallery("aabb")
    broken = tmp_path / "壊れた 💔.png"
    broken.write_bytes(b"no image")
    dataset.add_sample(fo.Sample(filepath=str(broken)))
    shown = run(COMPUTE, dataset)
    assert dataset.count("ccip_embedding") == 4
    assert shown["notify"] == {"message": "CCIP: 4 of 5 embedded, 0 already done, 1 failed", "variant": "warning"}
    results = shown["show_output"]["results"]
    found = facts(results)
    assert {name: found[name] for name in ("Embedded now", "Already there", "Failed", "Model", "Field")} == {
        "Embedded now": "4",
        "Already there": "0",
        "Failed": "1",
        "Model": tiny_models.NAME,
        "Field": "ccip_embedding",
    }
    assert found["Speed"].endswith("images/s on CPU")
    assert results["failures"] == [{"image": str(broken), "reason": dataset.last()[ERROR_FIELD]}]
    again = facts(run(COMPUTE, dataset)["show_output"]["results"])
    assert (again["Embedded now"], again["Already there"]) == ("0", "4")


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


def test_groups_and_shows_a_summary(gallery):
    dataset = gallery("aabbbc")
    run(COMPUTE, dataset)
    shown = run(GROUP, dataset)
    assert labels(dataset) == ["character_0002"] * 2 + ["character_0001"] * 3 + ["unassigned"]
    assert shown["notify"] == {"message": "CCIP: 2 character groups with 5 images", "variant": "success"}
    results = shown["show_output"]["results"]
    found = facts(results)
    assert (found["Character groups"], found["In a group"], found["Unassigned"]) == ("2", "5", "1")
    assert found["Method"] == "Average linkage (linkage, eps 0.1785, min_samples 2)"
    assert results["sizes"] == [{"type": "bar", "x": ["2", "3"], "y": [1, 1]}]
    outputs = shown["show_output"]["outputs"]["type"]["properties"]
    assert list(outputs) == ["facts", "sizes", "shapes"]


def test_eps_and_min_samples_override_the_published_values(gallery):
    dataset = gallery("aab")
    run(COMPUTE, dataset)
    results = run(GROUP, dataset, eps=0, min_samples=1)["show_output"]["results"]
    assert facts(results)["Method"] == "Average linkage (linkage, eps 0.0000, min_samples 1)"
    assert len(set(labels(dataset))) == 3


def test_a_human_label_survives_and_undo_restores(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    run(GROUP, dataset)
    sample = dataset.first()
    sample.character_group.label = "綾波レイ"
    sample.save()
    before = labels(dataset)
    run(GROUP, dataset, eps=0)
    assert labels(dataset)[0] == "綾波レイ"
    assert labels(dataset) != before
    run(UNDO, dataset)
    assert labels(dataset) == before


def test_errors_are_shown_and_say_what_to_do(gallery, models):
    dataset = gallery("a")
    (models / tiny_models.NAME / "model_feat.onnx").unlink()
    shown = run(COMPUTE, dataset)
    assert shown["notify"] == {"message": "CCIP could not compute the embeddings", "variant": "error"}
    (error,) = shown["show_output"]["results"]["errors"]
    assert "model_feat.onnx" in error["reason"] and "CCIP_MODEL_DIR" in error["reason"]
    assert "Traceback" in error["details"]


def test_errors_reach_scripts(gallery, models):
    dataset = gallery("a")
    (models / tiny_models.NAME / "model_feat.onnx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ExecutionError, match="zip archive"):
        foo.execute_operator(COMPUTE, {"dataset": dataset})
    with pytest.raises(ExecutionError, match="compute embeddings"):
        foo.execute_operator(GROUP, {"dataset": dataset}, params={"eps": 7})


def test_scripts_may_run_them_with_every_default(gallery):
    dataset = gallery("aab")
    foo.execute_operator(COMPUTE, {"dataset": dataset})
    foo.execute_operator(GROUP, {"dataset": dataset})
    dataset.reload()
    assert labels(dataset) == ["character_0001"] * 2 + ["unassigned"]


def test_the_stage_that_is_always_finished_is_the_one_that_writes(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    stages = []
    group_characters(dataset, progress=lambda progress: stages.append(progress.stage))
    undo(dataset, progress=lambda progress: stages.append(progress.stage))
    assert stages.count(WRITING_LABELS) == 2
    assert stages[-1] == WRITING_LABELS


# -- proposals


def test_proposes_and_applies(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    assert "mode" not in form(GROUP, dataset), "the first grouping has nothing to keep"
    assert list(problems(form(APPLY, dataset))) == ["nothing_error"]
    run(GROUP, dataset)
    before = labels(dataset)
    asked = form(GROUP, dataset)
    assert (asked["mode"]["default"], asked["apply"]["default"]) == ("all", True)
    shown = run(GROUP, dataset, apply=False, min_samples=3)
    assert labels(dataset) == before
    assert shown["notify"]["message"].endswith(", proposed; nothing is written yet")
    assert facts(shown["show_output"]["results"])["Labels written"] == "none: this is a proposal"
    assert said(form(APPLY, dataset), "counts_hint").endswith(": 4 newly unassigned.")
    results = run(APPLY, dataset)["show_output"]["results"]
    assert labels(dataset) == ["unassigned"] * 4
    assert facts(results)["Labels written"] == "4"
    assert [row["change"] for row in results["groups"]] == ["fallen apart"] * 2
    assert list(problems(form(APPLY, dataset))) == ["nothing_error"]
    assert "no proposal" in run(APPLY, dataset)["show_output"]["results"]["errors"][0]["reason"]


def test_an_outdated_proposal_is_refused(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    run(GROUP, dataset, apply=False)
    run(GROUP, dataset)
    assert list(problems(form(APPLY, dataset))) == ["outdated_error"]
    assert "run it again" in run(APPLY, dataset)["show_output"]["results"]["errors"][0]["reason"]


def test_asks_which_proposal(boxes):
    for patches_field in (None, "faces"):
        run(COMPUTE, boxes, patches_field=patches_field)
        run(GROUP, boxes, patches_field=patches_field, apply=False)
    assert sorted(choices(form(APPLY, boxes), "path")) == ["character_group", "faces.detections.character_group"]
    assert foo.get_operator(APPLY)(boxes, patches_field="faces").n_written == 8
    run(APPLY, boxes, group_field="character_group")
    assert boxes.count("character_group.label") == 4


def test_adds_only_what_is_new(gallery, images):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    run(GROUP, dataset)
    dataset.add_samples([fo.Sample(filepath=str(path)) for path in images("ac")])
    run(COMPUTE, dataset)
    assert facts(run(GROUP, dataset, mode="add")["show_output"]["results"])["Labels written"] == "2"


def test_asks_about_boxes_in_one_image(boxes):
    run(COMPUTE, boxes, patches_field="faces")
    assert "same_image" not in form(GROUP, boxes, patches_field="faces")
    asked = form(GROUP, boxes, patches_field="faces", advanced=True)
    assert list(choices(asked, "same_image")) == ["apart", "ignore"]
    run(GROUP, boxes, patches_field="faces", same_image="ignore")
    assert (
        boxes.get_run_info("ccip_groups_faces_detections_character_group").config.parameters["same_image"] == "ignore"
    )


# -- eps


def test_shows_what_eps_would_give(gallery, monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    dataset = gallery("aabbc")
    assert list(problems(form(EXPLORE, dataset))) == ["embeddings_error"]
    run(COMPUTE, dataset)
    assert problems(form(EXPLORE, dataset)) == {}
    results = run(EXPLORE, dataset)["show_output"]["results"]
    assert [trace["name"] for trace in results["plot"]] == ["groups", "unassigned, %", "largest group, %"]
    assert facts(results)["With eps 0.1785 (threshold)"] == "2 groups, 20% of the images in none, 40.0% in the largest"
    assert not dataset.has_field("character_group")
    assert foo.get_operator(EXPLORE)(dataset).sweep.n == 5


# -- undo and redo


def test_undo_and_redo(gallery):
    dataset = gallery("aabb")
    assert problems(form(UNDO, dataset)) == {
        "nothing_error": "There is no change to undo: this dataset has no character groups."
    }
    run(COMPUTE, dataset)
    run(GROUP, dataset)
    grouped = labels(dataset)
    assert problems(form(REDO, dataset)) == {"nothing_error": "There is no change to redo."}
    hint = said(form(UNDO, dataset), "change_hint")
    assert re.match(
        r"Undo 'group characters' of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\), which changed 4 labels\. ", hint
    )
    shown = run(UNDO, dataset)
    assert labels(dataset) == [None] * 4
    assert facts(shown["show_output"]["results"])["Labels changed back"] == "4"
    assert problems(form(UNDO, dataset)) == {"nothing_error": "There is no change to undo."}
    run(REDO, dataset)
    assert labels(dataset) == grouped


def test_undo_asks_which_groups(boxes):
    for patches_field in (None, "faces"):
        run(COMPUTE, boxes, patches_field=patches_field)
        run(GROUP, boxes, patches_field=patches_field)
    paths = ["character_group", "faces.detections.character_group"]
    assert sorted(choices(form(UNDO, boxes), "path")) == paths
    assert "8 labels" in said(form(UNDO, boxes, path=paths[1]), "change_hint")
    run(UNDO, boxes, path=paths[1])
    assert boxes.count("faces.detections.character_group") == 0
    assert boxes.count("character_group.label") == 4
    run(REDO, boxes, patches_field="faces", group_field="character_group")
    assert boxes.count("faces.detections.character_group") == 8


def test_undo_with_nothing_to_undo_says_so(gallery):
    shown = run(UNDO, gallery("a"))
    assert "there is no change" in shown["show_output"]["results"]["errors"][0]["reason"]


# -- from Python


def test_calls_from_python_are_plain_calls(boxes):
    report = foo.get_operator(COMPUTE)(boxes, patches_field="faces", workers=1)
    assert (report.n_computed, report.embeddings_field) == (8, "faces.detections.ccip_embedding")
    report = foo.get_operator(GROUP)(boxes.limit(2), patches_field="faces", method="dbscan")
    assert report.n_items == 4
    assert foo.get_operator(UNDO)(boxes, patches_field="faces").n_written == 4
    assert foo.get_operator(REDO)(boxes, patches_field="faces").n_written == 4


def test_calls_work_in_a_notebook(gallery):
    dataset = gallery("aab")

    async def cell():
        foo.get_operator(COMPUTE)(dataset)
        return foo.get_operator(GROUP)(dataset)

    assert asyncio.run(cell()).n_groups == 1


def test_calls_raise_our_errors(gallery):
    with pytest.raises(Exception, match="compute embeddings first"):
        foo.get_operator(GROUP)(gallery("aab"))


# -- delegated


def work_through_the_queue():
    service = DelegatedOperationService()
    service.execute_queued_operations()
    return {operation.operator: operation for operation in service.list_operations()}


def test_delegated_operations_run_to_their_end(gallery, models):
    dataset = gallery("aabb")
    foo.get_operator(COMPUTE)(dataset, delegate=True, model_dir=models)
    done = work_through_the_queue()[COMPUTE]
    assert (done.run_state, facts(done.result.result)["Embedded now"]) == ("completed", "4")
    foo.get_operator(GROUP)(dataset.limit(2), delegate=True, eps=0.1)
    done = work_through_the_queue()[GROUP]
    assert (done.run_state, facts(done.result.result)["Character groups"]) == ("completed", "1")
    dataset.reload()
    assert labels(dataset) == ["character_0001"] * 2 + [None] * 2
    outputs = foo.get_operator(GROUP).resolve_type(
        ExecutionContext({"params": {}, "results": done.result.result}), "outputs"
    )
    assert list(outputs.to_json()["type"]["properties"]) == ["facts", "sizes", "shapes"]


def test_delegated_failures_are_recorded(gallery, models):
    dataset = gallery("a")
    foo.get_operator(COMPUTE)(dataset, delegate=True)
    (models / tiny_models.NAME / "model_feat.onnx").unlink()
    done = work_through_the_queue()[COMPUTE]
    assert done.run_state == "failed"
    assert "CCIP_MODEL_DIR" in done.result.error


def test_the_groups_are_the_ones_of_the_function(gallery):
    by_operator, by_function = gallery("aabbc"), gallery("aabbc")
    for dataset in (by_operator, by_function):
        run(COMPUTE, dataset)
    run(GROUP, by_operator)
    group_characters(by_function)
    assert labels(by_operator) == labels(by_function)
