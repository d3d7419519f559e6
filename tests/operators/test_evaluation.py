"""The operators for evaluation, as FiftyOne loads and runs them."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService

from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.grouping import group_characters
from tests.support.app.operator_tools import choices, facts, form, problems, run, said
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

MODEL, GROUPS = "@ccip/characters/evaluate_model", "@ccip/characters/evaluate_groups"
CALIBRATE, COMPARE = "@ccip/characters/calibrate", "@ccip/characters/compare_runs"


@pytest.fixture
def made(dataset):
    def make(letters, **options):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))], **options)
        embed(new, letters)
        new.set_values("who", [{"a": "初音ミク", "b": "リン"}.get(x, x) for x in letters])
        return new

    return make


def test_configurations():
    for uri in (MODEL, GROUPS, CALIBRATE, COMPARE):
        config = foo.get_operator(uri).config.to_json()
        assert config["risk_level"] == ("low" if uri == COMPARE else "medium") and config["label"].startswith("CCIP: ")
        assert config["execute_as_generator"] and config["allow_delegated_execution"]


@pytest.mark.parametrize("uri", [MODEL, GROUPS])
def test_forms_of_nothing_to_measure(dataset, uri):
    found = problems(form(uri, dataset("/a.png")))
    assert "no field with names" in found["ground_truth_field_error"]


def test_an_empty_answer_is_asked_for(made):
    samples = made("aab")
    asked = form(GROUPS, samples, group_field=None, ground_truth_field=None)
    assert not asked["ground_truth_field"]["required"], "not red before anything was done"
    for params in ({}, {"group_field": "who", "ground_truth_field": ""}):
        shown = run(GROUPS, samples, **params)
        assert "is empty: choose a value" in shown["show_output"]["results"]["errors"][0]["reason"]
    assert "'first' is empty" in str(run(COMPARE, samples)["show_output"]["results"]["errors"])


def test_form_of_models(made):
    asked = form(MODEL, made("aab"))
    assert choices(asked, "ground_truth_field") == {"who": "who"}
    assert choices(asked, "models")[DEFAULT_MODEL].endswith("has embeddings")
    assert problems(asked) == {}
    assert "ccip-caformer_b36-24" in said(form(MODEL, made("aab"), models=["ccip-caformer_b36-24"]), "models_hint")


def test_form_without_embeddings(dataset):
    new = dataset("/a.png", "/b.png")
    new.set_values("who", ["a", "b"])
    assert "choose models" in problems(form(MODEL, new))["models_error"]


def test_evaluates_models(made):
    samples = made("aaabbbc")
    shown = run(MODEL, samples, ground_truth_field="who")
    results = shown["show_output"]["results"]
    here, published = results["table"]
    assert (here["F1"], published["F1"]) == ("1.0000", "0.9172")
    details = {row["Score"]: row for row in results["details"]}
    assert details["F1"]["95% interval"] == "1.000-1.000" and details["ROC AUC"]["Published"] == ""
    assert facts(results)["Run"] == "ccip_evaluation"
    outputs = shown["show_output"]["outputs"]["type"]["properties"]
    plots = [name for name in outputs if name.startswith("plot_")]
    assert len(plots) >= 5 and all(results[name] for name in plots)
    assert samples.list_runs() == ["ccip_evaluation"]
    assert "set_view" not in shown


def test_shows_the_characters_that_are_confused_most(made):
    samples = made("aaabbbc")
    vectors = samples.values("ccip_embedding")
    samples.set_values("ccip_embedding", [*vectors[:5], vectors[0], vectors[6]])
    shown = run(MODEL, samples, ground_truth_field="who", show="confused", clusters=True)
    assert len(shown["set_view"]["view"]) == 1
    assert {shown["show_output"]["results"]["confused"][0][name] for name in ("Character", "Confused with")} == {
        "初音ミク",
        "リン",
    }


def test_evaluates_groups_and_shows_what_is_wrong(made):
    samples = made("aaabbbc")
    group_characters(samples)
    sample = samples.first()
    sample["who"] = "リン"
    sample.save()
    asked = form(GROUPS, samples)
    assert asked["group_field"]["default"] == "character_group" and asked["ground_truth_field"]["default"] == "who"
    shown = run(GROUPS, samples, group_field="character_group", ground_truth_field="who", show="misplaced")
    results = shown["show_output"]["results"]
    assert facts(results)["Clicks to clean"] == "1: 1 move, 0 merges"
    assert results["groups"][0]["Wrong"] == 1
    assert len(shown["set_view"]["view"]) == 1


@pytest.mark.parametrize("uri, arguments, fact", [
    pytest.param(MODEL, {"ground_truth_field": "who"}, ("Run", "ccip_evaluation"), id="models"),
    pytest.param(GROUPS, {"group_field": "who", "ground_truth_field": "who"}, ("Characters", "3"), id="groups"),
    pytest.param(CALIBRATE, {"ground_truth_field": "who"}, ("F1", "1.0000"), id="calibration"),
    pytest.param(COMPARE, {"first": "who", "second": "ccip_embedding"}, ("First", "who"), id="comparison"),
])  # fmt: skip
def test_delegated(made, uri, arguments, fact):
    samples = made("aaabbbc", persistent=True)
    foo.get_operator(uri)(samples, **arguments, delegate=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(limit=1, log=False)
    (operation,) = service.list_operations(dataset_name=samples.name)
    assert operation.run_state == "completed"
    assert facts(operation.result.result)[fact[0]] == fact[1]
    assert operation.status.label, "progress was reported"


@pytest.mark.parametrize("uri, arguments", [
    pytest.param(MODEL, {"ground_truth_field": "who"}, id="models"),
    pytest.param(GROUPS, {"group_field": "who", "ground_truth_field": "who"}, id="groups"),
    pytest.param(CALIBRATE, {"ground_truth_field": "who"}, id="calibration"),
    pytest.param(COMPARE, {"first": "who", "second": "ccip_embedding"}, id="comparison"),
])  # fmt: skip
def test_reports_progress(made, uri, arguments):
    stages = []
    foo.get_operator(uri)(made("aaabbbc"), **arguments, progress=lambda progress: stages.append(progress.stage))
    assert len(set(stages)) >= 2


def test_from_python(made):
    samples = made("aaabbbc")
    assert foo.get_operator(MODEL)(samples, "who", clusters=False).rows[0].n_images == 7
    assert foo.get_operator(GROUPS)(samples, "who", "who").clicks == 0


def test_errors_are_shown(made):
    shown = run(MODEL, made("ab"), ground_truth_field="nothing")
    assert "no field 'nothing'" in shown["show_output"]["results"]["errors"][0]["reason"]
    assert fo.config.database_name


def test_calibrates(made):
    samples = made("".join(letter * 6 for letter in "abcdefgh"))
    asked = form(CALIBRATE, samples)
    assert asked["evidence"]["default"] == "truth" and asked["ground_truth_field"]["default"] == "who"
    assert "group_field" not in asked and problems(asked) == {}
    assert "ground_truth_field" not in form(CALIBRATE, samples, evidence="confirmed")
    shown = run(CALIBRATE, samples, evidence="truth", ground_truth_field="who")
    results = shown["show_output"]["results"]
    assert facts(results)["F1"] == "1.0000"
    assert [row["Method"] for row in results["methods"]] == ["Average linkage", "DBSCAN"]
    assert results["warnings"] == []
    assert samples.list_runs() == ["ccip_calibration_ccip_embedding"]


def test_calibration_begins_with_user_labels_where_there_are_some(made):
    samples = made("aabbb")
    group_characters(samples)
    asked = form(CALIBRATE, samples)
    assert asked["evidence"]["default"] == "truth" and asked["ground_truth_field"]["default"] == "who"
    assert choices(asked, "group_field") == {"character_group": "character_group"}
    first = samples.first()
    first.character_group.status = "confirmed"
    first.save()
    assert form(CALIBRATE, samples)["evidence"]["default"] == "confirmed"
    samples.delete_sample_field("who")
    assert form(CALIBRATE, samples)["evidence"]["default"] == "confirmed", "groups are no ground truth"


def test_calibration_without_evidence_says_so(made):
    samples = made("aabb")
    shown = run(CALIBRATE, samples, evidence="confirmed")
    assert "confirmed groups" in shown["show_output"]["results"]["errors"][0]["reason"]
    shown = run(CALIBRATE, samples, evidence="truth", ground_truth_field="who")
    assert "insufficient evidence" in shown["show_output"]["results"]["warnings"][0]


def test_compares(made):
    samples = made("aaabbbc")
    samples.set_values("other", list("xxyyyyz"))
    assert set(choices(form(COMPARE, samples), "first")) >= {"who", "other"}
    shown = run(COMPARE, samples, first="who", second="other", show="moved")
    results = shown["show_output"]["results"]
    assert facts(results)["Moved to another group"] == "1"
    assert results["groups"][0]["second"] == "x"
    assert len(shown["set_view"]["view"]) == 1
    assert "reload_dataset" not in shown
    assert foo.get_operator(COMPARE)(samples, "who", "other").counts["moved"] == 1


def test_nothing_to_compare(dataset):
    assert "no two groupings" in problems(form(COMPARE, dataset("/a.png")))["nothing_error"]


def rows_of(shown, key):
    """The text of each row of pictures, and what a click on each picture calls."""
    rows = shown["outputs"]["type"]["properties"][key]["type"]["properties"].values()
    return [
        (row["view"]["label"], [each["view"]["params"] for each in row["type"]["properties"].values()]) for row in rows
    ]


def test_costly_groups_have_pictures_that_show_them(made):
    samples = made("aaaAAAbb")  # A is another look of a
    samples.set_values("who", ["Rei"] * 6 + ["Asuka", "Rei"])
    group_characters(samples)
    a, looks, b = (samples.values("character_group.label")[place] for place in (0, 3, 6))
    shown = run(GROUPS, samples, group_field="character_group", ground_truth_field="who")["show_output"]
    ((text, clicks),) = rows_of(shown, "pieces")
    assert text == f"Rei: 6 images in {a}, {looks}", "one wrong image does not make the third group hers"
    assert [each["group"] for each in clicks] == [a] * 3 + [looks] * 3
    ((text, clicks),) = rows_of(shown, "wrong")
    assert text == f"{b}: 1 of 2 do not show Asuka, most of these Rei"
    paths = list(shown["results"]["wrong"]["row_0"].values())
    assert "7.png" in paths[0] and "6.png" in paths[1], "what is wrong first"
    keys = list(shown["outputs"]["type"]["properties"])
    assert keys.index("pieces") < keys.index("wrong") < keys.index("table")

    other = run(GROUPS, samples, group_field="who", ground_truth_field="character_group")["show_output"]
    text, clicks = rows_of(other, "wrong")[0]
    assert text.startswith("Rei: ") and set(clicks[0]) == {"items", "path"}, "groups of another tool, by ids"
    assert set(clicks[0]["items"]) == set(samples.match({"who": "Rei"}).values("id"))


def test_confused_characters_have_pictures_that_show_them(made):
    samples = made("aaaaaabbbbbb")
    vectors = samples.values("ccip_embedding")
    vectors[6] = vectors[0]
    samples.set_values("ccip_embedding", vectors)
    shown = run(MODEL, samples, ground_truth_field="who")["show_output"]
    ((text, clicks),) = rows_of(shown, "confused_pictures")
    assert text.startswith("リン and 初音ミク: ") or text.startswith("初音ミク and リン: ")
    assert len(clicks) == 6 and len(clicks[0]["items"]) == 6


LAST = "@ccip/characters/last_report"


def without_time(results):
    elements = [{**each, "label": each["key"] == "facts" or each["label"]} for each in results["elements"]]
    kept = ("title", "warnings", "elements", "facts")
    return {**{name: value for name, value in results.items() if name not in kept}, "elements": elements}


def test_the_last_reports_are_shown_again_in_the_same_form(made):
    samples = made("aaaAAAbb")
    assert "There is no report yet" in str(problems(form(LAST, samples)))
    assert "no report is kept" in str(run(LAST, samples)["show_output"])
    group = "@ccip/characters/group_characters"
    shown = {
        "grouping of character_group": run(group, samples),
        "proposal of character_group": run(group, samples, apply=False, eps=0.5),
        "evaluation of character_group": run(GROUPS, samples, group_field="character_group", ground_truth_field="who"),
        "evaluation of who": run(MODEL, samples, ground_truth_field="who"),
        "comparison of who and character_group": run(COMPARE, samples, first="who", second="character_group"),
    }
    asked = form(LAST, samples)
    assert list(choices(asked, "report")) == list(reversed(shown)), "the newest first"
    for name, before in shown.items():
        again = run(LAST, samples, report=name)["show_output"]
        assert without_time(again["results"]) == without_time(before["show_output"]["results"]), name
        tables = [each["label"] for each in again["results"]["elements"] if each["key"] == "facts"]
        assert all(f"{name}, 2" in label for label in tables), "it says which one, and of when"
        assert list(again["outputs"]["type"]["properties"]) == list(
            before["show_output"]["outputs"]["type"]["properties"]
        )
        assert again["results"]["title"].partition(": ")[2].partition(": ")[2].startswith(name)
        assert again["results"]["warnings"] == before["show_output"]["results"]["warnings"]

    run("@ccip/characters/confirm", samples, selected=samples.values("id")[:1])
    newer = run(LAST, samples, report="grouping of character_group")
    assert newer["notify"]["variant"] == "warning"
    assert "older than the labels" in newer["show_output"]["results"]["warnings"][0]


def test_a_report_of_another_version_is_shown_as_facts(made):
    samples = made("aabb")
    group_characters(samples)
    evaluate = {"group_field": "character_group", "ground_truth_field": "who"}
    run(GROUPS, samples, **evaluate)
    samples.delete_run("ccip_evaluation_character_group")
    found = facts(run(LAST, samples)["show_output"]["results"])
    assert found["Evaluation of"] == "character_group" and "Clicks to clean" in found
