"""Clusters embeddings by character with any of the methods."""

from pathlib import Path

from numpy.typing import ArrayLike

from .. import calibration
from ..arrays import Labels
from ..errors import ParameterError
from ..neighbors.approximate import CAP, approximate_graph
from ..neighbors.cache import find_or_build_approximate
from ..neighbors.choice import EXACT, choose_graph
from ..neighbors.graph import NeighborGraph
from ..neighbors.vectors import VectorSource
from ..progress import ProgressCallback
from ..registry import DEFAULT_MODEL
from .constraints import Constraints
from .methods import DEFAULT_METHOD, Clustering, ClusteringTask, get_method
from .parameters import check_cap, check_parameters, n_items


def cluster(
    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph,
    *,
    method: str = DEFAULT_METHOD,
    eps: float | None = None,
    min_samples: int | None = None,
    model_name: str = DEFAULT_MODEL,
    model_dir: str | Path | None = None,
    constraints: Constraints | None = None,
    graph: str = EXACT,
    folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Clusters images by character.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a neighbor graph, which is used as it is,
            whatever the value of ``graph``
        method ("linkage"): a key of :data:`~ccip_plugin.core.clustering.methods.METHODS`

            -   ``linkage``: average linkage inside the connected components of the graph, up to the threshold of the
                model, with a limit between large groups that is learned from the images, and a rescue of single images
                on strong evidence. The best without tuning, and the most stable as datasets grow
            -   ``dbscan``: DBSCAN with the threshold of the model as eps. ``dbscan_2``, ``dbscan_free``: with the
                published parameters. Groups chain together as datasets grow
            -   ``hdbscan``: HDBSCAN on the graph up to 1.4 thresholds. Good with large groups, leaves many images of
                small ones in no group; puts all images into one group only if it finds no others
            -   ``optics``, ``optics_best``: OPTICS with eps 0.5 and min_samples 5, or with the published parameters,
                and xi extraction, as published; splits large characters by outfit. ``optics_cut``: the same ordering,
                cut at 0.8 thresholds, which gives far better groups
        eps (None): maximum difference of two neighbors, inclusive; for ``linkage`` the maximum mean difference in a
            group, for ``hdbscan`` the radius of the graph, for ``optics_cut`` the height of the cut. The published
            value of the method and the model by default
        min_samples (None): how many images within eps, itself included, make a core image; for ``linkage`` and
            ``hdbscan`` how many make a group. The published value by default, or 2, 3, and 5
        model_name: model of the embeddings
        model_dir (None): a folder with model files
        constraints (None): pairs to keep together or apart, for methods that keep constraints: ``linkage``
        graph ("exact"): ``exact`` compares every pair. ``approximate`` finds nearly all similar pairs in a fraction of
            the time, and stores them in ``folder``; needs the extra "index". ``auto`` does that for 100,000 images or
            more if the extra is installed
        folder (None): where approximate graphs are stored, ``graphs`` in the folder ``CCIP_CACHE_DIR`` by default; only
            a folder that is given here must be writable
        progress (None): called with the stage and the number of items done; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        ``(n,)`` labels: 0, 1, ... for groups, :data:`NOISE` for images in none

    Raises:
        ParameterError: the method or a parameter is invalid, or cannot be used with this graph
        MissingExtraError: an approximate graph was requested, and faiss is not installed
        UnknownModelError: no such model; only where ``linkage`` or an omitted parameter needs its published values
        UnknownPresetError: nothing is published for this method and this model
        ContradictionError: the constraints contradict each other
        RadiusError: eps is larger than the radius of the graph
        GraphTooLargeError: more pairs than fit into memory
        VectorsError: an embedding is zero or not finite; names its row
        OSError: ``folder`` is given and cannot be written
    """
    record = get_method(method)
    _check_constraints(method, constraints)
    threshold = None
    if eps is None or min_samples is None or record.needs_threshold:
        published = calibration.load(model_name, model_dir=model_dir)
        threshold = published.threshold
        if eps is None or min_samples is None:
            defaults = record.parameters(published)
            eps = defaults[0] if eps is None else eps
            min_samples = defaults[1] if min_samples is None else min_samples
    data = embeddings_or_graph
    if not isinstance(data, NeighborGraph):
        choice = choose_graph(graph, n_items(data), needs_all_neighbors=record.needs_all_neighbors)
        if choice.is_approximate:
            check_parameters(eps, min_samples)
            check_cap(CAP if record.counts_neighbors else None, min_samples)  # before anything is compared
            data = _approximate(data, eps, folder, progress)
    details = run_method(
        data,
        method,
        eps=eps,
        min_samples=min_samples,
        threshold=threshold,
        constraints=constraints,
        progress=progress,
    )
    return details.labels


def run_method(
    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph,
    method: str,
    *,
    eps: float,
    min_samples: int,
    threshold: float | None = None,
    constraints: Constraints | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Clustering:
    """Runs a method with given parameters on given embeddings or a given graph.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a neighbor graph
        method: a key of :data:`~ccip_plugin.core.clustering.methods.METHODS`
        eps: maximum difference
        min_samples: number of images that make a group or a core image
        threshold (None): published threshold of the model, eps by default; ``linkage`` derives from it what
            near-duplicates are
        constraints (None): pairs to keep together or apart, for methods that keep constraints
        previous_limit (None): ``limit`` of an earlier run on nearly the same images, which is kept if it still fits
        progress (None): called with the stage and the number of items done

    Returns:
        labels, which images were rescued, the limit, and the quality of an approximate graph

    Raises:
        as :func:`cluster`, except for what is published
    """
    record = get_method(method)
    _check_constraints(method, constraints)
    task = ClusteringTask(
        embeddings_or_graph, method, eps, min_samples, threshold, constraints, previous_limit, progress
    )
    return record.run(task)


def _approximate(
    data: ArrayLike | VectorSource, eps: float, folder: str | Path | None, progress: ProgressCallback | None
) -> ArrayLike | VectorSource | NeighborGraph:
    """An approximate graph; the embeddings as they are if no folder can be written."""
    if folder is not None:
        return approximate_graph(data, eps, folder, progress=progress)
    graph = find_or_build_approximate(data, eps, progress)
    return data if graph is None else graph


def _check_constraints(method: str, constraints: Constraints | None) -> None:
    if constraints is not None and not get_method(method).keeps_constraints:
        raise ParameterError("constraints", f"given with {method}", "None: this method does not keep them")
