"""Average linkage without a matrix: groups whose mean difference is small are merged, the nearest first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray, Vectors
from ..neighbors.components import Forest

_AT_ONCE = 6000  # groups of which all pairs are held at once, for scipy: twice 144 MB
_ROWS = 512  # of these compared at a time
_CELLS = 1 << 23  # of a block of groups compared at a time: 32 MiB
_HELD = 1 << 12  # groups of which the closeness of all pairs is kept, not computed: 64 MiB
_TIE = np.float32(4e-6)  # cosines nearer to each other than this are compared again, in float64
_FORBIDDEN = np.float32(-4)  # below any cosine


@dataclass(frozen=True, eq=False)
class Rules:
    """What changes how near two groups are, beside their mean difference. Each can only keep groups apart.

    Attributes:
        large: weight from which a group counts as large
        large_limit: the largest mean difference at which two large groups are merged; None for that of all groups
        owners: ``(n,)`` groups of different owners never merge; -1 for no owner. None when nothing has one
        apart: ``(k, 2)`` numbers of groups that never merge
        shared: ``(k, 2)`` numbers of groups that were seen in one image, one row for each image; near-duplicates of an
            image are no others
        push: what being seen together adds to the difference, times the share of the smaller group seen so
    """

    large: float = np.inf
    large_limit: float | None = None
    owners: IntArray | None = None
    apart: IntArray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    shared: IntArray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    push: float = 0.0

    @property
    def are_none(self) -> bool:
        """Whether there is none."""
        return self.large_limit is None and self.owners is None and not len(self.apart) and not len(self.shared)

    @property
    def are_gradual(self) -> bool:
        """Whether a merger may bring groups nearer to a third one, so that nothing is final before the end."""
        return bool(self.push and len(self.shared))


class Merges(NamedTuple):
    """What was merged, a row for each merger: a member of one group, a member of the other, their mean difference."""

    one: IntArray
    other: IntArray
    costs: NDArray[np.float64]

    @classmethod
    def none(cls) -> "Merges":
        """No merger."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    @classmethod
    def joined(cls, parts: Iterable["Merges"]) -> "Merges":
        """All mergers of some parts."""
        return cls(*map(np.concatenate, zip(cls.none(), *parts, strict=True)))

    def groups(self, n: int) -> IntArray:
        """``(n,)`` numbers 0, 1, ... of the groups at the end, in the order of their first members."""
        forest = Forest(n)
        forest.add(self.one.astype(np.int32), self.other.astype(np.int32))
        return forest.labels()


def agglomerate(means: Vectors, weights: NDArray[np.float64], cut: float, rules: Rules | None = None) -> IntArray:
    """Merges groups as :func:`find_merges` does, and gives ``(n,)`` numbers 0, 1, ... of the groups at the end."""
    return find_merges(means, weights, cut, rules).groups(len(means))


def find_merges(means: Vectors, weights: NDArray[np.float64], cut: float, rules: Rules | None = None) -> Merges:
    """Merges groups, always two that are nearest to each other, while their mean difference is up to ``cut``.

    Average linkage (Sokal and Michener, 1958), exactly: the mean difference of all pairs between two groups of unit
    vectors is ``(1 - a . b) / 2`` of their mean vectors, which are not of unit length. A few thousand groups that all
    count the same and have no rules are merged by scipy. Of others, pairs that are nearest to each other are merged all
    at once, which gives the same groups as one after the other, since no merger brings a group nearer to a third one:
    this takes memory for the means and a block; time is that of comparing all pairs two or three times.

    For the same reason, what was merged up to a smaller cut is what would be merged with that cut, unless rules changed
    what is near.

    Args:
        means: ``(n, dim)`` mean vectors of the groups at the start; single images are their own
        weights: ``(n,)`` how much each counts in a mean
        cut: the largest mean difference at which groups are merged
        rules (None): what keeps groups apart

    Returns:
        the mergers, in any order
    """
    rules = rules or Rules()
    if 1 < len(means) <= _AT_ONCE and rules.are_none and (weights == weights[0]).all():
        return _merged_by_scipy(means, cut)
    state = _State(means, weights, cut, rules)
    while state.round():
        pass
    return Merges.joined(state.done)


def _merged_by_scipy(means: Vectors, cut: float) -> Merges:
    from scipy.cluster.hierarchy import linkage

    exact, n = means.astype(np.float64), len(means)
    differences, end = np.empty(n * (n - 1) // 2), 0
    for start in range(0, n, _ROWS):
        halves = exact[start : start + _ROWS] / 2 @ exact[start:].T
        for row, half in enumerate(halves, 1):
            begin, end = end, end + len(half) - row
            np.subtract(0.5, half[row:], out=differences[begin:end])
    np.maximum(differences, 0, out=differences)
    tree = linkage(differences, "average")
    member = np.concatenate([np.arange(n), tree[:, 0].astype(np.int64)])  # one part of each group, and so one image
    while (member >= n).any():
        member = member[member]
    tree = tree[tree[:, 2] <= cut]
    one, other = member[tree[:, :2].astype(np.int64).T]
    return Merges(one, other, tree[:, 2])


def numbered(labels: IntArray) -> IntArray:
    """The same groups, numbered 0, 1, ... in the order of their first members."""
    _, first, found = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[found]


def pushes(
    shared: IntArray, weights: NDArray[np.float64], push: float
) -> tuple[IntArray, IntArray, NDArray[np.float64]]:
    """Groups that were seen together, each two once, and what that adds to their difference: ``push`` at most."""
    first, last = shared.min(axis=1, initial=len(weights)), shared.max(axis=1, initial=-1)
    keys, counts = np.unique((first * len(weights) + last)[first != last], return_counts=True)
    one, other = np.divmod(keys, len(weights))
    return one, other, push * np.minimum(counts / np.minimum(weights[one], weights[other]), 1)


class _State:
    """Groups that may still merge, and the nearest of each."""

    def __init__(self, means: Vectors, weights: NDArray[np.float64], cut: float, rules: Rules) -> None:
        self.means, self.weights = means.copy(), weights.astype(np.float64)
        self.cut, self.rules = cut, rules
        self.into = np.arange(len(means))  # the group that each was merged into
        self.done: list[Merges] = []
        self.owners = None if rules.owners is None else rules.owners.copy()
        self.apart, self.shared = rules.apart.copy(), rules.shared.copy()
        self.active = np.arange(len(means))
        self.nearest = np.full(len(means), -1)
        self.costs = np.full(len(means), np.inf)
        self.dirty = self.active
        self.held: _Held | None = None
        self.pushed = pushes(self.shared, self.weights, rules.push)

    def round(self) -> bool:
        """Merges all pairs that are nearest to each other; False when there is none."""
        self._find_nearest()
        if self.rules.are_gradual:
            candidates = self.active[self.costs[self.active] <= self.cut]
        else:
            candidates = self.active = self.active[self.costs[self.active] <= self.cut]
        if not len(candidates):
            return False
        back = self.nearest[self.nearest[candidates]]
        first = candidates[(back == candidates) & (candidates < self.nearest[candidates])]
        if not len(first):  # rounding made a ring of groups that are as near as each other
            best = candidates[np.argmin(self.costs[candidates])]
            first = np.array([best])
        self._merge(first, self.nearest[first])
        return True

    def _roots(self) -> IntArray:
        while True:
            further = self.into[self.into]
            if (further == self.into).all():
                return self.into
            self.into = further

    def _merge(self, first: IntArray, second: IntArray) -> None:
        one, other = np.minimum(first, second), np.maximum(first, second)
        self.done.append(Merges(one, other, self.costs[first]))
        total = self.weights[one] + self.weights[other]
        share = (self.weights[one] / total)[:, None]
        if self.held is not None:
            self.held.merge(one, other, share.astype(np.float32))
        self.means[one] = (share * self.means[one] + (1 - share) * self.means[other]).astype(np.float32)
        self.weights[one] = total
        self.into[other] = one
        if self.owners is not None:
            self.owners[one] = np.maximum(self.owners[one], self.owners[other])
        is_gone = np.zeros(len(self.into), np.bool_)
        is_gone[other] = True
        is_new = is_gone.copy()
        is_new[one] = True
        self.active = self.active[~is_gone[self.active]]
        if len(self.apart) or len(self.shared):
            roots = self._roots()
            self.apart, self.shared = roots[self.apart], roots[self.shared]
        if self.rules.are_gradual:
            self.dirty = self.active
            return
        is_alive = np.zeros(len(self.into), np.bool_)
        is_alive[self.active] = True
        of_nearest = self.nearest[self.active]
        self.dirty = self.active[is_new[self.active] | is_new[of_nearest] | ~is_alive[of_nearest]]

    def _find_nearest(self) -> None:
        """Finds the nearest group of each dirty one."""
        if len(self.active) < 2:
            self.costs[self.active] = np.inf
            return
        if len(self.active) <= _HELD and (self.held is None or 2 * len(self.active) < self.held.size):
            self.held = _Held(self.active, self.means)
        columns = self.means[self.active] if self.held is None else None
        self.pushed = pushes(self.shared, self.weights, self.rules.push)
        position = np.full(len(self.into), -1)
        position[self.active] = np.arange(len(self.active))
        step = max(1, _CELLS // len(self.active))
        for start in range(0, len(self.dirty), step):
            rows = self.dirty[start : start + step]
            if columns is None:
                assert self.held is not None
                closeness = self.held.between(rows, self.active)
            else:
                closeness = self.means[rows] @ columns.T
            closeness[np.arange(len(rows)), position[rows]] = _FORBIDDEN
            self._apply_rules(closeness, rows, position)
            self._pick(closeness, rows)

    def _apply_rules(self, closeness: Vectors, rows: IntArray, position: IntArray) -> None:
        """Lowers the closeness of groups that the rules keep apart; twice the difference, as it is a cosine."""
        rules = self.rules
        if rules.large_limit is not None:
            is_large = self.weights >= rules.large
            among = np.ix_(is_large[rows], is_large[self.active])
            closeness[among] -= np.float32(2 * (self.cut - rules.large_limit))
        if self.owners is not None:
            of_rows, of_columns = self.owners[rows][:, None], self.owners[self.active]
            closeness[(of_rows != of_columns) & (of_rows >= 0) & (of_columns >= 0)] = _FORBIDDEN
        row_of = np.full(len(self.into), -1)
        row_of[rows] = np.arange(len(rows))
        first, last, added = self.pushed
        for one, other in ((first, last), (last, first)):
            here = (row_of[one] >= 0) & (position[other] >= 0)
            closeness[row_of[one[here]], position[other[here]]] -= (2 * added[here]).astype(np.float32)
        if len(self.apart):
            one, other = np.concatenate([self.apart, self.apart[:, ::-1]]).T
            here = (row_of[one] >= 0) & (position[other] >= 0)
            closeness[row_of[one[here]], position[other[here]]] = _FORBIDDEN

    def _pick(self, closeness: Vectors, rows: IntArray) -> None:
        best = closeness.argmax(axis=1)
        value = closeness[np.arange(len(rows)), best]
        n_near = np.count_nonzero(closeness >= (value - _TIE)[:, None], axis=1)
        for row in np.flatnonzero((n_near > 1) & (value > _FORBIDDEN)):
            best[row] = self._settle(closeness, rows, int(row), value[row])
        value = closeness[np.arange(len(rows)), best]
        self.nearest[rows] = self.active[best]
        self.costs[rows] = np.where(value > _FORBIDDEN / 2, (1 - value.astype(np.float64)) / 2, np.inf)

    def _settle(self, closeness: Vectors, rows: IntArray, row: int, value: np.float32) -> int:
        """Which of several groups that are about as near is the nearest: the first of the truly nearest."""
        near = np.flatnonzero(closeness[row] >= value - _TIE)
        exact = self.means[self.active[near]].astype(np.float64) @ self.means[rows[row]].astype(np.float64)
        lowered = (exact - closeness[row, near]).round(4)  # by the rules
        return int(near[np.argmax((exact - lowered).round(9))])


class _Held:
    """The closeness of all pairs of some groups: what is merged need not be compared again.

    Lance and Williams (1967): the closeness of a merged group is the weighted mean of those of its parts.
    """

    def __init__(self, groups: IntArray, means: Vectors) -> None:
        self.size = len(groups)
        self._place = np.full(len(means), -1)
        self._place[groups] = np.arange(len(groups))
        own = means[groups]
        self._cosines = own @ own.T

    def between(self, rows: IntArray, columns: IntArray) -> Vectors:
        """The closeness of some groups to some others, as a copy."""
        if len(columns) == self.size:
            return self._cosines[self._place[rows]]
        return self._cosines[self._place[rows]][:, self._place[columns]]

    def merge(self, one: IntArray, other: IntArray, share: Vectors) -> None:
        """Puts groups into others; ``share`` is the part of the first in each."""
        one, other = self._place[one], self._place[other]
        merged = share * self._cosines[one] + (1 - share) * self._cosines[other]
        merged[:, one] = share.T * merged[:, one] + (1 - share.T) * merged[:, other]
        self._cosines[one] = merged
        self._cosines[:, one] = merged.T
