"""HDBSCAN on a graph of neighbors."""

from typing import Any

import numpy as np

from ..arrays import Labels
from ..neighbors.graph import NeighborGraph
from .agglomeration import numbered
from .parameters import NOISE, ROUNDING, check_cap, check_parameters

_FAR = 1.001  # of the cut: the difference of what is farther, for HDBSCAN


def hdbscan(graph: NeighborGraph, *, eps: float, min_samples: int = 3) -> Labels:
    """Groups images by how long groups last while the radius grows (Campello et al., 2013): scikit-learn's HDBSCAN.

    Works on the pairs of the graph. What is farther counts as just beyond it, as a large number there would make
    whole components look stable.

    Args:
        graph: every pair of ``n`` images with a difference up to ``graph.radius``
        eps: the largest difference that it sees, at most ``graph.radius``
        min_samples: how many images make a group, and a core image; at least 2

    Returns:
        ``(n,)`` labels; :data:`NOISE` for images in no group

    Raises:
        RadiusError: eps is larger than the radius of the graph
        ParameterError: eps or min_samples has no meaning, or the graph has fewer neighbors of each image
    """
    check_parameters(eps, min_samples, least=2)
    check_cap(graph.cap, min_samples)
    if graph.n <= min_samples:
        return np.full(graph.n, NOISE, np.int64)
    from sklearn.cluster import HDBSCAN

    matrix = _hdbscan_matrix(graph, eps, min_samples)
    others = int(min_samples) - 1  # where pairs are sparse, an image itself is not counted
    model = HDBSCAN(metric="precomputed", min_cluster_size=int(min_samples), min_samples=others, copy=False)
    found = _of_main_component(model.fit_predict(matrix), graph.components(eps=eps))
    labels = np.full(graph.n, NOISE, np.int64)
    labels[found >= 0] = numbered(found[found >= 0])
    return labels


def _of_main_component(labels: Labels, components: Labels) -> Labels:
    """Labels without images that only pairs beyond eps connect with most of their group."""
    grouped = np.flatnonzero(labels >= 0)
    keys, which, sizes = np.unique(
        labels[grouped] * np.int64(len(labels)) + components[grouped], return_inverse=True, return_counts=True
    )
    order = np.lexsort((-sizes, keys // len(labels)))
    is_main = np.zeros(len(keys), np.bool_)
    is_main[order[np.append(True, np.diff(keys[order] // len(labels)) > 0)[: len(order)]]] = True
    result = np.full(len(labels), NOISE, np.int64)
    kept = grouped[is_main[which]]
    result[kept] = labels[kept]
    return result


def _hdbscan_matrix(graph: NeighborGraph, eps: float, min_samples: int) -> Any:
    """Differences up to eps, and as many more pairs just beyond it as it takes to connect all images."""
    from scipy.sparse import coo_matrix

    near = graph.within(eps)
    images = np.arange(graph.n)
    steps = np.arange(1, min(min_samples, graph.n - 1) + 1)
    rows, cols = np.tile(images, len(steps)), ((images + steps[:, None]) % graph.n).ravel()
    keys = np.minimum(rows, cols) * graph.n + np.maximum(rows, cols)
    far = np.setdiff1d(keys, near.rows.astype(np.int64) * graph.n + near.cols)
    differences = np.maximum(near.differences, ROUNDING)
    rows, cols = np.concatenate([near.rows, far // graph.n]), np.concatenate([near.cols, far % graph.n])
    values = np.concatenate([differences, np.full(len(far), max(_FAR * eps, 2 * ROUNDING))]).astype(np.float64)
    pairs = (np.concatenate([rows, cols]), np.concatenate([cols, rows]))
    return coo_matrix((np.tile(values, 2), pairs), shape=(graph.n, graph.n)).tocsr()
