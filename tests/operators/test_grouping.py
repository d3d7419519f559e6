"""The form and the summary of the grouping operator: graph, calibrated parameters, the table of groups."""

import importlib
import sys

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from ccip_plugin.evaluation.calibration import calibrate
from tests.support.groups import embed
from tests.support.operator_tools import choices, facts, form, problems, run

pytestmark = pytest.mark.mongo

GROUP, EXPLORE = "@ccip/characters/group_characters", "@ccip/characters/explore_parameters"
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
    assert problems(asked) == {"parameters": "Calibration found nothing for this method: take what is published"}
    assert list(choices(asked, "parameters")) == ["published"]
    assert "parameters" not in form(GROUP, samples, method="optics")


def test_the_plot_marks_the_calibrated_value(made):
    samples = made(LETTERS)
    eps = calibrate(samples, ground_truth_field="who").parameters("dbscan").eps
    results = results_of(run(EXPLORE, samples))
    assert facts(results)[f"With eps {eps:.4f} (calibrated)"].startswith("9 groups")
    assert "calibrated" in [note["text"] for note in results["layout"]["annotations"]]


def test_shows_a_table_of_the_groups(made):
    samples = made("aaaAAbbc")
    results = results_of(run(GROUP, samples))
    assert [row["group"] for row in results["shapes"]] == [f"character_000{n}" for n in (1, 2, 3)]
    first = results["shapes"][0]
    assert first.keys() == {"group", "n", "cohesion", "diameter", "rival", "apart"}
    assert (first["n"], first["rival"]) == ("3", "character_0002")
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
    asked = form(GROUP, samples, method="one_group")
    assert choices(asked, "method")["one_group"] == "One group"
    assert (asked["eps"]["view"]["placeholder"], asked["min_samples"]["view"]["placeholder"]) == ("0.0892", "7")
    found = facts(results_of(run(GROUP, samples, method="one_group")))
    assert found["Character groups"] == "1" and found["Method"].startswith("One group")
    assert len(set(samples.values("character_group.label"))) == 1
