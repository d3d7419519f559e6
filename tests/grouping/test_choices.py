"""Choices of a grouping: which graph, whose parameters; and what is told of each group."""

import re
import sys

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.registry import DEFAULT_MODEL, get_spec
from ccip_plugin.evaluation.calibration import calibrate
from ccip_plugin.evaluation.exploration import explore_parameters
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.grouping.proposals import load_proposal
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support.groups import embed, labels, partition, vector

pytestmark = pytest.mark.mongo

THRESHOLD = get_spec(DEFAULT_MODEL).threshold
LETTERS = "".join(letter * 6 for letter in "abcdefgh") + "A" * 4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ"))
    return tmp_path / "キャッシュ" / "graphs"


@pytest.fixture
def many(monkeypatch):
    """From 10 images on, there are many."""
    monkeypatch.setattr("ccip_plugin.core.neighbors.choice.LARGE", 10)


def config(samples):
    return samples.get_run_info("ccip_groups").config


@pytest.mark.parametrize(
    "options, text",
    [
        pytest.param({"run_key": "ccip_registry_character_group"}, "choose another", id="the key of the registry"),
        pytest.param({"group_field": "a.b"}, "cannot be a field", id="a path"),
        pytest.param({"group_field": "_x"}, "cannot be a field", id="a field of FiftyOne's own"),
        pytest.param({"group_field": "filepath"}, "choose another field name", id="a field with something else"),
        pytest.param({"eps": 2}, "a difference from 0 to 1", id="no difference"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(grouped, options, text):
    samples = grouped("aabb")
    with pytest.raises(CCIPError, match=text):
        group_characters(samples, **options)
    assert samples.get_field("character_group") is None
    assert not samples.list_runs()


# -- the graph


def abouts(told):
    return [each.note for each in told if each.stage == "comparing images" and each.note.startswith("about")]


def test_the_graph_of_many_images_is_kept_and_told_first(grouped, cache, monkeypatch):
    samples, same, told = grouped("aabbbAA"), grouped("aabbbAA"), []
    group_characters(samples, progress=told.append, graph="exact", eps=0.12)
    assert not abouts(told) and not cache.exists(), "not of a few"

    monkeypatch.setattr("ccip_plugin.core.neighbors.cache._MANY", 7)
    group_characters(same, progress=told.append, graph="exact", eps=0.12)
    assert labels(same) == labels(samples)
    (note,) = abouts(told)
    assert re.fullmatch(r"about \d+\.\d minutes( and \d+ MiB of disk)?", note)
    (kept,) = cache.iterdir()
    monkeypatch.delattr("ccip_plugin.core.neighbors.cache.stored_graph")
    told.clear()
    for eps in (0.1, 0.15):
        group_characters(same, progress=told.append, graph="exact", eps=eps)
        group_characters(samples, eps=eps, embeddings_field=EMBEDDINGS_FIELD, graph="exact")
        assert labels(same) == labels(samples)
    assert not abouts(told) and list(cache.iterdir()) == [kept], "nothing is compared again"


def test_a_graph_that_takes_too_much_disk_is_not_kept(grouped, cache, monkeypatch):
    samples, told = grouped("aabbb"), []
    monkeypatch.setattr("ccip_plugin.core.neighbors.cache._MANY", 5)
    monkeypatch.setattr("ccip_plugin.core.neighbors.cache._MAX_AUTO_DISK_BYTES", -1)
    group_characters(samples, progress=told.append, graph="exact")
    assert partition(samples) == [0, 0, 1, 1, 1]
    assert len(abouts(told)) == 1 and not cache.exists()


@pytest.mark.parametrize("place", ["file", "folder of another kind"])
def test_a_cache_folder_that_cannot_be_written_changes_no_result(grouped, monkeypatch, tmp_path, place):
    want, samples = grouped("aabbbAA"), grouped("aabbbAA")
    group_characters(want, graph="exact")
    monkeypatch.setattr("ccip_plugin.core.neighbors.cache._MANY", 5)
    (tmp_path / "taken").write_text("x")
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "taken") if place == "file" else "/proc/ccip")
    assert explore_parameters(samples).rows() == explore_parameters(want, graph="exact").rows()
    group_characters(samples, graph="exact")
    assert labels(samples) == labels(want)


def test_where_people_decided_most_of_it_no_graph_is_built(grouped, cache, monkeypatch):
    samples = grouped("aaaaaabb")
    group_characters(samples)
    for sample in samples[:6]:
        sample.character_group.label = "Rei"
        sample.save()
    monkeypatch.setattr("ccip_plugin.core.neighbors.cache._MANY", 8)
    group_characters(samples, graph="exact", eps=0.17)
    assert labels(samples)[:6] == ["Rei"] * 6 and not cache.exists()


@pytest.mark.usefixtures("many")
def test_many_images_get_an_approximate_graph_and_it_is_recorded(grouped, cache):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    samples, same = grouped("aabbbcaabaa "), grouped("aabbbcaabaa ")
    report, exact = group_characters(samples), group_characters(same, graph="exact")
    assert labels(samples) == labels(same)
    assert (report.parameters.graph, exact.parameters.graph, exact.quality) == ("approximate", "exact", None)
    assert (report.quality.n_drawn, report.quality.recall) == (11, 1.0)
    measured = "100.00% of the 128 nearest neighbors found, measured on 11 images"
    assert report.facts()["Approximate graph"] == measured and "Approximate graph" not in exact.facts()
    assert config(samples).parameters["graph"] == "approximate"
    assert config(samples).quality["recall"] == 1.0
    assert config(same).quality is None
    (kept,) = cache.iterdir()
    assert kept.name.startswith("approximate-")
    again = group_characters(samples)
    assert (again.n_written, again.number) == (0, None)
    few = group_characters(grouped("aabb"))
    assert few.parameters.graph == "exact"


@pytest.mark.usefixtures("many")
def test_a_kept_exact_graph_is_taken_unless_it_is_not_wanted(grouped):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    samples = grouped("aabbbcaabaa")
    explore_parameters(samples, graph="exact")
    assert propose_groups(samples).report.parameters.graph == "exact"
    assert propose_groups(samples, graph="approximate").report.parameters.graph == "approximate"


@pytest.mark.usefixtures("many")
def test_exploring_many_images_finds_the_same_groups(grouped):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    samples = grouped("aabbbcaabaaAAA")
    found, exact = explore_parameters(samples), explore_parameters(samples, graph="exact")
    np.testing.assert_array_equal(found.sweep.n_groups, exact.sweep.n_groups)
    assert found.rows() == exact.rows()


@pytest.mark.usefixtures("many")
def test_without_the_library_the_report_says_what_to_install(grouped, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    report = group_characters(grouped("aabbbcaabaa"))
    (warning,) = report.warnings
    assert "all pairs of 11 images were compared" in warning and "fiftyone-ccip[index]" in warning
    assert report.parameters.graph == "exact"


@pytest.mark.usefixtures("many")
def test_adding_a_few_images_to_many_needs_no_graph(grouped, cache):
    samples = grouped("aabbbc" * 10)
    group_characters(samples, graph="exact")
    samples.add_samples([fo.Sample(filepath=f"/new {n}.png") for n in range(3)])
    embed(samples[60:], "abd")
    report = group_characters(samples, mode="add", graph="auto")
    assert report.n_written == 3 and labels(samples)[60:] == [labels(samples)[0], labels(samples)[2], "unassigned"]
    assert report.parameters.graph == "exact" or cache.exists()


@pytest.mark.parametrize(
    "options, what",
    [
        pytest.param({"graph": "nearly"}, "graph", id="graph"),
        pytest.param({"parameters": "best"}, "parameters", id="parameters"),
        pytest.param({"parameters": "calibrated"}, "run calibrate", id="nothing is calibrated"),
    ],
)
def test_refuses_what_means_nothing(grouped, options, what):
    with pytest.raises(ParameterError, match=what):
        group_characters(grouped("aab"), **options)


# -- calibrated parameters


def test_calibrated_parameters_are_used_recorded_and_marked(grouped):
    samples = grouped(LETTERS)
    samples.set_values("who", [f"キャラ {letter}" for letter in LETTERS])
    found = calibrate(samples, ground_truth_field="who")
    for method in ("linkage", "dbscan"):
        wanted = found.parameters(method)
        report = group_characters(samples, method=method, parameters="calibrated")
        used = report.parameters
        assert (used.source, used.eps, used.min_samples) == ("calibrated", wanted.eps, wanted.min_samples)
        assert (report.n_groups, config(samples).parameters["source"]) == (9, "calibrated")
    mixed = propose_groups(samples, parameters="calibrated", eps=0.11).report.parameters
    assert (mixed.eps, mixed.min_samples) == (0.11, found.parameters("linkage").min_samples)
    assert propose_groups(samples).report.parameters.source == "published"
    with pytest.raises(ParameterError, match="for optics"):
        group_characters(samples, method="optics", parameters="calibrated")

    explored = explore_parameters(samples)
    assert explored.marks["calibrated"] == found.parameters("dbscan").eps
    assert explored.marks["threshold"] == THRESHOLD
    names = [note["text"] for note in explored.figure()["layout"]["annotations"]]
    assert {"calibrated", "threshold", "DBSCAN (tuned)"} <= set(names)
    eps = found.parameters("dbscan").eps
    assert str(explored.facts()[f"eps {eps:.4f}, calibrated"]).startswith("9 groups")


# -- the groups


def test_tells_how_close_each_group_is_and_what_is_near(grouped):
    samples = grouped("aaaAAbb c")
    report = group_characters(samples)
    assert [(shape.name, shape.n_items) for shape in report.shapes] == [
        ("char_0001", 3),
        ("char_0002", 2),
        ("char_0003", 2),
    ]
    first, twin, other = report.shapes
    assert (first.rival, twin.rival) == (twin.name, first.name)
    assert (first.rival_id, twin.rival_id) == (twin.group_id, first.group_id)
    unit = np.stack([vector("a", n) for n in range(3)])
    apart = (1 - unit @ unit.T)[np.triu_indices(3, 1)] / 2
    assert (first.cohesion, first.diameter) == pytest.approx((apart.mean(), apart.max()), abs=1e-5)
    assert first.apart == twin.apart < other.apart
    assert config(samples).groups[0] == first.record()
    alone = group_characters(grouped("aab")).shapes
    assert [(shape.rival, shape.rival_id, shape.apart) for shape in alone] == [(None, None, None)]


def test_every_method_says_how_well_each_image_fits(grouped):
    for method in ("linkage", "dbscan", "dbscan_2", "dbscan_free", "hdbscan", "optics", "optics_best", "optics_cut"):
        samples = grouped("aaaaaaabbbbbbb" + "c")
        group_characters(samples, method=method)
        rows = samples.values(["character_group.group_id", *(f"character_group.{name}" for name in NUMBERS)])
        for group_id, confidence, difference, margin in zip(*rows, strict=True):
            if group_id is not None:
                assert 0 < confidence <= 1 and 0 < difference < 0.5, method
                assert margin is None if len({*rows[0]} - {None}) == 1 else -1 < margin < 1, method
        assert sum(group_id is not None for group_id in rows[0]) >= 14, method


NUMBERS = ("confidence", "difference", "margin")


def test_a_stored_proposal_knows_all_of_it(grouped):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    samples = grouped("aaaAAbb c")
    proposal = propose_groups(samples, graph="approximate")
    assert proposal.report.shapes and proposal.report.quality is not None
    assert load_proposal(samples).report.as_dict() == proposal.report.as_dict()


# -- from run to run


def test_the_limit_of_the_last_run_is_kept_where_it_fits(grouped, monkeypatch):
    samples = grouped("aabbb")
    first = group_characters(samples)
    limit = config(samples).limit
    asked = []

    def run(*args, previous_limit, **options):
        asked.append(previous_limit)
        return run_method(*args, previous_limit=previous_limit, **options)

    monkeypatch.setattr("ccip_plugin.grouping.run.run_method", run)
    for options in ({}, {"eps": 0.17}, {"method": "dbscan"}, {"run_key": "other"}):
        propose_groups(samples, **options)
    assert (first.n_groups, asked) == (2, [limit, None, None, None])
