"""Rows of groups, and their chunks."""

import numpy as np
import pytest

from ccip_plugin.core.review.overview.chunks import ChunkError, chunks_of, names_in, pack_names, rows_in
from ccip_plugin.core.review.overview.rows import (
    PICTURES,
    ROW,
    fill_pictures,
    has_near_duplicates,
    rows_of,
    shown_rows,
)
from tests.core.review.worlds import THRESHOLD, board_of


def test_a_row_says_what_the_board_says():
    board = board_of("aaabbbcd", "11122230", apart=[(1, 2)], rejected={2: [0]})
    group_ids, confirmed = np.array([1, 1, 1, 2, 2, 2, 3, 0, 7]), np.array([1, 1, 1, 0, 0, 1, 0, 1, 1], bool)
    rows = rows_of(board, group_ids, confirmed)
    assert rows["id"].tolist() == [1, 2, 3, 7] and rows["size"].tolist() == [3, 3, 1, 1]
    assert rows["confirmed"].tolist() == [3, 1, 0, 1]
    assert rows["inside"].tolist()[:2] == [board.inside(1), board.inside(2)]
    assert np.isnan(rows["inside"][2:]).all(), "one image, and one without an embedding"
    nearest = board.rivals(3)[0][0]
    assert rows["rival"].tolist() == [3, 3, nearest, 0], "1 and 2 are different characters"
    assert rows["rival_difference"].tolist() == pytest.approx(
        [board.between(1, 3), board.between(2, 3), board.between(3, int(nearest)), np.inf]
    )


def test_the_nearest_group_is_the_first_rival_that_is_not_kept_apart():
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 10, 80)
    board = board_of("".join(rng.choice(list("abcdefghij"), 80)), "".join(map(str, groups)))
    for _ in range(12):
        board.keep_apart(*rng.choice(np.arange(1, 10), 2, replace=False).tolist())
    others, far = board.nearest_others()
    for group_id, other, difference in zip(board.ids.tolist(), others.tolist(), far.tolist(), strict=True):
        rivals = zip(*map(np.ndarray.tolist, board.rivals(group_id)), strict=True)
        free = [each for each in rivals if not board.is_apart(group_id, each[0])]
        assert (other, difference) == (free[0] if free else (0, np.inf))


def test_mixed_groups_have_images_that_are_nearer_to_another_one():
    board = board_of("aaaabbbb", "11112221")
    rows = rows_of(board, board.group_of, board.confirmed)
    assert rows["is_mixed"].tolist() == [True, False]
    assert not rows_of(board, board.group_of, np.ones(8, bool))["is_mixed"].any() or board.inside(1) > 0.85 * THRESHOLD


def test_pictures_begin_with_the_cover():
    board = board_of("aaaab", "11112")
    typical = board.typical(1, 4).tolist()
    assert shown_rows(board, 1, None) == typical
    assert shown_rows(board, 1, typical[2]) == [typical[2], *typical[:2], typical[3]]
    assert shown_rows(board, 9, None, [3, 4]) == [3, 4] and not has_near_duplicates(board, 9)
    rows = rows_of(board, board.group_of, board.confirmed)
    ids = np.frombuffer(b"".join(bytes([n]) * 12 for n in range(1, 6)), "V12")
    fill_pictures(
        rows,
        [shown_rows(board, 1, None), shown_rows(board, 2, None)],
        items=ids,
        samples=ids[::-1],
        differences=board.difference,
        status=np.arange(5, dtype=np.int16),
    )
    assert rows["n_pictures"].tolist() == [4, 1]
    assert rows["items"][0].tolist()[:4] == ids[typical].tolist()
    assert rows["samples"][1].tolist()[0] == ids[0].tolist() and rows["status"][1].tolist()[0] == 4
    assert np.isnan(rows["differences"][1]).all() and rows["items"].shape == (2, PICTURES)


def rows_with(ids):
    rows = np.zeros(len(ids), ROW)
    rows["id"], rows["size"] = ids, np.arange(len(ids))
    return rows


@pytest.mark.parametrize(
    "ids, n_chunks",
    [
        pytest.param([], 0, id="no groups"),
        pytest.param([1], 1, id="one"),
        pytest.param([1, 15, 16, 31, 32], 3, id="sixteen ids in each"),
        pytest.param([5, 2**31, 2**40], 3, id="far ids"),
    ],
)
def test_chunks_give_the_rows_back(ids, n_chunks):
    rows = rows_with(ids)
    chunks = chunks_of(rows)
    names = names_in(pack_names(chunks))
    assert len(chunks) == n_chunks and names == list(chunks)
    assert rows_in(names, {**chunks, "another": b"x"}).tobytes() == rows.tobytes()


def test_a_changed_group_changes_its_chunk_alone():
    rows = rows_with(range(1, 100))
    before, rows["confirmed"][40] = chunks_of(rows), 1
    after = chunks_of(rows)
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1


def test_what_is_damaged_or_missing_is_refused():
    chunks = chunks_of(rows_with(range(1, 40)))
    first, *names = chunks
    with pytest.raises(ChunkError, match="damaged"):
        rows_in([first, *names], {**chunks, first: chunks[first][:-1] + b"!"})
    with pytest.raises(ChunkError, match="1 of 3"):
        rows_in([first, *names], {name: chunks[name] for name in names})
    with pytest.raises(ChunkError, match="list"):
        names_in(pack_names(chunks)[:-1])
