"""The operators that measure, as FiftyOne loads and runs them."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from operator_tools import choices, facts, form, problems, run, said
from test_grouping import embed

from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.grouping import group_characters

pytestmark = pytest.mark.mongo

MODEL, GROUPS = "@ccip/characters/evaluate_model", "@ccip/characters/evaluate_groups"


@pytest.fixture
def made(dataset):
    def make(letters, **options):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))], **options)
        embed(new, letters)
        new.set_values("who", [{"a": "初音ミク", "b": "リン"}.get(x, x) for x in letters])
        return new

    return make


def test_each_says_what_it_is():
    for uri in (MODEL, GROUPS):
        config = foo.get_operator(uri).config.to_json()
        assert config["risk_level"] == "medium" and config["label"].startswith("CCIP: ")
        assert config["execute_as_generator"] and config["allow_delegated_execution"]


@pytest.mark.parametrize("uri", [MODEL, GROUPS])
def test_forms_of_nothing_to_measure(dataset, uri):
    found = problems(form(uri, dataset("/a.png")))
    assert "No field of this dataset says who is who" in found["ground_truth_field_error"]


def test_form_of_models(made):
    asked = form(MODEL, made("aab"))
    assert choices(asked, "ground_truth_field") == {"who": "who"}
    assert choices(asked, "models")[DEFAULT_MODEL].endswith("embeddings are there")
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
    assert here["F1"].startswith("1.0000") and published["F1"] == "0.9172"
    assert facts(results)["Run"] == "ccip_evaluation"
    outputs = shown["show_output"]["outputs"]["type"]["properties"]
    plots = [name for name in outputs if name.startswith("plot_")]
    assert len(plots) >= 5 and all(results[name] for name in plots)
    assert samples.list_runs() == ["ccip_evaluation"]


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
    assert facts(results)["Clicks to clean"] == "1: 1 moves, 0 merges"
    assert results["groups"][0]["Wrong"] == 1
    assert len(shown["set_view"]["view"]) == 1


def test_delegated(made):
    samples = made("aaabbbc", persistent=True)
    foo.get_operator(GROUPS)(samples, "who", "who", delegate=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(limit=1, log=False)
    (operation,) = service.list_operations(dataset_name=samples.name)
    assert operation.run_state == "completed"
    assert facts(operation.result.result)["Characters"] == "3"


def test_from_python(made):
    samples = made("aaabbbc")
    assert foo.get_operator(MODEL)(samples, "who", clusters=False).rows[0].n_images == 7
    assert foo.get_operator(GROUPS)(samples, "who", "who").clicks == 0


def test_what_goes_wrong_is_said(made):
    shown = run(MODEL, made("ab"), ground_truth_field="nothing")
    assert "no field 'nothing'" in shown["show_output"]["results"]["errors"][0]["reason"]
    assert fo.config.database_name
