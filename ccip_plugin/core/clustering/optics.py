"""OPTICS: the ordering of images by density, from a neighbor graph or a matrix, and groups from it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, Labels, Vectors
from ..differences import differences
from ..neighbors.graph import NeighborGraph, radius_graph
from ..neighbors.pairs import joined
from ..neighbors.vectors import VectorSource, unit_vectors
from ..progress import ProgressCallback, report
from .parameters import ROUNDING, check_cap, check_parameters, n_items

Neighbors = Callable[[int, NDArray[np.bool_]], tuple[NDArray[np.integer], Vectors]]

_DECIMALS = 15  # scikit-learn rounds to these before it compares
_SLACK = 1e-14  # more than rounding changes
_XI = 0.05
_STEP = 256  # images between two reports, and rows of a matrix examined at a time

MAX_DENSE = 10_000
"""Maximum number of images for which OPTICS uses a matrix of all differences, 400 MB, instead of a graph."""


@dataclass(frozen=True, eq=False)
class Ordering:
    """The OPTICS ordering of ``n`` images.

    Attributes:
        order: ``(n,)`` numbers of the images
        core: ``(n,)`` core distance: difference within which an image has enough neighbors, else infinite
        reachability: ``(n,)`` reachability distance; infinite for images not reached from others
        predecessor: ``(n,)`` the image from which an image was reached, -1 for none
    """

    order: Labels
    core: FloatArray
    reachability: FloatArray
    predecessor: Labels

    def xi_clusters(self, min_samples: int) -> Labels:
        """Groups by xi extraction (xi = 0.05) of scikit-learn; -1 for noise."""
        from sklearn.cluster import cluster_optics_xi

        if not np.isfinite(self.reachability).any():
            return np.full(len(self.order), -1, np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):  # the steepness of equal images
            labels, _ = cluster_optics_xi(
                reachability=self.reachability,
                predecessor=self.predecessor,
                ordering=self.order,
                min_samples=min_samples,
                xi=_XI,
            )
        return np.asarray(labels, np.int64)

    def cut(self, eps: float) -> Labels:
        """Groups by cutting the reachability at ``eps``, by scikit-learn; -1 for noise."""
        from sklearn.cluster import cluster_optics_dbscan

        labels = cluster_optics_dbscan(
            reachability=self.reachability, core_distances=self.core, ordering=self.order, eps=eps
        )
        return np.asarray(labels, np.int64)


def ordering_of_graph(
    graph: NeighborGraph, eps: float, min_samples: int, *, progress: ProgressCallback | None = None
) -> Ordering:
    """Orders the images of a graph by its differences up to ``eps``.

    Needs 16 bytes for each pair, and time for each pair plus a little for each two images.

    Raises:
        RadiusError: eps is larger than the radius of the graph
    """
    from scipy.sparse import csr_array

    rows, cols, values = joined(list(graph.parts_within(eps)))
    maximum = np.float32(eps)  # a difference may be rounded to more
    values = np.minimum(values, maximum if maximum <= eps else np.nextafter(maximum, np.float32(0)))
    ends = (np.concatenate([rows, cols]), np.concatenate([cols, rows]))
    matrix = csr_array((np.concatenate([values, values]), ends), shape=(graph.n, graph.n))

    def neighbors(image: int, among: NDArray[np.bool_]) -> tuple[NDArray[np.integer], Vectors]:
        part = slice(matrix.indptr[image], matrix.indptr[image + 1])
        is_among = among[matrix.indices[part]]
        return matrix.indices[part][is_among], matrix.data[part][is_among]

    core = np.full(graph.n, np.inf)
    for image in range(graph.n):
        near = matrix.data[matrix.indptr[image] : matrix.indptr[image + 1]]
        if len(near) >= min_samples - 1:  # the image itself is one
            core[image] = np.partition(near, min_samples - 2)[min_samples - 2]
    return _ordered(neighbors, core, progress)


def core_distances(dense: Vectors, min_samples: int) -> FloatArray:
    """``(n,)`` difference within which each image has ``min_samples`` neighbors, itself included."""
    cores = np.empty(len(dense))
    for start in range(0, len(dense), _STEP):
        rows = dense[start : start + _STEP]
        cores[start : start + _STEP] = np.partition(rows, min_samples - 1, axis=1)[:, min_samples - 1]
    return cores


def ordering_of_matrix(
    dense: Vectors, cores: FloatArray, eps: float, *, progress: ProgressCallback | None = None
) -> Ordering:
    """Orders images by a matrix of all differences, of which those over ``eps`` are ignored.

    Args:
        dense: ``(n, n)`` differences
        cores: see :func:`core_distances`
        eps: maximum difference of two neighbors
        progress (None): called with the number of images ordered
    """

    def neighbors(image: int, among: NDArray[np.bool_]) -> tuple[NDArray[np.integer], Vectors]:
        near = np.flatnonzero(among & (dense[image] <= eps))
        return near, dense[image, near]

    return _ordered(neighbors, np.where(cores <= eps, cores, np.inf), progress)


def _ordered(neighbors: Neighbors, core: FloatArray, progress: ProgressCallback | None) -> Ordering:
    """Ankerst et al. (1999), image by image as in scikit-learn: the first of equally near images."""
    n = len(core)
    core = np.around(core, _DECIMALS)
    reachability, waiting = np.full((2, n), np.inf)  # the latter without ordered images
    predecessor, order, is_left, first = np.full(n, -1), np.empty(n, np.int64), np.ones(n, np.bool_), 0
    for place in range(n):
        if place % _STEP == 0:
            report(progress, "ordering images", place, n)
        image = int(waiting.argmin())
        if waiting[image] == np.inf:
            first += int(is_left[first:].argmax())
            image = first
        order[place], is_left[image], waiting[image] = image, False, np.inf
        if core[image] == np.inf:
            continue
        near, values = neighbors(image, is_left)
        reach = np.maximum(values, core[image])
        may_be_nearer = reach <= reachability[near] + _SLACK  # so that few have to be rounded
        near, reach = near[may_be_nearer], np.around(reach[may_be_nearer], _DECIMALS)
        is_nearer = reach < reachability[near]
        near = near[is_nearer]
        reachability[near] = waiting[near] = reach[is_nearer]
        predecessor[near] = image
    report(progress, "ordering images", n, n)
    return Ordering(order, core, reachability, predecessor)


def optics_cut(
    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph,
    *,
    eps: float,
    min_samples: int,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Clusters images by the ordering of OPTICS, cut where the reachability exceeds ``eps``.

    The groups of DBSCAN with that eps, except that some border images are noise. The ordering is that of
    :func:`optics`; xi extraction splits a large character by outfit, a cut does not.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph
        eps: height of the cut
        min_samples: how many images, itself included, make a core image; at least 2
        progress (None): called with the stage and the number of items done

    Raises:
        as :func:`optics`
    """
    ordering = _ordering(embeddings_or_graph, eps, min_samples, progress)
    return ordering.cut(eps)


def optics(
    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph,
    *,
    eps: float,
    min_samples: int,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Clusters images by OPTICS (Ankerst et al., 1999) with xi extraction (xi = 0.05).

    The labels of scikit-learn's OPTICS on the same differences. It tends to split characters with many images by their
    outfits.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph, whose differences are rounded; more
            than :data:`MAX_DENSE` embeddings are ordered by their graph
        eps: maximum difference of two neighbors, at most the radius of the graph
        min_samples: how many images, itself included, make a core image and a group; at least 2
        progress (None): called with the stage and the number of items done

    Returns:
        ``(n,)`` labels; :data:`NOISE` for images in no group

    Raises:
        GraphTooLargeError: more pairs than fit into memory
        ParameterError: eps or min_samples is invalid, or the graph keeps fewer neighbors of each image
        RadiusError: eps is larger than the radius of the graph
        VectorsError: an embedding is zero or not finite; names its row
    """
    ordering = _ordering(embeddings_or_graph, eps, min_samples, progress)
    return ordering.xi_clusters(min_samples)


def _ordering(
    data: ArrayLike | VectorSource | NeighborGraph, eps: float, min_samples: int, progress: ProgressCallback | None
) -> Ordering:
    check_parameters(eps, min_samples, least=2)
    if not isinstance(data, NeighborGraph) and n_items(data) > MAX_DENSE:
        data = radius_graph(data, eps, progress=progress)
    if isinstance(data, NeighborGraph):
        check_cap(data.cap, min_samples)
        return ordering_of_graph(data, eps, int(min_samples), progress=progress)
    vectors = unit_vectors(data)[:]
    n = len(vectors)
    if n < min_samples:
        infinite = np.full(n, np.inf)
        return Ordering(np.arange(n), infinite, infinite, np.full(n, -1))
    dense = differences(vectors, memory=4 * MAX_DENSE**2)
    dense[dense < ROUNDING] = 0
    return ordering_of_matrix(dense, core_distances(dense, int(min_samples)), eps, progress=progress)
