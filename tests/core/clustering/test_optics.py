import warnings

import numpy as np
import pytest
from sklearn.cluster import OPTICS, cluster_optics_dbscan

from ccip_plugin.core.clustering import NOISE, cluster
from ccip_plugin.core.clustering.dbscan import dbscan
from ccip_plugin.core.clustering.optics import optics, optics_cut, ordering_of_graph
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.neighbors.vectors import StoredVectors
from tests.support.vectors import embeddings, exact_differences, of_characters


def same_partition(a, b) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_ordering_has_the_cores_of_dbscan(seed):
    vectors = embeddings(120, seed=seed)
    graph = radius_graph(vectors, 0.14)
    is_core = graph.degrees + 1 >= 5
    found, want = optics_cut(vectors, eps=0.14, min_samples=5), dbscan(graph, eps=0.14, min_samples=5)
    assert same_partition(found[is_core], want[is_core]) and want.max() > 0
    assert ((found >= 0) <= (want >= 0)).all()


def optics_with_a_callable(vectors: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """The slow way: a Python function that looks up the difference of two image numbers."""
    matrix = exact_differences(vectors)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        numbers = np.arange(len(vectors)).reshape(-1, 1)
        model = OPTICS(max_eps=eps, min_samples=min_samples, metric=lambda a, b: matrix[int(a[0]), int(b[0])])
        return model.fit(numbers).labels_


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("eps, min_samples", [(0.5, 5), (0.1836453739562513, 5), (0.12, 2), (0.01, 5)])
def test_optics_is_that_of_scikit_learn(eps, min_samples, seed):
    vectors = embeddings(90, seed=seed)
    found = optics(vectors, eps=eps, min_samples=min_samples)
    np.testing.assert_array_equal(found, optics_with_a_callable(vectors, eps, min_samples))
    assert found.max() > 0 or eps == 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eps, min_samples", [(0.3, 5), (0.1836453739562513, 4), (0.12, 2), (0.01, 5)])
def test_optics_of_a_graph_is_that_of_scikit_learn_on_its_differences(eps, min_samples, seed):
    """Pairs that the graph does not have are farther than eps."""
    graph = radius_graph(embeddings(120, seed=seed), 0.3)
    matrix = np.ones((120, 120), np.float32)
    near, most = graph.within(eps), np.float32(eps)
    most = most if most <= eps else np.nextafter(most, np.float32(0))
    matrix[near.rows, near.cols] = matrix[near.cols, near.rows] = np.minimum(near.differences, most)
    np.fill_diagonal(matrix, 0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = OPTICS(max_eps=eps, min_samples=min_samples, metric="precomputed").fit(matrix)
    ordering = ordering_of_graph(graph, eps, min_samples)
    np.testing.assert_array_equal(ordering.order, found.ordering_)
    np.testing.assert_array_equal(ordering.reachability, found.reachability_)
    np.testing.assert_array_equal(ordering.predecessor, found.predecessor_)
    np.testing.assert_array_equal(ordering.core, found.core_distances_)
    np.testing.assert_array_equal(optics(graph, eps=eps, min_samples=min_samples), found.labels_)
    cut = cluster_optics_dbscan(
        reachability=found.reachability_, core_distances=found.core_distances_, ordering=found.ordering_, eps=0.8 * eps
    )
    np.testing.assert_array_equal(ordering.cut(0.8 * eps), cut)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_optics_of_a_graph_without_pairs(n):
    graph = radius_graph(np.eye(26, dtype=np.float32)[:n], 0.3)
    assert cluster(graph, method="optics", eps=0.2).tolist() == [NOISE] * n
    assert cluster(graph, method="optics_cut").tolist() == [NOISE] * n


@pytest.mark.parametrize(
    "characters, expected",
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a", [NOISE], id="one image"),
        pytest.param("aa", [0, 0], id="two images of one"),
        pytest.param("ab", [NOISE] * 2, id="two images of two"),
        pytest.param("aaaaaa", [0] * 6, id="all the same"),
        pytest.param("abcdef", [NOISE] * 6, id="all different"),
        pytest.param("aaabbb", [0, 0, 0, 1, 1, 1], id="two characters"),
    ],
)
@pytest.mark.parametrize("eps", [0, 0.2])
def test_optics_of_few(characters, eps, expected):
    assert optics(of_characters(characters), eps=eps, min_samples=2).tolist() == expected


def test_equal_images_are_equal_to_optics_too():
    """Their differences in a matrix of float32 are not quite zero."""
    vectors = np.repeat(embeddings(3, dim=768, n_characters=3), 4, axis=0)
    assert optics(vectors, eps=0, min_samples=3).tolist() == np.repeat([0, 1, 2], 4).tolist()
    assert optics(vectors, eps=1, min_samples=3).tolist() == np.repeat([0, 1, 2], 4).tolist()


def test_optics_of_many_takes_a_graph(monkeypatch):
    vectors = embeddings(120)
    found = {method: cluster(vectors, method=method) for method in ("optics_best", "optics_cut")}
    monkeypatch.setattr("ccip_plugin.core.clustering.optics.MAX_DENSE", 119)
    monkeypatch.delattr("ccip_plugin.core.clustering.optics.ordering_of_matrix")
    for method, labels in found.items():
        assert group_metrics(cluster(vectors, method=method), labels).ari > 0.98


@pytest.mark.parametrize("by", [optics, optics_cut])
def test_stored_vectors_are_clustered_as_arrays_are(by):
    vectors = embeddings(60)
    np.testing.assert_array_equal(
        by(StoredVectors(vectors), eps=0.2, min_samples=4), by(vectors, eps=0.2, min_samples=4)
    )
