"""Operators in general, as FiftyOne loads and runs them: targets, undo, errors, delegation, calls from Python."""

import asyncio
import importlib
import re
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionError

from tests.support import tiny_models
from tests.support.app.operator_tools import choices, facts, form, problems, run, said

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("models")]

ROOT = Path(__file__).resolve().parents[2]
COMPUTE, GROUP = "@ccip/characters/compute_embeddings", "@ccip/characters/group_characters"
UNDO, REDO = "@ccip/characters/undo", "@ccip/characters/redo"
EXPLORE, APPLY = "@ccip/characters/explore_parameters", "@ccip/characters/apply_proposal"
WHOLE_IMAGES = "(whole images)"


def labels(dataset, path="character_group.label"):
    return dataset.values(path)


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
    assert placement.to_json()["view"]["label"] == "Group"


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
    assert set(boxes.values("faces.detections.character_group", unwind=True)) == {"char_0001", "char_0002"}
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
    assert new.count_values("character_group.label") == {"char_0001": 2, "char_0002": 2}
    assert new.select_group_slices("back").count("ccip_embedding") == 0


def test_whatever_cannot_be_worked_on_is_said(dataset):
    new = dataset()
    new.add_sample(fo.Sample(filepath="/絵/a.mp4"))
    (problem,) = problems(form(COMPUTE, new)).values()
    assert problem.startswith("CCIP needs images")


@pytest.mark.parametrize("uri", [COMPUTE, GROUP])
def test_large_datasets_are_not_counted(gallery, monkeypatch, uri):
    dataset = gallery("aab")
    run(COMPUTE, dataset)
    package = type(foo.get_operator(uri)).__module__.partition(".operators.")[0]
    monkeypatch.setattr(importlib.import_module(f"{package}.app.counts"), "COUNT_LIMIT", 2)
    asked = form(uri, dataset)
    assert "bout 3 images" in said(asked, "count_hint")
    assert problems(asked) == {}


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
    assert labels(dataset) == ["char_0001"] * 2 + ["unassigned"]


def test_undo_and_redo(gallery):
    dataset = gallery("aabb")
    assert problems(form(UNDO, dataset)) == {
        "nothing_error": "There is no change to undo: this dataset has no character groups. "
        "Run 'CCIP: group by character' first."
    }
    run(COMPUTE, dataset)
    run(GROUP, dataset)
    grouped = labels(dataset)
    assert problems(form(REDO, dataset)) == {"nothing_error": "There is no change to redo."}
    hint = said(form(UNDO, dataset), "change_hint")
    what = r"Undo 'group by character' \(2 character groups with 4 images\)"
    assert re.match(rf"{what} of \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d, which changed 4 labels\. ", hint)
    shown = run(UNDO, dataset)
    assert labels(dataset) == [None] * 4
    assert facts(shown["show_output"]["results"])["Labels written"] == "4"
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
    assert labels(dataset) == ["char_0001"] * 2 + [None] * 2
    outputs = foo.get_operator(GROUP).resolve_type(
        ExecutionContext({"params": {}, "results": done.result.result}), "outputs"
    )
    assert list(outputs.to_json()["type"]["properties"]) == ["facts", "plot_0", "examples_title", "examples", "shapes"]


def test_delegated_failures_are_recorded(gallery, models):
    dataset = gallery("a")
    foo.get_operator(COMPUTE)(dataset, delegate=True)
    (models / tiny_models.NAME / "model_feat.onnx").unlink()
    done = work_through_the_queue()[COMPUTE]
    assert done.run_state == "failed"
    assert "CCIP_MODEL_DIR" in done.result.error
