import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from ccip_plugin.core.clustering.linkage.agglomeration import MergeRules, agglomerate
from ccip_plugin.core.differences import normalize


def embeddings(n: int, dim: int = 48, n_characters: int = 6, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, dim))
    spread = noise * random.lognormal(-0.5, 0.5, (n, 1))
    return normalize(characters[random.integers(0, n_characters, n)] + spread * random.normal(size=(n, dim)))


def numbered(labels) -> list[int]:
    names = {label: number for number, label in enumerate(dict.fromkeys(np.asarray(labels).tolist()))}
    return [names[label] for label in np.asarray(labels).tolist()]


def average_linkage_of_scipy(unit: np.ndarray, cut: float) -> list[int]:
    exact = unit.astype(np.float64)
    matrix = np.maximum((1 - exact @ exact.T) / 2, 0)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return numbered(fcluster(linkage(squareform(matrix, checks=False), "average"), cut, "distance"))


def one_by_one(unit: np.ndarray, cut: float, rules: MergeRules) -> list[int]:
    """The obvious way: all pairs of groups, all pairs of images between them, the nearest two merged; again."""
    matrix = (1 - unit.astype(np.float64) @ unit.T.astype(np.float64)) / 2
    groups = [[i] for i in range(len(unit))]
    owners = np.full(len(unit), -1) if rules.owners is None else rules.owners

    def cost(a: list[int], b: list[int]) -> float:
        of_a, of_b = max(owners[i] for i in a), max(owners[i] for i in b)
        if of_a >= 0 and of_b >= 0 and of_a != of_b:
            return np.inf
        if any((i in a and j in b) or (i in b and j in a) for i, j in rules.cannot_link.tolist()):
            return np.inf
        both_large = min(len(a), len(b)) >= rules.large_size and rules.large_limit is not None
        return matrix[np.ix_(a, b)].mean() + (cut - rules.large_limit if both_large else 0)

    while len(groups) > 1:
        costs = {(i, j): cost(groups[i], groups[j]) for i in range(len(groups)) for j in range(i)}
        i, j = min(costs, key=costs.__getitem__)
        if costs[i, j] > cut:
            break
        groups[j] = sorted(groups[j] + groups[i])
        del groups[i]
    labels = np.empty(len(unit), int)
    for number, group in enumerate(groups):
        labels[group] = number
    return numbered(labels)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 120), cut=st.floats(0.01, 0.6), noise=st.floats(0.2, 2), seed=st.integers(0, 10_000))
def test_groups_are_those_of_scipy(n, cut, noise, seed):
    unit = embeddings(n, noise=noise, seed=seed)
    for rules in (None, MergeRules(owners=np.full(n, -1))):
        assert agglomerate(unit, np.ones(n), cut, rules).tolist() == average_linkage_of_scipy(unit, cut)


def test_groups_are_those_of_scipy_in_a_chain_that_shrinks():
    """Each merger makes the next possible: one pair a round."""
    angles = np.cumsum(0.3 * 0.93 ** np.arange(40))
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rules = MergeRules(owners=np.full(40, -1))
    for cut in (0.001, 0.01, 0.1, 0.5):
        assert agglomerate(unit, np.ones(40), cut, rules).tolist() == average_linkage_of_scipy(unit, cut)


@pytest.mark.parametrize("name, size", [("_CELLS", 700), ("_ROWS", 7)])
def test_large_groups_in_blocks(monkeypatch, name, size):
    unit = embeddings(400, n_characters=12)
    rules = MergeRules(owners=np.full(400, -1)) if name == "_CELLS" else None
    whole = agglomerate(unit, np.ones(400), 0.2, rules)
    monkeypatch.setattr(f"ccip_plugin.core.clustering.linkage.agglomeration.{name}", size)
    np.testing.assert_array_equal(agglomerate(unit, np.ones(400), 0.2, rules), whole)
    assert 3 < whole.max() < 300


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 24),
    cut=st.floats(0.05, 0.5),
    large=st.integers(1, 4),
    limit=st.floats(0, 1),
    n_owned=st.integers(0, 8),
    n_apart=st.integers(0, 6),
    seed=st.integers(0, 10_000),
)
def test_rules_keep_groups_apart_as_in_the_obvious_way(n, cut, large, limit, n_owned, n_apart, seed):
    unit = embeddings(n, n_characters=3, seed=seed)
    random = np.random.default_rng(seed)
    owners = np.full(n, -1)
    owners[random.permutation(n)[:n_owned]] = random.integers(0, 3, min(n, n_owned))
    apart = random.integers(0, n, (n_apart, 2))
    rules = MergeRules(
        large_size=large, large_limit=limit * cut, owners=owners, cannot_link=apart[apart[:, 0] != apart[:, 1]]
    )
    assert agglomerate(unit, np.ones(n), cut, rules).tolist() == one_by_one(unit, cut, rules)


@pytest.mark.parametrize(
    "penalty, expected",
    [pytest.param(0.0, [0, 0, 0], id="no penalty"), pytest.param(0.1, [0, 1, 0], id="two of one image are kept apart")],
)
def test_co_occurrence_is_penalized(penalty, expected):
    angles = np.array([0, 0.3, 0.5])
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    rules = MergeRules(co_occurring=np.array([[0, 1], [1, 2]]), co_occurrence_penalty=penalty)
    assert agglomerate(unit, np.ones(3), 0.08, rules).tolist() == expected


def test_weights_count():
    """A heavy group draws the mean: nine parts of the first and one of the second are farther from the third."""
    angles = np.array([0, 0.3, 0.8])
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    cut = 0.12
    assert agglomerate(unit, np.array([1.0, 1.0, 1.0]), cut).tolist() == [0, 0, 0]
    assert agglomerate(unit, np.array([9.0, 1.0, 1.0]), cut).tolist() == [0, 0, 1]


@pytest.mark.parametrize("n", [0, 1])
def test_of_few(n):
    assert agglomerate(np.ones((n, 1), np.float32), np.ones(n), 0.2).tolist() == [0] * n


def test_equal_images_are_one_group_and_input_stays():
    unit = np.repeat(embeddings(3), 20, axis=0)
    before = unit.copy()
    assert agglomerate(unit, np.ones(60), 1e-6).tolist() == np.repeat([0, 1, 2], 20).tolist()
    np.testing.assert_array_equal(unit, before)
