"""What a card shows of a group, as a row of fixed size."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import BoolArray, IntArray, Vectors
from ..board import UNASSIGNED, Board

PICTURES = 8
"""The most pictures of a card."""

_MIXED = 0.85  # of the threshold: a group with a larger mean difference may be several characters
_SAME_PICTURE = 0.005  # difference up to which two images are nearly the same picture
_LARGEST = 300  # images of a group whose pairs are compared for that
_ID = "V12"

ROW = np.dtype(
    [
        ("id", "<i8"),
        ("size", "<i4"),
        ("confirmed", "<i4"),
        ("inside", "<f8"),
        ("rival", "<i8"),
        ("rival_difference", "<f8"),
        ("is_mixed", "?"),
        ("has_near_duplicates", "?"),
        ("items", _ID, PICTURES),
        ("samples", _ID, PICTURES),
        ("differences", "<f4", PICTURES),
        ("status", "<i2", PICTURES),
        ("n_pictures", "<i2"),
    ]
)
"""A group: its id; the numbers of its images and of the confirmed ones; the mean difference between its images, NaN
for one; the nearest group that people did not say to be another character, 0 for none, and the mean difference to it;
whether images are nearer to another group than to theirs; whether two are nearly the same picture; and of its pictures
the ids of items and samples, the difference to the group and the status."""

Rows = NDArray[Any]
"""``(k,)`` rows of dtype :data:`ROW`."""


def rows_of(board: Board, group_ids: IntArray, confirmed: BoolArray) -> Rows:
    """The groups of a board as rows, ascending by id; pictures are not filled in.

    Args:
        board: the groups, of the ``m`` images with an embedding
        group_ids: ``(n,)`` the group of each item, 0 for none; the first ``m`` are those of the board
        confirmed: ``(n,)`` whether a person decided it
    """
    ids, places = np.unique(group_ids, return_inverse=True)
    k, m = len(ids), len(board.group_of)
    with np.errstate(invalid="ignore"):
        is_odd = (board.rival_difference < board.difference) & ~confirmed[:m]
    sizes, n_confirmed = np.bincount(places, minlength=k), np.bincount(places, weights=confirmed, minlength=k)
    n_odd = np.bincount(places[:m], weights=is_odd, minlength=k)
    keep = ids != UNASSIGNED
    rows = np.zeros(int(keep.sum()), ROW)
    rows["id"], rows["size"], rows["confirmed"] = ids[keep], sizes[keep], n_confirmed[keep]
    rows["inside"], rows["rival_difference"] = np.nan, np.inf
    others, differences = board.nearest_others()
    order = np.argsort(board.ids, kind="stable")
    order = order[np.isin(board.ids[order], rows["id"])]
    at = np.searchsorted(rows["id"], board.ids[order])
    rows["inside"][at] = board.insides_of(board.ids[order])
    rows["rival"][at], rows["rival_difference"][at] = others[order], differences[order]
    rows["is_mixed"] = (n_odd[keep] > 0) | (rows["inside"] > _MIXED * board.threshold)
    return rows


def shown_rows(board: Board, group_id: int, cover: int | None, members: Iterable[int] = ()) -> list[int]:
    """The rows of the pictures of a group: its cover, then its most typical images, then others.

    Args:
        board: the groups
        group_id: the group
        cover: the row that people chose, None for none
        members: rows of the group without an embedding
    """
    typical = board.typical(group_id, PICTURES).tolist() if group_id in board else []
    first = [] if cover is None else [cover]
    return list(dict.fromkeys([*first, *typical, *members]))[:PICTURES]


def has_near_duplicates(board: Board, group_id: int) -> bool:
    """Whether two images of a group are nearly the same picture; the first 300 are compared."""
    if board.size(group_id) < 2:
        return False
    return _has_near(board.vectors[board.members(group_id)[:_LARGEST]])


def _has_near(vectors: Vectors) -> bool:
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1.0)
    return bool((1 - alike.max()) / 2 <= _SAME_PICTURE)


def fill_pictures(
    rows: Rows,
    shown: Sequence[Sequence[int]],
    *,
    items: NDArray[np.void],
    samples: NDArray[np.void],
    differences: NDArray[np.float32],
    status: NDArray[np.int16],
) -> None:
    """Fills in the pictures.

    Args:
        rows: ``(k,)`` the groups; they are changed
        shown: of each group the rows of its pictures
        items: ``(n,)`` the ids of the items
        samples: ``(n,)`` the ids of their samples
        differences: ``(n,)`` the difference of each to its group, NaN where there is none
        status: ``(n,)`` codes of the status
    """
    counts = np.array([len(each) for each in shown], np.int64)
    flat = np.array([row for each in shown for row in each], np.int64)
    group = np.repeat(np.arange(len(rows)), counts)
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows["n_pictures"], rows["differences"] = counts, np.nan
    columns = {"items": items, "samples": samples, "differences": differences, "status": status}
    for name, column in columns.items():
        rows[name][group, place] = column[flat]
