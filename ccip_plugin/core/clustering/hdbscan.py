"""HDBSCAN on a neighbor graph."""

from typing import Any

import numpy as np

from ..arrays import Labels
from ..neighbors.components import number_by_first
from ..neighbors.graph import NeighborGraph
from .parameters import NOISE, ROUNDING, check_cap, check_parameters

_FAR = 1.001  # of eps: the difference assumed for pairs that are not in the graph


def hdbscan(graph: NeighborGraph, *, eps: float, min_samples: int = 3) -> Labels:
    """Clusters images by the stability of groups as eps grows (Campello et al., 2013), with scikit-learn's HDBSCAN.

    Uses the pairs of the graph. Other pairs are assumed to be just beyond eps, since with a large difference whole
    components would look stable. All images may be one group, but only if there are no groups otherwise.

    Args:
        graph: every pair of ``n`` images with a difference up to ``graph.radius``
        eps: maximum difference of the pairs to use, at most ``graph.radius``
        min_samples: number of images that make a group, and a core image; at least 2

    Returns:
        ``(n,)`` labels; :data:`NOISE` for images in no group

    Raises:
        RadiusError: eps is larger than the radius of the graph
        ParameterError: eps or min_samples is invalid, or the graph keeps fewer neighbors of each image
    """
    check_parameters(eps, min_samples, least=2)
    check_cap(graph.cap, min_samples)
    if graph.n < min_samples:
        return np.full(graph.n, NOISE, np.int64)
    clusters = _clusters(graph, eps, min_samples)
    if not (clusters >= 0).any():  # perhaps all of them are one group, which HDBSCAN finds only beside another one
        clusters = _clusters(graph, eps, min_samples, n_others=int(min_samples))
    labels = np.full(graph.n, NOISE, np.int64)
    labels[clusters >= 0] = number_by_first(clusters[clusters >= 0])
    return labels


def _clusters(graph: NeighborGraph, eps: float, min_samples: int, *, n_others: int = 0) -> Labels:
    """Clusters of the images; with ``n_others`` images of another group, which are not in the result."""
    from sklearn.cluster import HDBSCAN

    if graph.n + n_others <= min_samples:
        return np.full(graph.n, NOISE, np.int64)
    matrix = _hdbscan_matrix(graph, eps, min_samples, n_others)
    n_neighbors = int(min_samples) - 1  # with sparse pairs, an image itself is not counted
    model = HDBSCAN(metric="precomputed", min_cluster_size=int(min_samples), min_samples=n_neighbors, copy=False)
    clusters = _in_main_component(model.fit_predict(matrix)[: graph.n], graph.components(eps=eps))
    sizes = np.bincount(clusters + 1)
    return np.where(sizes[clusters + 1] >= min_samples, clusters, NOISE)


def _in_main_component(labels: Labels, components: Labels) -> Labels:
    """Labels without images that are connected with most of their group by pairs beyond eps only."""
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


def _hdbscan_matrix(graph: NeighborGraph, eps: float, min_samples: int, n_others: int) -> Any:
    """Differences up to eps, plus as many pairs just beyond eps as it takes to connect all images."""
    from scipy.sparse import coo_matrix

    near, n = graph.within(eps), graph.n + n_others
    images = np.arange(n)
    steps = np.arange(1, min(min_samples, n - 1) + 1)
    rows, cols = np.tile(images, len(steps)), ((images + steps[:, None]) % n).ravel()
    keys = np.unique(np.minimum(rows, cols) * n + np.maximum(rows, cols))
    of_others = keys[keys // n >= graph.n]  # the pairs between other images: these are alike
    far = np.setdiff1d(keys, np.concatenate([near.rows.astype(np.int64) * n + near.cols, of_others]))
    pairs = [(near.rows, near.cols, np.maximum(near.differences, ROUNDING))]
    pairs.append((far // n, far % n, np.full(len(far), max(_FAR * eps, 2 * ROUNDING))))
    pairs.append((of_others // n, of_others % n, np.full(len(of_others), ROUNDING)))
    rows, cols, values = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    both = (np.concatenate([rows, cols]), np.concatenate([cols, rows]))
    return coo_matrix((np.tile(values.astype(np.float64), 2), both), shape=(n, n)).tocsr()
