"""Graphs of neighbors that are kept on this machine, so that another eps is a matter of seconds."""

from dataclasses import replace

from ..progress import ProgressCallback, report
from .approximate import CAP, PROBES, approximate_graph
from .choice import APPROXIMATE, GraphChoice
from .files import find_graph, graphs_folder, prune_graphs, stored_graph
from .graph import NeighborGraph
from .quality import Estimate, estimate_graph
from .vectors import VectorSource

KEPT_GRAPHS = 4
"""How many graphs are kept; the ones that were used longest ago go first."""

_MANY = 20_000  # images from which a comparison takes long enough to say so first, and to keep what it found
_BEYOND = 1.25  # times the radius that is needed: how far a kept graph goes, for a larger one later
_MOST_DISK = 4 << 30  # bytes that a graph may take which nobody asked for
_MIB = 1 << 20


def find_or_choose(
    vectors: VectorSource,
    radius: float,
    choice: GraphChoice,
    *,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> NeighborGraph | None:
    """The graph of these vectors that is kept, or that is chosen; None where all pairs are to be compared anew.

    An exact graph is built and kept where comparing takes long, so that another eps is a matter of seconds, but not
    where it would take more than 4 GiB of disk; methods that compare all pairs need none. What building takes is
    estimated and told first.

    Args:
        vectors: the embeddings
        radius: the largest difference
        choice: exact or approximate; a kept exact graph is taken for an approximate one that nobody asked for
        keep (True): False where not all pairs are to be compared, which no graph is worth
        progress (None): told how far the work is
    """
    graph = _found(vectors, radius, choice, progress)
    if graph is not None or len(vectors) < _MANY or not keep:
        return graph
    farther = min(_BEYOND * radius, 1.0)
    needed = estimate_graph(vectors, farther)
    if needed.disk_bytes > _MOST_DISK:
        report(progress, "comparing images", 0, None, _words(replace(needed, disk_bytes=0)))
        return None
    return _built(vectors, farther, needed, progress)


def find_or_build(
    vectors: VectorSource,
    radius: float,
    choice: GraphChoice,
    *,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """As :func:`find_or_choose`, but an exact graph is built and kept, too, when there is none.

    It takes 12 bytes of disk for each pair of images that are that much alike. Graphs over :data:`KEPT_GRAPHS` are
    deleted. Raises as :func:`~ccip_plugin.core.neighbors.files.stored_graph`.
    """
    graph = _found(vectors, radius, choice, progress)
    if graph is None:
        needed = estimate_graph(vectors, radius) if len(vectors) >= _MANY else None
        graph = _built(vectors, radius, needed, progress)
    return graph


def _found(
    vectors: VectorSource, radius: float, choice: GraphChoice, progress: ProgressCallback | None
) -> NeighborGraph | None:
    """A kept graph, or an approximate one where that is chosen."""
    exact = None if choice.asked == APPROXIMATE else find_graph(vectors, radius, graphs_folder())
    if exact is not None or not choice.is_approximate:
        return exact
    needed = estimate_graph(vectors, radius, cap=CAP, n_probes=PROBES)
    report(progress, "finding images that are alike", 0, None, _words(needed))
    graph = approximate_graph(vectors, radius, graphs_folder(), progress=progress)
    prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _built(
    vectors: VectorSource, radius: float, needed: Estimate | None, progress: ProgressCallback | None
) -> NeighborGraph:
    if needed is not None:
        report(progress, "comparing images", 0, None, _words(needed))
    graph = stored_graph(vectors, radius, graphs_folder(), progress=progress)
    prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _words(needed: Estimate) -> str:
    disk = f" and {needed.disk_bytes / _MIB:,.0f} MiB of disk" if needed.disk_bytes else ""
    return f"about {needed.seconds / 60:.1f} minutes{disk}"
