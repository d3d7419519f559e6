"""Cost of a neighbor graph before it is built and recall after, estimated from a random sample of images."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray, Vectors
from ..progress import ProgressCallback, report
from .cells import cell_operations, count_cells
from .graph import NeighborGraph
from .pairs import Pairs, check_radius, joined, min_cosine, picked, round_differences, within_radius
from .vectors import VectorSource, stored_vectors

_SAMPLE = 512  # images that measure the recall
_ESTIMATE_SAMPLE = 64  # images that estimate the cost
_SEED = 1234
_BLOCK = 1 << 14
_TIMED = 2048  # vectors in the timed matrix product
_CELL_FACTOR = 2.5  # size of a searched cell, in times the average: large cells are searched more often
_EXACT_SHARE, _CELLS_SHARE = 0.75, 0.4  # speed of a build, as a share of the speed of that product
_BYTES = 12  # of a pair on disk
_SPOOLED = 32  # additional bytes of a pair while an approximate graph is built


@dataclass(frozen=True)
class Quality:
    """Quality of an approximate graph, measured on a random sample of images compared with all images.

    Attributes:
        n_drawn: number of sampled images
        recall: fraction of their neighbors that are in the graph, counting at most the ``cap`` nearest of each image
        complete: fraction of sampled images with a recall of 1
        capped: fraction of sampled images with more than ``cap`` neighbors
        cap: at least this many nearest neighbors of each image are kept
    """

    n_drawn: int
    recall: float
    complete: float
    capped: float
    cap: int


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of building a graph.

    Attributes:
        seconds: time, on this machine under its current load
        disk_bytes: peak disk space of the build
        n_pairs: number of pairs of the graph
    """

    seconds: float
    disk_bytes: int
    n_pairs: int


def measured_quality(graph: NeighborGraph, cap: int, *, progress: ProgressCallback | None = None) -> Quality:
    """Compares a random sample of images with all images and measures the recall of a graph.

    Args:
        graph: a graph with vectors
        cap: how many of the nearest neighbors of each image count
        progress (None): called after each block
    """
    assert graph.vectors is not None
    sample = _sample(graph.n, _SAMPLE)
    pairs = _neighbors(graph.vectors, sample, graph.radius, progress)
    degrees = np.bincount(np.searchsorted(sample, pairs.rows), minlength=len(sample))
    rank = np.arange(len(pairs.rows)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    expected = _keys(picked(pairs, rank < cap), graph.n)
    is_in_graph = np.isin(expected, _keys_around(graph, sample), assume_unique=True)
    n, n_incomplete = max(len(sample), 1), len(np.unique(expected[~is_in_graph] // max(graph.n, 1)))
    recall = float(is_in_graph.mean()) if len(expected) else 1.0
    return Quality(len(sample), recall, 1 - n_incomplete / n, float(np.count_nonzero(degrees > cap)) / n, cap)


def estimate_graph(
    embeddings: ArrayLike | VectorSource, radius: float, *, cap: int | None = None, n_probes: int | None = None
) -> Estimate:
    """Estimates the cost of building a neighbor graph by comparing a few images with all images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference
        cap (None): number of neighbors kept for each image of an approximate graph; None for an exact graph
        n_probes (None): number of cells searched for each image of an approximate graph; None for an exact graph

    Raises:
        ParameterError: the radius is outside [0, 1]
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_radius("radius", radius)
    unit = stored_vectors(embeddings)
    (n, dim), sample = unit.shape, _sample(len(unit), _ESTIMATE_SAMPLE)
    if not n:
        return Estimate(0.0, 0, 0)
    pairs = _neighbors(unit, sample, radius, None)
    degrees = np.bincount(np.searchsorted(sample, pairs.rows), minlength=len(sample))
    rate = _operations_per_second(unit[:_TIMED])
    if cap is None or n_probes is None:
        n_pairs = int(degrees.mean() * n / 2)
        return Estimate(float(n) ** 2 * dim / (_EXACT_SHARE * rate), _BYTES * n_pairs, n_pairs)
    n_pairs = int(np.minimum(degrees, cap).mean() * n * (0.5 if (degrees <= cap).all() else 0.75))
    n_compared = min(_CELL_FACTOR * n_probes / count_cells(n), 1) * float(n) ** 2
    seconds = (cell_operations(n, dim) + 2 * dim * n_compared) / (_CELLS_SHARE * rate)
    return Estimate(seconds, (_BYTES + _SPOOLED) * n_pairs, n_pairs)


def _sample(n: int, size: int) -> IntArray:
    return np.sort(np.random.default_rng(_SEED).choice(n, min(n, size), replace=False))


def _neighbors(unit: VectorSource, queries: IntArray, radius: float, progress: ProgressCallback | None) -> Pairs:
    """Finds all neighbors of the query images, sorted by query, the nearest first."""
    n, query_vectors, parts = len(unit), unit[queries], []
    for start in range(0, n if len(queries) else 0, _BLOCK):
        cosines = query_vectors @ unit[start : start + _BLOCK].T
        row, col = np.nonzero(cosines >= min_cosine(radius))
        rows, cols = queries[row].astype(np.int32), (col + start).astype(np.int32)
        pairs = Pairs(rows, cols, np.clip(0.5 - 0.5 * cosines[row, col], 0, 1))
        pairs = within_radius(unit, picked(pairs, rows != cols), radius)
        round_differences(unit, pairs)
        parts.append(pairs)
        report(progress, "checking the graph", min(start + _BLOCK, n), n)
    pairs = joined(parts)
    return picked(pairs, np.lexsort((pairs.cols, pairs.differences, pairs.rows)))


def _keys(pairs: Pairs, n: int) -> IntArray:
    return pairs.rows * np.int64(n) + pairs.cols


def _keys_around(graph: NeighborGraph, queries: IntArray) -> IntArray:
    """The pairs of a graph that contain a query image, as :func:`_keys` of query and neighbor."""
    is_query = np.zeros(graph.n, np.bool_)
    is_query[queries] = True
    keys = [np.empty(0, np.int64)]
    for pairs in graph.parts_within(graph.radius):
        for directed in (pairs, Pairs(pairs.cols, pairs.rows, pairs.differences)):
            keys.append(_keys(picked(directed, is_query[directed.rows]), graph.n))
    return np.concatenate(keys)


def _operations_per_second(vectors: Vectors) -> float:
    """Floating-point operations per second of a matrix product, the best of three."""
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        vectors @ vectors.T
        best = min(best, time.perf_counter() - start)
    dim: int = vectors.shape[1]
    return 2.0 * len(vectors) ** 2 * dim / max(best, 1e-9)
