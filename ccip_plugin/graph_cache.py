"""Graphs of neighbors that are kept on this machine, so that another eps is a matter of seconds."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .core.approximate import CAP, PROBES, approximate_graph
from .core.graph_choice import APPROXIMATE, GraphChoice
from .core.graph_files import find_graph, graphs_folder, prune_graphs, stored_graph
from .core.graph_quality import Estimate, estimate_graph
from .core.neighbors import NeighborGraph
from .core.progress import ProgressCallback, report

KEPT_GRAPHS = 4
"""How many graphs are kept; the ones that were used longest ago go first."""

_WORTH_SAYING = 20_000  # images from which a comparison takes long enough to say so first
_MIB = 1 << 20


def find_or_choose(
    vectors: NDArray[np.float32],
    radius: float,
    choice: GraphChoice,
    *,
    progress: ProgressCallback | None = None,
) -> NeighborGraph | None:
    """The graph of these vectors that is kept, or that is chosen; None where all pairs are to be compared anew.

    Only an approximate graph is built here, and kept: methods that compare all pairs need none. Of many images, what
    it takes is estimated and told first.

    Args:
        vectors: the embeddings
        radius: the largest difference
        choice: exact or approximate; a kept exact graph is taken for an approximate one that nobody asked for
        progress (None): told how far the work is
    """
    graph = _found(vectors, radius, choice, progress)
    if graph is None:
        _say_first(vectors, radius, progress)
    return graph


def find_or_build(
    vectors: NDArray[np.float32],
    radius: float,
    choice: GraphChoice,
    *,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """As :func:`find_or_choose`, but an exact graph is built and kept, too, when there is none.

    It takes 12 bytes of disk for each pair of images that are that much alike. Graphs over :data:`KEPT_GRAPHS` are
    deleted. Raises as :func:`~ccip_plugin.core.graph_files.stored_graph`.
    """
    graph = _found(vectors, radius, choice, progress)
    if graph is None:
        _say_first(vectors, radius, progress, is_kept=True)
        graph = stored_graph(vectors, radius, graphs_folder(), progress=progress)
        prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _found(
    vectors: NDArray[np.float32], radius: float, choice: GraphChoice, progress: ProgressCallback | None
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


def _say_first(
    vectors: NDArray[np.float32], radius: float, progress: ProgressCallback | None, *, is_kept: bool = False
) -> None:
    if progress is not None and len(vectors) >= _WORTH_SAYING:
        needed = estimate_graph(vectors, radius)
        report(progress, "comparing images", 0, None, _words(needed if is_kept else replace(needed, disk_bytes=0)))


def _words(needed: Estimate) -> str:
    disk = f" and {needed.disk_bytes / _MIB:,.0f} MiB of disk" if needed.disk_bytes else ""
    return f"about {needed.seconds / 60:.1f} minutes{disk}"
