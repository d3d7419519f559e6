import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.clustering.constraints import Constraints
from ccip_plugin.core.clustering.linkage import LinkageOptions, linkage
from ccip_plugin.core.clustering.linkage.hierarchy import find_hierarchy
from ccip_plugin.core.clustering.linkage.stages import Stages
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import ContradictionError, RadiusError
from ccip_plugin.core.neighbors import NeighborGraph
from ccip_plugin.core.neighbors.files import stored_graph
from ccip_plugin.core.neighbors.pairs import GRID

THRESHOLD = 0.178
NEAR = 0.1 * THRESHOLD


def embeddings(n: int, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    """Two thirds of them of five characters, the others nearly the same as these."""
    random = np.random.default_rng(seed)
    n_doubles = n // 3
    spread = noise * random.lognormal(-0.5, 0.5, (n - n_doubles, 1))
    images = random.normal(size=(5, 64))[random.integers(0, 5, n - n_doubles)]
    images = images + spread * random.normal(size=images.shape)
    doubles = images[random.integers(0, len(images), n_doubles)] + 0.01 * random.normal(size=(n_doubles, 64))
    return normalize(np.concatenate([images, doubles]))


def decided(n: int, seed: int) -> Constraints:
    random = np.random.default_rng(seed)
    fixed = np.where(random.random(n) < 0.1, random.integers(0, 4, n), -1)
    must, cannot = ([(int(a), int(b)) for a, b in random.integers(0, n, (k, 2))] for k in (2, 4))
    rejected = {(int(i), int(g)) for i, g in zip(random.integers(0, n, 4), random.integers(0, 5, 4), strict=True)}
    boxes = np.where(random.random(n) < 0.2, random.integers(0, n, n), -1)
    return Constraints(fixed, rejected, must, cannot, boxes)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(2, 120), noise=st.floats(0.1, 1.8), seed=st.integers(0, 100_000), is_decided=st.booleans())
def test_any_cut_of_what_is_kept_is_what_comparing_again_gives(n, noise, seed, is_decided):
    unit, wanted = embeddings(n, noise, seed), decided(n, seed) if is_decided else None
    with tempfile.TemporaryDirectory() as folder:
        graph = stored_graph(unit, 1.25 * THRESHOLD, folder)
        for share in (1, 0.6, 1.25, 0.9, 0.1, 0):
            given_ = {"threshold": share * THRESHOLD, "near_duplicate": NEAR, "min_samples": 1, "constraints": wanted}
            try:
                found = linkage(graph, **given_)
            except ContradictionError:
                return
            want = linkage(unit, **given_)
            np.testing.assert_array_equal(found.labels, want.labels)
            np.testing.assert_array_equal(found.rescued, want.rescued)
            np.testing.assert_allclose(found.nearest, want.nearest, atol=1e-6)
            assert found.limit == pytest.approx(want.limit)


def test_another_cut_merges_nothing_anew(tmp_path, monkeypatch):
    graph = stored_graph(embeddings(600), 1.25 * THRESHOLD, tmp_path)
    steps: list = []
    cluster(graph, progress=steps.append)
    assert {"reading pairs", "merging images"} <= {step.stage for step in steps}
    assert len(list(graph.folder.glob("merges-*"))) == 1

    def again(*_):
        raise AssertionError("merged anew")

    want = cluster(embeddings(600), eps=0.8 * THRESHOLD)
    monkeypatch.setattr("ccip_plugin.core.clustering.linkage.stages.find_merges", again)
    monkeypatch.setattr(NeighborGraph, "parts_within", again)
    np.testing.assert_array_equal(cluster(graph, eps=0.8 * THRESHOLD), want)
    assert len(list(graph.folder.glob("merges-*"))) == 1


def test_only_components_with_decisions_are_looked_at_again(tmp_path, monkeypatch):
    unit = normalize(np.repeat(np.eye(40, dtype=np.float32), 5, axis=0) + 0.05 * embeddings(200)[:, :40])
    graph, seen = stored_graph(unit, 1.25 * THRESHOLD, tmp_path), []
    want = cluster(graph)
    merge = Stages.merge

    def spied(stages, images, groups, duplicates, cut, limit):
        if limit is None:
            seen.append(images.tolist())
        return merge(stages, images, groups, duplicates, cut, limit)

    monkeypatch.setattr(Stages, "merge", spied)
    found = cluster(graph, constraints=Constraints(cannot_link=[(15, 16)]))
    assert seen == [[15, 16, 17, 18, 19]]
    assert found[15] != found[16] and (np.delete(found, slice(15, 20)) >= 0).all() and want.max() == 39


@pytest.mark.parametrize("n_bytes", [0, 100, -10])
def test_a_file_that_is_not_whole_is_made_anew(tmp_path, caplog, n_bytes):
    graph = stored_graph(embeddings(100), 1.25 * THRESHOLD, tmp_path)
    want = cluster(graph)
    (file,) = graph.folder.glob("merges-*")
    whole = file.read_bytes()
    file.write_bytes(whole[:n_bytes])
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cluster(graph), want)
    assert file.name in caplog.text and "computed again" in caplog.text
    assert len(file.read_bytes()) == len(whole)


def test_that_nothing_can_be_kept_is_said_and_does_no_harm(tmp_path, caplog):
    graph = stored_graph(embeddings(100), 1.25 * THRESHOLD, tmp_path)
    want = cluster(embeddings(100))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cluster(replace(graph, folder=tmp_path / "gone")), want)
    assert "not stored" in caplog.text


def test_other_near_duplicates_are_another_hierarchy(tmp_path):
    graph = stored_graph(embeddings(100), 1.25 * THRESHOLD, tmp_path)
    for near in (0.05 * THRESHOLD, NEAR):
        found = linkage(graph, threshold=THRESHOLD, near_duplicate=near)
        np.testing.assert_array_equal(
            found.labels, linkage(embeddings(100), threshold=THRESHOLD, near_duplicate=near).labels
        )
    assert len(list(graph.folder.glob("merges-*"))) == 2


def test_an_eps_beyond_the_graph(tmp_path):
    graph = stored_graph(embeddings(50), 1.25 * THRESHOLD, tmp_path)
    with pytest.raises(RadiusError):
        cluster(graph, eps=0.23)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(2, 90), noise=st.floats(0.1, 1.8), seed=st.integers(0, 100_000))
def test_a_graph_that_lacks_pairs_keeps_decisions_and_does_not_depend_on_what_was_asked_before(n, noise, seed):
    unit, wanted, random = embeddings(n, noise, seed), decided(n, seed), np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        graph = stored_graph(unit, 1.25 * THRESHOLD, folder)
        has = random.random(graph.n_pairs) < 0.5
        thin = replace(graph, rows=graph.rows[has], cols=graph.cols[has], differences=graph.differences[has])
        first, again = Path(folder, "first"), Path(folder, "again")
        first.mkdir(), again.mkdir()
        try:
            labels = linkage(replace(thin, folder=first), threshold=THRESHOLD, min_samples=1, constraints=wanted).labels
        except ContradictionError:
            return
        linkage(replace(thin, folder=again), threshold=1.2 * THRESHOLD, near_duplicate=NEAR)
        same = linkage(replace(thin, folder=again), threshold=THRESHOLD, min_samples=1, constraints=wanted).labels
        np.testing.assert_array_equal(labels, same)
    fixed = np.asarray(wanted.fixed)
    owners = {int(labels[i]): int(fixed[i]) for i in np.flatnonzero(fixed >= 0)}
    assert all(len(set(labels[fixed == group].tolist())) == 1 for group in owners.values())
    assert len(owners) == len(set(owners.values()))
    assert all(labels[i] == labels[j] for i, j in wanted.must_link)
    assert all(labels[i] != labels[j] for i, j in wanted.cannot_link)
    assert all(owners.get(int(labels[i])) != group for i, group in wanted.rejected)


def test_components_of_the_spanning_pairs_are_those_of_all(tmp_path):
    graph = stored_graph(embeddings(400, noise=1.2), 1.25 * THRESHOLD, tmp_path)
    known = find_hierarchy(graph, NEAR, LinkageOptions())
    assert len(known.spanning.rows) < graph.n < graph.n_pairs
    for cut in (0.3 * THRESHOLD, 0.8 * THRESHOLD, THRESHOLD):
        rounded = cut + GRID
        want = graph.components(eps=rounded)
        np.testing.assert_array_equal(known.components(cut), want)
