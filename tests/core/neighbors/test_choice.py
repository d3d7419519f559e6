"""Exact and approximate graphs behind the same methods: who gets which, what is refused, what is told."""

import logging
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccip_plugin.core.calibration import load
from ccip_plugin.core.clustering import METHODS, cluster
from ccip_plugin.core.clustering.constraints import Constraints
from ccip_plugin.core.clustering.dbscan import dbscan
from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.clustering.hdbscan import hdbscan
from ccip_plugin.core.clustering.linkage import linkage
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import MissingExtraError, ParameterError
from ccip_plugin.core.neighbors import choice, radius_graph
from ccip_plugin.core.neighbors.approximate import CAP, approximate_graph
from ccip_plugin.core.neighbors.choice import choose_graph
from ccip_plugin.core.registry import DEFAULT_MODEL

needs_faiss = pytest.mark.usefixtures("faiss")


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss", reason="the extra 'index' is not installed")


@pytest.fixture
def no_faiss(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)


def embeddings(n: int, n_characters: int = 8, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, 64))
    spread = noise * random.lognormal(-0.5, 0.5, (n, 1))
    return normalize(characters[random.integers(0, n_characters, n)] + spread * random.normal(size=(n, 64)))


@needs_faiss
@pytest.mark.parametrize(
    "asked, n, method, kind",
    [
        pytest.param("auto", 99, "linkage", "exact", id="few"),
        pytest.param("auto", 100, "linkage", "approximate", id="many"),
        pytest.param("auto", 100, "optics_cut", "exact", id="optics has no choice"),
        pytest.param("exact", 100, "dbscan", "exact", id="exact, however many"),
        pytest.param("approximate", 3, "hdbscan", "approximate", id="approximate, however few"),
        pytest.param("exact", 3, "optics", "exact", id="optics, exact"),
    ],
)
def test_who_gets_which_graph(monkeypatch, asked, n, method, kind):
    monkeypatch.setattr(choice, "LARGE", 100)
    found = choose_graph(asked, n, needs_all_neighbors=METHODS[method].needs_all_neighbors)
    assert (found.requested, found.kind, found.note) == (asked, kind, "")


@pytest.mark.usefixtures("no_faiss")
def test_without_the_library_auto_is_exact_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(choice, "LARGE", 100)
    assert choose_graph("auto", 99).note == ""
    with caplog.at_level(logging.WARNING):
        found = choose_graph("auto", 100)
    assert found.kind == "exact" and 'pip install "fiftyone-ccip[index]"' in found.note
    assert caplog.messages == [found.note]
    with pytest.raises(MissingExtraError, match="faiss-cpu"):
        choose_graph("approximate", 100)


@needs_faiss
@pytest.mark.parametrize(
    "options, what",
    [
        pytest.param({"graph": "nearly"}, "graph.*auto, exact, approximate", id="no such graph"),
        pytest.param(
            {"graph": "approximate", "method": "optics"}, "auto or exact: this method needs all neighbors", id="optics"
        ),
        pytest.param({"graph": "approximate", "method": "optics_cut"}, "auto or exact", id="optics, cut"),
        pytest.param(
            {"graph": "approximate", "method": "dbscan", "min_samples": CAP + 2}, f"at most {CAP + 1}", id="dbscan"
        ),
        pytest.param(
            {"graph": "approximate", "method": "hdbscan", "min_samples": CAP + 2}, f"at most {CAP + 1}", id="hdbscan"
        ),
        pytest.param(
            {"graph": "approximate", "method": "dbscan", "constraints": Constraints()}, "constraints", id="constraints"
        ),
    ],
)
def test_refuses_what_it_cannot_answer_before_anything_is_compared(tmp_path, options, what):
    with pytest.raises(ParameterError, match=what):
        cluster(embeddings(30), folder=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


@needs_faiss
@pytest.mark.parametrize("by", [dbscan, hdbscan])
def test_a_capped_graph_cannot_count_more_neighbors_than_it_keeps(tmp_path, by):
    graph = approximate_graph(embeddings(40), 0.2, tmp_path, cap=5)
    assert len(by(graph, eps=0.2, min_samples=6)) == 40
    with pytest.raises(ParameterError, match=r"min_samples is 7.*at most 6.*exact"):
        by(graph, eps=0.2, min_samples=7)


@needs_faiss
@pytest.mark.parametrize("method", ["linkage", "dbscan", "dbscan_2", "hdbscan"])
def test_where_nothing_is_left_out_the_groups_are_the_same(tmp_path, method):
    vectors, (eps, min_samples) = embeddings(60), METHODS[method].parameters(load(DEFAULT_MODEL))
    graph = approximate_graph(vectors, eps, tmp_path)
    found = run_method(graph, method, eps=eps, min_samples=min_samples)
    exact = run_method(vectors, method, eps=eps, min_samples=min_samples)
    np.testing.assert_array_equal(found.labels, exact.labels)
    np.testing.assert_array_equal(cluster(vectors, method=method, graph="approximate", folder=tmp_path), exact.labels)
    assert exact.quality is None
    assert (found.quality.n_drawn, found.quality.recall, found.quality.cap) == (60, 1.0, CAP)


@needs_faiss
def test_the_graph_is_kept_in_the_cache_and_found_for_smaller_eps(tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ 💾"))
    vectors = embeddings(60)
    cluster(vectors, method="dbscan", eps=0.2, graph="approximate")
    (kept,) = (tmp_path / "キャッシュ 💾" / "graphs").iterdir()

    def compares(*args, **options):
        raise AssertionError("compared again")

    monkeypatch.setattr("ccip_plugin.core.neighbors.approximate.find_cells", compares)
    for eps in (0.2, 0.17):
        found = cluster(vectors, method="dbscan", eps=eps, min_samples=3, graph="approximate")
        np.testing.assert_array_equal(found, cluster(vectors, method="dbscan", eps=eps, min_samples=3))
    with pytest.raises(AssertionError, match="compared again"):
        cluster(vectors, method="dbscan", eps=0.21, graph="approximate")
    assert list(kept.parent.iterdir()) == [kept]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    n=st.integers(2, 200),
    noise=st.floats(0.3, 1.6),
    share=st.floats(0, 1),
    n_doubles=st.integers(0, 40),
    seed=st.integers(0, 10_000),
)
def test_decided_images_that_are_not_compared_change_no_group(n, noise, share, n_doubles, seed):
    """A graph has all pairs; without one, images of decided groups are not compared with each other."""
    random = np.random.default_rng(seed)
    unit = embeddings(n, noise=noise, seed=seed)
    unit[random.integers(0, n, n_doubles)] = unit[random.integers(0, n, n_doubles)]  # still scenes
    fixed = np.where(random.random(n) < share, random.integers(0, 12, n), -1)
    found = linkage(unit, threshold=0.178, constraints=Constraints(fixed))
    want = linkage(radius_graph(unit, 0.178), threshold=0.178, constraints=Constraints(fixed))
    np.testing.assert_array_equal(found.labels, want.labels)
    np.testing.assert_array_equal(found.rescued, want.rescued)
    assert found.limit == want.limit


def test_adding_compares_new_images_with_all_and_old_ones_with_their_groups_only():
    vectors = embeddings(1000, n_characters=20)
    fixed = np.arange(1000) % 20
    fixed[960:] = -1
    n_compared = {}

    def count(progress):
        n_compared[progress.stage] = max(n_compared.get(progress.stage, 0), progress.done)

    linkage(vectors, threshold=0.178, constraints=Constraints(fixed), progress=count)
    assert n_compared["comparing images"] == 40 * 1000
