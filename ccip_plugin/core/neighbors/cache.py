"""Cache of neighbor graphs on disk, so that a run with another eps takes seconds.

The cache is optional: a folder that cannot be written, or a full disk, costs time and changes no result.
"""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from numpy.typing import ArrayLike

from ..progress import ProgressCallback, report
from .approximate import CAP, PROBES, approximate_graph
from .choice import APPROXIMATE, GraphChoice
from .files import find_graph, graphs_folder, prune_graphs, stored_graph
from .graph import NeighborGraph, radius_graph
from .quality import Estimate, estimate_graph
from .vectors import VectorSource

logger = logging.getLogger(__name__)

Graph = TypeVar("Graph", bound=NeighborGraph)

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

    From 20,000 images on, an exact graph is built and cached, unless it would take more than 4 GiB of disk, or more
    than there is. The time and disk space of a build are estimated and reported first. If the cache folder cannot be
    written, an approximate graph is built in a temporary folder, and an exact one is not built.

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
    if estimate.disk_bytes > min(_MAX_AUTO_DISK_BYTES, _free_bytes(graphs_folder())):
        report(progress, "comparing images", 0, None, _note(replace(estimate, disk_bytes=0)))
        return None
    try:
        return _build(vectors, larger_radius, estimate, progress)
    except OSError as error:
        _say_not_cached(error, progress)
        return None


def find_or_build(
    vectors: VectorSource,
    radius: float,
    choice: GraphChoice,
    *,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Returns a graph as :func:`find_or_choose`, but always builds and caches an exact graph if there is none.

    It takes 12 bytes of disk for each pair within the radius. Graphs beyond :data:`KEPT_GRAPHS` are deleted. If the
    cache folder cannot be written, the graph is built in a temporary folder, else in memory.

    Raises:
        GraphTooLargeError: neither folder can be written, and the pairs do not fit into memory
        ParameterError: the radius is outside [0, 1]
        VectorsError: an embedding is zero or not finite; names its row
    """
    graph = _find(vectors, radius, choice, progress)
    if graph is not None:
        return graph
    estimate = estimate_graph(vectors, radius) if len(vectors) >= _MANY else None
    try:
        return _build(vectors, radius, estimate, progress)
    except OSError as error:
        _say_not_cached(error, progress)
    try:
        return _in_temporary_folder(lambda folder: stored_graph(vectors, radius, folder, progress=progress))
    except OSError as error:
        logger.warning("there is no temporary folder either (%s): all pairs are kept in memory", error)
        return radius_graph(vectors, radius, progress=progress)


def find_or_build_approximate(
    embeddings: ArrayLike | VectorSource, radius: float, progress: ProgressCallback | None = None
) -> NeighborGraph | None:
    """Returns the cached approximate graph of these embeddings, or builds and caches it.

    If the cache folder cannot be written, it is built in a temporary folder. None if that cannot be written either.
    Raises as :func:`~ccip_plugin.core.neighbors.approximate.approximate_graph`, except for OSError.
    """
    try:
        graph = approximate_graph(embeddings, radius, graphs_folder(), progress=progress)
        prune_graphs(graphs_folder(), KEPT_GRAPHS)
        return graph
    except OSError as error:
        _say_not_cached(error, progress)
    try:
        return _in_temporary_folder(lambda folder: approximate_graph(embeddings, radius, folder, progress=progress))
    except OSError as error:
        logger.warning("there is no temporary folder either (%s): all pairs are compared", error)
        return None


def _find(
    vectors: VectorSource, radius: float, choice: GraphChoice, progress: ProgressCallback | None
) -> NeighborGraph | None:
    """Returns a cached exact graph, or an approximate one if that is chosen."""
    exact = None if choice.requested == APPROXIMATE else find_graph(vectors, radius, graphs_folder())
    if exact is not None or not choice.is_approximate:
        return exact
    estimate = estimate_graph(vectors, radius, cap=CAP, n_probes=PROBES)
    report(progress, "finding neighbors", 0, None, _note(estimate))
    return find_or_build_approximate(vectors, radius, progress)


def _build(
    vectors: VectorSource, radius: float, estimate: Estimate | None, progress: ProgressCallback | None
) -> NeighborGraph:
    if estimate is not None:
        report(progress, "comparing images", 0, None, _note(estimate))
    graph = stored_graph(vectors, radius, graphs_folder(), progress=progress)
    prune_graphs(graphs_folder(), KEPT_GRAPHS)
    return graph


def _in_temporary_folder(build: Callable[[Path], Graph]) -> Graph:
    """Builds a graph in a temporary folder, which is deleted at once: open files are readable until they are closed."""
    folder = Path(tempfile.mkdtemp(prefix="ccip-"))
    try:
        return replace(build(folder), folder=None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_bytes(folder: Path) -> int:
    """Free disk space where a folder is or will be; as much as wanted if it is unknown."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free
    return _MAX_AUTO_DISK_BYTES


def _say_not_cached(error: OSError, progress: ProgressCallback | None) -> None:
    logger.warning("the neighbor graph is not cached, another run takes as long as this one: %s", error)
    report(progress, "comparing images", 0, None, "the cache folder cannot be written")


def _note(estimate: Estimate) -> str:
    disk = f" and {estimate.disk_bytes / _MIB:,.0f} MiB of disk" if estimate.disk_bytes else ""
    return f"about {estimate.seconds / 60:.1f} minutes{disk}"
