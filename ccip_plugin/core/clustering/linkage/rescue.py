"""Rescue: assigns single images and small groups to a clearly nearest group."""

from collections.abc import Callable

import numpy as np

from ...arrays import BoolArray, FloatArray, IntArray, Labels, Vectors
from ...neighbors.vectors import UnitRows
from .agglomeration import MergeRules, co_occurrence_penalties

_MARGIN_WEIGHT = 0.38  # of the margin, relative to the similarity to the closest member
_CELLS = 1 << 22  # cells of a block of small and big groups: 16 MiB


def rescue(
    small_means: Vectors,
    big_means: Vectors,
    small: IntArray,
    big: IntArray,
    weights: FloatArray,
    *,
    reach: float,
    evidence: float,
    closest: Callable[[IntArray, IntArray], FloatArray],
    rules: MergeRules | None = None,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Assigns small groups to big ones on strong evidence.

    Evidence is how much closer the closest member is than the members on average, since an image of a character is very
    similar to some of its images, while an image of another character is about equally far from all; plus 0.38 times
    the margin to the second nearest group, at most half the reach. One pass, with the means as they are. Small groups
    restricted by rules are assigned in the order of their differences.

    Args:
        small_means: ``(k, dim)`` mean vectors of small groups
        big_means: ``(m, dim)`` mean vectors of big groups
        small: ``(k,)`` numbers of the small groups
        big: ``(m,)`` numbers of the big groups
        weights: ``(n,)`` number of images of each group
        reach: maximum mean difference
        evidence: minimum evidence
        closest: gives the difference of each of some small groups to the closest member of a big one
        rules (None): restrictions

    Returns:
        for each group, the group it is assigned to, its mean difference to the nearest big group, and to the second
        nearest; infinite without one
    """
    assigned = np.arange(len(weights))
    first, second = np.full((2, len(weights)), np.inf)
    nearest = np.full(len(weights), -1)
    step = max(1, _CELLS // max(1, len(big)))
    for start in range(0, len(small) if len(big) else 0, step):
        part = small[start : start + step]
        cosines = small_means[start : start + step] @ big_means.T
        if rules is not None:
            _apply_rules(rules, cosines, part, big, weights)
        rows, best = np.arange(len(part)), cosines.argmax(axis=1)
        nearest[part], first[part] = big[best], 0.5 - 0.5 * cosines[rows, best]
        cosines[rows, best] = -np.inf
        second[part] = 0.5 - 0.5 * cosines.max(axis=1)
    is_rescued = first <= reach
    margin = np.minimum(second[is_rescued] - first[is_rescued], reach / 2)
    spread = first[is_rescued] - closest(np.flatnonzero(is_rescued), nearest[is_rescued])
    is_rescued[is_rescued] = spread + _MARGIN_WEIGHT * margin >= evidence
    if rules is None:
        assigned[is_rescued] = nearest[is_rescued]
    else:
        _assign_in_order(assigned, nearest, first, is_rescued, rules)
    return assigned, first, second


class ClosestMembers:
    """Finds the difference of a small group to the closest member of a big one.

    Args:
        unit: ``(n, dim)`` unit vectors
        labels: ``(n,)`` groups 0, 1, ...
        small_means: mean vectors of the small groups
        place: for each small group, its row there
    """

    def __init__(self, unit: UnitRows, labels: Labels, small_means: Vectors, place: IntArray) -> None:
        self._unit, self._means, self._place = unit, small_means, place
        self._order = np.argsort(labels, kind="stable")
        self._ends = np.cumsum(np.bincount(labels))

    def __call__(self, small: IntArray, big: IntArray) -> FloatArray:
        closest = np.empty(len(small))
        order = np.argsort(big, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(big[order])) + 1) if len(order) else []:
            members = self._members(int(big[rows[0]]))
            closest[rows] = 0.5 - 0.5 * (self._means[self._place[small[rows]]] @ members.T).max(axis=1)
        return closest

    def _members(self, group: int) -> Vectors:
        start = self._ends[group - 1] if group else 0
        return self._unit[self._order[start : self._ends[group]]]


def _apply_rules(rules: MergeRules, cosines: Vectors, part: IntArray, big: IntArray, weights: FloatArray) -> None:
    """Lowers the cosines of small groups ``part`` and big ones that rules keep apart."""
    row, column = np.full((2, len(weights)), -1)
    row[part], column[big] = np.arange(len(part)), np.arange(len(big))
    left, right, penalties = co_occurrence_penalties(rules.co_occurring, weights, rules.co_occurrence_penalty)
    forbidden = np.full(len(rules.cannot_link), np.inf)
    pairs = ((left, right, penalties), (*rules.cannot_link.T, forbidden))
    for first, second, added in (*pairs, *((second, first, added) for first, second, added in pairs)):
        in_block = (row[first] >= 0) & (column[second] >= 0)
        cosines[row[first[in_block]], column[second[in_block]]] -= 2 * added[in_block]
    if rules.owners is not None:
        row_owners, column_owners = rules.owners[part][:, None], rules.owners[big]
        cosines[(row_owners != column_owners) & (row_owners >= 0) & (column_owners >= 0)] = -np.inf


def _assign_in_order(
    assigned: IntArray, nearest: IntArray, differences: FloatArray, is_rescued: BoolArray, rules: MergeRules
) -> None:
    """Assigns the groups, except where rules keep one apart from another that was assigned before."""
    is_restricted = np.zeros(len(assigned), np.bool_)
    is_restricted[rules.cannot_link.ravel()] = True
    is_restricted[rules.co_occurring.ravel()] = rules.co_occurrence_penalty > 0
    owners = np.full(len(assigned), -1) if rules.owners is None else rules.owners.copy()
    is_restricted |= owners >= 0
    free = is_rescued & ~is_restricted
    assigned[free] = nearest[free]
    kept_apart: dict[int, list[int]] = {}
    for pairs in (rules.cannot_link, rules.co_occurring if rules.co_occurrence_penalty else rules.cannot_link[:0]):
        for first, second in pairs.tolist():
            kept_apart.setdefault(first, []).append(second)
            kept_apart.setdefault(second, []).append(first)
    restricted = np.flatnonzero(is_rescued & is_restricted)
    for group in restricted[np.argsort(differences[restricted], kind="stable")].tolist():
        target = int(nearest[group])
        has_other_owner = owners[group] >= 0 and owners[target] >= 0 and owners[group] != owners[target]
        others = kept_apart.get(group, ())
        if has_other_owner or any(other != target and assigned[other] == target for other in others):
            continue
        assigned[group] = target
        owners[target] = max(owners[target], owners[group])
