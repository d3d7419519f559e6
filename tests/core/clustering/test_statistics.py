import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.clustering import statistics
from ccip_plugin.core.clustering.statistics import confidence, group_shapes, group_statistics
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import ParameterError, VectorsError


def embeddings(n: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, dim)) + 0.3).astype(np.float32) * 5


def statistics_slowly(vectors: np.ndarray, labels: list[int]) -> list[tuple[float, float, int]]:
    unit = normalize(vectors).astype(np.float64)
    result = []
    for i, label in enumerate(labels):
        to_groups = {}
        for group in sorted({name for name in labels if name >= 0}):
            members = [j for j, other in enumerate(labels) if other == group and j != i]
            if members:
                to_groups[group] = np.mean([(1 - unit[i] @ unit[j]) / 2 for j in members])
        own = to_groups.pop(label, np.nan) if label >= 0 else None
        others = sorted((difference, group) for group, difference in to_groups.items())
        nearest = others[0][1] if others else -1
        distances = [difference for difference, _ in others] + [np.inf, np.inf]
        if own is None:
            own, distances = (distances[0], distances[1:]) if others else (np.nan, distances)
        result.append((own, distances[0] - own, nearest))
    return result


@settings(max_examples=80, deadline=None)
@given(
    labels=st.lists(st.integers(-2, 5), max_size=25),
    seed=st.integers(0, 99),
    cells=st.sampled_from([1, 40, 1 << 22]),
)
def test_statistics_are_those_of_every_single_pair(labels, seed, cells):
    vectors = embeddings(len(labels), seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_CELLS", cells)
        found = group_statistics(vectors, labels)
    want = statistics_slowly(vectors, labels)
    np.testing.assert_allclose(found.difference, [row[0] for row in want], atol=1e-6)
    np.testing.assert_allclose(found.margin, [row[1] for row in want], atol=1e-6)
    assert found.nearest.tolist() == [row[2] for row in want]


EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


@pytest.mark.parametrize(
    "vectors, labels, difference, margin, nearest",
    [
        pytest.param([], [], [], [], [], id="nothing"),
        pytest.param([EAST], [-1], [np.nan], [np.nan], [-1], id="no group"),
        pytest.param([EAST], [3], [np.nan], [np.nan], [-1], id="alone in its group"),
        pytest.param([EAST, NORTH], [3, 3], [0.5, 0.5], [np.inf] * 2, [-1, -1], id="one group"),
        pytest.param([EAST, EAST, WEST], [7, 7, -1], [0, 0, 1], [np.inf] * 3, [-1, -1, 7], id="outside the only group"),
        pytest.param(
            [EAST, EAST, WEST, NORTH],
            [7, 7, 9, -1],
            [0, 0, np.nan, 0.5],
            [1, 1, np.nan, 0],
            [9, 9, 7, 7],
            id="between two groups",
        ),
        pytest.param(
            [EAST, WEST, WEST, WEST],
            [1, 1, 2, 2],
            [1, 1, 0, 0],
            [0, -1, 0.5, 0.5],
            [2, 2, 1, 1],
            id="in the wrong group",
        ),
    ],
)
def test_statistics(vectors, labels, difference, margin, nearest):
    found = group_statistics(vectors, labels)
    np.testing.assert_allclose(found.difference, difference, atol=1e-6)
    np.testing.assert_allclose(found.margin, margin, atol=1e-6)
    assert found.nearest.tolist() == nearest


def test_labels_may_be_large_and_have_gaps():
    found = group_statistics([EAST, EAST, NORTH, NORTH], [10**12, 10**12, 5, 5])
    assert found.nearest.tolist() == [5, 5, 10**12, 10**12]


def test_a_label_for_each_embedding():
    with pytest.raises(VectorsError, match="one label for each"):
        group_statistics([EAST, EAST], [1])
    with pytest.raises(VectorsError, match="row 1"):
        group_statistics([EAST, [np.nan, 0]], [1, 1])


@pytest.mark.parametrize(
    "difference, want",
    [(0, 1), (0.178, 0.5), (0.356, 0.2), (np.nan, np.nan), ([0, 0.178], [1, 0.5]), (np.zeros((2, 3)), np.ones((2, 3)))],
)
def test_confidence(difference, want):
    found = confidence(difference, 0.178)
    np.testing.assert_allclose(found, want)
    assert np.shape(found) == np.shape(difference)


@given(a=st.floats(0, 1), b=st.floats(0, 1), threshold=st.floats(0.01, 1))
def test_confidence_falls_and_stays_above_zero(a, b, threshold):
    low, high = confidence(sorted([a, b]), threshold)
    assert 1 >= low >= high > 0
    assert (high >= 0.5) == (max(a, b) <= threshold)


@pytest.mark.parametrize("threshold", [0, -1, float("nan")])
def test_confidence_needs_a_threshold(threshold):
    with pytest.raises(ParameterError, match="threshold"):
        confidence(0.1, threshold)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 4), max_size=25), seed=st.integers(0, 99), cells=st.sampled_from([1, 40, 1 << 22])
)
def test_shapes_are_those_of_every_single_pair(labels, seed, cells):
    vectors = embeddings(len(labels), seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "_CELLS", cells)
        found = group_shapes(vectors, labels)
    unit = normalize(vectors).astype(np.float64) if labels else np.empty((0, 1))
    apart = (1 - unit @ unit.T) / 2
    members = {name: [i for i, other in enumerate(labels) if other == name] for name in sorted({*labels} - {-1})}
    assert found.labels.tolist() == list(members)
    assert found.sizes.tolist() == [len(rows) for rows in members.values()]
    for place, (name, rows) in enumerate(members.items()):
        inside = [apart[i, j] for i in rows for j in rows if i < j]
        np.testing.assert_allclose(found.cohesion[place], np.mean(inside) if inside else np.nan, atol=1e-6)
        np.testing.assert_allclose(found.diameter[place], max(inside, default=0), atol=1e-6)
        others = {other: apart[np.ix_(rows, them)].mean() for other, them in members.items() if other != name}
        assert found.rivals[place] == min(others, key=others.get, default=-1)
        np.testing.assert_allclose(found.apart[place], min(others.values(), default=np.inf), atol=1e-6)


def test_the_outermost_members_of_a_large_group_tell_its_diameter(monkeypatch):
    vectors = embeddings(200)
    want = group_shapes(vectors, [0] * 200).diameter
    monkeypatch.setattr(statistics, "_WHOLE", 100)
    monkeypatch.setattr(statistics, "_OUTERMOST", 40)
    np.testing.assert_allclose(group_shapes(vectors, [0] * 200).diameter, want, rtol=0.02)
    monkeypatch.setattr(statistics, "_OUTERMOST", 199)
    np.testing.assert_array_equal(group_shapes(vectors, [0] * 200).diameter, want)


def test_shapes_need_a_label_for_each_embedding():
    with pytest.raises(VectorsError, match="one label for each"):
        group_shapes(embeddings(3), [0, 0])
