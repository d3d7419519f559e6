"""DBSCAN on a neighbor graph, or on embeddings in blocks."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, Labels, RowsAndColumns
from ..neighbors.components import Forest
from ..neighbors.graph import NeighborGraph
from ..neighbors.pairs import near_pairs
from ..neighbors.vectors import VectorSource, unit_vectors
from ..progress import ProgressCallback
from .parameters import NOISE, check_cap, check_parameters

PAIRS_BYTES = 256 << 20
"""Memory for pairs. When it is exceeded, images are compared twice instead of keeping pairs."""


def dbscan(graph: NeighborGraph, *, eps: float, min_samples: int) -> Labels:
    """Clusters images by density (Ester et al., 1996), with the labels of scikit-learn on the full matrix.

    Args:
        graph: every pair of ``n`` images with a difference up to ``graph.radius``
        eps: maximum difference of two neighbors, at most ``graph.radius``
        min_samples: how many neighbors, itself included, make a core image; with 1, every image is one

    Returns:
        ``(n,)`` labels, numbered by their first core images; :data:`NOISE` for images without a core image nearby

    Raises:
        RadiusError: eps is larger than the radius of the graph
        ParameterError: eps or min_samples is invalid, or the graph keeps fewer neighbors of each image
    """
    check_parameters(eps, min_samples, least=1)
    check_cap(graph.cap, min_samples)
    is_core = graph.count_neighbors(eps) + 1 >= min_samples
    return _grouped(is_core, graph.pairs_within(eps))


def dbscan_of_embeddings(
    embeddings: ArrayLike | VectorSource, *, eps: float, min_samples: int, progress: ProgressCallback | None = None
) -> Labels:
    """Clusters as :func:`dbscan` on the graph of the embeddings, but keeps at most :data:`PAIRS_BYTES` of pairs.

    If there are more, images are compared twice: first to count neighbors, then to connect them. With ``min_samples``
    up to 2, once.
    """
    check_parameters(eps, min_samples, least=1)
    unit = unit_vectors(embeddings)
    counts = np.zeros(len(unit), np.int64)
    kept: list[RowsAndColumns] | None = []
    n_kept = 0
    forest = Forest(len(unit))
    for block in near_pairs(unit, eps, with_differences=False, progress=progress):
        rows, cols, _ = block.pairs
        if min_samples <= 2:  # any image with a neighbor is a core image
            forest.add(rows, cols)
            counts[rows] = counts[cols] = 1
            continue
        np.add.at(counts, rows, 1)
        np.add.at(counts, cols, 1)
        n_kept += len(rows)
        if 8 * n_kept > PAIRS_BYTES:
            kept = None
        elif kept is not None:
            kept.append((rows, cols))
    is_core = counts + 1 >= min_samples
    if min_samples <= 2:
        return forest.labels(is_core)
    if kept is None:
        blocks = near_pairs(unit, eps, with_differences=False, progress=progress)
        return _grouped(is_core, (block.pairs[:2] for block in blocks))
    return _grouped(is_core, kept)


def _grouped(is_core: BoolArray, parts: Iterable[RowsAndColumns]) -> Labels:
    """The groups: connected core images, and border images in the first of the groups of their core neighbors."""
    forest = Forest(len(is_core))
    borders: list[RowsAndColumns] = []
    for rows, cols in parts:
        are_core = is_core[rows] & is_core[cols]
        forest.add(rows[are_core], cols[are_core])
        for core, border in ((rows, cols), (cols, rows)):
            reaches = is_core[core] & ~is_core[border]
            borders.append((core[reaches], border[reaches]))  # few: a border image has few neighbors
    no_label = np.iinfo(np.int64).max
    labels = np.where(is_core, forest.labels(is_core), no_label)
    for core, border in borders:
        np.minimum.at(labels, border, labels[core])
    labels[labels == no_label] = NOISE
    return labels
