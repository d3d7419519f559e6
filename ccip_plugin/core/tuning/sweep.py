"""What DBSCAN would give for many values of eps, so that people choose one with their eyes open."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ParameterError
from ..neighbors.graph import NeighborGraph
from ..neighbors.pairs import check_radius
from ..progress import ProgressCallback, report

LARGE_SHARE = 0.05
"""Of all images: a group above it is worth a look,"""
LARGE_RATIO = 3
"""when it is also so many times as large as the next one, as chains of groups are,"""
MANY = 200
"""and when there are so many images."""

_TOLERANCE = 0.02  # of the images; how much may change in a place that is called stable


@dataclass(frozen=True, eq=False)
class Sweep:
    """Groups of ``n`` images as eps grows. A group is two images or more that are connected.

    Attributes:
        n: how many images there are
        eps: ``(k,)`` increasing values
        n_groups: ``(k,)`` how many groups there are
        unassigned: ``(k,)`` share of the images in no group
        largest: ``(k,)`` share of the images in the largest group
        second: ``(k,)`` share of the images in the next one
        changed: ``(k,)`` share of the images whose group is another than at the value before, counting those of the
            smaller part where groups met; 0 for the first value
    """

    n: int
    eps: NDArray[np.float64]
    n_groups: NDArray[np.int64]
    unassigned: NDArray[np.float64]
    largest: NDArray[np.float64]
    second: NDArray[np.float64]
    changed: NDArray[np.float64]

    def safe_eps(self) -> float | None:
        """The largest value of eps before a group looks like a chain of groups; None when one does at the first value.

        Among so many images, DBSCAN chains groups together beyond it. See :func:`looks_chained`.
        """
        chained = [looks_chained(*shares, self.n) for shares in zip(self.largest, self.second, strict=True)]
        last = chained.index(True) - 1 if True in chained else len(self.eps) - 1
        return float(self.eps[last]) if last >= 0 else None

    def at(self, eps: float) -> int:
        """The place of the largest value up to ``eps``, the first place where there is none."""
        return max(0, int(np.searchsorted(self.eps, eps, side="right")) - 1)

    def plateau(self) -> tuple[float, float] | None:
        """The longest stretch of eps where hardly anything changes though there are groups; None without one.

        Before any image has a neighbor and after most are in one group, nothing changes, either: these are left out.
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
    """Whether the largest group may be several characters chained together, judged by sizes alone.

    Args:
        largest: share of the images in the largest group
        second: share of the images in the next one
        n: how many images there are
    """
    return bool(n >= MANY and largest > LARGE_SHARE and largest > LARGE_RATIO * second > 0)


def sweep(graph: NeighborGraph, eps: ArrayLike | None = None, *, progress: ProgressCallback | None = None) -> Sweep:
    """Follows the groups of DBSCAN with ``min_samples=2`` through values of eps, in one pass over the pairs.

    Differences are those of the graph, rounded to its grid.

    Args:
        graph: pairs of images
        eps (None): values up to the radius of the graph; 60 from 0 to the radius by default
        progress (None): told after each value

    Raises:
        ParameterError: there is no value, or one is no difference or over the radius
    """
    values = np.unique(np.linspace(0, graph.radius, 60) if eps is None else np.asarray(eps, np.float64).ravel())
    if not len(values) or values[-1] > graph.radius:
        raise ParameterError("eps", values.tolist(), f"values from 0 to the radius of the graph, {graph.radius:g}")
    check_radius("eps", float(values[0]))
    labels = np.arange(graph.n)
    n_groups, unassigned, largest, second, changed = [], [], [], [], []
    for number, pairs in enumerate(_slices(graph, values)):
        labels, n_moved = _connected(labels, *pairs)
        sizes = np.bincount(labels)
        n_groups.append(int((sizes > 1).sum()))
        unassigned.append(int((sizes == 1).sum()) / max(graph.n, 1))
        next_one, most = (int(size) for size in np.sort([0, 0, *sizes[sizes > 1]])[-2:])
        largest.append(max(most, min(graph.n, 1)) / max(graph.n, 1))
        second.append(next_one / max(graph.n, 1))
        changed.append(n_moved / max(graph.n, 1) if number else 0.0)
        report(progress, "sweeping eps", number + 1, len(values))
    return Sweep(graph.n, values, np.array(n_groups), *map(np.array, (unassigned, largest, second, changed)))


def _slices(graph: NeighborGraph, values: NDArray[np.float64]) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """The pairs that come with each value."""
    differences = np.asarray(graph.differences)
    edges = values.astype(np.float32)
    if values[-1] == graph.radius:
        edges[-1] = np.inf  # a difference may be rounded to just over the radius
    which = np.searchsorted(edges, differences)
    order = np.argsort(which.astype(np.int16), kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(values)))[: len(values)]
    parts = np.split(order[: ends[-1]], ends[:-1])
    return [(graph.rows[part], graph.cols[part]) for part in parts]


def _connected(
    labels: NDArray[np.int64], rows: NDArray[np.int32], cols: NDArray[np.int32]
) -> tuple[NDArray[np.int64], int]:
    """Labels after more pairs, and how many images came to another group: all but those of its largest part."""
    one, other = labels[rows], labels[cols]
    is_new = one != other
    if not is_new.any():
        return labels, 0
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_before = int(labels.max()) + 1
    ones = np.ones(int(is_new.sum()), np.int8)
    matrix = coo_matrix((ones, (one[is_new], other[is_new])), shape=(n_before, n_before))
    n_after, into = connected_components(matrix, directed=False)
    sizes = np.bincount(labels, minlength=n_before)
    most = np.zeros(n_after, np.int64)
    np.maximum.at(most, into, sizes)
    return into[labels].astype(np.int64), int(len(labels) - most.sum())
