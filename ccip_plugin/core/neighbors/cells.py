"""Cells of an inverted file index (k-means), and the cells to search for the neighbors of each image."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray, Vectors
from ..errors import MissingExtraError
from ..progress import ProgressCallback, report
from .vectors import VectorSource

_PER_ROOT = 4  # number of cells divided by the square root of the number of images
_LEAST = 8  # images per cell, on average, at least
_SAMPLE = 40  # images per cell in the k-means sample
_ROUNDS = 5  # iterations of k-means
_SCALE = 4000  # coordinates are rounded to multiples of 1 / 4000: dot products are then whole numbers below 2^24
_BATCH = 1 << 14
_SEED = 4711


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of ``n`` images.

    Attributes:
        members: indices of the images in each cell; every image is a member of the cell with the nearest centroid
        queries: indices of the members of other cells for which each cell is searched, too
    """

    members: list[IntArray]
    queries: list[IntArray]


def find_cells(unit: VectorSource, n_probes: int, *, progress: ProgressCallback | None = None) -> Cells:
    """Divides images into cells by k-means (faiss) and finds the cells nearest to each image.

    Coordinates are rounded so that every product is a whole number that float32 represents exactly: the cells depend
    neither on threads nor on the order of summation.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        n_probes: number of cells that are searched for each image, its own cell included
        progress (None): called after each iteration of k-means and after each batch of images

    Raises:
        MissingExtraError: faiss is not installed
    """
    faiss = load_faiss()
    n = len(unit)
    n_cells = count_cells(n)
    centroids = _centroids(faiss, unit, n_cells, progress)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(centroids)
    n_probes = min(n_probes, n_cells)
    probes = np.empty((n, n_probes), np.int16)
    for start in range(0, n, _BATCH):
        probes[start : start + _BATCH] = index.search(_rounded(unit[start : start + _BATCH]), n_probes)[1]
        report(progress, "finding cells", min(start + _BATCH, n), n)
    return Cells(_by_cell(probes[:, :1], n_cells), _by_cell(probes[:, 1:], n_cells))


def count_cells(n: int) -> int:
    """Number of cells for ``n`` images."""
    root: float = n**0.5
    return max(1, min(round(_PER_ROOT * root), n // _LEAST))


def cell_operations(n: int, dim: int) -> float:
    """Approximate number of floating-point operations of :func:`find_cells`."""
    n_cells = count_cells(n)
    return 2.0 * dim * n_cells * (n + _ROUNDS * min(n, _SAMPLE * n_cells))


def load_faiss() -> ModuleType:
    """Imports faiss.

    Raises:
        MissingExtraError: it is not installed
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("an approximate graph", "faiss-cpu", "index") from error
    return faiss


def _centroids(faiss: ModuleType, unit: VectorSource, n_cells: int, progress: ProgressCallback | None) -> Vectors:
    """Fits ``(n_cells, dim)`` centroids, scaled and rounded as vectors are."""
    random = np.random.default_rng(_SEED)
    indices = np.sort(random.choice(len(unit), min(len(unit), _SAMPLE * n_cells), replace=False))
    sample = _rounded(unit[indices])
    centroids = sample[np.sort(random.choice(len(sample), n_cells, replace=False))]
    for number in range(_ROUNDS):
        report(progress, "learning cells", number, _ROUNDS)
        kmeans = faiss.Kmeans(
            unit.shape[1],
            n_cells,
            niter=1,
            seed=_SEED,
            int_centroids=True,
            min_points_per_centroid=1,
            max_points_per_centroid=len(sample),
        )
        kmeans.train(sample, init_centroids=centroids)
        centroids = kmeans.centroids
    report(progress, "learning cells", _ROUNDS, _ROUNDS)
    lengths = np.sqrt(np.square(centroids.astype(np.float64)).sum(axis=1, keepdims=True))
    return _rounded(centroids / np.maximum(lengths, 1))


def _rounded(unit: Vectors) -> Vectors:
    return np.rint(unit * _SCALE).astype(np.float32)


def _by_cell(probes: NDArray[np.int16], n_cells: int) -> list[IntArray]:
    """Lists the images of each cell, in increasing order."""
    if not probes.shape[1]:
        return [np.empty(0, np.int64)] * n_cells
    order = np.argsort(probes, axis=None, kind="stable")
    order //= probes.shape[1]
    return np.split(order, np.cumsum(np.bincount(probes.ravel(), minlength=n_cells))[:-1])
