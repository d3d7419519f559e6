import numpy as np
import pytest

from ccip_plugin.core.clustering.constraints import Constraints, resolve_constraints
from ccip_plugin.core.errors import CCIPError, ContradictionError, ParameterError


def test_what_follows_from_decisions():
    wanted = Constraints(
        fixed=[4, -1, 4, -1, 2, -1],
        rejected={(3, 4), (5, 99)},
        must_link=[(1, 4)],
        cannot_link=[(5, 3)],
        same_image=[0, 0, 1, -1, 0, -1],
    )
    found = resolve_constraints(wanted, 6)
    assert found.sets.tolist() == [0, 1, 0, 2, 1, 3]
    assert found.owners.tolist() == [4, 2, 4, -1, 2, -1]
    assert found.cannot_link.tolist() == [[5, 3], [3, 0]]
    assert sorted(map(sorted, found.co_occurring.tolist())) == [[0, 1], [0, 4], [1, 4]]
    assert found.is_constrained.tolist() == [True, True, True, True, True, True]


def test_nothing_decided():
    found = resolve_constraints(Constraints(), 3)
    assert found.sets.tolist() == [0, 1, 2] and found.owners.tolist() == [-1] * 3
    assert not found.is_constrained.any() and not len(found.cannot_link) and not len(found.co_occurring)
    assert len(resolve_constraints(Constraints(), 0).sets) == 0


@pytest.mark.parametrize(
    "options, pairs",
    [
        pytest.param({"fixed": [1, 2, -1, -1], "must_link": [(0, 1)]}, [(0, 1)], id="two groups, must link"),
        pytest.param({"fixed": [1, -1, 2, -1], "must_link": [(0, 1), (1, 2)]}, [(0, 2)], id="by way of a third"),
        pytest.param({"fixed": [1, 1, -1, -1], "cannot_link": [(1, 0)]}, [(1, 0)], id="one group, cannot link"),
        pytest.param({"must_link": [(0, 1), (1, 3)], "cannot_link": [(3, 0)]}, [(3, 0)], id="must and cannot link"),
        pytest.param({"fixed": [5, -1, -1, -1], "rejected": [(0, 5)]}, [(0, 0)], id="fixed and rejected"),
        pytest.param(
            {"fixed": [5, -1, -1, -1], "rejected": [(2, 5)], "must_link": [(0, 2)]}, [(2, 0)], id="rejected, linked"
        ),
        pytest.param({"cannot_link": [(2, 2)]}, [(2, 2)], id="not with itself"),
    ],
)
def test_contradictions_are_told_with_their_images(options, pairs):
    with pytest.raises(ContradictionError) as caught:
        resolve_constraints(Constraints(**options), 4)
    assert caught.value.pairs == pairs and isinstance(caught.value, CCIPError)
    assert f"{pairs[0][0]} and {pairs[0][1]}" in str(caught.value)


@pytest.mark.parametrize(
    "options, what",
    [
        pytest.param({"fixed": [1, 2]}, "fixed", id="too few"),
        pytest.param({"fixed": [0.5, 1, 1]}, "fixed", id="no whole numbers"),
        pytest.param({"same_image": [1, 2]}, "same_image", id="images too few"),
        pytest.param({"must_link": [(0, 3)]}, "must_link.*0 to 2", id="no such image"),
        pytest.param({"cannot_link": [(-1, 0)]}, "cannot_link", id="negative"),
        pytest.param({"rejected": [(7, 0)]}, "rejected", id="no such rejected image"),
    ],
)
def test_says_what_means_nothing(options, what):
    with pytest.raises(ParameterError, match=what):
        resolve_constraints(Constraints(**options), 3)


def test_no_push_no_pairs():
    assert not len(resolve_constraints(Constraints(same_image=np.zeros(50, int), push=0), 50).co_occurring)
    assert len(resolve_constraints(Constraints(same_image=np.zeros(50, int)), 50).co_occurring) == 50 * 49 // 2
