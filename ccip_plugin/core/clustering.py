"""Groups embeddings by character: each image gets the number of its group, or none."""

import numbers
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import calibration
from .agglomeration import numbered
from .approximate import CAP, ApproximateGraph, approximate_graph
from .constraints import Constraints, check
from .differences import Vectors, differences, normalize
from .errors import ParameterError, RadiusError
from .forest import Forest
from .graph_choice import EXACT, choose_graph
from .graph_files import graphs_folder
from .graph_quality import Quality
from .linkage import Components, Linkage, LinkageOptions, find_components, find_hierarchy, link
from .neighbors import NeighborGraph, radius_graph
from .optics import Ordering, cores_of_matrix, ordering_of_graph, ordering_of_matrix
from .pairs import Pairs, near_pairs, near_pairs_of, unit_vectors
from .progress import ProgressCallback
from .registry import DEFAULT_MODEL

NOISE = -1
"""The label of images in no group."""

METHODS = ("linkage", "dbscan", "dbscan_2", "dbscan_free", "hdbscan", "optics", "optics_best", "optics_cut")
"""What :func:`cluster` can do: average linkage, DBSCAN and OPTICS with several published parameters, HDBSCAN."""

MAX_DENSE = 10_000
"""The most images of which OPTICS takes a matrix of all differences, 400 MB, rather than a graph."""

PAIRS_BYTES = 256 << 20
"""How much memory DBSCAN takes for pairs before it rather compares images twice."""

Labels = NDArray[np.int64]
_RowsAndCols = tuple[NDArray[np.int32], NDArray[np.int32]]

_SMALLEST = {"linkage": 2, "hdbscan": 3, "optics_cut": 5}  # min_samples where nothing is published
_FAR = 1.001  # of the cut: the difference of what is farther, for HDBSCAN
_BEYOND = 1.4  # thresholds up to which HDBSCAN looks
_OPTICS_CUT = 0.8  # of the threshold
_ROUNDING = np.float32(1e-6)  # differences below this are rounding errors of a dense matrix


@dataclass(frozen=True, eq=False)
class Clustering:
    """Groups of ``n`` images, and what is to say about them.

    Attributes:
        labels: ``(n,)``: 0, 1, ... for groups, in the order of their first images; :data:`NOISE` for images in none
        rescued: ``(n,)`` images that average linkage left alone or in a tiny group, and that strong evidence put into
            this one; nothing for other methods
        nearest: ``(n,)`` for these, the mean difference to their group; NaN for others
        second: ``(n,)`` for these, the mean difference to the second nearest group, infinite without one
        before: ``(n,)`` labels as they would be without the rescue, by numbers of their own
        method: what was done
        eps: with which eps; the threshold for ``linkage``
        min_samples: with which min_samples
        limit: up to which mean difference large groups were merged; eps for other methods
        quality: of an approximate graph, how much of the exact one it has; None where all pairs were compared
    """

    labels: Labels
    rescued: NDArray[np.bool_]
    nearest: NDArray[np.float64]
    second: NDArray[np.float64]
    before: Labels
    method: str
    eps: float
    min_samples: int
    limit: float
    quality: Quality | None = None


def cluster(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    method: str = "linkage",
    eps: float | None = None,
    min_samples: int | None = None,
    model_name: str = DEFAULT_MODEL,
    model_dir: str | Path | None = None,
    constraints: Constraints | None = None,
    graph: str = EXACT,
    folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Groups images by character.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph of neighbors, which is taken as it is,
            whatever ``graph`` says
        method ("linkage"): one of :data:`METHODS`

            -   ``linkage``: average linkage inside the components of the graph up to the threshold of the model, with a
                limit between large groups that is learned from the images, and a rescue of single images on strong
                evidence. The best of these where nothing is tuned, and the steadiest as datasets grow
            -   ``dbscan``: DBSCAN with the threshold of the model as its eps. ``dbscan_2``, ``dbscan_free``: with what
                was found best for the model. Groups chain together as datasets grow
            -   ``hdbscan``: HDBSCAN on the graph up to 1.4 thresholds. Good with large groups, leaves many images of
                small ones alone, and never puts all images into one group
            -   ``optics``, ``optics_best``: OPTICS with 0.5 and 5, or with what was found best, and extraction by
                steepness, as published; splits large characters by outfit. ``optics_cut``: the same ordering, cut at
                0.8 thresholds, which gives far better groups
        eps (None): the largest difference between two neighbors, itself included; for ``linkage`` the largest mean
            difference in a group, for ``hdbscan`` that of the graph, for ``optics_cut`` where it is cut. What is
            published for the method and the model by default
        min_samples (None): how many images within eps, itself included, make an image the core of a group; for
            ``linkage`` and ``hdbscan`` how many make a group. What is published by default, or 2, 3, and 5
        model_name: the model that the embeddings are of
        model_dir (None): a folder with files of models
        constraints (None): what people decided; for ``linkage`` only
        graph ("exact"): ``exact`` compares all images with all. ``approximate`` finds nearly all that are alike in a
            part of the time, and keeps what it found in ``folder``; needs the extra "index". ``auto`` does that from
            100,000 images on where the extra is installed
        folder (None): where approximate graphs are kept, ``graphs`` in the folder of ``CCIP_CACHE_DIR`` by default
        progress (None): told how far the work is; may raise :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        ``(n,)`` labels: 0, 1, ... for groups, :data:`NOISE` for images in none

    Raises:
        ParameterError: the method or a parameter has no meaning, or not for this graph
        MissingExtraError: an approximate graph was asked for, and faiss is not installed
        UnknownModelError: no such model, where ``linkage`` or a parameter that was not given takes its numbers
        UnknownPresetError: nothing is published for this method and this model
        ContradictionError: the constraints cannot all be kept
        RadiusError: eps is larger than the radius of the graph
        GraphTooLargeError: more pairs than fit into memory
        VectorsError: an embedding is zero or not finite; names its row
    """
    return cluster_details(
        embeddings_or_graph,
        method=method,
        eps=eps,
        min_samples=min_samples,
        model_name=model_name,
        model_dir=model_dir,
        constraints=constraints,
        graph=graph,
        folder=folder,
        progress=progress,
    ).labels


def cluster_details(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    method: str = "linkage",
    eps: float | None = None,
    min_samples: int | None = None,
    model_name: str = DEFAULT_MODEL,
    model_dir: str | Path | None = None,
    constraints: Constraints | None = None,
    graph: str = EXACT,
    folder: str | Path | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Clustering:
    """Groups images as :func:`cluster` does, and tells which were rescued, and with what parameters.

    Takes what that takes and, for ``linkage``, ``previous_limit`` (None): the ``limit`` of an earlier run on nearly the
    same images, which stays where it still fits.
    """
    _check_method(method)
    if constraints is not None and method != "linkage":
        raise ParameterError("constraints", f"given with {method}", "None: only linkage keeps them")
    scene = None
    if eps is None or min_samples is None or method == "linkage":
        known = calibration.load(model_name, model_dir=model_dir)
        scene = LinkageOptions.scene * known.threshold  # what near-duplicates are does not depend on eps
        if eps is None or min_samples is None:
            published = published_parameters(known, method)
            eps = published[0] if eps is None else eps
            min_samples = published[1] if min_samples is None else min_samples
    given = embeddings_or_graph
    if not isinstance(given, NeighborGraph) and choose_graph(graph, _count(given), method).is_approximate:
        check_parameters(eps, min_samples, least=1)
        _check_cap(None if method == "linkage" else CAP, min_samples)  # before anything is compared
        given = approximate_graph(given, eps, graphs_folder() if folder is None else folder, progress=progress)
    quality = given.quality if isinstance(given, ApproximateGraph) else None
    if method == "linkage":
        found = linkage(
            given,
            threshold=eps,
            min_samples=min_samples,
            scene=scene,
            constraints=constraints,
            previous_limit=previous_limit,
            progress=progress,
        )
        details = (found.rescued, found.nearest, found.second, found.before)
        return Clustering(found.labels, *details, method, eps, int(min_samples), found.limit, quality)
    labels = _labels(given, method, eps, min_samples, progress)
    nothing = np.full(len(labels), np.nan)
    is_rescued = np.zeros(len(labels), np.bool_)
    return Clustering(labels, is_rescued, nothing, nothing, labels, method, eps, int(min_samples), eps, quality)


def _labels(
    given: ArrayLike | NeighborGraph, method: str, eps: float, min_samples: int, progress: ProgressCallback | None
) -> Labels:
    """The groups of all methods but linkage."""
    if method.startswith("optics"):
        by = optics_cut if method == "optics_cut" else optics
        return by(given, eps=eps, min_samples=min_samples, progress=progress)
    check_parameters(eps, min_samples, least=1 if method.startswith("dbscan") else 2)
    if not isinstance(given, NeighborGraph):
        if method != "hdbscan":
            return dbscan_of_embeddings(given, eps=eps, min_samples=min_samples, progress=progress)
        given = radius_graph(given, eps, progress=progress)
    return (hdbscan if method == "hdbscan" else dbscan)(given, eps=eps, min_samples=min_samples)


def published_parameters(known: calibration.Calibration, method: str) -> tuple[float, int]:
    """Gives eps and min_samples of a method: as published, or derived from the threshold of the model.

    Args:
        known: the calibration of the model
        method: one of :data:`METHODS`

    Raises:
        ParameterError: there is no such method
        UnknownPresetError: nothing is published for this method and this model
    """
    _check_method(method)
    if method not in _SMALLEST:
        return known.preset(method)
    share = {"linkage": 1.0, "hdbscan": _BEYOND, "optics_cut": _OPTICS_CUT}[method]
    return min(share * known.threshold, 1.0), _SMALLEST[method]


def linkage(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    threshold: float,
    min_samples: int = 2,
    scene: float | None = None,
    constraints: Constraints | None = None,
    options: LinkageOptions | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Linkage:
    """Groups images by average linkage, as :func:`ccip_plugin.core.linkage.link` says.

    Takes, beside the vectors, memory for a block and a few numbers for each image; no pairs are kept. With a graph in a
    folder, what is merged is kept there, too, so that another threshold takes a look at each image only. Where people
    decided the groups of most images, time is proportional to the number of the others times that of all: images of two
    decided groups never meet, however much they are alike, and so are not compared.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph that has their vectors
        threshold: the largest mean difference in a group
        min_samples: how many images make a group; images of smaller ones are :data:`NOISE`, unless people put one of
            them there
        scene (None): the largest mean difference of near-duplicates; a share of the threshold by default. At most that
            up to which groups are merged whatever their size
        constraints (None): what people decided
        options (None): how to decide
        previous_limit (None): the ``limit`` of an earlier run, which stays where it still fits
        progress (None): told how far the work is

    Returns:
        the groups, as ``labels`` with :data:`NOISE`

    Raises:
        ContradictionError: the constraints cannot all be kept
        ParameterError: the threshold or a constraint has no meaning, or the graph has no vectors
        RadiusError: the threshold is larger than the radius of the graph
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_parameters(threshold, min_samples, least=1)
    options = options or LinkageOptions()
    scene = min(options.scene * threshold if scene is None else scene, options.sure * threshold)
    graph = None
    if not isinstance(embeddings_or_graph, NeighborGraph):
        unit = unit_vectors(embeddings_or_graph)
    elif embeddings_or_graph.vectors is not None:
        graph, unit = embeddings_or_graph, embeddings_or_graph.vectors
    else:
        raise ParameterError("graph", "without vectors", "a graph with vectors for linkage, or embeddings")
    decisions = None if constraints is None else check(constraints, len(unit))
    known = None
    if graph is not None and graph.folder is not None and scene < options.sure * threshold:
        if threshold > graph.radius:
            raise RadiusError(threshold, graph.radius)
        known = find_hierarchy(graph, scene, options, progress=progress)
        components = Components(*map(known.components, (scene, options.sure * threshold, threshold)))
    else:
        owners = None if decisions is None else decisions.owners
        if graph is None:
            parts = _pairs_that_matter(unit, threshold, scene, owners, progress)
        else:
            parts = graph.parts_within(threshold)
        components = find_components(len(unit), parts, threshold, options, scene=scene)
    push = constraints.push if constraints is not None else 0.0
    found = link(
        unit,
        components,
        threshold,
        scene=scene,
        known=known,
        decisions=decisions,
        push=push,
        options=options,
        previous_limit=previous_limit,
        progress=progress,
    )
    is_owned = None if decisions is None else decisions.owners >= 0
    return replace(found, labels=_without_small(found.labels, min_samples, is_owned))


def _pairs_that_matter(
    unit: Vectors,
    threshold: float,
    scene: float,
    owners: NDArray[np.int64] | None,
    progress: ProgressCallback | None,
) -> Iterator[Pairs]:
    """The pairs up to the threshold; where most images have a decided group, without those of decided groups.

    Images of one such group belong together whatever they look like, and only near-duplicates, with differences up to
    ``scene``, are looked for there.
    """
    free = np.arange(len(unit)) if owners is None else np.flatnonzero(owners < 0)
    if owners is None or 2 * len(free) >= len(unit):
        blocks = near_pairs(unit, threshold, with_differences=False, progress=progress)
        yield from (block.pairs for block in blocks)
        return
    yield from near_pairs_of(unit, free, threshold, progress=progress)
    order = np.argsort(owners, kind="stable")[len(free) :].astype(np.int32)
    for members in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        for pairs, _, _ in near_pairs(unit[members], scene, with_differences=False):
            yield Pairs(members[pairs.rows], members[pairs.cols], pairs.differences)


def _without_small(labels: Labels, least: int, is_owned: NDArray[np.bool_] | None) -> Labels:
    """Labels without those of small groups that nobody decided on, numbered anew."""
    sizes = np.bincount(labels)
    if is_owned is not None:
        sizes[labels[is_owned]] = max(least, len(labels))
    is_kept = sizes[labels] >= least if len(labels) else np.empty(0, np.bool_)
    result = np.full(len(labels), NOISE, np.int64)
    result[is_kept] = numbered(labels[is_kept])
    return result


def dbscan(graph: NeighborGraph, *, eps: float, min_samples: int) -> Labels:
    """Groups images by density (Ester et al., 1996), with the labels that scikit-learn gives on the full matrix.

    Args:
        graph: every pair of ``n`` images with a difference up to ``graph.radius``
        eps: the largest difference between two neighbors, at most ``graph.radius``
        min_samples: how many neighbors, itself included, make a core image; with 1, every image is one

    Returns:
        ``(n,)`` labels, numbered by their first core images; :data:`NOISE` for images without a core image nearby

    Raises:
        RadiusError: eps is larger than the radius of the graph
        ParameterError: eps or min_samples has no meaning, or the graph has fewer neighbors of each image
    """
    check_parameters(eps, min_samples, least=1)
    _check_cap(graph.cap, min_samples)
    is_core = graph.count_neighbors(eps) + 1 >= min_samples
    return _grouped(is_core, graph.pairs_within(eps))


def dbscan_of_embeddings(
    embeddings: ArrayLike, *, eps: float, min_samples: int, progress: ProgressCallback | None = None
) -> Labels:
    """As :func:`dbscan` on the graph of embeddings, without keeping more pairs than :data:`PAIRS_BYTES` hold.

    Where there are more, images are compared twice: first to count neighbors, then to connect them. With
    ``min_samples`` up to 2, once.
    """
    check_parameters(eps, min_samples, least=1)
    unit = unit_vectors(embeddings)
    counts = np.zeros(len(unit), np.int64)
    kept: list[_RowsAndCols] | None = []
    n_kept = 0
    forest = Forest(len(unit))
    for block in near_pairs(unit, eps, with_differences=False, progress=progress):
        rows, cols, _ = block.pairs
        if min_samples <= 2:  # whoever has a neighbor is a core image
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
    _check_cap(graph.cap, min_samples)
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
    if not isinstance(given, NeighborGraph) and _count(given) > MAX_DENSE:
        given = radius_graph(given, eps, progress=progress)
    if isinstance(given, NeighborGraph):
        _check_cap(given.cap, min_samples)
        return ordering_of_graph(given, eps, int(min_samples), progress=progress)
    n = _count(given)
    if n < min_samples:
        if n:
            normalize(given)  # so that a bad row is an error here, too
        nothing = np.full(n, np.inf)
        return Ordering(np.arange(n), nothing, nothing, np.full(n, -1))
    dense = differences(given, memory=4 * MAX_DENSE**2)
    dense[dense < _ROUNDING] = 0
    return ordering_of_matrix(dense, cores_of_matrix(dense, int(min_samples)), eps, progress=progress)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ParameterError("method", method, f"one of {', '.join(METHODS)}")


def check_parameters(eps: float, min_samples: int, *, least: int = 1) -> None:
    """Raises ParameterError where ``eps`` is no difference, or ``min_samples`` no whole number from ``least`` on."""
    if isinstance(eps, bool) or not isinstance(eps, numbers.Real) or not 0 <= eps <= 1:
        raise ParameterError("eps", eps, "a difference from 0 to 1")
    if isinstance(min_samples, bool) or not isinstance(min_samples, int | np.integer) or min_samples < least:
        raise ParameterError("min_samples", min_samples, f"a whole number, at least {least}")


def _check_cap(cap: int | None, min_samples: int) -> None:
    """Raises where a graph that keeps so many neighbors of each image cannot tell who is a core image."""
    if cap is not None and min_samples > cap + 1:
        wanted = f"at most {cap + 1} with an approximate graph, which keeps {cap} neighbors of each image"
        raise ParameterError("min_samples", min_samples, f"{wanted}; take the exact one")


def _count(embeddings: ArrayLike) -> int:
    return len(embeddings) if isinstance(embeddings, Sized) else len(np.atleast_1d(np.asarray(embeddings)))


def _grouped(is_core: NDArray[np.bool_], parts: Iterable[_RowsAndCols]) -> Labels:
    """DBSCAN's groups: core images that are connected, and images near them, in the first of the groups of these."""
    forest = Forest(len(is_core))
    borders: list[_RowsAndCols] = []
    for rows, cols in parts:
        are_core = is_core[rows] & is_core[cols]
        forest.add(rows[are_core], cols[are_core])
        for core, border in ((rows, cols), (cols, rows)):
            reaches = is_core[core] & ~is_core[border]
            borders.append((core[reaches], border[reaches]))  # few: an image that is no core has few neighbors
    nowhere = np.iinfo(np.int64).max
    labels = np.where(is_core, forest.labels(is_core), nowhere)
    for core, border in borders:
        np.minimum.at(labels, border, labels[core])
    labels[labels == nowhere] = NOISE
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
    differences = np.maximum(near.differences, _ROUNDING)
    rows, cols = np.concatenate([near.rows, far // graph.n]), np.concatenate([near.cols, far % graph.n])
    values = np.concatenate([differences, np.full(len(far), max(_FAR * eps, 2 * _ROUNDING))]).astype(np.float64)
    pairs = (np.concatenate([rows, cols]), np.concatenate([cols, rows]))
    return coo_matrix((np.tile(values, 2), pairs), shape=(graph.n, graph.n)).tocsr()
