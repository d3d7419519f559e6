import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.clustering.dbscan import dbscan
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors import NeighborGraph, radius_graph
from ccip_plugin.core.tuning.sweep import Sweep, looks_chained, sweep


def embeddings(n: int, n_characters: int = 5, noise: float = 0.6, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, 32))
    return (characters[random.integers(0, n_characters, n)] + noise * random.normal(size=(n, 32))).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 80), seed=st.integers(0, 999), noise=st.floats(0.2, 1.5))
def test_numbers_are_those_of_dbscan(n, seed, noise):
    graph = radius_graph(embeddings(n, noise=noise, seed=seed), 0.3)
    graph = NeighborGraph(n, 0.3001, graph.rows, graph.cols, graph.differences)  # rounded differences, taken as exact
    found = sweep(graph, [0.3, 0.05, 0.1, 0.2])
    assert found.eps.tolist() == [0.05, 0.1, 0.2, 0.3] and found.n == n
    for k, eps in enumerate(found.eps):
        labels = dbscan(graph, eps=float(np.float32(eps)), min_samples=2)
        assert found.n_groups[k] == labels.max() + 1
        assert found.unassigned[k] == pytest.approx((labels < 0).mean())
        sizes = sorted(np.bincount(labels[labels >= 0]), reverse=True)
        assert found.largest[k] * n == pytest.approx(max(sizes, default=1))
        assert found.second[k] * n == pytest.approx(sizes[1] if len(sizes) > 1 else 0)


def test_counts_images_that_come_to_another_group():
    pairs = np.array([[0, 1], [2, 3], [3, 4], [1, 2]], np.int32)
    graph = NeighborGraph(6, 0.5, pairs[:, 0], pairs[:, 1], np.array([0.1, 0.1, 0.2, 0.4], np.float32))
    found = sweep(graph, [0.1, 0.25, 0.3, 0.5])
    np.testing.assert_allclose(found.changed, [0, 1 / 6, 0, 2 / 6])
    assert found.n_groups.tolist() == [2, 2, 2, 1]


def test_finds_the_plateau():
    graph = radius_graph(embeddings(400, noise=0.4), 0.45)
    found = sweep(graph)
    assert len(found.eps) == 60 and found.eps[-1] == 0.45
    low, high = found.plateau()
    assert high - low > 0.1
    assert set(found.n_groups[(found.eps >= low) & (found.eps <= high)].tolist()) == {5}


def test_no_plateau_where_nothing_is_grouped():
    numbers = np.linspace(0, 0.3, 4)
    assert Sweep(5, numbers, np.zeros(4, int), np.ones(4), *np.zeros((3, 4))).plateau() is None


@pytest.mark.parametrize("eps", [[], [0.6], [-0.1, 0.2], [float("nan")]])
def test_says_what_is_no_eps(eps):
    with pytest.raises(ParameterError, match="eps"):
        sweep(radius_graph(embeddings(10), 0.5), eps)


@pytest.mark.parametrize("n", [0, 1])
def test_of_few(n):
    found = sweep(radius_graph(embeddings(n), 0.3))
    assert found.n_groups.tolist() == [0] * 60 and found.plateau() is None


@pytest.mark.parametrize(
    "largest, second, n, is_odd",
    [
        pytest.param(0.4, 0.1, 1000, True, id="a chain"),
        pytest.param(0.1, 0.06, 258, False, id="the main character of a few images"),
        pytest.param(0.04, 0.01, 100_000, False, id="a small share"),
        pytest.param(1.0, 0.0, 5000, False, id="only one character"),
        pytest.param(0.4, 0.1, 199, False, id="too few to tell"),
    ],
)
def test_tells_chains_by_sizes(largest, second, n, is_odd):
    assert looks_chained(largest, second, n) == is_odd
    eps = np.array([0.1, 0.2])
    shares = np.array([[0.0, largest], [0.0, second]])
    found = Sweep(n, eps, np.array([1, 1]), np.zeros(2), *shares, np.zeros(2))
    assert found.safe_eps() == (0.1 if is_odd else 0.2)
