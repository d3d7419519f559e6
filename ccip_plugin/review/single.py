"""One image: its group, why it is in it, its rivals, its neighbors by file name, several characters; views of items."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import fiftyone as fo
import numpy as np
from bson import ObjectId

from ..core.identity.state import Status
from ..core.progress import ProgressCallback
from ..core.review.answers import TWO
from ..core.review.board import UNASSIGNED
from ..core.review.kinds import WHO
from ..labels.edits.chosen import Edit, edit
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel
from ..storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED
from ..storage.fields import UNASSIGNED as NO_GROUP
from ..storage.targets import Target, items_view
from .answers import Answered, keep
from .board import ReviewBoard
from .cards import Table, cards_of, place_of
from .past import WORDS
from .pictures import pictures_of
from .problems import ReviewError
from .queue import ReviewQueue
from .records import AnswerRecord

NEAREST, RIVALS, BESIDE = 6, 3, 4
"""Images that show why, groups that compete, and images before and after it by file name."""
MOST_SHOWN = 5_000
"""The most items that the grid shows at once."""


def image_page(board: ReviewBoard, table: Table, item_id: str) -> dict[str, Any]:
    """What there is to know about an image.

    Args:
        board: the board
        table: its groups
        item_id: the id of the item; of a sample with detections, its first one is meant
    """
    with board.lock:
        row = board.row_of(item_id)
        if row is None:
            raise ReviewError("gone", "this image was deleted, or has nothing to review")
        group_id = int(board.group_ids[row])
        nearest, rivals, beside = _nearest(board, row, group_id), _rivals(board, row, group_id), _beside(board, row)
        pictures = pictures_of(board, [row, *nearest, *beside])
        if row not in pictures:
            raise ReviewError("gone", "this image was deleted meanwhile")
        return {
            "picture": pictures[row],
            "group": cards_of(board, table, [place_of(table, group_id)])[0] if group_id else None,
            "nearest": [pictures[each] for each in nearest if each in pictures],
            "rivals": cards_of(board, table, [place_of(table, each) for each in rivals]),
            "neighbours": [pictures[each] for each in beside if each in pictures],
            "status": _STATUSES.get(int(board.status[row]), STATUS_AUTO),
        }


_STATUSES = {int(Status.CONFIRMED): STATUS_CONFIRMED, int(Status.IGNORED): STATUS_IGNORED}


def _nearest(board: ReviewBoard, row: int, group_id: int) -> list[int]:
    """The images of its group with the smallest differences to it."""
    if group_id == UNASSIGNED or group_id not in board.board or row >= board.n_embedded:
        return []
    members = board.board.members(group_id)
    members = members[members != row]
    alike = board.board.vectors[members] @ board.board.vectors[row]
    return [int(each) for each in members[np.argsort(-alike, kind="stable")[:NEAREST]]]


def _rivals(board: ReviewBoard, row: int, group_id: int) -> list[int]:
    """The other groups that are nearest to it."""
    if row >= board.n_embedded:
        return []
    ids = board.board.ids
    alike = board.board.means @ board.board.vectors[row]
    order = [int(ids[each]) for each in np.argsort(-alike, kind="stable")[: RIVALS + 1]]
    return [each for each in order if each != group_id][:RIVALS]


def _beside(board: ReviewBoard, row: int) -> list[int]:
    """What lies before and after it by file name; of the samples beside it, the first detections."""
    documents, sample_id = board.store.documents, board.sample_ids[row]
    own = documents.find_one({"_id": ObjectId(sample_id)}, ["filepath"])
    if own is None:
        return []
    found = []
    for operator, order in (("$lt", -1), ("$gt", 1)):
        query = {"filepath": {operator: own["filepath"]}}
        near = documents.find(query, ["_id"]).sort("filepath", order).limit(BESIDE)
        rows = [board.row_of(str(each["_id"])) for each in near]
        found.append([each for each in rows if each is not None])
    before, after = found
    return [*before[::-1], *after]


def doubtful_items(board: ReviewBoard, groups: Iterable[int]) -> list[str]:
    """The items of some groups, those that fit least first.

    Args:
        board: the board
        groups: the ids of the groups; those that are gone are left out
    """
    ids: dict[str, None] = {}
    for group_id in groups:
        members = board.members(group_id)
        ordered = board.board.doubtful(group_id, len(members)).tolist() if group_id in board.board else []
        ids |= dict.fromkeys(board.ids[row] for row in [*ordered, *members.tolist()])
    return list(ids)


def answered_items(queue: ReviewQueue) -> list[str]:
    """The items of the answers, the last ones first."""
    queue.refresh()
    return list(dict.fromkeys(item for each in reversed(queue.counted) for part in each.items for item in part))


def several_items(board: ReviewBoard, queue: ReviewQueue) -> list[str]:
    """The images of which it was said that they show several characters, the last ones first."""
    queue.refresh()
    return [board.ids[row] for row in queue.several()]


def say_several(
    board: ReviewBoard,
    queue: ReviewQueue,
    items: Sequence[str],
    *,
    tab: str | None,
    by: str | None,
    progress: ProgressCallback | None,
) -> Answered:
    """Says that images show several characters: they are ignored and in no group. It is kept as an answer.

    Args:
        board: the groups
        queue: the questions about them
        items: the ids of the images or detections
        tab: the tab in which it was said
        by: who said it
        progress: called with the number of labels written

    Raises:
        ReviewError: one of them was deleted
    """
    if not board.place.keys() >= set(items):
        raise ReviewError("gone", "an image was deleted, or has nothing to review")
    target = board.store.target
    store = LabelStore(replace(target, view=items_view(target, list(items))), board.store.group_field)

    def plan(made: Edit) -> None:
        for item_id, sample_id, label in made.rows:
            made.write(item_id, sample_id, label, GroupLabel(NO_GROUP, None, STATUS_IGNORED, assigned=NO_GROUP))

    report = edit(store, "answer", plan, groups=None, dry_run=False, progress=progress)
    board.refresh()
    record = AnswerRecord(0, WHO, (), (tuple(items),), TWO, by=by, tab=tab)
    words = WORDS[WHO, TWO] if len(items) == 1 else f"{len(items):,} {board.source.noun} show several characters"
    return keep(queue, record, report, words)


def ordered_view(target: Target, ids: Sequence[str], most: int | None = MOST_SHOWN) -> fo.DatasetView:
    """A view of some items in this order; of detections, their patches.

    Args:
        target: the dataset
        ids: the ids of the items
        most (5,000): how many of them at most, None for all
    """
    shown = list(ids[:most])
    if not target.is_patches:
        return target.whole().view.select(shown, ordered=True)
    return items_view(target, shown).to_patches(target.patches_field)
