"""Pairs through files: sorted, each once, in parts by rows."""

import numpy as np
import pytest

from ccip_plugin.core.neighbors import spool
from ccip_plugin.core.neighbors.pairs import GRID, Pairs
from ccip_plugin.core.neighbors.spool import MOST_IMAGES, Spool, keys_of, pairs_of, sorted_once


def pairs(*rows_cols_steps):
    rows, cols, steps = zip(*rows_cols_steps, strict=True)
    return Pairs(np.array(rows, np.int32), np.array(cols, np.int32), np.array(steps, np.float32) * np.float32(GRID))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(pairs((0, 1, 0)), id="equal images"),
        pytest.param(pairs((3, 9, 2**14)), id="as different as can be"),
        pytest.param(pairs((MOST_IMAGES - 2, MOST_IMAGES - 1, 77)), id="the last images"),
        pytest.param(pairs((5, 6, 1), (2, 3, 4), (5, 6, 1)), id="several"),
    ],
)
def test_keys_hold_all_of_a_pair(given):
    for before, after in zip(given, pairs_of(keys_of(given)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_keys_sort_by_row_then_difference_then_column():
    given = pairs((2, 9, 5), (1, 8, 9), (2, 3, 7), (2, 4, 5))
    order = np.argsort(keys_of(given))
    assert order.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("keys, expected", [([3, 1, 3, 2], [1, 2, 3]), ([], []), ([7], [7])])
def test_sorted_once(keys, expected):
    assert sorted_once(np.array(keys, np.uint64)).tolist() == expected


@pytest.mark.parametrize("pending", [2, 1000], ids=["through files often", "at once"])
def test_parts_have_each_pair_once_by_rows(tmp_path, monkeypatch, pending):
    monkeypatch.setattr(spool, "_WIDTH", 4)
    monkeypatch.setattr(spool, "_PENDING", pending)
    spooled = Spool(tmp_path / "pairs", 10)
    spooled.add(pairs((9, 10, 1), (0, 1, 2), (5, 6, 3)))
    spooled.add(pairs((0, 1, 2), (3, 9, 1)))
    assert spooled.n_parts == 3
    parts = [pairs_of(spooled.part(number)) for number in range(spooled.n_parts)]
    assert [list(zip(part.rows.tolist(), part.cols.tolist(), strict=True)) for part in parts] == [
        [(0, 1), (3, 9)],
        [(5, 6)],
        [(9, 10)],
    ]
    assert list((tmp_path / "pairs").iterdir()) == []


def test_nothing_in_nothing_out(tmp_path):
    spooled = Spool(tmp_path / "pairs", 0)
    spooled.add(Pairs(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32)))
    assert (spooled.n_parts, spooled.part(0).tolist()) == (1, [])


def test_a_folder_of_its_own(tmp_path):
    with pytest.raises(FileExistsError):
        Spool(tmp_path, 3)
