"""The clustering methods, one record each: adding a method is adding a record to :data:`METHODS`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import BoolArray, FloatArray, Labels
from ..calibration import PublishedParameters
from ..errors import ParameterError
from ..neighbors.approximate import ApproximateGraph
from ..neighbors.graph import NeighborGraph, radius_graph
from ..neighbors.quality import Quality
from ..neighbors.vectors import VectorSource
from ..progress import ProgressCallback
from .constraints import Constraints
from .dbscan import dbscan, dbscan_of_embeddings
from .hdbscan import hdbscan
from .linkage import LinkageOptions, linkage
from .optics import MAX_DENSE, optics, optics_cut
from .parameters import check_parameters, n_items

LINKAGE, DBSCAN, HDBSCAN, OPTICS = "linkage", "dbscan", "hdbscan", "optics"
"""Families of methods. Methods of one family differ in their parameters only, and share calibrated ones."""
FAMILY_LABELS = {LINKAGE: "Average linkage", DBSCAN: "DBSCAN", HDBSCAN: "HDBSCAN", OPTICS: "OPTICS"}
"""The families as people see them."""

DEFAULT_METHOD = "linkage"
"""The recommended method: it needs only the threshold of a model, and groups best when nothing is tuned."""

_HDBSCAN_RADIUS = 1.4  # thresholds
_OPTICS_CUT = 0.8  # thresholds


@dataclass(frozen=True, eq=False)
class Clustering:
    """Groups of ``n`` images, and how they were made.

    Attributes:
        labels: ``(n,)``: 0, 1, ... for groups, in the order of their first images; :data:`NOISE` for images in none
        rescued: ``(n,)`` whether an image was alone or in a small group and was assigned to this one by a rescue
        nearest: ``(n,)`` mean difference of rescued images to their group; NaN for others
        second: ``(n,)`` mean difference of rescued images to the second nearest group, infinite without one; NaN for
            others
        before: ``(n,)`` labels without the rescue, numbered on their own
        method: name of the method
        eps: the eps; the threshold for ``linkage``
        min_samples: the min_samples
        limit: mean difference up to which large groups were merged; eps for methods that learn no such limit
        quality: recall of an approximate graph; None when all pairs were compared
    """

    labels: Labels
    rescued: BoolArray
    nearest: FloatArray
    second: FloatArray
    before: Labels
    method: str
    eps: float
    min_samples: int
    limit: float
    quality: Quality | None = None


@dataclass(frozen=True, eq=False)
class ClusteringTask:
    """What a method gets.

    Attributes:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a neighbor graph
        method: name of the method
        eps: maximum difference
        min_samples: number of images that make a group or a core image
        threshold: published threshold of the model; None for methods that do not need it
        constraints: pairs to keep together or apart; None for methods that cannot keep them
        previous_limit: ``limit`` of an earlier run on nearly the same images
        progress: called with the stage and the number of items done
    """

    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph
    method: str
    eps: float
    min_samples: int
    threshold: float | None = None
    constraints: Constraints | None = None
    previous_limit: float | None = None
    progress: ProgressCallback | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        data = self.embeddings_or_graph
        return data.n if isinstance(data, NeighborGraph) else n_items(data)

    def result(self, labels: Labels) -> Clustering:
        """The result of a method without a rescue."""
        no_number, is_rescued = np.full(len(labels), np.nan), np.zeros(len(labels), np.bool_)
        parameters = (self.method, self.eps, int(self.min_samples), self.eps)
        return Clustering(labels, is_rescued, no_number, no_number, labels, *parameters, self.quality)

    @property
    def quality(self) -> Quality | None:
        """Recall of an approximate graph."""
        data = self.embeddings_or_graph
        return data.quality if isinstance(data, ApproximateGraph) else None


@dataclass(frozen=True)
class ClusteringMethod:
    """A clustering method.

    Attributes:
        name: value of the parameter ``method``
        family: the algorithm, e.g. :data:`DBSCAN`; calibrated parameters are kept by family
        label: name shown to people
        description: what to know to choose it, in a sentence
        parameters: gives ``(eps, min_samples)`` from what is published for a model; raises
            :class:`~ccip_plugin.core.errors.UnknownPresetError` for models without
        run: clusters
        needs_threshold: whether it uses the published threshold even when eps and min_samples are given
        needs_all_neighbors: whether it needs all neighbors of each image up to eps, so that an approximate graph, which
            keeps the nearest ones only, will not do
        counts_neighbors: whether min_samples counts neighbors, so that a graph that keeps fewer cannot be used
        keeps_constraints: whether it keeps :class:`~ccip_plugin.core.clustering.constraints.Constraints`
        has_hysteresis: whether merges and splits of earlier groups within a margin of its limit are reverted
        can_chain: whether groups may be chains of neighbors whose ends are far from each other
        max_dense: up to so large an ``n`` it works on the full matrix of differences instead of a neighbor graph
    """

    name: str
    family: str
    label: str
    description: str
    parameters: Callable[[PublishedParameters], tuple[float, int]]
    run: Callable[[ClusteringTask], Clustering]
    needs_threshold: bool = False
    needs_all_neighbors: bool = False
    counts_neighbors: bool = True
    keeps_constraints: bool = False
    has_hysteresis: bool = False
    can_chain: bool = True
    max_dense: int = 0


def preset(name: str) -> Callable[[PublishedParameters], tuple[float, int]]:
    """Parameters of a method: a published preset."""
    return lambda published: published.preset(name)


def from_threshold(factor: float, *, min_samples: int) -> Callable[[PublishedParameters], tuple[float, int]]:
    """Parameters of a method: eps as a multiple of the threshold, at most 1, and a fixed min_samples."""
    return lambda published: (min(factor * published.threshold, 1.0), min_samples)


def get_method(name: str) -> ClusteringMethod:
    """Gives the record of a method.

    Raises:
        ParameterError: there is no such method; lists those that exist
    """
    if name not in METHODS:
        raise ParameterError("method", name, f"one of {', '.join(METHODS)}")
    return METHODS[name]


def _run_linkage(task: ClusteringTask) -> Clustering:
    # what near-duplicates are does not depend on eps
    near_duplicate = None if task.threshold is None else LinkageOptions.near_duplicate * task.threshold
    found = linkage(
        task.embeddings_or_graph,
        threshold=task.eps,
        min_samples=task.min_samples,
        near_duplicate=near_duplicate,
        constraints=task.constraints,
        previous_limit=task.previous_limit,
        progress=task.progress,
    )
    details = (found.rescued, found.nearest, found.second, found.before)
    parameters = (task.method, task.eps, int(task.min_samples), found.limit)
    return Clustering(found.labels, *details, *parameters, task.quality)


def _run_dbscan(task: ClusteringTask) -> Clustering:
    data, eps, min_samples = task.embeddings_or_graph, task.eps, task.min_samples
    if isinstance(data, NeighborGraph):
        return task.result(dbscan(data, eps=eps, min_samples=min_samples))
    return task.result(dbscan_of_embeddings(data, eps=eps, min_samples=min_samples, progress=task.progress))


def _run_hdbscan(task: ClusteringTask) -> Clustering:
    graph = task.embeddings_or_graph
    if not isinstance(graph, NeighborGraph):
        check_parameters(task.eps, task.min_samples, least=2)
        graph = radius_graph(graph, task.eps, progress=task.progress)
    return task.result(hdbscan(graph, eps=task.eps, min_samples=task.min_samples))


def _run_optics(task: ClusteringTask) -> Clustering:
    data, progress = task.embeddings_or_graph, task.progress
    return task.result(optics(data, eps=task.eps, min_samples=task.min_samples, progress=progress))


def _run_optics_cut(task: ClusteringTask) -> Clustering:
    data, progress = task.embeddings_or_graph, task.progress
    return task.result(optics_cut(data, eps=task.eps, min_samples=task.min_samples, progress=progress))


METHODS: dict[str, ClusteringMethod] = {
    method.name: method
    for method in (
        ClusteringMethod(
            "linkage",
            LINKAGE,
            label="Average linkage",
            description="merges groups while their mean difference is small; needs no tuning, is the most stable as "
            "datasets grow, and keeps the constraints from user labels",
            parameters=from_threshold(1.0, min_samples=2),
            run=_run_linkage,
            needs_threshold=True,
            counts_neighbors=False,
            keeps_constraints=True,
            has_hysteresis=True,
            can_chain=False,
        ),
        ClusteringMethod(
            "dbscan",
            DBSCAN,
            label="DBSCAN (threshold)",
            description="connects images within the threshold of the model: fewer, larger groups, which chain together "
            "as datasets grow",
            parameters=preset("dbscan"),
            run=_run_dbscan,
        ),
        ClusteringMethod(
            "dbscan_2",
            DBSCAN,
            label="DBSCAN (tuned)",
            description="DBSCAN with the published eps for min_samples 2, a little stricter than the threshold",
            parameters=preset("dbscan_2"),
            run=_run_dbscan,
        ),
        ClusteringMethod(
            "dbscan_free",
            DBSCAN,
            label="DBSCAN (tuned, any min_samples)",
            description="DBSCAN with eps and min_samples that were tuned together and published",
            parameters=preset("dbscan_free"),
            run=_run_dbscan,
        ),
        ClusteringMethod(
            "hdbscan",
            HDBSCAN,
            label="HDBSCAN",
            description="finds the groups that persist longest as eps grows, dense or sparse; good with large groups, "
            "leaves many images of small ones unassigned",
            parameters=from_threshold(_HDBSCAN_RADIUS, min_samples=3),
            run=_run_hdbscan,
        ),
        ClusteringMethod(
            "optics",
            OPTICS,
            label="OPTICS (xi)",
            description="splits at steep changes of density, with eps 0.5 and min_samples 5; needs much memory for "
            "large datasets",
            parameters=preset("optics"),
            run=_run_optics,
            needs_all_neighbors=True,
            max_dense=MAX_DENSE,
        ),
        ClusteringMethod(
            "optics_best",
            OPTICS,
            label="OPTICS (xi, tuned)",
            description="splits at steep changes of density, with published parameters; often one group for each "
            "outfit of a character",
            parameters=preset("optics_best"),
            run=_run_optics,
            needs_all_neighbors=True,
            max_dense=MAX_DENSE,
        ),
        ClusteringMethod(
            "optics_cut",
            OPTICS,
            label="OPTICS (cut)",
            description="cuts the ordering of OPTICS at one density, so that outfits of a character stay together",
            parameters=from_threshold(_OPTICS_CUT, min_samples=5),
            run=_run_optics_cut,
            needs_all_neighbors=True,
            max_dense=MAX_DENSE,
        ),
    )
}
"""The methods by name, the default first. :func:`~ccip_plugin.core.clustering.dispatch.cluster`, forms and command line
offer what is here."""
