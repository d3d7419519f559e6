"""Which new box is that of an old one."""

import itertools

import numpy as np
import pytest

from ccip_plugin.core.identity.boxes import SAME, box_of, match_boxes, overlapping

BOX, NEAR = (0.1, 0.1, 0.3, 0.3), (0.12, 0.1, 0.3, 0.3)


@pytest.mark.parametrize(
    "old, new, expected",
    [
        pytest.param([BOX], [BOX], [(0, 0)], id="the same"),
        pytest.param([BOX], [(0.1, 0.1, 0.3, 0.6)], [], id="exactly a half"),
        pytest.param([BOX], [(0.1, 0.1, 0.3, 0.59)], [(0, 0)], id="a little more than a half"),
        pytest.param([BOX], [(0.1, 0.1, 0.3, 0.61)], [], id="a little less than a half"),
        pytest.param([BOX], [(0.11, 0.1, 0.3, 0.3), BOX], [(0, 1)], id="the greatest overlap"),
        pytest.param([BOX, NEAR], [BOX], [(0, 0)], id="one to one"),
        pytest.param([NEAR, BOX], [BOX, (0.13, 0.1, 0.3, 0.3)], [(0, 1), (1, 0)], id="the greatest first"),
        pytest.param([BOX, BOX], [BOX, BOX], [(0, 0), (1, 1)], id="equal overlaps in their order"),
        pytest.param([], [BOX], [], id="no old ones"),
        pytest.param([BOX], [], [], id="no new ones"),
    ],
)
def test_matches(old, new, expected):
    assert match_boxes(old, new) == expected


def test_boxes_that_do_not_match():
    assert match_boxes([BOX, BOX], [BOX], apart={(0, 0)}) == [(1, 0)]


@pytest.mark.parametrize(
    "value",
    [None, 1, "abcd", [0, 0, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 1, -1], [0, 0, 1, float("nan")],
     [0, 0, 10**400, 1], [0, 0, 1e300, 1], [0, 0, 1e-200, 1e-200], [0, "0", 1, 1], [[0], 0, 1, 1], {"x": 1}],
)  # fmt: skip
def test_what_is_no_box(value):
    assert box_of(value) is None


def test_overlaps_are_those_of_a_loop(monkeypatch):
    random = np.random.default_rng(7)
    left, right = (np.round(random.uniform(0.05, 0.5, (n, 4)), 2).tolist() for n in (40, 30))
    monkeypatch.setattr("ccip_plugin.core.identity.boxes._TOGETHER", 100)
    expected = {}
    for (row, a), (column, b) in itertools.product(enumerate(left), enumerate(right)):
        width, height = (max(0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
        overlap = width * height / (a[2] * a[3] + b[2] * b[3] - width * height)
        if overlap > SAME:
            expected[row, column] = overlap
    rows, columns, overlaps = overlapping(left, right)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    assert dict(zip(pairs, overlaps.tolist(), strict=True)) == pytest.approx(expected)
    assert expected
