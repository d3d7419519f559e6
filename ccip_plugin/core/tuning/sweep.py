"""DBSCAN parameter sweep over eps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, IntArray, RowsAndColumns
from ..errors import ParameterError
from ..neighbors.components import connected_components
from ..neighbors.graph import NeighborGraph
from ..neighbors.pairs import check_radius
from ..progress import ProgressCallback, report

LARGE_SHARE = 0.05
"""A group with a larger share of all images may be a chain of groups,"""
LARGE_RATIO = 3
"""if it is also more than this many times larger than the second largest,"""
MANY = 200
"""and there are at least this many images."""

_N_VALUES = 60
_TOLERANCE = 0.02  # share of the images that may change in a stable range


@dataclass(frozen=True, eq=False)
class Sweep:
    """Groups of ``n`` images as eps grows. A group has two or more connected images.

    Attributes:
        n: number of images
        eps: ``(k,)`` increasing values
        n_groups: ``(k,)`` number of groups
        unassigned: ``(k,)`` share of the images in no group
        largest: ``(k,)`` share of the images in the largest group
        second: ``(k,)`` share of the images in the second largest group
        changed: ``(k,)`` share of the images in another group than at the value before, counting the smaller part when
            groups merge; 0 for the first value
    """

    n: int
    eps: FloatArray
    n_groups: IntArray
    unassigned: FloatArray
    largest: FloatArray
    second: FloatArray
    changed: FloatArray

    def safe_eps(self) -> float | None:
        """The largest value of eps before the largest group looks like a chain of groups; None if it always does.

        With this many images, DBSCAN chains groups together beyond it. See :func:`looks_chained`.
        """
        is_chained = [looks_chained(*shares, self.n) for shares in zip(self.largest, self.second, strict=True)]
        last = is_chained.index(True) - 1 if True in is_chained else len(self.eps) - 1
        return float(self.eps[last]) if last >= 0 else None

    def at(self, eps: float) -> int:
        """The position of the largest value up to ``eps``, 0 if there is none."""
        return max(0, int(np.searchsorted(self.eps, eps, side="right")) - 1)

    def plateau(self) -> tuple[float, float] | None:
        """The longest range of eps in which groups hardly change; None without one.

        Ranges where hardly any image has a neighbor, or most images are in one group, are excluded.
        """
        is_useful = (self.n_groups > 0) & (self.largest < 0.5) & (self.unassigned < 0.9)
        best: tuple[float, float] | None = None
        start = None
        for k in range(1, len(self.eps)):
            if is_useful[k] and is_useful[k - 1] and self.changed[k] <= _TOLERANCE:
                start = k - 1 if start is None else start
                stretch = (float(self.eps[start]), float(self.eps[k]))
                if best is None or stretch[1] - stretch[0] > best[1] - best[0]:
                    best = stretch
            else:
                start = None
        return best


def looks_chained(largest: float, second: float, n: int) -> bool:
    """Whether the largest group may be several characters chained together, by sizes alone.

    Args:
        largest: share of the images in the largest group
        second: share of the images in the second largest group
        n: number of images
    """
    return bool(n >= MANY and largest > LARGE_SHARE and largest > LARGE_RATIO * second > 0)


def sweep(graph: NeighborGraph, eps: ArrayLike | None = None, *, progress: ProgressCallback | None = None) -> Sweep:
    """Computes the groups of DBSCAN with ``min_samples=2`` for many values of eps, in one pass over the pairs.

    Differences are those of the graph, rounded to its grid.

    Args:
        graph: pairs of images
        eps (None): values up to the radius of the graph; 60 from 0 to the radius by default
        progress (None): called after each value

    Raises:
        ParameterError: there is no value, or one is not a difference or larger than the radius
    """
    values = np.unique(np.linspace(0, graph.radius, _N_VALUES) if eps is None else np.asarray(eps, np.float64).ravel())
    if not len(values) or values[-1] > graph.radius:
        raise ParameterError("eps", values.tolist(), f"values from 0 to the radius of the graph, {graph.radius:g}")
    check_radius("eps", float(values[0]))
    n, labels = max(graph.n, 1), np.arange(graph.n)
    n_groups, unassigned, largest, second, changed = [], [], [], [], []
    for number, pairs in enumerate(_pairs_by_value(graph, values)):
        labels, n_moved = _connect(labels, *pairs)
        sizes = np.bincount(labels)
        n_groups.append(int((sizes > 1).sum()))
        unassigned.append(int((sizes == 1).sum()) / n)
        second_size, largest_size = (int(size) for size in np.sort([0, 0, *sizes[sizes > 1]])[-2:])
        largest.append(max(largest_size, min(graph.n, 1)) / n)
        second.append(second_size / n)
        changed.append(n_moved / n if number else 0.0)
        report(progress, "sweeping eps", number + 1, len(values))
    return Sweep(graph.n, values, np.array(n_groups), *map(np.array, (unassigned, largest, second, changed)))


def _pairs_by_value(graph: NeighborGraph, values: FloatArray) -> Iterator[RowsAndColumns]:
    """The pairs that each value adds."""
    differences = np.asarray(graph.differences)
    edges = values.astype(np.float32)
    if values[-1] == graph.radius:
        edges[-1] = np.inf  # a difference may be rounded to just over the radius
    which = np.searchsorted(edges, differences)
    order = np.argsort(which.astype(np.int16), kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(values)))[: len(values)]
    for part in np.split(order[: ends[-1]], ends[:-1]):
        yield graph.rows[part], graph.cols[part]


def _connect(labels: IntArray, rows: NDArray[np.int32], cols: NDArray[np.int32]) -> tuple[IntArray, int]:
    """Labels after more pairs, and how many images joined another group: all but those of its largest part."""
    first, second = labels[rows], labels[cols]
    is_new = first != second
    if not is_new.any():
        return labels, 0
    n_before = int(labels.max()) + 1
    n_after, component = connected_components(n_before, first[is_new], second[is_new])
    sizes = np.bincount(labels, minlength=n_before)
    largest = np.zeros(n_after, np.int64)
    np.maximum.at(largest, component, sizes)
    return component[labels].astype(np.int64), int(len(labels) - largest.sum())
