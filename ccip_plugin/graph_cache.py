"""Graphs of neighbors that are kept on this machine, so that another eps is a matter of seconds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .core.fingerprints import cache_dir
from .core.graph_files import find_graph, prune_graphs, stored_graph
from .core.neighbors import NeighborGraph
from .core.progress import ProgressCallback

KEPT_GRAPHS = 4
"""How many graphs are kept; the ones that were used longest ago go first."""


def folder() -> Path:
    """Where graphs are kept: ``graphs`` in the folder that ``CCIP_CACHE_DIR`` names, or in the user's cache folder."""
    return cache_dir() / "graphs"


def find(vectors: NDArray[np.float32], radius: float) -> NeighborGraph | None:
    """The graph of these vectors with at least this radius, None when none is kept."""
    return find_graph(vectors, radius, folder())


def find_or_build(
    vectors: NDArray[np.float32], radius: float, *, progress: ProgressCallback | None = None
) -> NeighborGraph:
    """The graph of these vectors with at least this radius; built and kept when there is none.

    Takes 12 bytes of disk for each pair of images that are that much alike. Graphs over :data:`KEPT_GRAPHS` are
    deleted. Raises as :func:`~ccip_plugin.core.graph_files.stored_graph`.
    """
    graph = find_graph(vectors, radius, folder())
    if graph is None:
        graph = stored_graph(vectors, radius, folder(), progress=progress)
        prune_graphs(folder(), KEPT_GRAPHS)
    return graph
