"""The board: after any number of changes it equals one that is made anew."""

import itertools

import numpy as np
import pytest

from ccip_plugin.core.differences import differences
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.review.board import Board
from tests.core.review.worlds import THRESHOLD, board_of, vectors_of


def test_means_are_means_of_all_pairs():
    vectors = vectors_of("aaabbcc", spread=0.8)
    board = Board(vectors, [1, 1, 1, 2, 2, 3, 0], threshold=THRESHOLD)
    full = differences(vectors).astype(np.float64)
    assert board.ids.tolist() == [1, 2, 3] and board.sizes.tolist() == [3, 2, 1]
    assert board.inside(1) == pytest.approx(
        np.mean([full[i, j] for i, j in itertools.combinations(range(3), 2)]), abs=1e-6
    )
    assert np.isnan(board.inside(3))
    assert board.between(1, 2) == pytest.approx(full[:3, 3:5].mean(), abs=1e-6)
    assert board.difference[0] == pytest.approx(full[0, 1:3].mean(), abs=1e-6)
    assert np.isnan(board.difference[[5, 6]]).all()
    assert board.rival_difference[0] == pytest.approx(min(full[0, 3:5].mean(), full[0, 5]), abs=1e-6)
    ids, apart = board.rivals(1)
    expected = sorted([(full[:3, 3:5].mean(), 2), (full[:3, 5].mean(), 3)])
    assert ids.tolist() == [each for _, each in expected]
    assert apart == pytest.approx([each for each, _ in expected], abs=1e-6)
    ids, apart = board.candidates(6)
    assert ids[0] == 3 and apart[0] == pytest.approx(full[6, 5], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_after_changes_it_equals_one_that_is_made_anew(seed):
    random = np.random.default_rng(seed)
    characters = "".join(random.choice(list("abcdefgh"), 90))
    vectors = vectors_of(characters, spread=0.9, seed=seed)
    board = Board(vectors, random.integers(0, 9, 90), threshold=THRESHOLD)
    for _ in range(60):
        rows = random.choice(90, random.integers(1, 8), replace=False)
        match random.integers(0, 5):
            case 0:
                board.assign(rows, int(random.integers(0, 14)))
            case 1 if len(board.ids) > 1:
                a, b = random.choice(board.ids, 2, replace=False)
                board.assign(board.members(int(a)), int(b))
            case 2:
                board.ignore(rows[:1])
            case 3:
                board.reject(rows[:2], int(random.choice(board.ids)))
            case 4:
                board.assign(rows[:3], int(board.ids.max()) + 1)
    fresh = Board(vectors, board.group_of, ignored=board.ignored, threshold=THRESHOLD)
    assert sorted(board.ids.tolist()) == fresh.ids.tolist()
    for group_id in fresh.ids.tolist():
        assert board.members(group_id).tolist() == fresh.members(group_id).tolist()
        assert board.inside(group_id) == pytest.approx(fresh.inside(group_id), abs=1e-6, nan_ok=True)
        ids, apart = board.rivals(group_id)
        expected_ids, expected = fresh.rivals(group_id)
        assert ids.tolist() == expected_ids.tolist()
        assert apart == pytest.approx(expected, abs=1e-6)
    assert board.difference == pytest.approx(fresh.difference, abs=1e-6, nan_ok=True)
    for row in fresh.unassigned().tolist():
        ids, expected_ids = board.candidates(row)[0].tolist(), fresh.candidates(row)[0].tolist()
        assert ids == expected_ids[: len(ids)] and len(ids) >= min(2, len(expected_ids))


@pytest.mark.parametrize("seed", range(6))
def test_rivals_of_many_groups_after_changes_are_those_of_a_board_that_is_made_anew(seed):
    """More groups than a list of rivals has; groups move away from others, are emptied, divided and merged."""
    random = np.random.default_rng(seed)
    n, letters = 240, [chr(ord("A") + each) for each in range(48)]
    vectors = vectors_of("".join(random.choice(letters, n)), spread=1.4, seed=seed)
    board = Board(vectors, random.integers(0, 44, n), threshold=THRESHOLD)
    for step in range(80):
        a, b = (int(each) for each in random.choice(board.ids, 2, replace=False))
        members, rows = board.members(a), random.choice(n, random.integers(1, 4), replace=False)
        match random.integers(0, 6):
            case 0:
                board.assign(members[: len(members) // 2 + 1], b)
            case 1:
                board.assign(members, b)
            case 2:
                board.assign(members, 0)
            case 3:
                board.ignore(rows)
            case 4:
                board.assign(rows, 0)
            case 5:
                board.assign(rows, int(board.ids.max()) + 1)
        fresh = Board(vectors, board.group_of, ignored=board.ignored, threshold=THRESHOLD)
        assert board.rival_difference == pytest.approx(fresh.rival_difference, abs=1e-5), step
        for group_id in fresh.ids.tolist():
            assert board.rivals(group_id)[1] == pytest.approx(fresh.rivals(group_id)[1], abs=1e-5), step
        pairs = (
            {(*map(int, each[:2]),) for each in zip(*every.rival_pairs(), strict=True)} for every in (board, fresh)
        )
        first, second = ({frozenset(pair) for pair in each} for each in pairs)
        assert first == second, step
        for row in fresh.unassigned().tolist():
            ids, expected_ids = board.candidates(row)[0].tolist(), fresh.candidates(row)[0].tolist()
            assert ids == expected_ids[: len(ids)] and len(ids) >= min(2, len(expected_ids)), (step, row)


def test_a_group_that_moves_as_a_whole_hands_on_what_was_said_about_it():
    board = board_of("aabbccdd", "11223340", apart=[(2, 3)], rejected={2: [0, 7]})
    board.assign(board.members(2), 1)
    assert 2 not in board and board.merged == [(2, 1)]
    assert board.is_apart(1, 3) and not board.is_apart(2, 3)
    assert board.is_rejected(7, 1) and not board.is_rejected(0, 1)


def test_a_group_that_is_divided_hands_on_nothing():
    board = board_of("aabbcc", "112233", apart=[(1, 2)])
    board.assign([0], 3)
    board.assign([1], 2)
    assert 1 not in board and not board.is_apart(3, 2)


@pytest.mark.parametrize(
    "group_ids, options",
    [
        pytest.param([1, 2], {}, id="too few"),
        pytest.param([1, 2, -1], {}, id="negative"),
        pytest.param([1, 2, 3], {"confirmed": [True]}, id="too few flags"),
    ],
)
def test_refuses_columns_that_do_not_fit(group_ids, options):
    with pytest.raises(ParameterError):
        Board(vectors_of("abc"), group_ids, threshold=THRESHOLD, **options)


def test_refuses_rows_and_groups_that_are_not_there():
    board = board_of("aab", "110")
    with pytest.raises(ParameterError, match="group_id"):
        board.members(7)
    with pytest.raises(ParameterError, match="rows"):
        board.assign([3], 1)
    assert board.size(7) == 0


def test_no_images_and_no_groups_are_a_board():
    empty = Board(np.empty((0, 8), np.float32), [], threshold=THRESHOLD)
    assert len(empty.ids) == 0 and len(empty.rival_pairs()[0]) == 0
    alone = board_of("ab", "00")
    assert alone.unassigned().tolist() == [0, 1] and len(alone.candidates(0)[0]) == 0
    alone.assign([0], 5)
    assert alone.ids.tolist() == [5] and alone.candidates(1)[0].tolist() == [5]
