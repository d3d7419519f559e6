"""Whether to compare all images with all, or to find nearly all that are alike in a part of the time."""

import logging
from dataclasses import dataclass

from ..errors import MissingExtraError, ParameterError
from .approximate import LARGE
from .cells import load_faiss

logger = logging.getLogger(__name__)

AUTO, EXACT, APPROXIMATE = "auto", "exact", "approximate"
GRAPHS = (AUTO, EXACT, APPROXIMATE)
"""What can be asked for: all pairs, nearly all, or the latter from
:data:`~ccip_plugin.core.neighbors.approximate.LARGE` images on where faiss is installed."""


@dataclass(frozen=True)
class GraphChoice:
    """Which graph of neighbors is taken.

    Attributes:
        asked: what was asked for, one of :data:`GRAPHS`
        kind: :data:`EXACT` or :data:`APPROXIMATE`
        note: what to say about it, empty for nothing
    """

    asked: str
    kind: str
    note: str = ""

    @property
    def is_approximate(self) -> bool:
        """Whether nearly all pairs will do."""
        return self.kind == APPROXIMATE


def choose_graph(graph: str, n: int, *, needs_all_neighbors: bool = False) -> GraphChoice:
    """Chooses the graph for a method.

    Args:
        graph: what was asked for, one of :data:`GRAPHS`
        n: how many images there are
        needs_all_neighbors (False): whether the method needs all neighbors of each image, of which an approximate graph
            keeps the nearest only

    Raises:
        ParameterError: there is no such graph, or not for this method
        MissingExtraError: an approximate one was asked for, and faiss is not installed
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
        note = f"all pairs of {n:,} images were compared, as {error}; then this takes a part of the time"
        logger.warning("%s", note)
        return GraphChoice(graph, EXACT, note)
    return GraphChoice(graph, APPROXIMATE)
