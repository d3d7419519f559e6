import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.clustering.dbscan import dbscan
from ccip_plugin.core.errors import MissingExtraError, ParameterError, VectorsError
from ccip_plugin.core.neighbors import NeighborGraph, cells, radius_graph
from ccip_plugin.core.neighbors.approximate import ApproximateGraph, approximate_graph
from ccip_plugin.core.neighbors.files import find_graph, prune_graphs
from ccip_plugin.core.progress import Cancelled

needs_faiss = pytest.mark.usefixtures("faiss")


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss", reason="the extra 'index' is not installed")


def embeddings(n: int = 2000, n_characters: int = 60, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, 64))
    who = (random.random(n) ** 2 * n_characters).astype(int)
    return (characters[who] + random.uniform(0.4, 0.8, (n, 1)) * random.normal(size=(n, 64))).astype(np.float32)


def as_dict(graph: NeighborGraph) -> dict[tuple[int, int], float]:
    rows, cols, differences = (np.asarray(x).tolist() for x in (graph.rows, graph.cols, graph.differences))
    return dict(zip(zip(rows, cols, strict=True), differences, strict=True))


def contents(graph: NeighborGraph) -> tuple:
    return graph.n, graph.radius, *(np.asarray(x).tobytes() for x in (graph.rows, graph.cols, graph.differences))


@needs_faiss
@pytest.mark.parametrize("n", [0, 1, 2, 9, 700])
def test_looking_everywhere_gives_the_exact_graph(tmp_path, n):
    found = approximate_graph(embeddings(n), 0.2, tmp_path, cap=10_000, n_probes=10_000)
    assert contents(found) == contents(radius_graph(embeddings(n), 0.2))
    assert (found.quality.recall, found.quality.complete, found.quality.capped) == (1, 1, 0)


@needs_faiss
def test_pairs_are_true_sorted_and_nearly_all(tmp_path):
    exact, found = as_dict(radius_graph(embeddings(), 0.2)), approximate_graph(embeddings(), 0.2, tmp_path, cap=10_000)
    assert as_dict(found).items() <= exact.items() and list(as_dict(found)) == sorted(as_dict(found))
    assert len(as_dict(found)) == found.n_pairs > 0.95 * len(exact)


@needs_faiss
def test_the_quality_is_what_an_exact_graph_says(tmp_path):
    vectors, cap = embeddings(500), 12
    exact, found = as_dict(radius_graph(vectors, 0.2)), approximate_graph(vectors, 0.2, tmp_path, cap=cap, n_probes=2)
    n_wanted, n_there, n_complete, n_capped = 0, 0, 0, 0
    for image in range(500):  # as many as are drawn
        near = sorted((d, *sorted(set(pair) - {image}), pair) for pair, d in exact.items() if image in pair)
        are_there = [pair in as_dict(found) for _, _, pair in near[:cap]]
        n_wanted, n_there = n_wanted + len(are_there), n_there + sum(are_there)
        n_complete, n_capped = n_complete + all(are_there), n_capped + (len(near) > cap)
    quality = found.quality
    assert (quality.n_drawn, quality.cap) == (500, cap) and 0.5 < quality.recall < 1
    assert quality.recall == pytest.approx(n_there / n_wanted)
    assert (quality.complete, quality.capped) == pytest.approx((n_complete / 500, n_capped / 500))


@needs_faiss
@pytest.mark.parametrize("cap", [1, 5, 40])
def test_the_nearest_are_kept_and_all_that_connects(tmp_path, cap):
    vectors = embeddings(700)
    exact, found = radius_graph(vectors, 0.25), approximate_graph(vectors, 0.25, tmp_path, cap=cap, n_probes=10_000)
    kept = as_dict(found)
    for image in range(0, 700, 7):
        near = sorted((d, *sorted(set(pair) - {image}), pair) for pair, d in as_dict(exact).items() if image in pair)
        assert all(pair in kept for _, _, pair in near[:cap])
    assert found.n_pairs <= 700 * (cap + 1) and found.quality.recall == 1
    for eps in (0.25, 0.2, 0.171, 0.13, 0.1):
        np.testing.assert_array_equal(found.components(eps=eps), exact.components(eps=eps))
        want = dbscan(exact, eps=eps, min_samples=2)
        np.testing.assert_array_equal(dbscan(found, eps=eps, min_samples=2), want)


@needs_faiss
def test_images_that_are_all_the_same(tmp_path):
    found = approximate_graph(np.ones((500, 8)), 0.1, tmp_path, cap=3)
    assert len(set(found.components())) == 1 and found.n_pairs <= 500 * 4 and not np.asarray(found.differences).any()


@needs_faiss
def test_groups_of_an_approximate_graph(tmp_path):
    vectors = embeddings()
    for method in ("linkage", "dbscan", "hdbscan"):
        graph = approximate_graph(vectors, 0.25, tmp_path)
        assert (cluster(graph, method=method, eps=0.15) == cluster(vectors, method=method, eps=0.15)).mean() > 0.97


@needs_faiss
def test_half_the_memory_for_vectors(tmp_path):
    stored = embeddings().astype(np.float16)
    half, full = (approximate_graph(x, 0.2, tmp_path) for x in (stored, stored.astype(np.float32)))
    assert half.vectors[3:5].dtype == np.float32 and half.vectors.shape == stored.shape
    np.testing.assert_allclose(half.vectors[[5, 1]], full.vectors[[5, 1]], atol=1e-7)
    one, other = as_dict(half), as_dict(full)
    assert len(one.keys() ^ other.keys()) <= len(one) / 1000
    assert max(abs(one[pair] - other[pair]) for pair in one.keys() & other.keys()) <= 2**-14
    assert (cluster(half, method="linkage", eps=0.15) == cluster(full, method="linkage", eps=0.15)).mean() > 0.99


@needs_faiss
@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("value", [0, np.nan, np.inf])
def test_a_bad_embedding_is_named(tmp_path, kind, value):
    vectors = embeddings(20).astype(kind)
    vectors[7] = value
    with pytest.raises(VectorsError, match="row 7"):
        approximate_graph(vectors, 0.2, tmp_path)


@needs_faiss
@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_threads_change_nothing(tmp_path, threads):
    np.save(tmp_path / "vectors.npy", embeddings())
    code = (
        "import sys, hashlib, numpy as np; from ccip_plugin.core.neighbors.approximate import approximate_graph;"
        "graph = approximate_graph(np.load(sys.argv[1]), 0.2, sys.argv[2], cap=9, n_probes=3);"
        "print(hashlib.sha256(b''.join(x.tobytes() for x in (graph.rows, graph.cols, graph.differences))).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "vectors.npy"), str(tmp_path / threads)]
    settings = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    settings["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    graph = approximate_graph(embeddings(), 0.2, tmp_path / "here", cap=9, n_probes=3)
    want = hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in (graph.rows, graph.cols, graph.differences)))
    assert done.stdout.strip() == want.hexdigest()


@needs_faiss
def test_it_is_not_built_twice_and_not_taken_for_an_exact_one(tmp_path):
    folder, steps = tmp_path / "グラフ 🌸", []
    built = approximate_graph(embeddings(), 0.2, folder, progress=steps.append)
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages == [
        "learning cells",
        "finding cells",
        "comparing images",
        "keeping the nearest",
        "checking the graph",
    ]
    assert all(step.done <= step.total for step in steps)
    steps.clear()
    again = approximate_graph(embeddings(), 0.2, folder, progress=steps.append)
    assert contents(again) == contents(built) and again.quality == built.quality and not steps
    assert find_graph(embeddings(), 0.2, folder) is None and len(list(folder.iterdir())) == 1
    assert approximate_graph(embeddings(), 0.2, folder, cap=4).n_pairs < built.n_pairs
    assert prune_graphs(folder, 1) == 1


@needs_faiss
@pytest.mark.parametrize("name", ["rows", "cols", "differences", "graph.json", "quality.json"])
@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_graph_that_is_not_whole_is_built_anew(tmp_path, name, damage):
    want = approximate_graph(embeddings(300), 0.2, tmp_path)
    file = next(tmp_path.iterdir()) / name
    before = contents(want)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3])
    assert contents(approximate_graph(embeddings(300), 0.2, tmp_path)) == before
    assert len(list(tmp_path.iterdir())) == 1


@needs_faiss
@pytest.mark.parametrize("stage", ["learning cells", "finding cells", "comparing images", "checking the graph"])
def test_what_is_stopped_leaves_nothing(tmp_path, stage):
    def stop(step) -> None:
        if step.stage == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        approximate_graph(embeddings(300), 0.2, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r'pip install faiss-cpu.*"fiftyone-ccip\[index\]"'):
        approximate_graph(embeddings(50), 0.2, tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImportError):
        cells.load_faiss()


@pytest.mark.parametrize("wrong", [{"radius": 2}, {"cap": 0}, {"n_probes": 0}])
def test_parameters_that_mean_nothing(tmp_path, wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        approximate_graph(embeddings(50), **{"radius": 0.2, "folder": tmp_path, **wrong})


def test_the_kind_of_graph_says_that_it_is_approximate(tmp_path):
    pytest.importorskip("faiss")
    assert isinstance(approximate_graph(embeddings(50), 0.2, tmp_path), ApproximateGraph)
