"""Agglomerative clustering with average linkage, without a distance matrix."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray, IntArray, Vectors
from ...neighbors.components import Forest

_MAX_SCIPY = 6000  # groups whose distance matrix fits into memory for scipy: twice 144 MB
_ROWS = 512  # rows of that matrix computed at a time
_CELLS = 1 << 23  # cells of a block of cosines: 32 MiB
_MAX_MATRIX = 1 << 12  # groups whose matrix of cosines is kept and updated: 64 MiB
_TIE = np.float32(4e-6)  # cosines that differ by less are compared again in float64
_FORBIDDEN = np.float32(-4)  # less than any cosine

MergeCallback = Callable[[int], None]
"""Receives the number of merges so far; its exceptions end the work."""


def _silent(n_merges: int) -> None:
    """The default :data:`MergeCallback`."""


@dataclass(frozen=True, eq=False)
class MergeRules:
    """Restrictions on merging, besides the mean difference. Each can only keep groups apart.

    Attributes:
        large_size: weight from which a group is large
        large_limit: maximum mean difference of two large groups to merge; None for that of all groups
        owners: ``(n,)`` groups with different owners never merge; -1 for no owner. None if no group has an owner
        cannot_link: ``(k, 2)`` groups that never merge
        co_occurring: ``(k, 2)`` groups that occur in one image, a row for each image; near-duplicates of an image do
            not count
        co_occurrence_penalty: added to the mean difference of two groups, times the share of the smaller group that
            co-occurs with the other
    """

    large_size: float = np.inf
    large_limit: float | None = None
    owners: IntArray | None = None
    cannot_link: IntArray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    co_occurring: IntArray = field(default_factory=lambda: np.empty((0, 2), np.int64))
    co_occurrence_penalty: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether there is no restriction."""
        has_pairs = len(self.cannot_link) or len(self.co_occurring)
        return self.large_limit is None and self.owners is None and not has_pairs

    @property
    def is_reducible(self) -> bool:
        """Whether no merge brings groups closer to a third one, so that what is too far apart never merges."""
        return not (self.co_occurrence_penalty and len(self.co_occurring))


class Merges(NamedTuple):
    """Merges of groups, each given by one member of either group and their mean difference."""

    first: IntArray
    second: IntArray
    heights: FloatArray

    @classmethod
    def none(cls) -> "Merges":
        """No merge."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))

    @classmethod
    def joined(cls, parts: Iterable["Merges"]) -> "Merges":
        """All merges of several parts."""
        return cls(*map(np.concatenate, zip(cls.none(), *parts, strict=True)))

    def groups(self, n: int) -> IntArray:
        """``(n,)`` resulting groups 0, 1, ... in the order of their first members."""
        forest = Forest(n)
        forest.add(self.first, self.second)
        return forest.labels()


def agglomerate(
    means: Vectors,
    weights: FloatArray,
    cut: float,
    rules: MergeRules | None = None,
    *,
    on_merges: MergeCallback = _silent,
) -> IntArray:
    """Merges groups as :func:`find_merges` does, and returns the ``(n,)`` resulting groups 0, 1, ..."""
    return find_merges(means, weights, cut, rules, on_merges=on_merges).groups(len(means))


def find_merges(
    means: Vectors,
    weights: FloatArray,
    cut: float,
    rules: MergeRules | None = None,
    *,
    on_merges: MergeCallback = _silent,
) -> Merges:
    """Merges the two nearest groups, again and again, while their mean difference is up to ``cut``.

    Exact average linkage (UPGMA; Sokal and Michener, 1958): the mean difference of all pairs between two groups of unit
    vectors is ``(1 - a . b) / 2`` of their mean vectors, which are not of unit length. A few thousand groups of equal
    weight without rules are merged by scipy. Others are merged by reciprocal nearest neighbors (Murtagh, 1983): average
    linkage is reducible, i.e. no merge brings groups closer to a third one, so all pairs that are nearest to each other
    can merge at once. This takes memory for the means and one block, and the time of comparing all pairs two or three
    times.

    Being reducible, the merges up to a smaller cut are those that a run with that cut makes, unless rules forbid some.

    Args:
        means: ``(n, dim)`` mean vectors of the initial groups; the mean of a single image is the image
        weights: ``(n,)`` weight of each in a mean
        cut: maximum mean difference of groups to merge
        rules (None): restrictions
        on_merges: called after each block of comparisons, at least every second or so, with the number of merges so
            far; its exceptions end the work

    Returns:
        the merges, in any order
    """
    rules = rules or MergeRules()
    if 1 < len(means) <= _MAX_SCIPY and rules.is_empty and (weights == weights[0]).all():
        return _merges_by_scipy(means, cut, on_merges)
    state = _Agglomeration(means, weights, cut, rules, on_merges)
    while state.merge_reciprocal_neighbors():
        pass
    return Merges.joined(state.merges)


def count_compared(means: Vectors, weights: FloatArray, cut: float) -> int:
    """Merges without a matrix, as a large number of groups is merged, and counts the pairs that this compares."""
    state = _Agglomeration(means, weights, cut, MergeRules(), _silent)
    state.max_matrix = 0
    while state.merge_reciprocal_neighbors():
        pass
    return state.n_compared


def seconds_per_comparison(means: Vectors) -> float:
    """Time of one of the comparisons in a large block, on this machine under its current load."""
    state = _Agglomeration(means, np.ones(len(means)), 0.0, MergeRules(), _silent)
    state.max_matrix = 0
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        state.merge_reciprocal_neighbors()
        best = min(best, time.perf_counter() - start)
        state.active = state.stale = np.arange(len(means))
    return best / len(means) ** 2


def _merges_by_scipy(means: Vectors, cut: float, on_merges: MergeCallback) -> Merges:
    from scipy.cluster.hierarchy import linkage

    exact, n = means.astype(np.float64), len(means)
    differences, end = np.empty(n * (n - 1) // 2), 0
    for start in range(0, n, _ROWS):
        halves = exact[start : start + _ROWS] / 2 @ exact[start:].T
        for row, half in enumerate(halves, 1):
            begin, end = end, end + len(half) - row
            np.subtract(0.5, half[row:], out=differences[begin:end])
        on_merges(0)
    np.maximum(differences, 0, out=differences)
    tree = linkage(differences, "average")
    member = np.concatenate([np.arange(n), tree[:, 0].astype(np.int64)])  # one part of each group, so one image
    while (member >= n).any():
        member = member[member]
    tree = tree[tree[:, 2] <= cut]
    first, second = member[tree[:, :2].astype(np.int64).T]
    return Merges(first, second, tree[:, 2])


def co_occurrence_penalties(
    co_occurring: IntArray, weights: FloatArray, penalty: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of groups that co-occur, each pair once, and the penalty of each, up to ``penalty``."""
    low, high = co_occurring.min(axis=1, initial=len(weights)), co_occurring.max(axis=1, initial=-1)
    keys, counts = np.unique((low * len(weights) + high)[low != high], return_counts=True)
    first, second = np.divmod(keys, len(weights))
    return first, second, penalty * np.minimum(counts / np.minimum(weights[first], weights[second]), 1)


class _Agglomeration:
    """Groups that may still merge, and the nearest neighbor of each. A group is named by one of its members."""

    def __init__(
        self, means: Vectors, weights: FloatArray, cut: float, rules: MergeRules, on_merges: MergeCallback
    ) -> None:
        self.means, self.weights = means.copy(), weights.astype(np.float64)
        self.cut, self.rules, self.on_merges = cut, rules, on_merges
        self.n_merges = self.n_compared = 0
        self.max_matrix = _MAX_MATRIX
        self.merged_into = np.arange(len(means))
        self.merges: list[Merges] = []
        self.owners = None if rules.owners is None else rules.owners.copy()
        self.cannot_link, self.co_occurring = rules.cannot_link.copy(), rules.co_occurring.copy()
        self.active = np.arange(len(means))
        self.nearest = np.full(len(means), -1)
        self.heights = np.full(len(means), np.inf)  # mean difference to the nearest
        self.stale = self.active  # groups whose nearest neighbor has to be found again
        self.matrix: _CosineMatrix | None = None
        self.penalties = co_occurrence_penalties(self.co_occurring, self.weights, rules.co_occurrence_penalty)

    def merge_reciprocal_neighbors(self) -> bool:
        """Merges all pairs that are nearest to each other; False if there is none."""
        self._find_nearest()
        candidates = self.active[self.heights[self.active] <= self.cut]
        if self.rules.is_reducible:
            self.active = candidates
        if not len(candidates):
            return False
        reciprocal = self.nearest[self.nearest[candidates]]
        first = candidates[(reciprocal == candidates) & (candidates < self.nearest[candidates])]
        if not len(first):  # rounding made a cycle of groups at equal distances
            first = np.array([candidates[np.argmin(self.heights[candidates])]])
        self._merge(first, self.nearest[first])
        return True

    def _roots(self) -> IntArray:
        while True:
            parents = self.merged_into[self.merged_into]
            if (parents == self.merged_into).all():
                return self.merged_into
            self.merged_into = parents

    def _merge(self, left: IntArray, right: IntArray) -> None:
        first, second = np.minimum(left, right), np.maximum(left, right)
        self.merges.append(Merges(first, second, self.heights[left]))
        self.n_merges += len(first)
        total = self.weights[first] + self.weights[second]
        share = (self.weights[first] / total)[:, None]
        if self.matrix is not None:
            self.matrix.merge(first, second, share.astype(np.float32))
        self.means[first] = (share * self.means[first] + (1 - share) * self.means[second]).astype(np.float32)
        self.weights[first] = total
        self.merged_into[second] = first
        if self.owners is not None:
            self.owners[first] = np.maximum(self.owners[first], self.owners[second])
        self._deactivate(first, second)

    def _deactivate(self, kept: IntArray, gone: IntArray) -> None:
        """Drops merged groups, and marks those whose nearest neighbor changed as stale."""
        is_gone = np.zeros(len(self.merged_into), np.bool_)
        is_gone[gone] = True
        is_changed = is_gone.copy()
        is_changed[kept] = True
        self.active = self.active[~is_gone[self.active]]
        if len(self.cannot_link) or len(self.co_occurring):
            roots = self._roots()
            self.cannot_link, self.co_occurring = roots[self.cannot_link], roots[self.co_occurring]
        if not self.rules.is_reducible:
            self.stale = self.active
            return
        is_active = np.zeros(len(self.merged_into), np.bool_)
        is_active[self.active] = True
        nearest = self.nearest[self.active]
        self.stale = self.active[is_changed[self.active] | is_changed[nearest] | ~is_active[nearest]]

    def _find_nearest(self) -> None:
        """Finds the nearest neighbor of each stale group."""
        if len(self.active) < 2:
            self.heights[self.active] = np.inf
            return
        if len(self.active) <= self.max_matrix and (self.matrix is None or 2 * len(self.active) < self.matrix.size):
            self.matrix = _CosineMatrix(self.active, self.means)
        columns = self.means[self.active] if self.matrix is None else None
        self.penalties = co_occurrence_penalties(self.co_occurring, self.weights, self.rules.co_occurrence_penalty)
        column_of = np.full(len(self.merged_into), -1)
        column_of[self.active] = np.arange(len(self.active))
        step = max(1, _CELLS // len(self.active))
        for start in range(0, len(self.stale), step):
            rows = self.stale[start : start + step]
            if columns is None:
                assert self.matrix is not None
                cosines = self.matrix.between(rows, self.active)
            else:
                cosines = self.means[rows] @ columns.T
            cosines[np.arange(len(rows)), column_of[rows]] = _FORBIDDEN
            self._apply_rules(cosines, rows, column_of)
            self._pick_nearest(cosines, rows)
            self.n_compared += cosines.size
            self.on_merges(self.n_merges)

    def _apply_rules(self, cosines: Vectors, rows: IntArray, column_of: IntArray) -> None:
        """Lowers the cosines of groups that rules keep apart, by twice what is added to their difference."""
        rules = self.rules
        if rules.large_limit is not None:
            is_large = self.weights >= rules.large_size
            both_large = np.ix_(is_large[rows], is_large[self.active])
            cosines[both_large] -= np.float32(2 * (self.cut - rules.large_limit))
        if self.owners is not None:
            row_owners, column_owners = self.owners[rows][:, None], self.owners[self.active]
            cosines[(row_owners != column_owners) & (row_owners >= 0) & (column_owners >= 0)] = _FORBIDDEN
        row_of = np.full(len(self.merged_into), -1)
        row_of[rows] = np.arange(len(rows))
        first, second, penalties = self.penalties
        for left, right in ((first, second), (second, first)):
            in_block = (row_of[left] >= 0) & (column_of[right] >= 0)
            cosines[row_of[left[in_block]], column_of[right[in_block]]] -= (2 * penalties[in_block]).astype(np.float32)
        if len(self.cannot_link):
            left, right = np.concatenate([self.cannot_link, self.cannot_link[:, ::-1]]).T
            in_block = (row_of[left] >= 0) & (column_of[right] >= 0)
            cosines[row_of[left[in_block]], column_of[right[in_block]]] = _FORBIDDEN

    def _pick_nearest(self, cosines: Vectors, rows: IntArray) -> None:
        best = cosines.argmax(axis=1)
        value = cosines[np.arange(len(rows)), best]
        n_tied = np.count_nonzero(cosines >= (value - _TIE)[:, None], axis=1)
        for row in np.flatnonzero((n_tied > 1) & (value > _FORBIDDEN)):
            best[row] = self._break_tie(cosines, rows, int(row), value[row])
        value = cosines[np.arange(len(rows)), best]
        self.nearest[rows] = self.active[best]
        self.heights[rows] = np.where(value > _FORBIDDEN / 2, (1 - value.astype(np.float64)) / 2, np.inf)

    def _break_tie(self, cosines: Vectors, rows: IntArray, row: int, value: np.float32) -> int:
        """The nearest of several groups at nearly the same distance, by float64; the first of equal ones."""
        tied = np.flatnonzero(cosines[row] >= value - _TIE)
        exact = self.means[self.active[tied]].astype(np.float64) @ self.means[rows[row]].astype(np.float64)
        lowered = (exact - cosines[row, tied]).round(4)  # by the rules
        return int(tied[np.argmax((exact - lowered).round(9))])


class _CosineMatrix:
    """Cosines of the means of some groups, updated as groups merge instead of computed again.

    Lance and Williams (1967): the cosine of a merged group is the weighted mean of those of its parts.
    """

    def __init__(self, groups: IntArray, means: Vectors) -> None:
        self.size = len(groups)
        self._place = np.full(len(means), -1)
        self._place[groups] = np.arange(len(groups))
        vectors = means[groups]
        self._cosines: NDArray[np.float32] = vectors @ vectors.T

    def between(self, rows: IntArray, columns: IntArray) -> Vectors:
        """A copy of the cosines of some groups with some others."""
        cosines: Vectors = self._cosines[self._place[rows]]
        return cosines if len(columns) == self.size else cosines[:, self._place[columns]]

    def merge(self, kept: IntArray, gone: IntArray, share: Vectors) -> None:
        """Merges groups ``gone`` into ``kept``; ``share`` is the weight of the latter in each result."""
        kept, gone = self._place[kept], self._place[gone]
        merged = share * self._cosines[kept] + (1 - share) * self._cosines[gone]
        merged[:, kept] = share.T * merged[:, kept] + (1 - share.T) * merged[:, gone]
        self._cosines[kept] = merged
        self._cosines[:, kept] = merged.T
