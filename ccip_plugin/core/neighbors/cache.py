"""Cache of neighbor graphs on disk, so that a run with another eps takes seconds."""

from dataclasses import replace

from ..progress import ProgressCallback, report
from .approximate import CAP, PROBES, approximate_graph
from .choice import APPROXIMATE, GraphChoice
from .files import find_graph, graphs_folder, prune_graphs, stored_graph
from .graph import NeighborGraph
from .quality import Estimate, estimate_graph
from .vectors import VectorSource

KEPT_GRAPHS = 4
"""Number of cached graphs; the least recently used ones are deleted."""

_MANY = 20_000  # images; from here on, a comparison takes long enough to announce its time and to cache its graph
_RADIUS_FACTOR = 1.25  # a cached graph has a larger radius than needed, for a larger eps later
_MAX_AUTO_DISK_BYTES = 4 << 30  # of a graph that was not requested
_MIB = 1 << 20


def find_or_choose(
    vectors: VectorSource,
    radius: float,
    choice: GraphChoice,
    *,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> NeighborGraph | None:
    """Returns the cached graph of these vectors, or builds the chosen one; None if the caller has to compare them.

    From 20,000 images on, an exact graph is built and cached, unless it would take more than 4 GiB of disk. The time
    and disk space of a build are estimated and reported first.

    Args:
        vectors: the embeddings
        radius: the largest difference
        choice: exact or approximate. With ``auto``, a cached exact graph is used instead of an approximate one
        keep (True): whether an exact graph may be built; False if not all pairs have to be compared
        progress (None): called with the progress of each stage
    """
    graph = _find(vectors, radius, choice, progress)
    if graph is not None or len(vectors) < _MANY or not keep:
        return graph
    larger_radius = min(_RADIUS_FACTOR * radius, 1.0)
    estimate = estimate_graph(vectors, larger_radius)
    if estimate.disk_bytes > _MAX_AUTO_DISK_BYTES:
        report(progress, "comparing images", 0, None, _note(replace(estimate, disk_bytes=0)))
        return None
    return _build(vectors, larger_radius, estimate, progress)


def find_or_build(
    vectors: VectorSource,
    radius: float,
    choice: GraphChoice,
    *,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Returns a graph as :func:`find_or_choose`, but always builds and caches an exact graph if there is none.

    It takes 12 bytes of disk for each pair within the radius. Graphs beyond :data:`KEPT_GRAPHS` are deleted. Raises as
    :func:`~ccip_plugin.core.neighbors.files.stored_graph`.
    """
    graph = _find(vectors, radius, choice, progress)
    if graph is None:
        estimate = estimate_graph(vectors, radius) if len(vectors) >= _MANY else None
        graph = _build(vectors, radius, estimate, progress)
    return graph


def _find(
    vectors: VectorSource, radius: float, choice: GraphChoice, progress: ProgressCallback | None
) -> NeighborGraph | None:
    """Returns a cached exact graph, or an approximate one if that is chosen."""
    exact = None if choice.requested == APPROXIMATE else find_graph(vectors, radius, graphs_folder())
    if exact is not None or not choice.is_approximate:
        return exact
    estimate = estimate_graph(vectors, radius, cap=CAP, n_probes=PROBES)
    report(progress, "finding neighbors", 0, None, _note(estimate))
    graph = approximate_graph(vectors, radius, graphs_folder(), progress=progress)
    prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _build(
    vectors: VectorSource, radius: float, estimate: Estimate | None, progress: ProgressCallback | None
) -> NeighborGraph:
    if estimate is not None:
        report(progress, "comparing images", 0, None, _note(estimate))
    graph = stored_graph(vectors, radius, graphs_folder(), progress=progress)
    prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _note(estimate: Estimate) -> str:
    disk = f" and {estimate.disk_bytes / _MIB:,.0f} MiB of disk" if estimate.disk_bytes else ""
    return f"about {estimate.seconds / 60:.1f} minutes{disk}"
