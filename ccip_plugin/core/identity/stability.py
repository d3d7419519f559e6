"""Keeps groups of an earlier run where a new one would merge or split them on weak evidence only."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Labels, Vectors
from ..differences import normalize

MARGIN = 0.06
"""How far, as a share of the limit, a mean difference must be beyond it before groups that people know are changed."""

_LARGE = 5  # images from which a group counts as large
_PART = 2  # images of an old group that are a part of it


def steady(
    labels: ArrayLike,
    previous: ArrayLike,
    embeddings: ArrayLike,
    *,
    limit: float,
    threshold: float,
    min_samples: int = 2,
    is_bound: NDArray[np.bool_] | None = None,
    shared: NDArray[np.int64] | None = None,
    margin: float = MARGIN,
) -> Labels:
    """Takes back merges and splits of earlier groups for which the mean difference is hardly beyond the limit.

    As images are added, mean differences and the limit move a little, and two large groups just at the limit would be
    merged in one run and split in the next. So two parts of an earlier group stay together up to somewhat more than the
    limit, and two earlier groups are merged only at somewhat less. What a run gives stays as it is in the next one on
    the same images. Groups in which anybody decided anything are left as they are.

    Args:
        labels: ``(n,)`` groups that were found, negative for none
        previous: ``(n,)`` groups of the earlier run, negative for none
        embeddings: ``(n, dim)`` embeddings of any length
        limit: the mean difference up to which large groups were merged
        threshold: that up to which others were
        min_samples (2): how many images make a group
        is_bound (None): ``(n,)`` images that people decided on
        shared (None): ``(k, 2)`` pairs of crops of one picture; groups with such a pair between them are not joined
        margin: how weak weak evidence is, as a share of the limit

    Returns:
        ``(n,)`` labels; negative ones are as they were
    """
    found, before = np.array(labels, np.int64), np.asarray(previous, np.int64)
    known = np.flatnonzero((found >= 0) & (before >= 0))
    if not len(known):
        return found
    unit, bound = normalize(embeddings), np.zeros(len(found), np.bool_) if is_bound is None else is_bound
    for step in (_Run.part_groups, _Run.join_parts):  # parted first: then what of a group went elsewhere can come back
        touched = np.unique(found[bound & (found >= 0)]).tolist()
        rivals = set() if shared is None else {frozenset(pair) for pair in found[shared].tolist()}
        run = _Run(found, before, known, unit, _Limits(limit, threshold, margin, min_samples), touched, rivals)
        step(run)
        found = run.labels
    return found


class _Limits(NamedTuple):
    """How far groups may be from each other, and how many images make one."""

    limit: float
    threshold: float
    margin: float
    min_samples: int

    def between(self, size: int, other: int) -> float:
        return self.limit if min(size, other) >= _LARGE else self.threshold


class _Run:
    """The labels while they change. Groups that were touched are not looked at again."""

    def __init__(
        self,
        labels: Labels,
        before: Labels,
        known: Labels,
        unit: Vectors,
        limits: _Limits,
        touched: Iterable[int],
        rivals: Container[frozenset[int]],
    ) -> None:
        self.labels, self.before, self.unit = labels, before, unit
        self.limits, self.touched, self.rivals = limits, set(touched), rivals
        self.pairs = Counter(zip(labels[known].tolist(), before[known].tolist(), strict=True))
        self.n_known = Counter(labels[known].tolist())
        self.totals = Counter(before[known].tolist())
        self.sizes = np.bincount(labels[labels >= 0])
        order = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[order], np.arange(len(self.sizes) + 1))
        self._rows = [order[start:end] for start, end in itertools.pairwise(bounds)]

    def join_parts(self) -> None:
        """Joins the groups that are mostly parts of one earlier group."""
        parts = defaultdict(list)
        for (group, old), n in self.pairs.items():
            if n >= _PART and 2 * n > self.n_known[group] and group not in self.touched:
                parts[old].append(group)
        for groups in parts.values():
            main, *others = sorted(groups, key=lambda group: (-self.sizes[group], group))
            for group in others:
                apart = self._apart(self._rows[main], self._rows[group])
                most = (1 + self.limits.margin) * self.limits.between(self.sizes[main], self.sizes[group])
                if frozenset((main, group)) not in self.rivals and apart <= most:
                    self.labels[self._rows[group]] = main
                    self.touched.update((main, group))

    def part_groups(self) -> None:
        """Parts the groups into which several earlier groups went whole."""
        wholes = defaultdict(list)
        for (group, old), n in self.pairs.items():
            if n >= _PART and 2 * n > self.totals[old] and group not in self.touched:
                wholes[group].append(old)
        number = len(self.sizes)
        for group, olds in sorted(wholes.items()):
            if len(olds) == 2:
                parts = self._parts(self._rows[group], sorted(olds))
                if min(map(len, parts)) >= self.limits.min_samples and self._are_weakly_tied(*parts):
                    self.labels[parts[1]] = number
                    number += 1

    def _parts(self, rows: Labels, olds: list[int]) -> tuple[Labels, Labels]:
        """The members of two earlier groups, each with the other images that are nearer to it than to the other."""
        one, other = (rows[self.before[rows] == old] for old in olds)
        rest = rows[~np.isin(self.before[rows], olds)]
        is_nearer = self.unit[rest] @ self._mean(one) >= self.unit[rest] @ self._mean(other)
        return np.concatenate([one, rest[is_nearer]]), np.concatenate([other, rest[~is_nearer]])

    def _are_weakly_tied(self, one: Labels, other: Labels) -> bool:
        return self._apart(one, other) > (1 - self.limits.margin) * self.limits.between(len(one), len(other))

    def _apart(self, one: Labels, other: Labels) -> float:
        return float(0.5 - 0.5 * (self._mean(one) @ self._mean(other)))

    def _mean(self, rows: Labels) -> NDArray[np.float64]:
        return self.unit[np.sort(rows)].mean(axis=0, dtype=np.float64)
