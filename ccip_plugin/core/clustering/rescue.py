"""Puts single images and tiny groups into a group that is clearly the nearest."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, IntArray, Vectors
from .agglomeration import Rules, pushes

_WEIGHT = 0.38  # of a margin, beside the closeness of a part of the group
_CELLS = 1 << 22  # of the block of small and big groups that are compared at a time: 16 MiB


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
    rules: Rules | None = None,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Finds small groups that belong to a big one on strong evidence.

    The evidence is how much nearer its closest member is than its members on average, as an image of a character is
    much like some images of it and an image of another is about as far from all, plus 0.38 times the margin to the
    second nearest group, at most half the reach. One pass, all against the same means. Where rules keep groups apart,
    small groups that they concern come in the order of their differences.

    Args:
        small_means: ``(k, dim)`` mean vectors of small groups
        big_means: ``(m, dim)`` of big ones
        small: ``(k,)`` numbers of the small groups among all
        big: ``(m,)`` numbers of the big ones
        weights: how many images each group has
        reach: the largest mean difference
        evidence: the least evidence
        closest: gives the difference of each of some small groups to the closest member of a big one
        rules (None): what keeps groups apart

    Returns:
        for each group, the group that it belongs to, its mean difference to the nearest big group, and to the second
        nearest; infinite where there is none
    """
    into = np.arange(len(weights))
    first, second = np.full((2, len(weights)), np.inf)
    nearest = np.full(len(weights), -1)
    step = max(1, _CELLS // max(1, len(big)))
    for start in range(0, len(small) if len(big) else 0, step):
        part = small[start : start + step]
        closeness = small_means[start : start + step] @ big_means.T
        if rules is not None:
            _apply(rules, closeness, part, big, weights)
        rows, best = np.arange(len(part)), closeness.argmax(axis=1)
        nearest[part], first[part] = big[best], 0.5 - 0.5 * closeness[rows, best]
        closeness[rows, best] = -np.inf
        second[part] = 0.5 - 0.5 * closeness.max(axis=1)
    joins = first <= reach
    margin = np.minimum(second[joins] - first[joins], reach / 2)
    spread = first[joins] - closest(np.flatnonzero(joins), nearest[joins])
    joins[joins] = spread + _WEIGHT * margin >= evidence
    if rules is None:
        into[joins] = nearest[joins]
    else:
        _join_in_order(into, nearest, first, joins, rules)
    return into, first, second


def _apply(rules: Rules, closeness: Vectors, part: IntArray, big: IntArray, weights: FloatArray) -> None:
    """Lowers the closeness of small groups ``part`` and big ones as the rules say, by twice the difference."""
    row, column = np.full((2, len(weights)), -1)
    row[part], column[big] = np.arange(len(part)), np.arange(len(big))
    first, last, added = pushes(rules.shared, weights, rules.push)
    one_way = ((first, last, added), (*rules.apart.T, np.full(len(rules.apart), np.inf)))
    for one, other, more in (*one_way, *((other, one, more) for one, other, more in one_way)):
        here = (row[one] >= 0) & (column[other] >= 0)
        closeness[row[one[here]], column[other[here]]] -= 2 * more[here]
    if rules.owners is not None:
        owned, by = rules.owners[part][:, None], rules.owners[big]
        closeness[(owned != by) & (owned >= 0) & (by >= 0)] = -np.inf


def _join_in_order(
    into: IntArray, nearest: IntArray, first: FloatArray, joins: NDArray[np.bool_], rules: Rules
) -> None:
    """Joins the groups, leaving out those that the rules keep from one that joined before."""
    is_bound = np.zeros(len(into), np.bool_)
    is_bound[rules.apart.ravel()] = True
    is_bound[rules.shared.ravel()] = rules.push > 0
    owners = np.full(len(into), -1) if rules.owners is None else rules.owners.copy()
    is_bound |= owners >= 0
    free = joins & ~is_bound
    into[free] = nearest[free]
    foes: dict[int, list[int]] = {}
    for pairs in (rules.apart, rules.shared if rules.push else rules.apart[:0]):
        for one, other in pairs.tolist():
            foes.setdefault(one, []).append(other)
            foes.setdefault(other, []).append(one)
    bound = np.flatnonzero(joins & is_bound)
    for group in bound[np.argsort(first[bound], kind="stable")].tolist():
        target = int(nearest[group])
        is_other = owners[group] >= 0 and owners[target] >= 0 and owners[group] != owners[target]
        if is_other or any(foe != target and into[foe] == target for foe in foes.get(group, ())):
            continue
        into[group] = target
        owners[target] = max(owners[target], owners[group])
