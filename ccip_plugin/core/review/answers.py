"""What follows from an answer, and its effect on board and memory."""

from dataclasses import dataclass, field

import numpy as np

from ..arrays import IntArray
from ..errors import ParameterError
from . import probabilities as chances
from .board import UNASSIGNED, Board
from .kinds import HALVES, IN, OUT, SAME, WHO, WHOLE, Question
from .memory import Matter, Memory
from .probabilities import Probabilities

YES, NO, DONE, PICK, NEW, NONE, TWO, UNSURE, LATER = (
    "same", "different", "done", "pick", "new", "none", "two", "unsure", "later",
)  # fmt: skip

SAID = {
    SAME: (YES, NO, UNSURE, LATER),
    HALVES: (YES, NO, UNSURE, LATER),
    WHOLE: (YES, NO, UNSURE, LATER),
    OUT: (DONE, UNSURE, LATER),
    IN: (DONE, UNSURE, LATER),
    WHO: (PICK, NEW, NONE, TWO, UNSURE, LATER),
}
"""Valid answers by kind of question."""


@dataclass
class Effects:
    """What an answer changes.

    Attributes:
        moves: rows and the group to which they move; 0 for none
        apart: pairs of groups that are different characters
        together: pairs that are so no longer
        rejected: rows and the group to which they do not belong
        ignored: rows that show no character, or two
        confirmed: rows whose group was confirmed
    """

    moves: list[tuple[IntArray, int]] = field(default_factory=list)
    apart: list[tuple[int, int]] = field(default_factory=list)
    together: list[tuple[int, int]] = field(default_factory=list)
    rejected: list[tuple[IntArray, int]] = field(default_factory=list)
    ignored: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    confirmed: IntArray = field(default_factory=lambda: np.empty(0, np.int64))


def effects_of(
    question: Question, said: str, marked: tuple[int, ...] = (), *, new_id: int, keeps: int | None = None
) -> Effects:
    """What follows from an answer.

    Args:
        question: the question
        said: one of :data:`SAID` of its kind
        marked (()): positions of the marked tiles, or of the picked group
        new_id: id for a group that the answer makes
        keeps (None): which of two merged groups keeps its id; the larger one by default

    Raises:
        ParameterError: this is no answer to the question
    """
    _check(question, said, marked)
    effects = Effects()
    group = question.groups[0] if question.groups else UNASSIGNED
    if said in (UNSURE, LATER):
        return effects
    if question.kind == SAME:
        _pair(question, said, keeps, effects)
    elif question.kind == HALVES and said == NO:
        effects.moves.append((question.items[1], new_id))
        effects.apart.append((group, new_id))
    elif question.kind == WHOLE:
        effects.confirmed = question.items[1] if said == YES else effects.confirmed
    elif question.kind == OUT:
        if marked:
            effects.rejected.append((question.rows[list(marked)], group))
    elif question.kind == IN:
        _belongs(question, marked, effects)
    elif question.kind == WHO:
        _who(question, said, marked, new_id, effects)
    return effects


def apply(board: Board, effects: Effects) -> None:
    """Changes the board."""
    for a, b in effects.together:
        board.keep_apart(a, b, False)
    for rows, group_id in effects.rejected:
        board.reject(rows, group_id)
    for rows, group_id in effects.moves:
        board.assign(rows, group_id)
    for a, b in effects.apart:
        board.keep_apart(a, b)
    if len(effects.ignored):
        board.ignore(effects.ignored)
    if len(effects.confirmed):
        board.confirm(effects.confirmed)


def record(memory: Memory, question: Question, said: str, marked: tuple[int, ...] = (), *, new_id: int) -> None:
    """Remembers an answer; before the board changes."""
    memory.number += 1
    if question.kind in (OUT, IN):
        memory.count_strip(question.groups[0])
    if said in (UNSURE, LATER):
        memory.close(question.matters, forever=said == UNSURE)
        if question.kind == HALVES:
            memory.close_cut(question.groups[0], *_sides(question), forever=said == UNSURE)
    for matter, is_same in _facts(question, said, marked, new_id):
        memory.record(matter, is_same)
    if _is_about_cut(question, said):
        memory.record_cut(question.groups[0], *_sides(question), said == YES)
    if question.kind == WHOLE and said == LATER:
        memory.put_off_whole(question.groups[0])
    elif question.kind == WHOLE:
        memory.whole.discard(question.groups[0])


def forget(memory: Memory, question: Question, said: str, marked: tuple[int, ...] = (), *, new_id: int) -> None:
    """Forgets an answer that was undone, so that it can be asked again; after the board is as before."""
    memory.reopen(question.matters)
    for matter, is_same in _facts(question, said, marked, new_id):
        memory.forget(matter, is_same)
    if _is_about_cut(question, said):
        memory.forget_cut(question.groups[0], *_sides(question), said == YES)
    elif question.kind == HALVES:
        memory.reopen_cut(question.groups[0], *_sides(question))
    elif question.kind == WHOLE:
        memory.whole.add(question.groups[0])


def learn(probabilities: Probabilities, question: Question, said: str, marked: tuple[int, ...] = ()) -> None:
    """Lets the probabilities learn from an answer."""
    if said in (UNSURE, LATER, NONE, TWO):
        return
    for i, x in enumerate(question.features):
        if question.kind in (SAME, HALVES):
            probabilities.add(question.kind, x, said == YES)
        elif question.kind == OUT:
            probabilities.add(chances.STAYS, x, i not in marked)
        else:
            is_group = question.kind == IN and question.groups[1 + i] != UNASSIGNED
            probabilities.add(chances.SAME if is_group else chances.BELONGS, x, i in marked)


def _check(question: Question, said: str, marked: tuple[int, ...]) -> None:
    if said not in SAID[question.kind]:
        raise ParameterError("said", said, f"of {', '.join(SAID[question.kind])}")
    n = len(question.groups) if question.kind == WHO else len(question.rows)
    n = len(question.items) if question.kind == IN else n
    if said == PICK and len(marked) != 1:
        raise ParameterError("marked", marked, "one group")
    if wrong := [each for each in marked if not 0 <= each < n]:
        raise ParameterError("marked", wrong[0], f"a position from 0 to {n - 1}")


def _pair(question: Question, said: str, keeps: int | None, effects: Effects) -> None:
    a, b = question.groups
    if said == NO:
        effects.apart.append((a, b))
        return
    larger = a if len(question.items[0]) >= len(question.items[1]) else b
    kept = larger if keeps is None else keeps
    moved = question.items[1] if kept == a else question.items[0]
    effects.together.append((a, b))
    effects.moves.append((moved, kept))


def _belongs(question: Question, marked: tuple[int, ...], effects: Effects) -> None:
    group, *tiles = question.groups
    belong = [rows for i, rows in enumerate(question.items) if i in marked]
    effects.together += [(group, tiles[i]) for i in marked if tiles[i]]
    if belong:
        effects.moves.append((np.concatenate(belong), group))
    for i, (tile, rows) in enumerate(zip(tiles, question.items, strict=True)):
        if i not in marked and tile:
            effects.apart.append((group, tile))
        elif i not in marked:
            effects.rejected.append((rows, group))


def _who(question: Question, said: str, marked: tuple[int, ...], new_id: int, effects: Effects) -> None:
    others = [group for i, group in enumerate(question.groups) if said == NEW or (said == PICK and i not in marked)]
    effects.rejected += [(question.rows, group) for group in others]
    if said == PICK:
        effects.moves.append((question.rows, question.groups[marked[0]]))
    elif said == NEW:
        effects.moves.append((question.rows, new_id))
    else:
        effects.ignored = question.rows


def _facts(question: Question, said: str, marked: tuple[int, ...], new_id: int) -> list[tuple[Matter, bool]]:
    """What an answer says about each matter: whether it is one character."""
    if said in (UNSURE, LATER, NONE, TWO) or question.kind == WHOLE:
        return []
    if question.kind == SAME:
        return [(frozenset(question.groups), said == YES)]
    if question.kind == HALVES:
        return [] if said == YES else [(frozenset((question.groups[0], new_id)), False)]
    return [(matter, (i in marked) != (question.kind == OUT)) for i, matter in enumerate(question.matters)]


def _is_about_cut(question: Question, said: str) -> bool:
    if not all(len(rows) for rows in question.items):
        return False  # a stored answer about two groups does not say which images they had
    return (question.kind == SAME and said == YES) or (question.kind == HALVES and said in (YES, NO))


def _sides(question: Question) -> tuple[IntArray, IntArray]:
    return question.items[0], question.items[1]
