"""Divides embeddings into cells of near ones, and finds for each image the cells where its neighbors may be."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray, Vectors
from ..errors import MissingExtraError
from ..progress import ProgressCallback, report
from .vectors import VectorSource

_PER_ROOT = 4  # cells for each square root of the number of images
_LEAST = 8  # images for each cell, where there are few
_SAMPLE = 40  # images for each cell that centres are learned from
_ROUNDS = 5
_SCALE = 4000  # coordinates are rounded to this part: products of vectors are then whole numbers below 2^24
_BATCH = 1 << 14
_SEED = 4711


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of ``n`` images.

    Attributes:
        members: numbers of the images at home in each cell; every image is at home in the cell nearest to it
        visitors: numbers of the images that are at home elsewhere and near enough to look for neighbors in each cell
    """

    members: list[IntArray]
    visitors: list[IntArray]


def find_cells(unit: VectorSource, n_probes: int, *, progress: ProgressCallback | None = None) -> Cells:
    """Divides images into cells around centres (k-means, by faiss) and lists for each image the cells nearest to it.

    Coordinates are rounded so that every product is a whole number that float32 holds exactly: the cells depend neither
    on threads nor on the order in which a machine adds.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        n_probes: how many cells each image looks into, its own included
        progress (None): told after each round of learning, and after each batch of images

    Raises:
        MissingExtraError: faiss is not installed
    """
    faiss = load_faiss()
    n = len(unit)
    n_cells = count_cells(n)
    centres = _centres(faiss, unit, n_cells, progress)
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(centres)
    n_probes = min(n_probes, n_cells)
    probes = np.empty((n, n_probes), np.int16)
    for start in range(0, n, _BATCH):
        probes[start : start + _BATCH] = index.search(_whole(unit[start : start + _BATCH]), n_probes)[1]
        report(progress, "finding cells", min(start + _BATCH, n), n)
    return Cells(_by_cell(probes[:, :1], n_cells), _by_cell(probes[:, 1:], n_cells))


def count_cells(n: int) -> int:
    """How many cells so many images are divided into."""
    return max(1, min(round(_PER_ROOT * n**0.5), n // _LEAST))


def cell_operations(n: int, dim: int) -> float:
    """About how many multiplications and additions it takes to find cells."""
    n_cells = count_cells(n)
    return 2.0 * dim * n_cells * (n + _ROUNDS * min(n, _SAMPLE * n_cells))


def load_faiss() -> ModuleType:
    """The library.

    Raises:
        MissingExtraError: it is not installed
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("an approximate graph", "faiss-cpu", "index") from error
    return faiss


def _centres(faiss: ModuleType, unit: VectorSource, n_cells: int, progress: ProgressCallback | None) -> Vectors:
    """``(n_cells, dim)`` whole numbers: directions of the centres."""
    random = np.random.default_rng(_SEED)
    chosen = np.sort(random.choice(len(unit), min(len(unit), _SAMPLE * n_cells), replace=False))
    sample = _whole(unit[chosen])
    centres = sample[np.sort(random.choice(len(sample), n_cells, replace=False))]
    for number in range(_ROUNDS):
        report(progress, "learning cells", number, _ROUNDS)
        means = faiss.Kmeans(
            unit.shape[1],
            n_cells,
            niter=1,
            seed=_SEED,
            int_centroids=True,
            min_points_per_centroid=1,
            max_points_per_centroid=len(sample),
        )
        means.train(sample, init_centroids=centres)
        centres = means.centroids
    report(progress, "learning cells", _ROUNDS, _ROUNDS)
    lengths = np.sqrt(np.square(centres.astype(np.float64)).sum(axis=1, keepdims=True))
    return _whole(centres / np.maximum(lengths, 1))


def _whole(unit: Vectors) -> Vectors:
    return np.rint(unit * _SCALE).astype(np.float32)


def _by_cell(probes: NDArray[np.int16], n_cells: int) -> list[IntArray]:
    """Numbers of the images that have each cell among theirs, in order."""
    if not probes.shape[1]:
        return [np.empty(0, np.int64)] * n_cells
    order = np.argsort(probes, axis=None, kind="stable")
    order //= probes.shape[1]
    return np.split(order, np.cumsum(np.bincount(probes.ravel(), minlength=n_cells))[:-1])
