"""The pictures of items, as the panel shows them."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from ..core.identity.state import Status
from ..storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED
from .board import ReviewBoard
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
    ids = [board.ids[row] for row in rows]
    found = pictures(board.store.target, ids, sample_ids=[board.sample_ids[row] for row in rows])
    n_originals, shown = 0, {}
    for row, item_id in zip(rows, ids, strict=True):
        if item_id in found:
            picture = found[item_id]
            is_original = picture.thumbnail is None and not picture.is_coming
            n_originals += is_original
            src = picture.original if is_original and n_originals <= ORIGINALS else picture.thumbnail
            shown[row] = _plain(board, row, picture, src)
    return shown


def _plain(board: ReviewBoard, row: int, picture: Picture, src: str | None) -> dict[str, Any]:
    difference = board.board.difference[row] if row < board.n_embedded else float("nan")
    plain: dict[str, Any] = {
        "id": board.ids[row],
        "src": src,
        "large": picture.original,
        "difference": rounded(difference),
        "status": _STATUSES.get(Status(min(board.status[row], Status.IGNORED)), STATUS_AUTO),
        "name": PurePath(picture.original).name,
    }
    if picture.box is not None:
        plain["box"] = [rounded(each) for each in picture.box]
    return plain


def rounded(number: Any) -> float | None:
    """A number for the panel, None where there is none."""
    value = float(number)
    return round(value, 4) if abs(value) < float("inf") else None
