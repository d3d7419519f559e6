"""Questions with two sides: two groups, or the halves of one."""

from collections.abc import Iterator

import numpy as np

from ..arrays import FloatArray, IntArray
from . import features
from .board import Board
from .halves import SMALLEST, Halves, halve
from .kinds import HALVES, SAME, WHOLE, Question
from .matters import Matters
from .memory import net_gain

N_SHOWN = 6
"""How many images are shown of a side."""

LEAST_GAIN = 0.02
"""Questions that put less right are not asked."""


def same_questions(matters: Matters) -> Iterator[Question]:
    """Are these two groups one character? In order of falling expected gain."""
    board, memory, pairs = matters.board, matters.memory, matters.groups
    sizes = np.minimum(board.sizes_of(pairs.left), board.sizes_of(pairs.right)).astype(np.float64)
    gains = net_gain(np.nan_to_num(pairs.p), sizes, memory.slip_rate)
    for i in _best(gains):
        pair = int(pairs.left[i]), int(pairs.right[i])
        items = board.members(pair[0]), board.members(pair[1])
        n_before = memory.about(frozenset(pair)).n
        images = tuple(examples(board, rows, n_before) for rows in items)
        difference, p, x = float(pairs.differences[i]), float(pairs.p[i]), (pairs.features[i],)
        yield Question(SAME, pair, items, float(gains[i]), difference, p, images, features=x)


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


def halves_questions(matters: Matters, halves: HalvesOfGroups) -> Iterator[Question]:
    """Are the two halves of this group one character? In order of falling expected gain."""
    board, memory = matters.board, matters.memory
    ids = board.ids[board.sizes >= SMALLEST].tolist()
    divided = [(each, parts) for each in ids if (parts := halves.of(board, each)) is not None]
    if not divided:
        return
    x = features.of_halves([parts for _, parts in divided])
    probability = matters.probabilities.same(HALVES, x)
    sizes = np.array([len(parts.second) for _, parts in divided], np.float64)
    for i in _best(net_gain(1 - probability, sizes, memory.slip_rate)):
        group_id, parts = divided[i]
        evidence = memory.about_cut(group_id, parts.first, parts.second)
        p = memory.with_evidence(float(probability[i]), evidence)
        gain = float(net_gain(1 - p, sizes[i], memory.slip_rate))
        items = parts.first, parts.second
        is_decided = not evidence.n and all(board.confirmed[rows].all() for rows in items)
        if gain > LEAST_GAIN and not is_decided:
            images = tuple(_shown(_central(board, rows), evidence.n) for rows in items)
            yield Question(HALVES, (group_id,), items, gain, parts.difference, p, images, features=(x[i],))


def whole_question(board: Board, group_id: int) -> Question | None:
    """Is the whole group the character of its confirmed images?"""
    rows = board.members(group_id)
    named, others = rows[board.confirmed[rows]], rows[~board.confirmed[rows]]
    if not len(named) or not len(others):
        return None
    means = [board.vectors[part].mean(axis=0, dtype=np.float64) for part in (named, others)]
    images = _shown(_central(board, named), 0), board.nearest_to(others, means[0], N_SHOWN, farthest=True)
    difference = float((1 - means[0] @ means[1]) / 2)
    return Question(WHOLE, (group_id,), (named, others), float(len(others)), difference, 0.5, images)


def examples(board: Board, rows: IntArray, n_before: int) -> IntArray:
    """Typical images of a group; other ones when it is asked about again."""
    return _shown(rows[np.argsort(board.difference[rows], kind="stable")], n_before)


def _best(gains: FloatArray) -> IntArray:
    order: IntArray = np.flatnonzero(gains > LEAST_GAIN)
    return order[np.argsort(-gains[order], kind="stable")]


def _central(board: Board, rows: IntArray) -> IntArray:
    return board.nearest_to(rows, board.vectors[rows].mean(axis=0), len(rows))


def _shown(rows: IntArray, n_before: int) -> IntArray:
    """Six of the rows: the first ones, when asked again the next ones, and so on in turn."""
    n_pages = max(1, len(rows) // N_SHOWN)
    start = (n_before % n_pages) * N_SHOWN
    return rows[start : start + N_SHOWN]
