"""Hysteresis: keeps the groups of an earlier run where a new run merges or splits them on weak evidence."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Container, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, FloatArray, IntArray, Labels, Vectors
from ..differences import normalize

MARGIN = 0.06
"""Margin around the limit, as a share of it, within which a mean difference changes no existing group."""

_LARGE = 5  # images from which a group is large
_PART = 2  # images of an earlier group that count as a part of it


def apply_hysteresis(
    labels: ArrayLike,
    previous: ArrayLike,
    embeddings: ArrayLike,
    *,
    limit: float,
    threshold: float,
    min_samples: int = 2,
    is_constrained: BoolArray | None = None,
    co_occurring: IntArray | None = None,
    margin: float = MARGIN,
) -> Labels:
    """Reverts merges and splits of earlier groups whose mean difference is within a margin of the limit (hysteresis).

    As images are added, mean differences and the limit change slightly, and two large groups at the limit would be
    merged in one run and split in the next. Therefore two parts of an earlier group stay together up to slightly more
    than the limit, and two earlier groups are merged only at slightly less. The result is stable: the next run on the
    same images gives the same groups. Groups with constrained images are not changed.

    Args:
        labels: ``(n,)`` groups of this run, negative for none
        previous: ``(n,)`` groups of the earlier run, negative for none
        embeddings: ``(n, dim)`` embeddings of any length
        limit: mean difference up to which large groups were merged
        threshold: mean difference up to which other groups were merged
        min_samples (2): number of images that make a group
        is_constrained (None): ``(n,)`` whether an image is constrained
        co_occurring (None): ``(k, 2)`` pairs of detections in one image; groups with such a pair are not joined
        margin: margin around the limit, as a share of it

    Returns:
        ``(n,)`` labels; negative ones are unchanged
    """
    groups, before = np.array(labels, np.int64), np.asarray(previous, np.int64)
    known = np.flatnonzero((groups >= 0) & (before >= 0))
    if not len(known):
        return groups
    unit = normalize(embeddings)
    fixed = np.zeros(len(groups), np.bool_) if is_constrained is None else is_constrained
    pairs = np.empty((0, 2), np.int64) if co_occurring is None else co_occurring
    for step in (_Groups.split_merged, _Groups.join_split):  # split first: then what went elsewhere can come back
        touched = np.unique(groups[fixed & (groups >= 0)]).tolist()
        rivals = {frozenset(pair) for pair in groups[pairs].tolist()}
        state = _Groups(groups, before, known, unit, _Limits(limit, threshold, margin, min_samples), touched, rivals)
        step(state)
        groups = state.labels
    return groups


class _Limits(NamedTuple):
    """Maximum mean differences, and the number of images that make a group."""

    limit: float
    threshold: float
    margin: float
    min_samples: int

    def between(self, left_size: int, right_size: int) -> float:
        return self.limit if min(left_size, right_size) >= _LARGE else self.threshold


class _Groups:
    """Labels that are changed group by group. Groups that were touched are not changed again."""

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
        self.n_before = Counter(before[known].tolist())
        self.sizes = np.bincount(labels[labels >= 0])
        order = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[order], np.arange(len(self.sizes) + 1))
        self._rows = [order[start:end] for start, end in itertools.pairwise(bounds)]

    def join_split(self) -> None:
        """Joins groups that are mostly parts of one earlier group."""
        parts = defaultdict(list)
        for (group, earlier), n in self.pairs.items():
            if n >= _PART and 2 * n > self.n_known[group] and group not in self.touched:
                parts[earlier].append(group)
        for groups in parts.values():
            main, *others = sorted(groups, key=lambda group: (-self.sizes[group], group))
            for group in others:
                difference = self._mean_difference(self._rows[main], self._rows[group])
                maximum = (1 + self.limits.margin) * self.limits.between(self.sizes[main], self.sizes[group])
                if frozenset((main, group)) not in self.rivals and difference <= maximum:
                    self.labels[self._rows[group]] = main
                    self.touched.update((main, group))

    def split_merged(self) -> None:
        """Splits groups into which two earlier groups were merged."""
        wholes = defaultdict(list)
        for (group, earlier), n in self.pairs.items():
            if n >= _PART and 2 * n > self.n_before[earlier] and group not in self.touched:
                wholes[group].append(earlier)
        number = len(self.sizes)
        for group, merged in sorted(wholes.items()):
            if len(merged) == 2:
                parts = self._parts(self._rows[group], sorted(merged))
                if min(map(len, parts)) >= self.limits.min_samples and self._is_weakly_merged(*parts):
                    self.labels[parts[1]] = number
                    number += 1

    def _parts(self, rows: Labels, merged: list[int]) -> tuple[Labels, Labels]:
        """The members of two earlier groups, each with the other images that are nearer to it."""
        left, right = (rows[self.before[rows] == earlier] for earlier in merged)
        rest = rows[~np.isin(self.before[rows], merged)]
        is_left = self.unit[rest] @ self._mean(left) >= self.unit[rest] @ self._mean(right)
        return np.concatenate([left, rest[is_left]]), np.concatenate([right, rest[~is_left]])

    def _is_weakly_merged(self, left: Labels, right: Labels) -> bool:
        minimum = (1 - self.limits.margin) * self.limits.between(len(left), len(right))
        return self._mean_difference(left, right) > minimum

    def _mean_difference(self, left: Labels, right: Labels) -> float:
        return float(0.5 - 0.5 * (self._mean(left) @ self._mean(right)))

    def _mean(self, rows: Labels) -> FloatArray:
        mean: FloatArray = self.unit[np.sort(rows)].mean(axis=0, dtype=np.float64)
        return mean
