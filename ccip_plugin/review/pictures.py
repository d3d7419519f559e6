"""The pictures of items, as the panel shows them."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ..core.identity.state import Status
from ..storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED
from ..storage.targets import Target
from .board import ReviewBoard
from .overview.looks import Item
from .thumbnails import Picture, pictures

ORIGINALS = 12
"""The most images that are shown in full size at once, where thumbnails cannot be kept."""
_STATUSES = {Status.CONFIRMED: STATUS_CONFIRMED, Status.IGNORED: STATUS_IGNORED}


def pictures_of(board: ReviewBoard, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The pictures of some rows as the panel takes them, read together; items that are gone are left out.

    Args:
        board: the board
        rows: its rows
    """
    rows = list(dict.fromkeys(map(int, rows)))
    found = pictures_of_items(board.target, map(board.item, rows))
    return {row: found[board.ids[row]] for row in rows if board.ids[row] in found}


def pictures_of_items(target: Target, items: Iterable[Item]) -> dict[str, dict[str, Any]]:
    """The pictures of some items by id, likewise.

    Args:
        target: all items
        items: those to show
    """
    wanted = {each.id: each for each in items}
    found = pictures(target, list(wanted), sample_ids=[each.sample_id for each in wanted.values()])
    n_originals, shown = 0, {}
    for item in wanted.values():
        if item.id in found:
            picture = found[item.id]
            is_original = picture.thumbnail is None and not picture.is_coming
            n_originals += is_original
            src = picture.original if is_original and n_originals <= ORIGINALS else picture.thumbnail
            shown[item.id] = _plain(item, picture, src)
    return shown


def _plain(item: Item, picture: Picture, src: str | None) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "id": item.id,
        "src": src,
        "large": picture.original,
        "difference": rounded(item.difference),
        "status": _STATUSES.get(Status(min(item.status, Status.IGNORED)), STATUS_AUTO),
        "name": PurePath(picture.original).name,
    }
    if picture.box is not None:
        plain["box"] = [rounded(each) for each in picture.box]
    return plain


def rounded(number: Any) -> float | None:
    """A number for the panel, None where there is none."""
    value = float(number)
    return round(value, 4) if abs(value) < float("inf") else None
