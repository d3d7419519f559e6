"""Questions with two sides: two groups, or the halves of one."""

from collections.abc import Iterator

import numpy as np

from ..arrays import FloatArray, IntArray
from . import probabilities as chances
from .board import Board
from .halves import SMALLEST, Halves, halve
from .kinds import HALVES, SAME, WHOLE, Question
from .memory import Memory, net_gain
from .probabilities import Probabilities

N_SHOWN = 6
"""How many images are shown of a side."""

_FAR = 0.10  # pairs that are further apart than the threshold by this are not looked at
_LEAST_GAIN = 0.02


def near_pairs(board: Board) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of groups that can be one character."""
    a, b, differences = board.rival_pairs()
    is_near = differences <= board.threshold + _FAR
    return a[is_near], b[is_near], differences[is_near]


def same_questions(board: Board, memory: Memory, probabilities: Probabilities) -> Iterator[Question]:
    """Are these two groups one character? In order of falling expected gain before earlier answers are considered."""
    a, b, differences = near_pairs(board)
    first, second = board.sizes_of(a), board.sizes_of(b)
    probability = probabilities.same(chances.SAME, differences)
    sizes = np.minimum(first, second).astype(np.float64)
    gains = net_gain(probability, sizes, memory.slip_rate)
    order = np.argsort(-gains, kind="stable")
    for i in order[gains[order] > _LEAST_GAIN]:
        pair = int(a[i]), int(b[i])
        evidence = memory.about_pair(*pair)
        if evidence is None and board.is_apart(*pair):
            continue
        p = memory.posterior(float(probability[i]), evidence)
        if p is None:
            continue
        gain = float(net_gain(p, sizes[i], memory.slip_rate))
        if gain > _LEAST_GAIN:
            n_before = evidence.n if evidence else 0
            yield _same(board, pair, gain, float(differences[i]), p, n_before)


def _same(board: Board, pair: tuple[int, int], gain: float, difference: float, p: float, n_before: int) -> Question:
    items = board.members(pair[0]), board.members(pair[1])
    images = tuple(examples(board, rows, each, n_before) for rows, each in zip(items, pair, strict=True))
    return Question(SAME, pair, items, gain, difference, p, images)


class HalvesOfGroups:
    """The halves of each group, divided again when its images change."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[IntArray, Halves | None]] = {}

    def of(self, board: Board, group_id: int) -> Halves | None:
        """The halves of a group."""
        rows = board.members(group_id)
        kept = self._kept.get(group_id)
        if kept is None or kept[0] is not rows:
            kept = self._kept[group_id] = rows, halve(board.vectors, rows)
        return kept[1]


def halves_questions(
    board: Board, memory: Memory, probabilities: Probabilities, halves: HalvesOfGroups
) -> Iterator[Question]:
    """Are the two halves of this group one character? In order of falling expected gain."""
    ids = board.ids[board.sizes >= SMALLEST]
    divided = [(int(each), parts) for each in ids if (parts := halves.of(board, int(each))) is not None]
    if not divided:
        return
    probability = probabilities.same(chances.HALVES, np.array([parts.difference for _, parts in divided]))
    sizes = np.array([len(parts.second) for _, parts in divided], np.float64)
    gains = net_gain(1 - probability, sizes, memory.slip_rate)
    order = np.argsort(-gains, kind="stable")
    for i in order[gains[order] > _LEAST_GAIN]:
        group_id, parts = divided[i]
        evidence = memory.about_cut(group_id, parts.first, parts.second)
        p = memory.posterior(float(probability[i]), evidence)
        if p is None or _is_confirmed(board, parts, evidence is None):
            continue
        gain = float(net_gain(1 - p, sizes[i], memory.slip_rate))
        if gain > _LEAST_GAIN:
            skip = evidence.n if evidence else 0
            images = tuple(_shown(_central(board, rows), skip) for rows in (parts.first, parts.second))
            items = parts.first, parts.second
            yield Question(HALVES, (group_id,), items, gain, parts.difference, p, images)


def whole_question(board: Board, group_id: int, gain: float) -> Question | None:
    """Is the whole group the character of its confirmed images?"""
    rows = board.members(group_id)
    named, others = rows[board.confirmed[rows]], rows[~board.confirmed[rows]]
    if not len(named) or not len(others):
        return None
    means = [board.vectors[part].mean(axis=0, dtype=np.float64) for part in (named, others)]
    images = _shown(_central(board, named), 0), board.nearest_to(others, means[0], N_SHOWN, farthest=True)
    return Question(WHOLE, (group_id,), (named, others), gain, float((1 - means[0] @ means[1]) / 2), 0.5, images)


def examples(board: Board, rows: IntArray, group_id: int, n_before: int) -> IntArray:
    """Typical images of a group; other ones when it is asked about again."""
    order = rows[np.argsort(board.difference[rows], kind="stable")]
    return _shown(order, n_before)


def _central(board: Board, rows: IntArray) -> IntArray:
    return board.nearest_to(rows, board.vectors[rows].mean(axis=0), len(rows))


def _shown(rows: IntArray, n_before: int) -> IntArray:
    """Six of the rows: the first ones, when asked again the next ones."""
    start = min(n_before * N_SHOWN, max(0, len(rows) - N_SHOWN))
    return rows[start : start + N_SHOWN]


def _is_confirmed(board: Board, parts: Halves, is_new: bool) -> bool:
    """Whether people confirmed every image of both halves by other means than an answer."""
    return is_new and bool(board.confirmed[parts.first].all() and board.confirmed[parts.second].all())
