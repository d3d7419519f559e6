"""Questions with two sides: two groups, the halves of one, or its confirmed images and the others."""

from collections.abc import Iterator

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray
from . import features
from .board import Board
from .halves import SMALLEST, Halves, halve
from .kinds import HALVES, SAME, WHOLE, Question
from .matters import Matters
from .memory import net_gain

N_SHOWN = 6
"""How many images are shown of a side."""

LEAST_GAIN = 0.04
"""Questions that put less right are not asked."""

MOST_WHOLE = 50
"""The most questions about whole groups at one time."""


def same_questions(matters: Matters) -> Iterator[Question]:
    """Are these two groups one character? In order of falling expected gain."""
    board, memory, pairs = matters.board, matters.memory, matters.groups
    gains = net_gain(np.nan_to_num(pairs.p), pairs.sizes, memory.slip_rate)
    for i in _best(gains):
        pair = int(pairs.left[i]), int(pairs.right[i])
        items = board.members(pair[0]), board.members(pair[1])
        n_before = memory.about(frozenset(pair)).n
        images = tuple(examples(board, rows, n_before) for rows in items)
        difference, p, x = float(pairs.differences[i]), float(pairs.p[i]), (pairs.features[i],)
        yield Question(SAME, pair, items, float(gains[i]), difference, p, images, features=x)


class HalvesOfGroups:
    """The halves of each group that has any; only groups whose images changed are divided again."""

    def __init__(self) -> None:
        self._board: Board | None = None
        self._n_touched = 0
        self._halves: dict[int, Halves] = {}
        self._waiting: set[int] = set()

    def of(self, board: Board) -> dict[int, Halves]:
        """Halves by group id."""
        while self.divide(board):
            pass
        return self._halves

    def divide(self, board: Board, n: int = 25) -> bool:
        """Divides some of the groups whose images changed.

        Args:
            board: the groups
            n (25): how many groups of those large enough to be divided

        Returns:
            whether more are waiting
        """
        if self._board is not board:
            self._halves, self._waiting = {}, set(board.ids.tolist())
        else:
            self._waiting.update(board.touched[self._n_touched :])
        self._board, self._n_touched = board, len(board.touched)
        while self._waiting and n:
            group_id = self._waiting.pop()
            is_large = board.size(group_id) >= SMALLEST
            halves = halve(board.vectors, board.members(group_id)) if is_large else None
            n -= is_large
            if halves is None:
                self._halves.pop(group_id, None)
            else:
                self._halves[group_id] = halves
        return bool(self._waiting)


def halves_questions(matters: Matters, halves: HalvesOfGroups) -> Iterator[Question]:
    """Are the two halves of this group one character? In order of falling expected gain."""
    board, memory = matters.board, matters.memory
    divided = [*halves.of(board).items()]
    if not divided:
        return
    x = features.of_halves(board, [parts for _, parts in divided])
    probability = matters.probabilities.same(HALVES, x)
    sizes = np.array([len(parts.second) for _, parts in divided], np.float64)
    can_matter = net_gain(1 - probability, sizes, memory.slip_rate) > LEAST_GAIN
    evidence = {i: memory.about_cut(divided[i][0], *_sides(divided[i][1])) for i in np.flatnonzero(can_matter).tolist()}
    p = np.full(len(divided), np.nan)
    for i, each in evidence.items():
        p[i] = memory.with_evidence(float(probability[i]), each)
    gains = np.nan_to_num(net_gain(1 - p, sizes, memory.slip_rate))
    for i in _best(gains):
        group_id, parts = divided[i]
        items, n_before = _sides(parts), evidence[int(i)].n
        if n_before or not all(board.confirmed[rows].all() for rows in items):
            images = tuple(_shown(_central(board, rows), n_before) for rows in items)
            numbers = float(gains[i]), parts.difference, float(p[i])
            yield Question(HALVES, (group_id,), items, *numbers, images, features=(x[i],))


def _sides(parts: Halves) -> tuple[IntArray, IntArray]:
    return parts.first, parts.second


class WholeGroups:
    """Groups with confirmed images and others; only those that changed are divided again."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[tuple[bytes, bytes], Halves | None]] = {}

    def questions(self, matters: Matters) -> Iterator[Question]:
        """Is the whole group the character of its confirmed images? In order of falling expected gain.

        At most :data:`MOST_WHOLE`: labels may have been edited by hand in thousands of groups. Those that are hardly in
        doubt come last, for their images to be confirmed.
        """
        board, memory = matters.board, matters.memory
        asked = [each for each in memory.whole_to_ask() if each in board]
        self._parts = {each: self._parts_of(board, each) for each in asked}
        divided = [(each, parts) for each, (_, parts) in self._parts.items() if parts is not None]
        if not divided:
            return
        p = matters.probabilities.same(HALVES, features.of_halves(board, [parts for _, parts in divided]))
        sizes = np.array([min(len(parts.first), len(parts.second)) for _, parts in divided], np.float64)
        gains = np.maximum(net_gain(1 - p, sizes, memory.slip_rate), LEAST_GAIN)
        for i in np.argsort(-gains, kind="stable")[:MOST_WHOLE].tolist():
            group_id, parts = divided[i]
            named, others = _sides(parts)
            means = board.vectors[named].mean(axis=0)
            images = _shown(_central(board, named), 0), board.nearest_to(others, means, N_SHOWN, farthest=True)
            yield Question(WHOLE, (group_id,), (named, others), float(gains[i]), parts.difference, float(p[i]), images)

    def _parts_of(self, board: Board, group_id: int) -> tuple[tuple[bytes, bytes], Halves | None]:
        rows = board.members(group_id)
        is_named = board.confirmed[rows]
        key = rows.tobytes(), is_named.tobytes()
        known = self._parts.get(group_id)
        return known if known is not None and known[0] == key else (key, _named_and_others(board, rows, is_named))


def _named_and_others(board: Board, rows: IntArray, is_named: BoolArray) -> Halves | None:
    """The confirmed images of a group and the others; None where either part is empty."""
    parts = rows[is_named], rows[~is_named]
    if not len(parts[0]) or not len(parts[1]):
        return None
    first, second = (board.vectors[part].mean(axis=0, dtype=np.float64) for part in parts)
    difference = float((1 - first @ second) / 2)
    sizes_and_means = ((len(parts[0]), first), (len(parts[1]), second))
    inside = [(1 - (n * float(mean @ mean) - 1) / (n - 1)) / 2 for n, mean in sizes_and_means if n > 1]
    return Halves(*parts, difference, sum(inside) / len(inside) if inside else difference)


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
