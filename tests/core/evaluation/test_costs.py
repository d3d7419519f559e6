from itertools import product

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation.costs import group_costs


def partition(labels) -> frozenset[frozenset[int]]:
    return frozenset(frozenset(np.flatnonzero(np.array(labels) == name).tolist()) for name in set(labels))


def neighbors(state):
    """What one merge or one move makes of groups."""
    groups = sorted(state, key=sorted)
    for one in groups:
        rest = [group for group in groups if group is not one]
        for other in rest:
            yield frozenset([one | other, *(group for group in rest if group is not other)])
        for image in one:
            left = [one - {image}] if len(one) > 1 else []
            yield frozenset([frozenset([image]), *left, *rest])
            for other in rest:
                yield frozenset([other | {image}, *left, *(group for group in rest if group is not other)])


def fewest_clicks(start, goal) -> int:
    """By trying everything."""
    seen, front, clicks = {start}, {start}, 0
    while goal not in seen:
        front = {state for each in front for state in neighbors(each)} - seen
        seen |= front
        clicks += 1
    return clicks


def partitions(n: int) -> list[tuple[int, ...]]:
    """Every way to put ``n`` images into groups."""
    return [
        each
        for each in product(range(n), repeat=n)
        if all(k <= max(each[:i], default=-1) + 1 for i, k in enumerate(each))
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_clicks_are_the_fewest(n):
    for pred, true in product(partitions(n), repeat=2):
        assert group_costs(pred, true).clicks == fewest_clicks(partition(pred), partition(true)), (pred, true)


@pytest.mark.parametrize("seed", range(12))
def test_clicks_are_the_fewest_in_larger_ones(seed):
    random = np.random.default_rng(seed)
    pred, true = random.integers(0, 3, (2, 6)).tolist()
    assert group_costs(pred, true).clicks == fewest_clicks(partition(pred), partition(true)), (pred, true)


def test_tables():
    pred = ["ミク", "ミク", "ミク", "g 2", "g 2", None, None, "g 3", None]
    true = ["初音ミク", "初音ミク", "鏡音リン", "初音ミク", "初音ミク", "初音ミク", "鏡音リン", None, "ソロ"]
    costs = group_costs(pred, true)
    assert (costs.moves, costs.merges, costs.clicks) == (1, 2, 3)
    assert np.flatnonzero(costs.misplaced).tolist() == [2]
    assert np.flatnonzero(costs.to_join).tolist() == [3, 4, 5]
    assert [(row.name, row.character, row.n_images, row.n_wrong, row.other, row.clicks) for row in costs.groups] == [
        ("ミク", "初音ミク", 3, 1, "鏡音リン", 1),
        ("g 2", "初音ミク", 2, 0, None, 1),
    ]
    assert [row.purity for row in costs.groups] == [pytest.approx(2 / 3), 1]
    miku, rin, solo = costs.characters
    assert (miku.name, miku.n_images, miku.n_groups, miku.n_pieces, miku.n_unassigned, miku.group, miku.clicks) == (
        "初音ミク",
        5,
        2,
        3,
        1,
        "g 2",
        2,
    )
    assert (miku.recall, miku.precision) == (pytest.approx(0.4), 1)
    assert (rin.name, rin.n_pieces, rin.n_unassigned, rin.group, rin.clicks) == ("鏡音リン", 1, 1, "ミク", 1)
    assert (solo.name, solo.group, solo.recall, solo.clicks) == ("ソロ", None, 1, 0)


def test_clicks_add_up():
    random = np.random.default_rng(1)
    pred, true = random.integers(-1, 30, 400), random.integers(0, 25, 400)
    costs = group_costs(pred, true)
    assert sum(row.clicks for row in costs.characters) == costs.clicks == costs.moves + costs.merges
    assert sum(row.n_wrong for row in costs.groups) == costs.moves == costs.misplaced.sum()


@pytest.mark.parametrize("pred, true, clicks", [
    pytest.param([], [], 0, id="nothing"),
    pytest.param([0, 1], [None, None], 0, id="nobody known"),
    pytest.param([-1, -1, -1], "aab", 1, id="no groups"),
    pytest.param([0, 0, 1, 1], "abab", 2, id="crossed"),
    pytest.param([0, 0, 0, 0, 1, 1], "aabbaa", 2, id="a tie goes to who has no group"),
])  # fmt: skip
def test_special_cases(pred, true, clicks):
    assert group_costs(pred, list(true)).clicks == clicks


def test_different_lengths_are_refused():
    with pytest.raises(ParameterError, match="labels_true"):
        group_costs([0], [0, 1])
