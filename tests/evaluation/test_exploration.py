"""Choosing eps: numbers, marks, warnings, the plot, and the graph that is kept."""

import numpy as np
import pytest

from ccip_plugin.core.calibration import load
from ccip_plugin.core.neighbors import cache as graph_cache
from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.core.tuning.sweep import Sweep
from ccip_plugin.evaluation.exploration import Exploration, explore_parameters
from ccip_plugin.grouping import group_characters
from ccip_plugin.grouping.options import method_label
from ccip_plugin.grouping.participants import NothingToGroupError
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ"))
    return tmp_path / "キャッシュ" / "graphs"


@pytest.fixture
def made(dataset):
    def make(letters):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))])
        embed(new, letters)
        return new

    return make


def test_numbers_are_those_of_a_grouping(made, cache):
    samples = made("aabbbc ")
    found = explore_parameters(samples)
    assert found.n_without_embedding == 1
    assert not samples.has_field("character_group")
    rows = {row["name"]: row for row in found.rows()}
    assert rows.keys() == {"threshold", "dbscan_2", "dbscan_free"}
    report = group_characters(samples, method="dbscan")
    row = rows["threshold"]
    assert row["eps"] == load(DEFAULT_MODEL).threshold
    assert (row["n_groups"], row["unassigned"], row["largest"]) == (report.n_groups, 1 / 6, 0.5)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("method", ["linkage", "dbscan", "dbscan_2", "hdbscan"])
def test_a_grouping_takes_the_graph_that_is_kept(made, monkeypatch, method):
    samples, same = made("aabbbcaab"), made("aabbbcaab")
    group_characters(same, method=method)
    explore_parameters(samples, max_eps=0.4)

    def compares(*args, **options):
        raise AssertionError("compared again")

    for module in ("clustering.dbscan", "clustering.linkage.average", "neighbors.graph"):
        monkeypatch.setattr(f"ccip_plugin.core.{module}.near_pairs", compares)
    group_characters(samples, method=method)
    assert labels(samples) == labels(same)
    assert explore_parameters(samples).sweep.n == 9


def test_other_vectors_need_another_graph_and_old_ones_go(made, cache, monkeypatch):
    monkeypatch.setattr(graph_cache, "KEPT_GRAPHS", 2)
    for letters in ("aab", "aabb", "aabbb"):
        explore_parameters(made(letters))
    assert len(list(cache.iterdir())) == 2


def test_nothing_to_explore(made):
    with pytest.raises(NothingToGroupError):
        explore_parameters(made("  "))


def explored(n=1000, largest=(0.0, 0.01, 0.02, 0.4)):
    eps = np.array([0.0, 0.1, 0.15, 0.2])
    shares = np.array([[1.0, 0.5, 0.5, 0.1], largest, np.full(4, 0.005)])
    numbers = Sweep(n, eps, np.array([0, 30, 30, 9]), *shares, np.zeros(4))
    return Exploration(numbers, {"threshold": 0.2, "dbscan_2": 0.12}, "m", 0)


@pytest.mark.parametrize(
    "found, safe, warned",
    [
        pytest.param(explored(), 0.15, ["threshold"], id="the threshold is past it"),
        pytest.param(explored(largest=(0, 0.1, 0.2, 0.4)), 0.0, ["threshold", "dbscan_2"], id="both are"),
        pytest.param(explored(largest=(0.3, 0.3, 0.3, 0.4)), None, ["threshold", "dbscan_2"], id="nothing is safe"),
        pytest.param(explored(largest=(0, 0, 0, 0.01)), 0.2, [], id="all is"),
        pytest.param(explored(n=50), 0.2, [], id="too few images to tell"),
    ],
)
def test_warns_past_the_safe_range(found, safe, warned):
    assert found.safe_eps == safe
    assert [
        name for name in found.marks if any(f"({method_label(name)})" in warning for warning in found.warnings)
    ] == warned


def test_facts():
    facts = explored().facts()
    assert facts.headline == "1,000 images compared"
    assert (facts["Stable range of eps"], facts["Largest eps without a likely chain of characters"]) == (
        "0.1000 to 0.2000",
        "0.1500",
    )
    assert facts["eps 0.1200, DBSCAN (tuned)"] == "30 groups, 50% of the images unassigned, 1.0% in the largest"
    (warning,) = facts.warnings
    assert warning.startswith("with eps 0.2000 (threshold) the largest group of DBSCAN has 40% of the 1,000 images")
    assert str(explored()).splitlines()[-1] == f"warning: {warning}"
    assert "Largest eps without a likely chain of characters" not in explored(largest=(0.3, 0.3, 0.3, 0.4)).facts()


def test_the_plot(tmp_path):
    import json

    found = explored()
    figure = json.loads(json.dumps(found.figure()))
    assert figure["data"][0]["y"] == [0, 30, 30, 9] and figure["data"][2]["y"][-1] == 40
    assert [note["text"] for note in figure["layout"]["annotations"]] == ["DBSCAN (tuned)", "threshold", "stable"]
    assert figure["layout"]["shapes"][-1]["x0"] == 0.1 and found.plateau == (0.1, 0.2)
    assert found.save(tmp_path / "図 eps.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_says_so(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        explored().save(tmp_path / "a.png")
