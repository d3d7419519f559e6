"""Approximate neighbor graph (inverted file index): nearly all pairs in a fraction of the time."""

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray, Vectors
from ..errors import ParameterError
from ..progress import ProgressCallback, report
from .cells import Cells, find_cells, load_faiss
from .files import PairFiles, build_graph, kept_graphs, open_graph, touch
from .graph import NeighborGraph
from .integrity import DamagedError, read_record, write_record
from .pairs import GRID, Pairs, check_radius, min_cosine, picked, round_differences, within_radius
from .quality import Quality, measured_quality
from .spanning import SpanningForest
from .spool import MOST_IMAGES, Spool, pairs_of
from .vectors import VectorSource, stored_vectors

logger = logging.getLogger(__name__)

LARGE = 100_000
"""Approximate number of images from which an approximate graph is the better choice."""

CAP = 128
"""At least this many nearest neighbors of each image are kept."""

PROBES = 24
"""Number of cells that are searched for each image."""

_QUALITY = "quality.json"
_BLOCK_ENTRIES = 1 << 21  # of a block of cosines: 8 MiB


@dataclass(frozen=True, eq=False)
class ApproximateGraph(NeighborGraph):
    """Nearly all pairs of ``n`` images with a difference up to ``radius``; :class:`NeighborGraph` has all of them.

    Attributes:
        quality: the measured recall
    """

    quality: Quality = field(kw_only=True)

    @property
    def cap(self) -> int:
        """At least this many nearest neighbors of each image are in the graph."""
        return self.quality.cap


def approximate_graph(
    embeddings: ArrayLike | VectorSource,
    radius: float,
    folder: str | Path,
    *,
    cap: int = CAP,
    n_probes: int = PROBES,
    progress: ProgressCallback | None = None,
) -> ApproximateGraph:
    """Finds nearly all pairs of embeddings with a difference up to ``radius``; reads them from ``folder`` if stored.

    A stored graph with a larger radius is returned as it is: it contains the subgraph of any smaller ``eps``.

    The method is an inverted file (Sivic and Zisserman, 2003): images are divided into cells, and each image is
    compared with all images of the cells nearest to it, so the number of neighbors is not fixed in advance. For images
    with more than ``cap`` neighbors the nearest ones are kept, also pairs that are among the nearest of the second
    image, and the minimum spanning forest: so the connected components, at the radius and at any smaller eps, are those
    of all pairs found.

    Exact differences decide which pairs are within the radius, and differences are rounded, as in an exact graph. Pairs
    are written to disk as they are found, so that they are never all in memory. The result depends neither on threads
    nor on the machine.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length; float16 embeddings are not converted, for half the memory
        radius: the largest difference
        folder: folder of stored graphs; created if missing
        cap: at least this many nearest neighbors of each image are kept
        n_probes: number of cells that are searched for each image; more cells give a higher recall and take longer
        progress (None): called with the progress of each stage; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`, after which no files are left

    Raises:
        MissingExtraError: faiss is not installed
        OSError: the folder cannot be written
        ParameterError: the radius is outside [0, 1], or another parameter is invalid
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_radius("radius", radius)
    for name, value in (("cap", cap), ("n_probes", n_probes)):
        if value < 1:
            raise ParameterError(name, value, "a whole number, at least 1")
    unit = stored_vectors(embeddings)
    if len(unit) > MOST_IMAGES:
        raise ParameterError("embeddings", f"{len(unit):,} vectors", f"at most {MOST_IMAGES:,}")
    prefix, suffix = f"approximate-{unit.digest}-", f"-{cap}-{n_probes}"
    for path, stored_radius in kept_graphs(folder, prefix, radius, suffix=suffix):
        graph = _open(path, unit, stored_radius)
        if graph is not None:
            touch(path)
            return graph
    load_faiss()
    path = Path(folder) / f"{prefix}{float(radius).hex()}{suffix}"
    return _build(path, _Search(unit, radius, cap, n_probes, progress))


class _Search:
    """Finds the pairs of one graph.

    Attributes:
        bounds: ``(n,)`` for each image, a difference within which at least ``cap`` of its neighbors are
        spanning: the minimum spanning forest of the pairs
    """

    def __init__(
        self, unit: VectorSource, radius: float, cap: int, n_probes: int, progress: ProgressCallback | None
    ) -> None:
        self.unit, self.radius, self.cap, self.n_probes, self.progress = unit, radius, cap, n_probes, progress
        self.bounds = np.full(len(unit), np.inf, np.float32)
        self.spanning = SpanningForest(len(unit), radius)

    def write(self, folder: Path) -> int:
        """Writes the pairs into the files of a graph and returns their number."""
        candidates, kept = (Spool(folder / name, len(self.unit)) for name in ("candidates", "kept"))
        if len(self.unit) > 1:
            self._compare(find_cells(self.unit, self.n_probes, progress=self.progress), candidates)
        self._keep_nearest(candidates, kept)
        kept.add(self.spanning.pairs())
        with PairFiles(folder) as files:
            for number in range(kept.n_parts):
                pairs = pairs_of(kept.part(number))
                files.add(picked(pairs, np.lexsort((pairs.cols, pairs.rows))))
        for name in ("candidates", "kept"):
            (folder / name).rmdir()
        return files.n_pairs

    def _compare(self, cells: Cells, candidates: Spool) -> None:
        """Compares the members of each cell with each other, then with the queries of the cell."""
        done, total = 0, sum(map(len, cells.members)) + sum(map(len, cells.queries))
        n_pairs = 0
        for queries_by_cell in (cells.members, cells.queries):  # members first: near images lower the bounds most
            for members, queries in zip(cells.members, queries_by_cell, strict=True):
                vectors = self.unit[members]
                step = max(1, _BLOCK_ENTRIES // max(1, len(members)))
                for start in range(0, len(queries) if len(members) else 0, step):
                    pairs = self._pairs_between(queries[start : start + step], members, vectors)
                    if queries_by_cell is cells.members:
                        pairs = picked(pairs, pairs.rows < pairs.cols)
                    n_pairs += self._add(within_radius(self.unit, pairs, self.radius), candidates)
                done += len(queries)
                report(self.progress, "comparing images", done, total, f"{n_pairs:,} neighbor pairs")

    def _pairs_between(self, rows: IntArray, cols: IntArray, vectors: Vectors) -> Pairs:
        """Finds pairs up to about the radius, differences not rounded; lowers the bounds of ``rows``."""
        cosines = self.unit[rows] @ vectors.T
        near = np.flatnonzero(cosines >= min_cosine(self.radius))
        row, col = np.divmod(near, len(cols))
        differences = np.clip(0.5 - 0.5 * cosines.ravel()[near], 0, 1)
        many = np.flatnonzero(np.bincount(row, minlength=len(rows)) > self.cap)  # one may be the image itself
        if len(many):
            kth = len(cols) - 1 - self.cap
            last = np.partition(cosines[many], kth, axis=1)[:, kth]
            self.bounds[rows[many]] = np.minimum(self.bounds[rows[many]], np.float32(0.5) - np.float32(0.5) * last)
        return Pairs(rows[row].astype(np.int32), cols[col].astype(np.int32), differences)

    def _add(self, pairs: Pairs, candidates: Spool) -> int:
        """Keeps pairs that may be among the nearest of either image or connect components; returns the pair count."""
        margin = np.float32(GRID)  # above the rounding error
        of_row = pairs.differences <= self.bounds[pairs.rows] + margin
        of_col = pairs.differences <= self.bounds[pairs.cols] + margin
        connects = self.spanning.may_connect(pairs)
        is_candidate = of_row | of_col | connects
        selected = picked(pairs, is_candidate)
        round_differences(self.unit, selected)
        self.spanning.add(picked(selected, connects[is_candidate]))
        candidates.add(picked(selected, of_row[is_candidate]))
        candidates.add(_swapped(picked(selected, of_col[is_candidate])))
        return len(pairs.rows)

    def _keep_nearest(self, candidates: Spool, kept: Spool) -> None:
        for number in range(candidates.n_parts):
            pairs = pairs_of(candidates.part(number))
            counts = np.bincount(pairs.rows, minlength=1)
            rank = np.arange(len(pairs.rows)) - (np.cumsum(counts) - counts)[pairs.rows]
            kept.add(_smaller_first(picked(pairs, rank < self.cap)))
            report(self.progress, "keeping the nearest", number + 1, candidates.n_parts)


def _swapped(pairs: Pairs) -> Pairs:
    return Pairs(pairs.cols, pairs.rows, pairs.differences)


def _smaller_first(pairs: Pairs) -> Pairs:
    return Pairs(np.minimum(pairs.rows, pairs.cols), np.maximum(pairs.rows, pairs.cols), pairs.differences)


def _build(path: Path, search: _Search) -> ApproximateGraph:
    measured: list[Quality] = []

    def measure(part: Path, graph: NeighborGraph) -> None:
        quality = measured_quality(graph, search.cap, progress=search.progress)
        write_record(part / _QUALITY, asdict(quality))
        measured.append(quality)
        logger.info("approximate graph of %d images: %d pairs, recall %.4f", graph.n, graph.n_pairs, quality.recall)

    graph = build_graph(path, search.unit, search.radius, search.write, finish=measure)
    return _approximate(graph, measured[0])


def _open(path: Path, unit: VectorSource, radius: float) -> ApproximateGraph | None:
    """Opens the graph in a folder; None if it is missing or damaged."""
    graph = open_graph(path, unit, radius)
    if graph is None:
        return None
    try:
        return _approximate(graph, Quality(**read_record(path / _QUALITY)))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, DamagedError) as error:
        logger.warning("the stored neighbor graph %s is damaged (%s): it is computed again", path, error)
        return None


def _approximate(graph: NeighborGraph, quality: Quality) -> ApproximateGraph:
    arrays = graph.rows, graph.cols, graph.differences
    return ApproximateGraph(graph.n, graph.radius, *arrays, graph.vectors, graph.folder, quality=quality)
