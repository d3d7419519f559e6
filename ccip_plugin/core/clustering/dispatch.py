"""Groups embeddings by character: each image gets the number of its group, or none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import calibration
from ..arrays import Labels
from ..errors import ParameterError
from ..neighbors.approximate import CAP, ApproximateGraph, approximate_graph
from ..neighbors.choice import EXACT, choose_graph
from ..neighbors.files import graphs_folder
from ..neighbors.graph import NeighborGraph, radius_graph
from ..neighbors.quality import Quality
from ..progress import ProgressCallback
from ..registry import DEFAULT_MODEL
from .constraints import Constraints
from .dbscan import dbscan, dbscan_of_embeddings
from .hdbscan import hdbscan
from .linkage import LinkageOptions, linkage
from .optics import optics, optics_cut
from .parameters import check_cap, check_method, check_parameters, count_of, published_parameters


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
    check_method(method)
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
    if not isinstance(given, NeighborGraph) and choose_graph(graph, count_of(given), method).is_approximate:
        check_parameters(eps, min_samples, least=1)
        check_cap(None if method == "linkage" else CAP, min_samples)  # before anything is compared
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
