"""What some images, compared with all others, say about a graph of neighbors: before it is built, and after."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray, Vectors
from ..progress import ProgressCallback, report
from .cells import cell_operations, count_cells
from .graph import NeighborGraph
from .pairs import Pairs, check_radius, joined, least_cosine, picked, round_differences, up_to_radius
from .vectors import VectorSource, stored_vectors

_DRAWN = 512
_DRAWN_BEFORE = 64
_SEED = 1234
_BLOCK = 1 << 14
_TIMED = 2048  # vectors of which the products are timed
_CROWDED = 2.5  # times that cells are larger for those who look into them than on average
_EXACT_SHARE, _CELLS_SHARE = 0.75, 0.4  # of the speed of such products
_BYTES = 12  # of a pair on disk
_SPOOLED = 32  # of a pair while an approximate graph is built


@dataclass(frozen=True)
class Quality:
    """How good an approximate graph is, measured on images drawn at random, whose neighbors were all found.

    Attributes:
        n_drawn: how many images were drawn
        recall: share of their neighbors, of each image the nearest up to the cap, that the graph has
        complete: share of these images of which it has all of them
        capped: share of these images that have more neighbors than the cap
        cap: how many neighbors of each image are kept at least
    """

    n_drawn: int
    recall: float
    complete: float
    capped: float
    cap: int


@dataclass(frozen=True)
class Estimate:
    """What it takes to build a graph, roughly.

    Attributes:
        seconds: time, on this machine and as busy as it is
        disk_bytes: most room on disk while it is built
        n_pairs: pairs in the end
    """

    seconds: float
    disk_bytes: int
    n_pairs: int


def measured_quality(graph: NeighborGraph, cap: int, *, progress: ProgressCallback | None = None) -> Quality:
    """Compares images drawn at random with all others, and counts how many of their neighbors a graph has.

    Args:
        graph: a graph with vectors
        cap: up to how many of the nearest neighbors of each image count
        progress (None): told after each block
    """
    assert graph.vectors is not None
    chosen = _drawn(graph.n, _DRAWN)
    pairs = _neighbors(graph.vectors, chosen, graph.radius, progress)
    degrees = np.bincount(np.searchsorted(chosen, pairs.rows), minlength=len(chosen))
    rank = np.arange(len(pairs.rows)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    wanted = _keys(picked(pairs, rank < cap), graph.n)
    is_there = np.isin(wanted, _keys_around(graph, chosen), assume_unique=True)
    n, n_lacking = max(len(chosen), 1), len(np.unique(wanted[~is_there] // max(graph.n, 1)))
    recall = float(is_there.mean()) if len(wanted) else 1.0
    return Quality(len(chosen), recall, 1 - n_lacking / n, float(np.count_nonzero(degrees > cap)) / n, cap)


def estimate_graph(
    embeddings: ArrayLike | VectorSource, radius: float, *, cap: int | None = None, n_probes: int | None = None
) -> Estimate:
    """Estimates what it takes to build a graph of neighbors, by comparing a few images with all.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference
        cap (None): how many neighbors of each image are kept, for an approximate graph; an exact one by default
        n_probes (None): how many cells each image looks into, for an approximate graph

    Raises:
        ParameterError: the radius is not from 0 to 1
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_radius("radius", radius)
    unit = stored_vectors(embeddings)
    (n, dim), chosen = unit.shape, _drawn(len(unit), _DRAWN_BEFORE)
    if not n:
        return Estimate(0.0, 0, 0)
    pairs = _neighbors(unit, chosen, radius, None)
    degrees = np.bincount(np.searchsorted(chosen, pairs.rows), minlength=len(chosen))
    rate = _operations_a_second(unit[:_TIMED])
    if cap is None or n_probes is None:
        n_pairs = int(degrees.mean() * n / 2)
        return Estimate(float(n) ** 2 * dim / (_EXACT_SHARE * rate), _BYTES * n_pairs, n_pairs)
    n_pairs = int(np.minimum(degrees, cap).mean() * n * (0.5 if (degrees <= cap).all() else 0.75))
    compared = min(_CROWDED * n_probes / count_cells(n), 1) * float(n) ** 2
    seconds = (cell_operations(n, dim) + 2 * dim * compared) / (_CELLS_SHARE * rate)
    return Estimate(seconds, (_BYTES + _SPOOLED) * n_pairs, n_pairs)


def _drawn(n: int, size: int) -> IntArray:
    return np.sort(np.random.default_rng(_SEED).choice(n, min(n, size), replace=False))


def _neighbors(unit: VectorSource, chosen: IntArray, radius: float, progress: ProgressCallback | None) -> Pairs:
    """All neighbors of chosen images, by image, the nearest first."""
    n, own, found = len(unit), unit[chosen], []
    for start in range(0, n if len(chosen) else 0, _BLOCK):
        cosines = own @ unit[start : start + _BLOCK].T
        at, to = np.nonzero(cosines >= least_cosine(radius))
        rows, cols = chosen[at].astype(np.int32), (to + start).astype(np.int32)
        pairs = Pairs(rows, cols, np.clip(0.5 - 0.5 * cosines[at, to], 0, 1))
        pairs = up_to_radius(unit, picked(pairs, rows != cols), radius)
        round_differences(unit, pairs)
        found.append(pairs)
        report(progress, "checking the graph", min(start + _BLOCK, n), n)
    pairs = joined(found)
    return picked(pairs, np.lexsort((pairs.cols, pairs.differences, pairs.rows)))


def _keys(pairs: Pairs, n: int) -> IntArray:
    return pairs.rows * np.int64(n) + pairs.cols


def _keys_around(graph: NeighborGraph, chosen: IntArray) -> IntArray:
    """The pairs of a graph that chosen images are in, as :func:`_keys` of image and neighbor."""
    is_chosen = np.zeros(graph.n, np.bool_)
    is_chosen[chosen] = True
    found = [np.empty(0, np.int64)]
    for pairs in graph.parts_within(graph.radius):
        for both in (pairs, Pairs(pairs.cols, pairs.rows, pairs.differences)):
            found.append(_keys(picked(both, is_chosen[both.rows]), graph.n))
    return np.concatenate(found)


def _operations_a_second(vectors: Vectors) -> float:
    """Multiplications and additions a second of a product of vectors, the best of three."""
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        vectors @ vectors.T
        best = min(best, time.perf_counter() - start)
    return 2.0 * len(vectors) ** 2 * vectors.shape[1] / max(best, 1e-9)
