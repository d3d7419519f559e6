"""Choice between an exact and an approximate neighbor graph."""

import logging
from dataclasses import dataclass

from ..errors import MissingExtraError, ParameterError
from .approximate import LARGE
from .cells import load_faiss

logger = logging.getLogger(__name__)

AUTO, EXACT, APPROXIMATE = "auto", "exact", "approximate"
GRAPHS = (AUTO, EXACT, APPROXIMATE)
"""Values of the option ``graph``: all pairs, nearly all pairs, or ``auto``: approximate from
:data:`~ccip_plugin.core.neighbors.approximate.LARGE` images on if faiss is installed, else exact."""


@dataclass(frozen=True)
class GraphChoice:
    """The chosen kind of neighbor graph.

    Attributes:
        requested: the requested value, one of :data:`GRAPHS`
        kind: :data:`EXACT` or :data:`APPROXIMATE`
        note: a note for the report, empty if there is none
    """

    requested: str
    kind: str
    note: str = ""

    @property
    def is_approximate(self) -> bool:
        """Whether the graph is approximate."""
        return self.kind == APPROXIMATE


def choose_graph(graph: str, n: int, *, needs_all_neighbors: bool = False) -> GraphChoice:
    """Chooses the kind of graph for a method.

    Args:
        graph: the requested value, one of :data:`GRAPHS`
        n: number of images
        needs_all_neighbors (False): whether the method needs all neighbors of each image; an approximate graph may
            keep only the nearest ones

    Raises:
        ParameterError: the value is unknown, or the method does not work on an approximate graph
        MissingExtraError: an approximate graph was requested, and faiss is not installed
    """
    if graph not in GRAPHS:
        raise ParameterError("graph", graph, f"one of {', '.join(GRAPHS)}")
    if needs_all_neighbors:
        if graph == APPROXIMATE:
            raise ParameterError("graph", graph, "auto or exact: this method needs all neighbors of each image")
        return GraphChoice(graph, EXACT)
    if graph == APPROXIMATE:
        load_faiss()
    if graph != AUTO:
        return GraphChoice(graph, graph)
    if n < LARGE:
        return GraphChoice(graph, EXACT)
    try:
        load_faiss()
    except MissingExtraError as error:
        note = f"all pairs of {n:,} images were compared: {error}; with it, this takes a fraction of the time"
        logger.warning("%s", note)
        return GraphChoice(graph, EXACT, note)
    return GraphChoice(graph, APPROXIMATE)
