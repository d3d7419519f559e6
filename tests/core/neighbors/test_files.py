import os

import numpy as np
import pytest

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors import NeighborGraph, radius_graph
from ccip_plugin.core.neighbors.files import find_graph, prune_graphs, stored_graph, touch
from ccip_plugin.core.progress import Cancelled


def embeddings(n: int = 300, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(12, 64))
    return (characters[random.integers(0, 12, n)] + 0.7 * random.normal(size=(n, 64))).astype(np.float32)


def contents(graph: NeighborGraph) -> tuple:
    return graph.n, graph.radius, *(np.asarray(x).tobytes() for x in (graph.rows, graph.cols, graph.differences))


def test_a_stored_graph_is_the_one_in_memory_and_is_not_built_twice(tmp_path):
    folder = tmp_path / "グラフ folder"
    steps: list = []
    built = stored_graph(embeddings(), 0.2, folder, block_size=64, progress=steps.append)
    assert contents(built) == contents(radius_graph(embeddings(), 0.2)) and built.n_pairs > 100 and steps
    steps.clear()
    assert contents(stored_graph(embeddings(), 0.2, folder, progress=steps.append)) == contents(built) and not steps
    assert len(list(folder.iterdir())) == 1


def test_labels_of_a_stored_graph(tmp_path):
    graph = stored_graph(embeddings(), 0.25, tmp_path)
    for method in ("linkage", "dbscan", "dbscan_2", "hdbscan"):
        found = cluster(graph, method=method, eps=0.15)
        np.testing.assert_array_equal(found, cluster(embeddings(), method=method, eps=0.15))
    np.testing.assert_array_equal(graph.within(0.1).components(), radius_graph(embeddings(), 0.1).components())


def test_other_vectors_and_radii_are_other_graphs(tmp_path):
    for vectors, radius in ((embeddings(), 0.2), (embeddings(), 0.21), (embeddings(seed=1), 0.2)):
        assert contents(stored_graph(vectors, radius, tmp_path)) == contents(radius_graph(vectors, radius))
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["rows", "cols", "differences", "graph.json"])
@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_graph_that_is_not_whole_is_built_anew(tmp_path, name, damage):
    want = contents(stored_graph(embeddings(), 0.2, tmp_path))
    file = next(tmp_path.iterdir()) / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-3])
    assert contents(stored_graph(embeddings(), 0.2, tmp_path)) == want
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_stopped_leaves_nothing(tmp_path):
    def stop(step) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        stored_graph(embeddings(), 0.2, tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [0, 1, 2])
def test_of_few(tmp_path, n):
    graph = stored_graph(embeddings(n), 0.01, tmp_path)
    assert (graph.n, graph.n_pairs) == (n, 0)
    assert contents(stored_graph(embeddings(n), 0.01, tmp_path)) == contents(graph)


def test_a_radius_is_a_difference(tmp_path):
    with pytest.raises(ParameterError, match="radius"):
        stored_graph(embeddings(), 2, tmp_path)


def test_finds_the_smallest_graph_that_reaches_far_enough(tmp_path):
    assert find_graph(embeddings(), 0.1, tmp_path / "not there") is None
    for radius in (0.3, 0.2):
        stored_graph(embeddings(), radius, tmp_path)
    found = {radius: find_graph(embeddings(), radius, tmp_path) for radius in (0.1, 0.2, 0.25, 0.31)}
    assert {key: graph and graph.radius for key, graph in found.items()} == {0.1: 0.2, 0.2: 0.2, 0.25: 0.3, 0.31: None}
    assert contents(found[0.25]) == contents(radius_graph(embeddings(), 0.3))
    assert find_graph(embeddings(seed=1), 0.1, tmp_path) is None
    (next(tmp_path.glob("*" + (0.2).hex())) / "rows").unlink()
    assert find_graph(embeddings(), 0.1, tmp_path).radius == 0.3


def test_deletes_the_graphs_that_were_used_longest_ago(tmp_path):
    for age, radius in enumerate((0.2, 0.21, 0.22)):
        stored_graph(embeddings(), radius, tmp_path)
        about = next(tmp_path.glob("*" + float(radius).hex())) / "graph.json"
        os.utime(about, (1000 - age, 1000 - age))
    for name, seconds in (("dead.part", 1000), ("at work.part", None)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, seconds and (seconds, seconds))
    assert find_graph(embeddings(), 0.22, tmp_path) is not None  # used just now
    assert prune_graphs(tmp_path, 2) == 1
    assert {path.name.partition("-")[2] for path in tmp_path.glob("*-*")} == {float(r).hex() for r in (0.2, 0.22)}
    assert [path.name for path in tmp_path.glob("*.part")] == ["at work.part"]


def test_a_graph_that_is_being_deleted_is_not_marked_as_used(tmp_path):
    """Another process deletes its files one after the other: no empty record comes into its folder."""
    graph = stored_graph(embeddings(50), 0.1, tmp_path)
    (graph.folder / "graph.json").unlink()
    touch(graph.folder)
    assert not (graph.folder / "graph.json").exists()
