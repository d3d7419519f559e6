"""The rescue: evidence, reach, margin, and what rules forbid."""

import numpy as np
import pytest

from ccip_plugin.core.clustering.linkage.agglomeration import MergeRules
from ccip_plugin.core.clustering.linkage.rescue import ClosestMembers, rescue

UNIT = np.eye(8, dtype=np.float32)
WEIGHTS = np.array([1.0, 5.0, 5.0, 1.0])  # groups 0 and 3 are small, 1 and 2 are big
SMALL, BIG = np.array([0, 3]), np.array([1, 2])


def at(*cosines):
    """A unit vector with these cosines to the means of the big groups, which are the first axes."""
    rest = np.sqrt(1 - np.square(cosines).sum())
    return np.array([*cosines, rest, *[0] * 5], np.float32)


def run(first, other=None, *, closest=0.05, evidence=0.1, reach=0.3, rules=None):
    """Groups 0 and 3, with these vectors, and the difference of either to the closest member of a big group."""
    small = np.stack([first, at(0, 0) if other is None else other])
    return rescue(
        small,
        UNIT[:2],
        SMALL,
        BIG,
        WEIGHTS,
        reach=reach,
        evidence=evidence,
        closest=lambda small, big: np.full(len(small), closest),
        rules=rules,
    )


def test_joins_the_nearest_group_on_evidence():
    assigned, first, second = run(at(0.6, 0.1))
    assert assigned.tolist() == [1, 1, 2, 3]
    assert first[[0, 3]] == pytest.approx([0.2, 0.5]) and second[[0, 3]] == pytest.approx([0.45, 0.5])
    assert np.isinf(first[[1, 2]]).all() and np.isinf(second[[1, 2]]).all()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"reach": 0.19}, id="beyond the reach"),
        pytest.param({"closest": 0.15, "evidence": 0.2}, id="all members are about as far"),
        pytest.param({"evidence": 0.25}, id="more evidence is asked for"),
    ],
)
def test_stays_alone_without(options):
    assert run(at(0.6, 0.1), **options)[0].tolist() == [0, 1, 2, 3]


def test_the_margin_to_the_second_group_is_evidence_up_to_half_the_reach():
    """The spread is 0.15; the margin adds 0.38 of 0.15, half the reach, however large it is."""
    assert run(at(0.6, 0.1), evidence=0.15 + 0.38 * 0.149)[0][0] == 1
    assert run(at(0.6, 0.1), evidence=0.15 + 0.38 * 0.151)[0][0] == 0
    assert run(at(0.6, 0.59), evidence=0.15 + 0.38 * 0.149)[0][0] == 0, "a small margin"


@pytest.mark.parametrize(
    "rules, expected",
    [
        pytest.param(MergeRules(cannot_link=np.array([[0, 1]])), 0, id="kept apart"),
        pytest.param(MergeRules(cannot_link=np.array([[1, 0]])), 0, id="kept apart, the other way round"),
        pytest.param(MergeRules(owners=np.array([7, 8, -1, -1])), 0, id="fixed to another group"),
        pytest.param(MergeRules(owners=np.array([7, 7, -1, -1])), 1, id="fixed to this group"),
        pytest.param(MergeRules(co_occurring=np.array([[0, 1]]), co_occurrence_penalty=0.3), 0, id="seen in one image"),
        pytest.param(MergeRules(), 1, id="no rules"),
    ],
)
def test_rules(rules, expected):
    assert run(at(0.6, 0.1), rules=rules)[0][0] == expected


def test_of_two_that_exclude_each_other_the_nearer_joins():
    rules = MergeRules(cannot_link=np.array([[0, 3]]))
    assert run(at(0.6, 0.1), at(0.7, 0.1), rules=rules)[0].tolist() == [0, 1, 2, 1]
    assert run(at(0.7, 0.1), at(0.6, 0.1), rules=rules)[0].tolist() == [1, 1, 2, 3]


def test_an_owner_comes_with_the_first_that_joins():
    """Two small groups of different owners must not meet in a big group without one."""
    rules = MergeRules(owners=np.array([7, -1, -1, 8]))
    assert run(at(0.7, 0.1), at(0.6, 0.1), rules=rules)[0].tolist() == [1, 1, 2, 3]


def test_without_big_groups_nothing_is_rescued():
    assigned, first, second = rescue(
        UNIT[:2],
        UNIT[:0],
        np.array([0, 1]),
        np.array([], np.int64),
        np.ones(2),
        reach=1,
        evidence=0,
        closest=lambda small, big: np.empty(len(small)),
    )
    assert assigned.tolist() == [0, 1] and np.isinf(first).all() and np.isinf(second).all()


def test_the_closest_member():
    """Group 0 is images 0 and 2, group 1 is image 1, group 2 is image 3."""
    unit = np.stack([at(1, 0), at(0.6, 0.8), at(0, 1), at(0.8, 0)])
    closest = ClosestMembers(unit, np.array([0, 1, 0, 2]), unit[[1, 3]], np.array([-1, 0, 1]))
    assert closest(np.array([1, 2]), np.array([0, 0])).tolist() == pytest.approx([0.1, 0.1])
    assert closest(np.array([2, 1]), np.array([1, 2])).tolist() == pytest.approx([0.26, 0.26])
    assert closest(np.array([], np.int64), np.array([], np.int64)).tolist() == []
