"""What can be asked about, with probabilities: pairs of groups, images with groups they may belong to, and members."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Self

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray
from . import features
from . import probabilities as kinds
from .board import Board
from .memory import Memory
from .probabilities import Probabilities

_FAR = 4 / 3  # pairs that are further apart than so many times the threshold are not looked at
_BITS = 32  # of a group id


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs as parallel arrays.

    Attributes:
        left: the larger group; of an image, its row
        right: the smaller group; of an image, a group
        sizes: images that would be put right: those of the smaller group, or one
        differences: mean difference
        features: what the probability was computed from
        p: probability of "one character" with the answers so far; NaN for what is not to be asked
    """

    left: IntArray
    right: IntArray
    sizes: FloatArray
    differences: FloatArray
    features: FloatArray
    p: FloatArray

    def where(self, keep: BoolArray | IntArray) -> Self:
        """Some of the pairs."""
        return type(self)(*(getattr(self, each.name)[keep] for each in fields(self)))


class Matters:
    """What can be asked about at one moment; computed when it is needed."""

    def __init__(self, board: Board, memory: Memory, probabilities: Probabilities) -> None:
        self.board, self.memory, self.probabilities = board, memory, probabilities

    @cached_property
    def groups(self) -> Pairs:
        """Pairs of groups that can be one character."""
        board, memory = self.board, self.memory
        a, b, differences = board.rival_pairs(_FAR * board.threshold)
        left, right = board.sizes_of(a), board.sizes_of(b)
        a, b = np.where(left >= right, a, b), np.where(left >= right, b, a)
        x = features.of_pairs(board, a, b, differences)
        p = self.probabilities.same(kinds.SAME, x)
        decided = {*board.apart, *memory.known_pairs()}
        codes = np.array([(min(pair) << _BITS) | max(pair) for pair in decided], np.int64)
        for i in np.flatnonzero(np.isin((np.minimum(a, b) << _BITS) | np.maximum(a, b), codes)):
            pair = frozenset((int(a[i]), int(b[i])))
            p[i] = memory.posterior(float(p[i]), pair, is_decided=pair in board.apart)
        return Pairs(a, b, np.minimum(left, right).astype(np.float64), differences, x, p)

    @cached_property
    def candidates(self) -> Pairs:
        """Images in no group with the groups nearest to them."""
        board = self.board
        rows, groups, differences = board.candidate_pairs()
        is_rejected = board.has_rejections[rows]
        for i in np.flatnonzero(is_rejected):
            is_rejected[i] = board.is_rejected(int(rows[i]), int(groups[i]))
        x = features.of_candidates(board, rows, groups, differences, is_rejected)
        p = self.probabilities.same(kinds.BELONGS, x)
        return Pairs(
            rows, groups, np.ones(len(rows)), differences, x, self._after_answers(p, rows, groups, is_rejected)
        )

    @cached_property
    def members(self) -> Pairs:
        """Images with their group."""
        board = self.board
        rows = np.flatnonzero(np.isfinite(board.difference))
        groups, x = board.group_of[rows], features.of_members(board, rows)
        p = self._after_answers(self.probabilities.same(kinds.STAYS, x), rows, groups, board.confirmed[rows])
        return Pairs(rows, groups, np.ones(len(rows)), board.difference[rows].astype(np.float64), x, p)

    def _after_answers(self, p: FloatArray, rows: IntArray, groups: IntArray, is_decided: BoolArray) -> FloatArray:
        is_concerned = np.isin(rows, self.memory.known_rows())
        p[is_decided & ~is_concerned] = np.nan
        for i in np.flatnonzero(is_concerned):
            matter = int(rows[i]), int(groups[i])
            p[i] = self.memory.posterior(float(p[i]), matter, is_decided=bool(is_decided[i]))
        return p
