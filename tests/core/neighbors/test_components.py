import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.neighbors.components import Forest, connected_components, number_by_first


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 30),
    n_pairs=st.integers(0, 40),
    n_parts=st.integers(1, 5),
    pending=st.integers(0, 10),
    seed=st.integers(0, 999),
)
def test_components_do_not_depend_on_the_parts(n, n_pairs, n_parts, pending, seed):
    random = np.random.default_rng(seed)
    pairs = random.integers(0, n, (2, n_pairs)).astype(np.int32)
    labels = list(range(n))
    for _ in range(n):
        for i, j in pairs.T.tolist():
            labels[i] = labels[j] = min(labels[i], labels[j])
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    forest = Forest(n, pending=pending)
    for rows, cols in zip(*(np.array_split(side, n_parts) for side in pairs), strict=True):
        forest.add(rows, cols)
    assert forest.labels().tolist() == [numbers[label] for label in labels]


def test_images_left_out_are_not_numbered():
    forest = Forest(5)
    forest.add(np.array([1, 3], np.int32), np.array([4, 4], np.int32))
    assert forest.labels(np.array([False, True, True, True, False])).tolist() == [-1, 0, 1, 0, -1]
    assert Forest(0).labels().tolist() == []


@pytest.mark.parametrize(
    "n, pairs, expected",
    [
        pytest.param(4, [(0, 1), (2, 1)], [0, 0, 0, 1], id="a chain and one alone"),
        pytest.param(3, [], [0, 1, 2], id="no pairs"),
        pytest.param(3, [(0, 1), (0, 1), (2, 2)], [0, 0, 1], id="a pair twice, and one with itself"),
        pytest.param(0, [], [], id="nothing"),
    ],
)
def test_connected_components(n, pairs, expected):
    rows, cols = np.array(pairs, np.int32).reshape(-1, 2).T
    n_components, labels = connected_components(n, rows, cols)
    assert (n_components, labels.tolist()) == (len(set(expected)), expected)


@pytest.mark.parametrize(
    "labels, expected",
    [([5, 2, 5, 9], [0, 1, 0, 2]), ([0, 1], [0, 1]), ([-1, 3, -1], [0, 1, 0]), ([], [])],
)
def test_numbers_in_the_order_of_first_members(labels, expected):
    assert number_by_first(np.array(labels, np.int64)).tolist() == expected
