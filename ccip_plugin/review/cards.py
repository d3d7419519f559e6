"""The groups as cards, in pages, and the images of one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import BoolArray, FloatArray, IntArray
from ..core.identity.state import Status
from ..core.plain import canonical_name
from ..core.review.board import UNASSIGNED
from .board import ReviewBoard
from .pictures import pictures_of, rounded
from .problems import ReviewError
from .queue import queue_of

PICTURES, SHOWN, NAMES = 8, 60, 10
"""The most pictures of a card, of a page of a group, and names that are proposed."""
_TINY = 2  # images of a group that is called tiny
_MIXED = 0.85  # of the threshold: a group with a larger mean difference may be several characters
_SAME_PICTURE = 0.005  # difference up to which two images are nearly the same picture
_LARGEST = 300  # images of a group whose pairs are compared for that

Order = Callable[["Table"], Any]


@dataclass(frozen=True, eq=False)
class Table:
    """The groups as columns, one row for each that has images.

    Attributes:
        ids: the ids of the groups
        names: their names
        named: whether people gave the name
        sizes: numbers of images
        confirmed: numbers of confirmed images
        inside: mean differences between the images, NaN for one
        rivals: ids of the nearest groups, 0 for none
        rival_differences: mean differences to them, infinite for none
        reviewed: whether all images are confirmed
        mixed: whether images are nearer to another group than to theirs
    """

    ids: IntArray
    names: list[str]
    named: BoolArray
    sizes: IntArray
    confirmed: IntArray
    inside: FloatArray
    rivals: IntArray
    rival_differences: FloatArray
    reviewed: BoolArray
    mixed: BoolArray


_SORTS: Mapping[str, Order] = {
    "rival": lambda table: table.rival_differences,
    "size": lambda table: -table.sizes,
    "inside": lambda table: -np.nan_to_num(table.inside, nan=-1.0),
    "name": lambda table: np.argsort(np.argsort(np.array([canonical_name(name) for name in table.names], object))),
    "reviewed": lambda table: table.confirmed / np.maximum(table.sizes, 1),
}
SORTS = tuple(_SORTS)
"""The orders of the groups."""
SHOWS = ("all", "unnamed", "mixed", "double", "tiny", "open")
"""Which groups are shown."""


def table_of(board: ReviewBoard) -> Table:
    """The groups of a board as columns; computed again when it has changed."""
    with board.lock:
        table: Table = board.derived("groups", _table)
        return table


def _table(board: ReviewBoard) -> Table:
    ids, places = np.unique(board.group_ids, return_inverse=True)
    sizes, confirmed = np.bincount(places, minlength=len(ids)), np.bincount(places, weights=board.confirmed)
    core, m = board.board, board.n_embedded
    with np.errstate(invalid="ignore"):
        is_odd = core.rival_difference < core.difference
    odd = np.bincount(places[:m], weights=is_odd & ~board.confirmed[:m], minlength=len(ids))
    keep = ids != UNASSIGNED
    ids, sizes, confirmed, odd = ids[keep], sizes[keep], confirmed[keep].astype(np.int64), odd[keep]
    listed = ids.tolist()
    inside = np.array([core.inside(each) if each in core else np.nan for each in listed], np.float64)
    rivals, differences = _rivals(board, listed)
    return Table(
        ids,
        [board.name(each) for each in listed],
        np.array([board.is_named(each) for each in listed], np.bool_),
        sizes,
        confirmed,
        inside,
        rivals,
        differences,
        confirmed == sizes,
        (odd > 0) | (inside > _MIXED * board.threshold),
    )


def _rivals(board: ReviewBoard, ids: Sequence[int]) -> tuple[IntArray, FloatArray]:
    """The nearest group of each that people did not say to be another character, and the difference."""
    rivals, differences = np.zeros(len(ids), np.int64), np.full(len(ids), np.inf)
    apart = {each for pair in board.board.apart for each in pair}
    for place, group_id in enumerate(ids):
        if group_id not in board.board:
            continue
        others, far = board.board.rivals(group_id, 20 if group_id in apart else 1)
        for other, difference in zip(others.tolist(), far.tolist(), strict=True):
            if not board.board.is_apart(group_id, other):
                rivals[place], differences[place] = other, difference
                break
    return rivals, differences


def groups_page(
    board: ReviewBoard, table: Table, *, sort: str, show: str, find: str, page: int, per_page: int
) -> dict[str, Any]:
    """A page of groups.

    Args:
        board: the board
        table: its groups
        sort: one of :data:`SORTS`
        show: one of :data:`SHOWS`
        find: a part of the names
        page: the number of the page, from 0; the last one where there are fewer
        per_page: groups of a page
    """
    places = np.flatnonzero(_is_shown(board, table, show) & _is_found(table, find))
    keys = np.asarray(_SORTS[sort](table))[places]
    places = places[np.lexsort((table.ids[places], keys))]
    page = min(page, max(0, (len(places) - 1) // per_page))
    chosen = places[page * per_page : (page + 1) * per_page]
    return {"n": len(places), "page": page, "cards": cards_of(board, table, chosen.tolist())}


def _is_shown(board: ReviewBoard, table: Table, show: str) -> BoolArray:
    is_shown: BoolArray = {
        "all": np.ones(len(table.ids), np.bool_),
        "unnamed": ~table.named,
        "mixed": table.mixed,
        "double": table.rival_differences <= board.threshold,
        "tiny": table.sizes <= _TINY,
        "open": ~table.reviewed,
    }[show]
    return is_shown


def _is_found(table: Table, find: str) -> BoolArray:
    wanted = canonical_name(find).casefold()
    return np.array([wanted in canonical_name(name).casefold() for name in table.names], np.bool_)


def cards_of(board: ReviewBoard, table: Table, places: Sequence[int]) -> list[dict[str, Any]]:
    """Some groups as cards.

    Args:
        board: the board
        table: its groups
        places: places in the table
    """
    rows = {place: _first_rows(board, int(table.ids[place]), PICTURES) for place in places}
    pictures = pictures_of(board, (row for each in rows.values() for row in each))
    return [
        {**_card(board, table, place), "pictures": [pictures[row] for row in rows[place] if row in pictures]}
        for place in places
    ]


def _card(board: ReviewBoard, table: Table, place: int) -> dict[str, Any]:
    group_id, rival = int(table.ids[place]), int(table.rivals[place])
    difference = float(table.rival_differences[place])
    flags = {
        "double": difference <= board.threshold,
        "mixed": bool(table.mixed[place]),
        "tiny": table.sizes[place] <= _TINY,
        "unnamed": not table.named[place],
        "near_duplicates": has_near_duplicates(board, group_id),
    }
    return {
        "id": group_id,
        "name": table.names[place],
        "named": bool(table.named[place]),
        "size": int(table.sizes[place]),
        "confirmed": int(table.confirmed[place]),
        "inside": rounded(table.inside[place]),
        "rival": {"id": rival, "name": board.name(rival), "difference": rounded(difference)} if rival else None,
        "flags": [name for name, is_so in flags.items() if is_so],
        "reviewed": bool(table.reviewed[place]),
    }


def has_near_duplicates(board: ReviewBoard, group_id: int) -> bool:
    """Whether two images of a group are nearly the same picture; the first 300 are compared."""
    if group_id not in board.board:
        return False
    vectors = board.board.vectors[board.board.members(group_id)[:_LARGEST]]
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1.0)
    return bool((1 - alike.max()) / 2 <= _SAME_PICTURE) if len(vectors) > 1 else False


def _first_rows(board: ReviewBoard, group_id: int, n: int) -> list[int]:
    """The cover of a group, then its most typical images."""
    group = board.registry.groups.get(group_id)
    cover = board.place.get(group.cover or "") if group is not None else None
    first = [cover] if cover is not None and board.group_ids[cover] == group_id else []
    typical = board.board.typical(group_id, n).tolist() if group_id in board.board else []
    if len(typical) < n:
        typical += board.members(group_id)[:n].tolist()
    return list(dict.fromkeys([*first, *typical]))[:n]


def place_of(table: Table, group_id: int) -> int:
    """The place of a group in the table.

    Raises:
        ReviewError: it has no images any more
    """
    places = np.flatnonzero(table.ids == group_id)
    if not len(places):
        raise ReviewError("gone", f"there is no group {group_id} any more: it was merged, moved or deleted meanwhile")
    return int(places[0])


def group_page(board: ReviewBoard, table: Table, group_id: int, page: int) -> dict[str, Any]:
    """A page of the images of a group, those that fit least first.

    Args:
        board: the board
        table: its groups
        group_id: the group
        page: the number of the page, from 0
    """
    place, members = place_of(table, group_id), board.members(group_id)
    ordered = board.board.doubtful(group_id, len(members)).tolist() if group_id in board.board else []
    rows = list(dict.fromkeys([*ordered, *members.tolist()]))[page * SHOWN : (page + 1) * SHOWN]
    pictures = pictures_of(board, rows)
    (card,) = cards_of(board, table, [place])
    return {"card": card, "pictures": [pictures[row] for row in rows if row in pictures], "n": len(members)}


def names_like(table: Table, text: str) -> list[dict[str, Any]]:
    """Names of groups with a text in them, those that begin with it first, named and large ones before others."""
    wanted = canonical_name(text).casefold()
    folded = [canonical_name(name).casefold() for name in table.names]
    found = [place for place, name in enumerate(folded) if wanted in name]
    found.sort(key=lambda place: (not folded[place].startswith(wanted), not table.named[place], -table.sizes[place]))
    return [
        {"id": int(table.ids[place]), "name": table.names[place], "size": int(table.sizes[place])}
        for place in found[:NAMES]
    ]


def progress_of(board: ReviewBoard) -> dict[str, Any]:
    """How far the review is; it needs no columns, as every answer has it."""
    queue = queue_of(board)
    queue.refresh()
    known = queue.estimate()
    purity = None if known is None or known.purity is None else known.purity
    n_ignored = int((board.status == Status.IGNORED).sum())
    n_confirmed = int(board.confirmed.sum())
    grouped = board.group_ids != UNASSIGNED
    _, places = np.unique(board.group_ids[grouped], return_inverse=True)
    sizes, confirmed = np.bincount(places), np.bincount(places, weights=board.confirmed[grouped])
    return {
        "items": len(board.ids),
        "confirmed": n_confirmed,
        "ignored": n_ignored,
        "open": len(board.ids) - n_confirmed - n_ignored,
        "groups": int((sizes > 0).sum()),
        "reviewed": int(((confirmed == sizes) & (sizes > 0)).sum()),
        "noun": board.source.noun,
        "purity": None if purity is None else [rounded(each) for each in (purity.estimate, purity.low, purity.high)],
        "left": None if known is None else known.n_left,
        "answers": queue.answers_by_kind(),
        "revision": board.revision,
    }
