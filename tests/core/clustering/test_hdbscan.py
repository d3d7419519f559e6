import numpy as np
import pytest
from sklearn.cluster import HDBSCAN

from ccip_plugin.core.clustering import NOISE
from ccip_plugin.core.clustering.hdbscan import hdbscan
from ccip_plugin.core.errors import ParameterError, RadiusError
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.neighbors import radius_graph
from tests.support.vectors import embeddings, exact_differences, of_characters


@pytest.mark.parametrize("seed", range(3))
def test_hdbscan_of_a_whole_graph_is_that_of_scikit_learn(seed):
    vectors = embeddings(120, seed=seed)
    want = HDBSCAN(metric="precomputed", min_cluster_size=5, copy=True).fit_predict(exact_differences(vectors))
    found = hdbscan(radius_graph(vectors, 1), eps=1, min_samples=5)
    assert found.max() > 0 and group_metrics(found, want).ari > 0.999


def test_hdbscan_finds_characters_that_are_not_connected():
    labels = hdbscan(radius_graph(of_characters("aaaabbbbbcccd"), 0.2), eps=0.2, min_samples=3)
    assert labels.tolist() == [0] * 4 + [1] * 5 + [2] * 3 + [NOISE]
    assert hdbscan(radius_graph(of_characters("aa"), 0.2), eps=0.2).tolist() == [NOISE] * 2
    with pytest.raises(RadiusError):
        hdbscan(radius_graph(of_characters("aaaa"), 0.2), eps=0.3)


@pytest.mark.parametrize("n", range(6))
def test_of_few(n):
    expected = [0 if n >= 3 else NOISE] * n
    assert hdbscan(radius_graph(of_characters("aaaaaa"[:n]), 0.2), eps=0.2).tolist() == expected


@pytest.mark.parametrize("min_samples", [2, 3, 10])
@pytest.mark.parametrize("n_alone", [0, 1, 7])
@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.1])
def test_a_single_group_is_found(n_alone, spread, min_samples):
    """HDBSCAN never selects all images, so without other groups these would be in none."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(1, 64), 300, axis=0) + spread * random.normal(size=(300, 64)) * random.random((300, 1))
    alone = np.eye(64)[1 : 1 + n_alone]
    labels = hdbscan(radius_graph(np.concatenate([vectors, alone]), 0.25), eps=0.25, min_samples=min_samples)
    assert (labels[300:] == NOISE).all()
    assert (labels[:300] == 0).all() if spread == 0 else (labels[:300] >= 0).any()


def test_many_identical_images_are_one_group():
    labels = hdbscan(radius_graph(np.ones((1500, 4)), 0.01), eps=0.01)
    assert (labels == 0).all()


def test_images_that_only_distant_pairs_connect_are_no_group():
    """HDBSCAN needs a connected graph; pairs that were added to connect it must not make groups."""
    labels = hdbscan(radius_graph(of_characters("abcdefgh"), 0.2), eps=0.2, min_samples=2)
    assert labels.tolist() == [NOISE] * 8


def test_one_image_is_no_group():
    with pytest.raises(ParameterError, match="at least 2"):
        hdbscan(radius_graph(of_characters("aaaa"), 0.2), eps=0.2, min_samples=1)
