"""The operators that group, propose and explore: forms, results, what they write."""

import importlib
import sys

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from ccip_plugin import keep_apart, show_group
from ccip_plugin.app.execution import WRITING_LABELS
from ccip_plugin.evaluation.calibration import calibrate
from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.history import undo
from tests.operators.conftest import OTHER_MODEL
from tests.support import tiny_models
from tests.support.app.operator_tools import choices, facts, form, problems, run, said
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("models")]

COMPUTE, UNDO = "@ccip/characters/compute_embeddings", "@ccip/characters/undo"
GROUP, EXPLORE = "@ccip/characters/group_characters", "@ccip/characters/explore_parameters"
APPLY, SHOW = "@ccip/characters/apply_proposal", "@ccip/characters/show_group"
LETTERS = "".join(letter * 6 for letter in "abcdefgh") + "A" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def made(dataset):
    """``made("aab")`` gives a dataset with an embedding per letter, and who is who."""

    def make(letters):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))])
        embed(new, letters)
        new.set_values("who", [f"キャラ {letter}" for letter in letters])
        return new

    return make


def results_of(shown):
    return shown["show_output"]["results"]


def test_the_graph_is_chosen_among_what_few_people_need(made):
    samples = made("aabb")
    assert "graph" not in form(GROUP, samples)
    asked = form(GROUP, samples, advanced=True)
    assert (list(choices(asked, "graph")), asked["graph"]["default"]) == (["auto", "exact", "approximate"], "auto")
    assert "same_image" not in asked, "that is about detections"
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    found = facts(results_of(run(GROUP, samples, graph="approximate")))
    assert found["Approximate graph"] == "100.00% of the 128 nearest neighbors found, measured on 4 images"
    assert "Approximate graph" not in facts(results_of(run(GROUP, samples, graph="exact")))


def test_calibrated_parameters_are_offered_where_there_are_any(made):
    samples = made(LETTERS)
    assert "parameters" not in form(GROUP, samples)
    found = calibrate(samples, ground_truth_field="who").parameters("linkage")
    asked = form(GROUP, samples)
    words = {choice["value"]: choice["description"] for choice in asked["parameters"]["view"]["choices"]}
    assert list(choices(asked, "parameters")) == ["published", "calibrated"]
    assert words["calibrated"] == f"eps {found.eps:.4f}, min_samples {found.min_samples}"
    assert asked["eps"]["view"]["placeholder"] == "0.1785"
    asked = form(GROUP, samples, parameters="calibrated")
    assert asked["eps"]["view"]["placeholder"] == f"{found.eps:.4f}"
    assert facts(results_of(run(GROUP, samples, parameters="calibrated")))["Parameters"] == (
        "calibrated on these images"
    )
    asked = form(GROUP, samples, parameters="calibrated", method="optics")
    assert problems(asked) == {"parameters": "Calibration has no parameters for this method: use the published ones"}
    assert list(choices(asked, "parameters")) == ["published"]
    assert "parameters" not in form(GROUP, samples, method="optics")


def test_the_plot_marks_the_calibrated_value(made):
    samples = made(LETTERS)
    eps = calibrate(samples, ground_truth_field="who").parameters("dbscan").eps
    results = results_of(run(EXPLORE, samples))
    assert facts(results)[f"eps {eps:.4f}, calibrated"].startswith("9 groups")
    assert "calibrated" in [note["text"] for note in results["elements"][0]["layout"]["annotations"]]


def test_shows_a_table_of_the_groups(made):
    samples = made("aaaAAbbc")
    results = results_of(run(GROUP, samples))
    assert [row["group"] for row in results["shapes"]] == [f"char_000{n}" for n in (1, 2, 3)]
    first = results["shapes"][0]
    assert first.keys() == {"group", "n", "next", "cohesion", "diameter", "rival", "apart"}
    assert (first["n"], first["rival"]) == ("3", "char_0002")
    assert 0 < float(first["cohesion"]) <= float(first["diameter"]) < float(first["apart"])
    shown = foo.get_operator(GROUP).resolve_output(fo.operators.ExecutionContext({"results": results}))
    assert "shapes" in shown.to_json()["type"]["properties"]


def test_a_method_that_is_added_to_the_registry_is_in_the_form_and_runs(made, monkeypatch):
    """A record is all that it takes."""
    foo.get_operator(GROUP)
    plugin = next(name for name in sys.modules if name.endswith("characters.ccip_plugin"))
    methods = importlib.import_module(f"{plugin}.core.clustering.methods")
    record = methods.ClusteringMethod(
        "one_group",
        "toy",
        label="One group",
        description="all images in one group",
        parameters=methods.from_threshold(0.5, min_samples=7),
        run=lambda task: task.result(np.zeros(task.n, np.int64)),
    )
    monkeypatch.setitem(methods.METHODS, record.name, record)
    samples = made("aabb")
    asked = form(GROUP, samples, method="one_group", advanced=True)
    assert choices(asked, "method")["one_group"] == "One group"
    assert (asked["eps"]["view"]["placeholder"], asked["min_samples"]["view"]["placeholder"]) == ("0.0892", "7")
    found = facts(results_of(run(GROUP, samples, method="one_group")))
    assert found["Character groups"] == "1" and found["Method"].startswith("One group")
    assert len(set(samples.values("character_group.label"))) == 1


def labels(dataset, path="character_group.label"):
    return dataset.values(path)


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
    expected = f"4 images, 3 embedded with {tiny_models.NAME}; the other 1 will be in no group."
    assert said(form(GROUP, dataset), "count_hint") == expected
    run(COMPUTE, dataset)
    assert said(form(GROUP, dataset), "count_hint") == f"4 images, all embedded with {tiny_models.NAME}."


def test_methods_are_explained_and_show_what_was_published(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    assert not {"method", "min_samples"} & form(GROUP, dataset).keys(), "what matters first"
    asked = form(GROUP, dataset, advanced=True)
    assert asked["method"]["default"] == "linkage"
    offered = choices(asked, "method")
    assert next(iter(offered.items())) == ("linkage", "Average linkage (recommended)")
    assert offered.keys() >= {"dbscan", "dbscan_2", "dbscan_free", "optics", "optics_best"}
    assert asked["method"]["view"]["name"] == "Dropdown"
    assert asked["method"]["view"]["description"].startswith("Merges groups while their mean difference is small")
    words = {form(GROUP, dataset, method=method, advanced=True)["method"]["view"]["description"] for method in offered}
    assert len(words) == len(offered), "each method has its own description"
    for method, published in (
        ("linkage", ("0.1785", "2")),
        ("dbscan_2", ("0.1292", "2")),
        ("optics_best", ("0.1836", "5")),
    ):
        asked = form(GROUP, dataset, method=method, advanced=True)
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
        pytest.param("group_field", "ccip_embedding", "This field contains the embeddings", id="the embeddings"),
        pytest.param(
            "group_field",
            "faces",
            "'faces' contains other values, not character groups: choose another name",
            id="another type",
        ),
    ],
)
def test_answers_are_checked(boxes, name, value, problem):
    run(COMPUTE, boxes)
    expected = {} if problem is None else {name: problem}
    assert problems(form(GROUP, boxes, advanced=True, **{name: value})) == expected


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
    expected = f"User labels to be kept: 1 {noun} in 'character_group'."
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


def test_groups_and_shows_a_summary(gallery):
    dataset = gallery("aabbbc")
    run(COMPUTE, dataset)
    shown = run(GROUP, dataset)
    assert labels(dataset) == ["char_0002"] * 2 + ["char_0001"] * 3 + ["unassigned"]
    assert shown["notify"] == {"message": "CCIP: 2 character groups with 5 images", "variant": "success"}
    results = shown["show_output"]["results"]
    found = facts(results)
    assert (found["Character groups"], found["In a group"], found["Unassigned"]) == ("2", "5 of 6 images", "1")
    assert found["Method"] == "Average linkage: eps 0.1785, min_samples 2"
    assert (results["plot_0"][0]["x"], results["plot_0"][0]["y"]) == (["2", "3"], [1, 1])
    outputs = shown["show_output"]["outputs"]["type"]["properties"]
    assert list(outputs) == ["facts", "plot_0", "examples_title", "examples", "shapes"]


def test_eps_and_min_samples_override_the_published_values(gallery):
    dataset = gallery("aab")
    run(COMPUTE, dataset)
    results = run(GROUP, dataset, eps=0, min_samples=1)["show_output"]["results"]
    assert facts(results)["Method"] == "Average linkage: eps 0.0000, min_samples 1"
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
    assert shown["notify"]["message"].endswith(", proposed; no label is written")
    assert facts(shown["show_output"]["results"])["Labels written"] == "none, this is a proposal"
    assert said(form(APPLY, dataset), "counts_hint").endswith(": 4 newly unassigned.")
    results = run(APPLY, dataset)["show_output"]["results"]
    assert labels(dataset) == ["unassigned"] * 4
    assert facts(results)["Labels written"] == "4"
    assert [row["change"] for row in results["groups"]] == ["no members left"] * 2
    assert list(problems(form(APPLY, dataset))) == ["nothing_error"]
    assert "no proposal" in run(APPLY, dataset)["show_output"]["results"]["errors"][0]["reason"]


def test_an_outdated_proposal_is_refused(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    run(GROUP, dataset, apply=False)
    run(GROUP, dataset)
    assert list(problems(form(APPLY, dataset))) == ["outdated_error"]
    assert "or make a new one" in run(APPLY, dataset)["show_output"]["results"]["errors"][0]["reason"]


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


def test_shows_what_eps_would_give(gallery, monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    dataset = gallery("aabbc")
    assert list(problems(form(EXPLORE, dataset))) == ["embeddings_error"]
    run(COMPUTE, dataset)
    assert problems(form(EXPLORE, dataset)) == {}
    results = run(EXPLORE, dataset)["show_output"]["results"]
    assert [trace["name"] for trace in results["plot_0"]] == ["groups", "unassigned, %", "largest group, %"]
    assert facts(results)["eps 0.1785, threshold"] == "2 groups, 20% of the images unassigned, 40.0% in the largest"
    assert not dataset.has_field("character_group")
    assert foo.get_operator(EXPLORE)(dataset).sweep.n == 5


def test_the_groups_are_the_ones_of_the_function(gallery):
    by_operator, by_function = gallery("aabbc"), gallery("aabbc")
    for dataset in (by_operator, by_function):
        run(COMPUTE, dataset)
    run(GROUP, by_operator)
    group_characters(by_function)
    assert labels(by_operator) == labels(by_function)


def test_the_stage_that_is_always_finished_is_the_one_that_writes(gallery):
    dataset = gallery("aabb")
    run(COMPUTE, dataset)
    stages = []
    group_characters(dataset, progress=lambda progress: stages.append(progress.stage))
    undo(dataset, progress=lambda progress: stages.append(progress.stage))
    assert stages.count(WRITING_LABELS) == 2
    assert stages[-1] == WRITING_LABELS


# -- views


def test_views_are_saved_from_the_app(made):
    data = made("aaabb")
    run(GROUP, data)
    inputs = form("@ccip/characters/save_views", data)
    assert not problems(inputs) and "most_doubtful" in inputs
    nothing = dict.fromkeys(
        ("most_doubtful", "unassigned", "rescued", "not_reviewed", "one_tile_per_group", "by_group"), False
    )
    assert "Choose at least one view." in problems(form("@ccip/characters/save_views", data, **nothing)).values()
    shown = facts(results_of(run("@ccip/characters/save_views", data, **{**nothing, "rescued": True})))
    assert shown["Saved views"] == "CCIP: rescued" and data.list_saved_views() == ["CCIP: rescued"]


def test_names_are_shown_on_patches_from_the_app(boxes):
    embed(boxes, "aabbaabb", "faces")
    group_characters(boxes, patches_field="faces")
    patches = boxes.to_patches("faces")
    assert "Do not save this view" in said(form("@ccip/characters/show_names", patches), "what_hint")
    shown = run("@ccip/characters/show_names", patches)
    assert "SetField" in str(shown["set_view"]["view"]) and "reload_dataset" not in shown
    assert boxes.values("faces.detections.label", unwind=True) == ["face"] * 8


def test_pairs_that_are_likely_one_character_come_first_with_pictures(made):
    data = made("aaaaAAAAbbbb")
    shown = run(GROUP, data)["show_output"]
    results, properties = shown["results"], shown["outputs"]["type"]["properties"]
    (row,) = properties["pairs"]["type"]["properties"].values()
    assert row["view"]["label"].startswith("char_0001 (4) and char_0002: mean difference 0.")
    pictures = row["type"]["properties"]
    assert len(pictures) == len(results["pairs"]["row_0"]) == 6
    view = pictures["picture_3"]["view"]
    assert view["operator"] == SHOW and view["params"] == {"group_id": 2, "path": "character_group"}
    assert results["pairs"]["row_0"]["picture_0"].startswith("/media?filepath=%2F%E7%B5%B5%2F")

    clicked = run(SHOW, data, **view["params"], panel_id="x", panel_state={})
    assert "show_output" not in clicked and "clear_selected_samples" in clicked
    assert clicked["notify"]["message"] == "CCIP: the group is in the grid, the least confident first"
    ids = fo.DatasetView._build(data, clicked["set_view"]["view"]).values("id")
    assert set(ids) == set(data.values("id")[4:8])


def test_groups_that_are_far_apart_are_no_pairs(made):
    assert "pairs" not in results_of(run(GROUP, made("aaabbb")))


def test_a_group_is_shown_by_its_name(made):
    data = made("aaabb")
    run(GROUP, data)
    assert list(choices(form(SHOW, data), "group")) == ["char_0001", "char_0002"]
    assert "There is no character group 'x'" in problems(form(SHOW, data, group="x")).values()
    assert "'group' is empty" in str(run(SHOW, data)) and "'x'" in str(run(SHOW, data, group="x"))
    view = show_group(data, 2)
    assert set(view.values("id")) == set(data.values("id")[3:])
    confidence = view.values("character_group.confidence")
    assert confidence == sorted(confidence)


def clicked(data, view):
    """The images that a click on a picture shows."""
    shown = run(SHOW, data, **view["params"], panel_id="x", panel_state={})
    return fo.DatasetView._build(data, shown["set_view"]["view"]).values("id")


def pictures_of(shown, key):
    """The pictures of each row, with the text of the row."""
    rows = shown["outputs"]["type"]["properties"][key]["type"]["properties"].values()
    return [
        (row["view"]["label"], [each["view"] for each in row["type"]["properties"].values()])
        for row in sorted(rows, key=lambda row: int(row["view"]["label"].partition(":")[0] or 0))
    ]


def test_groups_are_listed_by_what_to_do_next_with_pictures(made):
    data = made("aaaaAAAAbbbbbcc")
    shown = run(GROUP, data)["show_output"]
    rows = shown["results"]["shapes"]
    assert [(row["group"], row["next"]) for row in rows] == [
        ("char_0002", "the same as char_0003?"),
        ("char_0003", "the same as char_0002?"),
        ("char_0001", ""),
        ("char_0004", ""),
    ], "likely pairs first, then the largest"
    examples = shown["outputs"]["type"]["properties"]["examples"]["type"]["properties"].values()
    assert [row["view"]["label"] for row in examples] == ["char_0001: 5 images", "char_0004: 2 images"]
    picture = next(iter(next(iter(examples))["type"]["properties"].values()))
    assert set(clicked(data, picture["view"])) == set(data.values("id")[8:13])


def test_rows_of_a_proposal_have_pictures_that_show_their_images(made):
    data = made("aaaaAAAAbbbb")
    ids = data.values("id")
    run(GROUP, data, apply=False)
    shown = run(GROUP, data, apply=False)["show_output"]
    (text, views), *others = pictures_of(shown, "proposed")
    assert text.startswith("1: 4 images into a new group") and len(others) == 2
    assert [set(clicked(data, each)) for each in views] == [set(ids[:4])] * 3, "no group is there yet"

    run(GROUP, data)
    shown = run(GROUP, data, apply=False, eps=0.5)["show_output"]
    text, views = pictures_of(shown, "proposed")[0]
    assert text == "1: merge 'char_0002' (4 images) into 'char_0001'"
    assert [set(clicked(data, each)) for each in views] == [set(ids[4:8])] * 3 + [set(ids[:4])] * 3
    assert "pairs" not in shown["results"]
    rest = run(APPLY, data, row_1=True)["show_output"]
    assert [text for text, _ in pictures_of(rest, "proposed")] == ["2: merge 'char_0003' (4 images) into 'char_0001'"]


def test_only_ids_are_shown_as_items(made):
    data = made("aa")
    run(GROUP, data)
    for items in (["x"], "x", [1], [data.first().id] * 201):
        assert "a list of at most 200 ids is expected" in str(run(SHOW, data, items=items))
    for group_id in (True, "1", -1, 2**40, 1.5):
        assert "the id of a group is expected" in str(run(SHOW, data, group_id=group_id))
    assert "'group' is empty" in str(run(SHOW, data, items=[]))
    assert clicked(data, {"params": {"group_id": 1}}) == data.values("id")


def test_groups_that_users_keep_apart_are_not_asked_about(made):
    data = made("aaaaAAAA")
    group_characters(data)
    keep_apart(data, groups=[1, 2])
    results = results_of(run(GROUP, data))
    assert "pairs" not in results and [row["next"] for row in results["shapes"]] == ["", ""]
