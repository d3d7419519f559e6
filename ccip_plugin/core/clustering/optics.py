"""The ordering of OPTICS, from a graph of neighbors or from a matrix of differences."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Labels, Vectors
from ..differences import differences, normalize
from ..neighbors.graph import NeighborGraph, radius_graph
from ..neighbors.pairs import joined
from ..progress import ProgressCallback, report
from .parameters import ROUNDING, check_cap, check_parameters, n_items

Neighbors = Callable[[int, NDArray[np.bool_]], tuple[NDArray[np.integer], Vectors]]

_DECIMALS = 15  # scikit-learn rounds to them before it compares
_SLACK = 1e-14  # more than that changes
_XI = 0.05
_STEP = 256  # images between two reports, and rows of a matrix that are looked at together


@dataclass(frozen=True, eq=False)
class Ordering:
    """``n`` images in the order in which OPTICS comes to them.

    Attributes:
        order: ``(n,)`` numbers of images
        core: ``(n,)`` difference within which an image has enough neighbors; infinite where it has not
        reachability: ``(n,)`` how near an image was to those before it; infinite where a new start was made
        predecessor: ``(n,)`` the image it was reached from, -1 for none
    """

    order: Labels
    core: NDArray[np.float64]
    reachability: NDArray[np.float64]
    predecessor: Labels

    def steep(self, min_samples: int) -> Labels:
        """Groups between steep places (xi = 0.05); -1 for images in none. By scikit-learn."""
        from sklearn.cluster import cluster_optics_xi

        if not np.isfinite(self.reachability).any():
            return np.full(len(self.order), -1, np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):  # steepness between equal images
            labels, _ = cluster_optics_xi(
                reachability=self.reachability,
                predecessor=self.predecessor,
                ordering=self.order,
                min_samples=min_samples,
                xi=_XI,
            )
        return np.asarray(labels, np.int64)

    def cut(self, eps: float) -> Labels:
        """Groups between places where reachability goes over ``eps``; -1 for images in none. By scikit-learn."""
        from sklearn.cluster import cluster_optics_dbscan

        return cluster_optics_dbscan(
            reachability=self.reachability, core_distances=self.core, ordering=self.order, eps=eps
        ).astype(np.int64)


def ordering_of_graph(
    graph: NeighborGraph, eps: float, min_samples: int, *, progress: ProgressCallback | None = None
) -> Ordering:
    """Orders the images of a graph by its differences up to ``eps``.

    Takes 16 bytes for each pair, and time for each pair and, very little, for each two images.

    Raises:
        RadiusError: eps is larger than the radius of the graph
    """
    from scipy.sparse import csr_array

    rows, cols, values = joined(list(graph.parts_within(eps)))
    most = np.float32(eps)  # a difference may be rounded to more
    values = np.minimum(values, most if most <= eps else np.nextafter(most, np.float32(0)))
    ends = (np.concatenate([rows, cols]), np.concatenate([cols, rows]))
    matrix = csr_array((np.concatenate([values, values]), ends), shape=(graph.n, graph.n))

    def neighbors(image: int, among: NDArray[np.bool_]) -> tuple[NDArray[np.integer], Vectors]:
        part = slice(matrix.indptr[image], matrix.indptr[image + 1])
        wanted = among[matrix.indices[part]]
        return matrix.indices[part][wanted], matrix.data[part][wanted]

    core = np.full(graph.n, np.inf)
    for image in range(graph.n):
        near = matrix.data[matrix.indptr[image] : matrix.indptr[image + 1]]
        if len(near) >= min_samples - 1:  # the image itself is one
            core[image] = np.partition(near, min_samples - 2)[min_samples - 2]
    return _ordered(neighbors, core, progress)


def cores_of_matrix(dense: Vectors, min_samples: int) -> NDArray[np.float64]:
    """``(n,)``: the difference within which each image has enough neighbors, itself included."""
    cores = np.empty(len(dense))
    for start in range(0, len(dense), _STEP):
        rows = dense[start : start + _STEP]
        cores[start : start + _STEP] = np.partition(rows, min_samples - 1, axis=1)[:, min_samples - 1]
    return cores


def ordering_of_matrix(
    dense: Vectors, cores: NDArray[np.float64], eps: float, *, progress: ProgressCallback | None = None
) -> Ordering:
    """Orders images by a matrix of all differences; those over ``eps`` count for nothing.

    Args:
        dense: ``(n, n)`` differences
        cores: see :func:`cores_of_matrix`
        eps: the largest difference between two neighbors
        progress (None): told how many images are ordered
    """

    def neighbors(image: int, among: NDArray[np.bool_]) -> tuple[NDArray[np.integer], Vectors]:
        near = np.flatnonzero(among & (dense[image] <= eps))
        return near, dense[image, near]

    return _ordered(neighbors, np.where(cores <= eps, cores, np.inf), progress)


def _ordered(neighbors: Neighbors, core: NDArray[np.float64], progress: ProgressCallback | None) -> Ordering:
    """Ankerst et al. (1999), image by image as scikit-learn does it: of images that are as near, the first."""
    n = len(core)
    core = np.around(core, _DECIMALS)
    reachability, waiting = np.full((2, n), np.inf)  # the latter without the images that are done
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
        may_be_nearer = reach <= reachability[near] + _SLACK  # few are rounded then
        near, reach = near[may_be_nearer], np.around(reach[may_be_nearer], _DECIMALS)
        is_nearer = reach < reachability[near]
        near = near[is_nearer]
        reachability[near] = waiting[near] = reach[is_nearer]
        predecessor[near] = image
    report(progress, "ordering images", n, n)
    return Ordering(order, core, reachability, predecessor)


MAX_DENSE = 10_000


"""The most images of which OPTICS takes a matrix of all differences, 400 MB, rather than a graph."""


def optics_cut(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    eps: float,
    min_samples: int,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Groups images by OPTICS' ordering, cut at one density: where reachability goes over ``eps``.

    What DBSCAN gives with that eps, but for images at the border of groups, which may be left alone. The ordering is
    the one of :func:`optics`; extraction by steepness takes the outfits of a large character for groups, a cut does
    not.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph
        eps: where the ordering is cut
        min_samples: how many images, itself included, make a core image; at least 2

    Raises:
        as :func:`optics`
    """
    ordering = _ordering(embeddings_or_graph, eps, min_samples, progress)
    return ordering.cut(eps)


def optics(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    eps: float,
    min_samples: int,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Groups images by an ordering by density (Ankerst et al., 1999), cut where it gets steep.

    The labels of scikit-learn's OPTICS on the same differences, with its extraction by steepness (xi = 0.05). It tends
    to split characters that have many images by their outfits.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph, whose differences are rounded; more
            than :data:`MAX_DENSE` embeddings are ordered by their graph
        eps: the largest difference between two neighbors, at most the radius of the graph
        min_samples: how many images, itself included, make a core image and a group; at least 2

    Returns:
        ``(n,)`` labels; :data:`NOISE` for images in no group

    Raises:
        GraphTooLargeError: more pairs than fit into memory
        ParameterError: eps or min_samples has no meaning, or the graph has fewer neighbors of each image
        RadiusError: eps is larger than the radius of the graph
        VectorsError: an embedding is zero or not finite; names its row
    """
    ordering = _ordering(embeddings_or_graph, eps, min_samples, progress)
    return ordering.steep(min_samples)


def _ordering(
    given: ArrayLike | NeighborGraph, eps: float, min_samples: int, progress: ProgressCallback | None
) -> Ordering:
    check_parameters(eps, min_samples, least=2)
    if not isinstance(given, NeighborGraph) and n_items(given) > MAX_DENSE:
        given = radius_graph(given, eps, progress=progress)
    if isinstance(given, NeighborGraph):
        check_cap(given.cap, min_samples)
        return ordering_of_graph(given, eps, int(min_samples), progress=progress)
    n = n_items(given)
    if n < min_samples:
        if n:
            normalize(given)  # so that a bad row is an error here, too
        nothing = np.full(n, np.inf)
        return Ordering(np.arange(n), nothing, nothing, np.full(n, -1))
    dense = differences(given, memory=4 * MAX_DENSE**2)
    dense[dense < ROUNDING] = 0
    return ordering_of_matrix(dense, cores_of_matrix(dense, int(min_samples)), eps, progress=progress)
