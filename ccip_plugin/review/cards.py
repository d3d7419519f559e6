"""The groups as cards, in pages, and the images of one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import BoolArray, FloatArray, IntArray
from ..core.identity.typed import FIRST_TYPED
from ..core.plain import canonical_name
from ..core.review.board import UNASSIGNED
from ..core.review.overview.rows import Rows, rows_of
from ..labels.overview.making import counts_of
from ..labels.overview.stored import Counts
from .board import ReviewBoard
from .overview.looks import Shelf
from .pictures import pictures_of, pictures_of_items, rounded
from .problems import ReviewError
from .queue import queue_of
from .sources import Source

SHOWN, NAMES, LISTED, MOST_SHOWN = 60, 10, 20_000, 48
"""The most pictures of a page of a group, names that are proposed, groups that the panel searches by itself, and groups
of a page."""
_TINY = 2  # images of a group that is called tiny

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

    @classmethod
    def of(cls, rows: Rows, names: list[str], named: Sequence[bool]) -> "Table":
        """The table of some groups.

        Args:
            rows: the groups
            names: their names
            named: whether people gave the name
        """
        ids, sizes, confirmed = (rows[name].astype(np.int64) for name in ("id", "size", "confirmed"))
        rivals, far, mixed = rows["rival"], rows["rival_difference"], rows["is_mixed"]
        is_named = np.array(named, np.bool_)
        return cls(ids, names, is_named, sizes, confirmed, rows["inside"], rivals, far, confirmed == sizes, mixed)


_SORTS: Mapping[str, Order] = {
    "rival": lambda table: np.round(table.rival_differences, 4),  # as shown: else rounding decides
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
    rows = rows_of(board.board, board.group_ids, board.confirmed)
    listed = rows["id"].tolist()
    return Table.of(rows, [board.name(each) for each in listed], [board.is_named(each) for each in listed])


def groups_page(
    shelf: Shelf,
    table: Table,
    *,
    sort: str,
    show: str,
    find: str,
    page: int,
    per_page: int,
    ids: Sequence[int] = (),
    newest: int = 0,
) -> dict[str, Any]:
    """A page of groups. A page that was read before keeps its groups in their places, whatever they are now; groups
    that were made since follow, where they would be on such a page.

    Args:
        shelf: the groups
        table: they as columns
        sort: one of :data:`SORTS`
        show: one of :data:`SHOWS`
        find: a part of the names
        page: the number of the page, from 0; the last one where there are fewer
        per_page: groups of a page
        ids (()): the groups that are on the page already, also those that are gone and may come back
        newest (0): the largest id when it was read
    """
    places = _ordered(table, _is_shown(shelf, table, show) & _is_found(table, find), sort)
    page = min(page, max(0, (len(places) - 1) // per_page))
    chosen, found = places[page * per_page : (page + 1) * per_page].tolist(), set(table.ids[places].tolist())
    shown = table.ids[chosen].tolist()
    known = {int(group_id): place for place, group_id in enumerate(table.ids)} if ids else {}
    if not known.keys().isdisjoint(ids):
        new = sorted(each for each in found if newest < each < FIRST_TYPED and each not in ids)
        shown = [*ids, *new][:MOST_SHOWN]
        chosen = [known[each] for each in shown if each in known]
    registered = table.ids[table.ids < FIRST_TYPED]
    cards = cards_of(shelf, table, chosen)
    return {"n": len(places), "page": page, "cards": cards, "ids": shown, "newest": int(registered.max(initial=0))}


def list_groups(shelf: Shelf, table: Table, *, sort: str, show: str) -> list[tuple[int, str, int, int]]:
    """All groups in their order, in short: id, name, number of images, number of those that are confirmed.

    With them the panel finds names while one types, without a call for each key. None above :data:`LISTED` groups.

    Args:
        shelf: the groups
        table: they as columns
        sort: one of :data:`SORTS`
        show: one of :data:`SHOWS`
    """
    if len(table.ids) > LISTED:
        return []
    places = _ordered(table, _is_shown(shelf, table, show), sort)
    names = [table.names[place] for place in places.tolist()]
    columns = (each[places].tolist() for each in (table.ids, table.sizes, table.confirmed))
    return [(id_, name, size, n) for name, id_, size, n in zip(names, *columns, strict=True)]


def _ordered(table: Table, is_chosen: BoolArray, sort: str) -> IntArray:
    """The places of some groups, in an order."""
    places = np.flatnonzero(is_chosen)
    keys = np.asarray(_SORTS[sort](table))[places]
    ordered: IntArray = places[np.lexsort((table.ids[places], keys))]
    return ordered


def _is_shown(shelf: Shelf, table: Table, show: str) -> BoolArray:
    is_shown: BoolArray = {
        "all": np.ones(len(table.ids), np.bool_),
        "unnamed": ~table.named,
        "mixed": table.mixed,
        "double": table.rival_differences <= shelf.threshold,
        "tiny": table.sizes <= _TINY,
        "open": ~table.reviewed,
    }[show]
    return is_shown


def _is_found(table: Table, find: str) -> BoolArray:
    wanted = canonical_name(find).casefold()
    return np.array([wanted in canonical_name(name).casefold() for name in table.names], np.bool_)


def cards_of(shelf: Shelf, table: Table, places: Sequence[int]) -> list[dict[str, Any]]:
    """Some groups as cards.

    Args:
        shelf: the groups
        table: they as columns
        places: places in the table
    """
    looks = {place: shelf.looks(int(table.ids[place])) for place in places}
    pictures = pictures_of_items(shelf.target, (item for each in looks.values() for item in each.items))
    return [
        {
            **_card(shelf, table, place, each.has_near_duplicates),
            "pictures": [pictures[item.id] for item in each.items if item.id in pictures],
        }
        for place, each in looks.items()
    ]


def _card(shelf: Shelf, table: Table, place: int, has_near_duplicates: bool) -> dict[str, Any]:
    group_id, rival = int(table.ids[place]), int(table.rivals[place])
    difference = float(table.rival_differences[place])
    flags = {
        "double": difference <= shelf.threshold,
        "mixed": bool(table.mixed[place]),
        "tiny": table.sizes[place] <= _TINY,
        "unnamed": not table.named[place],
        "near_duplicates": has_near_duplicates,
    }
    return {
        "id": group_id,
        "name": table.names[place],
        "named": bool(table.named[place]),
        "size": int(table.sizes[place]),
        "confirmed": int(table.confirmed[place]),
        "inside": rounded(table.inside[place]),
        "rival": {"id": rival, "name": shelf.name(rival), "difference": rounded(difference)} if rival else None,
        "flags": [name for name, is_so in flags.items() if is_so],
        "reviewed": bool(table.reviewed[place]),
    }


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
    known, grouped = queue.estimate(), board.group_ids != UNASSIGNED
    _, places = np.unique(board.group_ids[grouped], return_inverse=True)
    sizes, confirmed = np.bincount(places), np.bincount(places, weights=board.confirmed[grouped])
    purity = None if known is None or known.purity is None else known.purity
    return {
        **plain_progress(board.source, counts_of(board.status), sizes, confirmed),
        "purity": None if purity is None else [rounded(each) for each in (purity.estimate, purity.low, purity.high)],
        "left": None if known is None else known.n_left,
        "answers": queue.answers_by_kind(),
        "revision": board.revision,
    }


def plain_progress(source: Source, counts: Counts, sizes: NDArray[Any], confirmed: NDArray[Any]) -> dict[str, Any]:
    """How many items and groups are done, as the panel takes it.

    Args:
        source: what is reviewed
        counts: the numbers of items
        sizes: the numbers of images of all groups
        confirmed: their numbers of confirmed images
    """
    return {
        "items": counts.items,
        "confirmed": counts.confirmed,
        "ignored": counts.ignored,
        "open": counts.items - counts.confirmed - counts.ignored,
        "groups": int((sizes > 0).sum()),
        "reviewed": int(((confirmed == sizes) & (sizes > 0)).sum()),
        "noun": source.noun,
    }
