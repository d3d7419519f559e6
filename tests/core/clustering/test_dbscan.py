import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from ccip_plugin.core.clustering import NOISE, cluster
from ccip_plugin.core.clustering.dbscan import dbscan, dbscan_of_embeddings
from ccip_plugin.core.neighbors import radius_graph
from tests.support.vectors import embeddings, exact_differences, of_characters


@pytest.mark.parametrize(
    "characters, min_samples, expected",
    [
        pytest.param("aabb", 2, [0, 0, 1, 1], id="two characters"),
        pytest.param("baab", 2, [0, 1, 1, 0], id="numbered by their first images"),
        pytest.param("aaab", 2, [0, 0, 0, NOISE], id="one image is nobody else"),
        pytest.param("aaab", 4, [NOISE] * 4, id="too few of each"),
        pytest.param("abac", 1, [0, 1, 0, 2], id="everybody is somebody"),
        pytest.param("aaaa", 2, [0, 0, 0, 0], id="all the same"),
        pytest.param("abcd", 2, [NOISE] * 4, id="all different"),
        pytest.param("ab", 2, [NOISE] * 2, id="two images of two"),
        pytest.param("aa", 2, [0, 0], id="two images of one"),
        pytest.param("a", 2, [NOISE], id="one image"),
        pytest.param("a", 1, [0], id="one image is enough"),
        pytest.param("", 2, [], id="nothing"),
    ],
)
@pytest.mark.parametrize("eps", [0, 0.2])
def test_groups_images_of_the_same_character(characters, min_samples, eps, expected):
    labels = cluster(of_characters(characters), method="dbscan", eps=eps, min_samples=min_samples)
    assert labels.tolist() == expected
    assert labels.dtype == np.int64


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 80),
    dim=st.sampled_from([3, 5, 64]),
    eps=st.floats(0, 1),
    min_samples=st.integers(1, 9),
    seed=st.integers(0, 10_000),
)
def test_labels_are_those_of_scikit_learn_on_the_exact_matrix(n, dim, eps, min_samples, seed):
    vectors = embeddings(n, dim, seed=seed)
    matrix = exact_differences(vectors)
    if abs(matrix - eps).min() < 1e-6 < eps:
        eps += 3e-6  # a pair at the very limit may be rounded to either side
    want = DBSCAN(eps=max(eps, 1e-12), min_samples=min_samples, metric="precomputed").fit_predict(matrix)
    np.testing.assert_array_equal(cluster(vectors, method="dbscan", eps=min(eps, 1), min_samples=min_samples), want)


def everywhere(n: int = 600, dim: int = 3) -> np.ndarray:
    """Images without any characters: at the right eps, groups touch each other."""
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("min_samples", [1, 2, 3, 5, 8, 10])
@pytest.mark.parametrize("eps", [0.002, 0.005, 0.01, 0.02])
def test_labels_are_those_of_scikit_learn_where_groups_touch(eps, min_samples):
    vectors = everywhere()
    graph = radius_graph(vectors, 0.02, block_size=128)
    want = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(exact_differences(vectors))
    np.testing.assert_array_equal(dbscan(graph, eps=eps, min_samples=min_samples), want)


def test_groups_touch_in_these_tests():
    """Or they would not show that a border image goes to the first of the groups that it is near."""
    near = exact_differences(everywhere()) <= 0.01
    is_core = near.sum(axis=1) >= 8
    labels = cluster(everywhere(), method="dbscan", eps=0.01, min_samples=8)
    between = [i for i in np.flatnonzero(~is_core) if len(set(labels[near[i] & is_core])) > 1]
    assert len(between) > 8 and labels.max() > 8


@pytest.mark.parametrize("min_samples", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_dbscan_without_a_graph_is_the_same_whether_pairs_are_kept_or_not(monkeypatch, kept, min_samples):
    monkeypatch.setattr("ccip_plugin.core.clustering.dbscan.PAIRS_BYTES", kept)
    graph = radius_graph(everywhere(), 0.01)
    want = dbscan(graph, eps=0.01, min_samples=min_samples)
    found = dbscan_of_embeddings(everywhere(), eps=0.01, min_samples=min_samples)
    np.testing.assert_array_equal(found, want)
