"""What was done: the history of a field, and answers that contradict each other, as the panel lists them."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.arrays import IntArray
from ..core.identity.state import Status
from ..core.review.answers import DONE, LATER, NEW, NO, NONE, PICK, TWO, UNSURE, YES
from ..core.review.kinds import HALVES, IN, OUT, SAME, WHO, WHOLE
from ..core.review.memory import Contradicted, Cut, Evidence
from ..labels.history import history, last_undone
from ..labels.history.timeline import HistoryRow
from ..labels.reports import PastChange, action_text
from ..storage.targets import Target
from .board import ReviewBoard
from .pictures import pictures_of
from .queue import ReviewQueue
from .records import AnswerRecord, Given


def history_page(target: Target, group_field: str, *, n: int, skip: int) -> dict[str, Any]:
    """Rows of the history, newest first; corrections in quick succession are one row that unfolds.

    Args:
        target: the dataset
        group_field: the field with the groups
        n: how many rows
        skip: how many newer ones to leave out
    """
    changes = history(target.view, group_field=group_field, patches_field=target.patches_field)
    rows = changes.rows()
    can_redo = last_undone(target.dataset, target.path(group_field)) is not None
    return {
        "rows": [_row(row) for row in rows[skip : skip + n]],
        "n": len(rows),
        "by_hand": changes.n_by_hand,
        "can_redo": can_redo,
    }


def _row(row: HistoryRow) -> dict[str, Any]:
    first = row.changes[0]
    if len(row.changes) == 1:
        return _plain(first)
    return {**_plain(first), "text": row.action, "n": row.n_labels, "unfolds": [_plain(each) for each in row.changes]}


def _plain(change: PastChange) -> dict[str, Any]:
    return {
        "number": change.number,
        "text": f"{action_text(change.action)}: {change.about}" if change.about else action_text(change.action),
        "at": _local(change.at),
        "by": change.by,
        "n": change.n_labels,
        "undone": change.is_undone,
        "state": change.state,
        "problem": change.problem_text,
        "unfolds": None,
    }


def _local(at: str) -> str:
    """A time in the time of this machine, as ISO 8601."""
    try:
        return datetime.datetime.fromisoformat(at).astimezone().isoformat(timespec="seconds")
    except ValueError:
        return at


PICTURES = 12
"""The most items that are listed with a contradiction."""


def disputes_page(board: ReviewBoard, queue: ReviewQueue, *, n: int) -> dict[str, Any]:
    """Matters with answers of both kinds, the latest first, with both sides and what holds now.

    Args:
        board: the groups
        queue: the questions about them
        n: how many
    """
    queue.refresh()
    found = queue.contradicted()
    disputes = [_dispute(board, queue, each) for each in found[:n]]
    pictures = pictures_of(board, (row for _, rows in disputes for row in rows))
    listed = [
        {
            **plain,
            "items": [board.ids[row] for row in rows],
            "pictures": [pictures[row] for row in rows if row in pictures],
        }
        for plain, rows in disputes
    ]
    return {"rows": listed, "n": len(found)}


def _dispute(board: ReviewBoard, queue: ReviewQueue, found: Contradicted) -> tuple[dict[str, Any], list[int]]:
    """A contradiction as plain values, and the rows that are shown with it."""
    matter, evidence = found
    records = [(queue.counted[number - 1], is_same) for number, is_same in reversed(evidence.answers)]
    if isinstance(matter, frozenset):
        key, about, groups, rows, now = _pair(board, sorted(matter), [record for record, _ in records])
        words = ("different characters", "one character")
    elif isinstance(matter[1], Cut):
        key, about, groups, rows, now = _parts(board, matter[0], matter[1], evidence)
        words = ("different characters", "one character")
    else:
        key, about, groups, rows, now = _image(board, *matter)
        words = (f"not {name_of(board, matter[1])}", f"it is {name_of(board, matter[1])}")
    plain = {
        "id": key,
        "kind": "disagreement" if _is_of_two(records) else "contradiction",
        "about": about,
        "groups": groups,
        "sides": [_said(record, is_same, words[is_same]) for record, is_same in records],
        "now": now,
    }
    return plain, rows


_Matter = tuple[str, str, list[int], list[int], str]
"""Of a matter: its id, what it is about, its groups, the rows that are shown, what holds now."""


def _pair(board: ReviewBoard, ids: list[int], records: Sequence[AnswerRecord]) -> _Matter:
    about = " and ".join(name_of(board, each) for each in ids)
    living = [each for each in ids if len(board.members(each))]
    if len(living) == len(ids):
        now = "kept apart" if board.board.is_apart(*ids) else "two groups"
        sides = [board.members(each) for each in ids]
    else:
        now = f"one group, {name_of(board, living[0])}" if living else "both are gone"
        sides = next((sides for each in records if (sides := _sides(board, each))), [])
    return f"groups-{ids[0]}-{ids[-1]}", about, living, _first(sides), now


def _sides(board: ReviewBoard, record: AnswerRecord) -> list[IntArray]:
    """The items of an answer about two sides, as rows."""
    parts = [[board.place[each] for each in part if each in board.place] for part in record.items]
    return [np.array(part, np.int64) for part in parts] if len(parts) == 2 and all(parts) else []


def _parts(board: ReviewBoard, group_id: int, cut: Cut, evidence: Evidence) -> _Matter:
    rows = np.concatenate([cut.first, cut.second])
    groups = [int(each) for each in np.unique(board.group_ids[rows]) if each]
    now = f"one group, {name_of(board, groups[0])}" if len(groups) == 1 else f"in {len(groups)} groups"
    key = f"parts-{group_id}-{evidence.answers[0][0]}"
    return key, f"two parts of {name_of(board, group_id)}", groups, _first([cut.first, cut.second]), now


def _image(board: ReviewBoard, row: int, group_id: int) -> _Matter:
    current = int(board.group_ids[row])
    is_ignored = board.status[row] == Status.IGNORED
    now = f"in {name_of(board, current)}" if current else "ignored" if is_ignored else "in no group"
    about = f"{board.source.noun[:-1]} and {name_of(board, group_id)}"
    groups = [each for each in dict.fromkeys((group_id, current)) if each and len(board.members(each))]
    return f"item-{board.ids[row]}-{group_id}", about, groups, [row], now


def _first(sides: Sequence[IntArray]) -> list[int]:
    return [int(row) for side in sides for row in side[: PICTURES // 2]]


def name_of(board: ReviewBoard, group_id: int) -> str:
    """The name of a group in quotes, also of one that is gone; its number where it has none."""
    known = group_id in board.names or group_id in board.registry.groups
    return repr(board.name(group_id)) if known else f"group {group_id}"


def _is_of_two(records: Sequence[tuple[AnswerRecord, bool]]) -> bool:
    """Whether the last answers of either kind are of two persons who are known."""
    last: dict[bool, str | None] = {}
    for record, is_same in records:
        last.setdefault(is_same, record.by)
    return None not in last.values() and len(set(last.values())) == 2


def _said(record: AnswerRecord, is_same: bool, words: str) -> dict[str, Any]:
    return {"same": is_same, "said": words, "by": record.by, "at": _local(record.at), "number": record.change}


# -- what an answer did

WORDS: Mapping[tuple[str, str], str] = {
    (SAME, YES): "one character: {names}",
    (SAME, NO): "different characters: {names}",
    (HALVES, YES): "{names} is one character",
    (HALVES, NO): "{names} was divided in two",
    (WHOLE, YES): "all of {names} is confirmed",
    (WHOLE, NO): "not all of {names} is one character",
    (OUT, DONE): "{n} of {shown} images are not {names}, the others are confirmed",
    (IN, DONE): "{n} of {shown} joined {names}",
    (WHO, PICK): "the image is {picked}",
    (WHO, NEW): "the image is a new character",
    (WHO, NONE): "the image shows no character",
    (WHO, TWO): "the image shows two characters",
}
"""What an answer did, by kind of question and what was said."""


def words_of(board: ReviewBoard, given: Given) -> str:
    """What an answer does, as text; before it is written.

    Args:
        board: the groups
        given: the answer
    """
    if given.said == UNSURE:
        return "cannot tell"
    if given.said == LATER:
        return "put off"
    names = [board.name(each) for each in given.groups if each and len(board.members(each))]
    shown = names if given.kind == SAME else names[:1]
    picked = board.name(given.groups[given.marked[0]]) if given.said == PICK else ""
    listed = " and ".join(map(repr, shown))
    counts = {"n": len(given.marked), "shown": len(given.items[0] if given.kind == OUT else given.items)}
    return WORDS[given.kind, given.said].format(names=listed, picked=repr(picked), **counts)
