"""Finds neighbors among very many images without comparing all with all: nearly all pairs, in a part of the time."""

import json
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
from .pairs import GRID, Pairs, check_radius, least_cosine, picked, round_differences, up_to_radius
from .quality import Quality, measured_quality
from .spanning import SpanningForest
from .spool import MOST_IMAGES, Spool, pairs_of
from .vectors import VectorSource, stored_vectors

logger = logging.getLogger(__name__)

LARGE = 100_000
"""From about how many images an approximate graph is the better choice."""

CAP = 128
"""How many neighbors of each image are kept at least, the nearest first."""

PROBES = 24
"""How many cells each image looks into."""

_QUALITY = "quality.json"
_CELLS = 1 << 21  # of a block of images compared at a time: 8 MiB


@dataclass(frozen=True, eq=False)
class ApproximateGraph(NeighborGraph):
    """Nearly all pairs of ``n`` images with a difference up to ``radius``, where :class:`NeighborGraph` has all.

    Attributes:
        quality: how many it has
    """

    quality: Quality = field(kw_only=True)

    @property
    def cap(self) -> int:
        """How many neighbors of each image are kept at least."""
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
    """Finds nearly all pairs of embeddings with a difference up to ``radius``; from ``folder`` if it was done before.

    A graph in ``folder`` that reaches farther than ``radius`` is taken as it is: it may be asked for any smaller one.

    An inverted file (Sivic and Zisserman, 2003): images are divided into cells, and each is compared with all images
    of the cells nearest to it, so that no number of neighbors is set beforehand. Of images with more than ``cap``
    neighbors the nearest are kept; beside these, pairs that are among the nearest of their other image, and the minimum
    spanning forest: components, at the radius and at any smaller eps, are those of all pairs found.

    Which pairs are within the radius and what their differences are is decided as in an exact graph. Pairs go to disk
    as they are found, never all of them in memory. The result depends neither on threads nor on the machine.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length; float16 ones stay as they are, in half the memory
        radius: the largest difference
        folder: where graphs are kept; made if it is not there
        cap: how many neighbors of each image are kept at least
        n_probes: how many cells each image looks into; more find more and take longer
        progress (None): told how far the work is, stage by stage; may raise
            :class:`~ccip_plugin.core.progress.Cancelled`, which leaves nothing behind

    Raises:
        MissingExtraError: faiss is not installed
        OSError: the folder cannot be written
        ParameterError: the radius is not from 0 to 1, or another parameter has no meaning
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
    for path, known in kept_graphs(folder, prefix, radius, suffix=suffix):
        graph = _opened(path, unit, known)
        if graph is not None:
            touch(path)
            return graph
    load_faiss()
    path = Path(folder) / f"{prefix}{float(radius).hex()}{suffix}"
    _build(path, _Search(unit, radius, cap, n_probes, progress))
    built = _opened(path, unit, radius)
    assert built is not None
    return built


class _Search:
    """Finds the pairs of one graph.

    Attributes:
        bounds: ``(n,)`` of each image, a difference that at least ``cap`` of its neighbors are within
        spanning: pairs that connect all that is connected
    """

    def __init__(
        self, unit: VectorSource, radius: float, cap: int, n_probes: int, progress: ProgressCallback | None
    ) -> None:
        self.unit, self.radius, self.cap, self.n_probes, self.progress = unit, radius, cap, n_probes, progress
        self.bounds = np.full(len(unit), np.inf, np.float32)
        self.spanning = SpanningForest(len(unit), radius)

    def write(self, folder: Path) -> int:
        """Writes the pairs into the files of a graph, and gives their number."""
        found, kept = (Spool(folder / name, len(self.unit)) for name in ("found", "kept"))
        if len(self.unit) > 1:
            self._compare(find_cells(self.unit, self.n_probes, progress=self.progress), found)
        self._keep_nearest(found, kept)
        kept.add(self.spanning.pairs())
        with PairFiles(folder) as files:
            for number in range(kept.n_parts):
                pairs = pairs_of(kept.part(number))
                files.add(picked(pairs, np.lexsort((pairs.cols, pairs.rows))))
        for name in ("found", "kept"):
            (folder / name).rmdir()
        return files.n_pairs

    def _compare(self, cells: Cells, found: Spool) -> None:
        """Compares the images of each cell with each other, and then with those that visit it."""
        done, total = 0, sum(map(len, cells.members)) + sum(map(len, cells.visitors))
        n_pairs = 0
        for others in (cells.members, cells.visitors):  # at home are the nearest: bounds are lowest after that
            for members, visitors in zip(cells.members, others, strict=True):
                vectors = self.unit[members]
                step = max(1, _CELLS // max(1, len(members)))
                for start in range(0, len(visitors) if len(members) else 0, step):
                    pairs = self._between(visitors[start : start + step], members, vectors)
                    if others is cells.members:
                        pairs = picked(pairs, pairs.rows < pairs.cols)
                    n_pairs += self._take(up_to_radius(self.unit, pairs, self.radius), found)
                done += len(visitors)
                report(self.progress, "comparing images", done, total, f"{n_pairs:,} pairs alike")

    def _between(self, rows: IntArray, cols: IntArray, vectors: Vectors) -> Pairs:
        """Pairs up to about the radius, their differences not rounded; lowers the bounds of ``rows``."""
        cosines = self.unit[rows] @ vectors.T
        near = np.flatnonzero(cosines >= least_cosine(self.radius))
        at, to = np.divmod(near, len(cols))
        differences = np.clip(0.5 - 0.5 * cosines.ravel()[near], 0, 1)
        many = np.flatnonzero(np.bincount(at, minlength=len(rows)) > self.cap)  # one may be the image itself
        if len(many):
            place = len(cols) - 1 - self.cap
            last = np.partition(cosines[many], place, axis=1)[:, place]
            self.bounds[rows[many]] = np.minimum(self.bounds[rows[many]], np.float32(0.5) - np.float32(0.5) * last)
        return Pairs(rows[at].astype(np.int32), cols[to].astype(np.int32), differences)

    def _take(self, pairs: Pairs, found: Spool) -> int:
        """Keeps what may be among the nearest of either image, and what connects; gives the number of all pairs."""
        reach = np.float32(GRID)  # more than rounding changes
        of_row = pairs.differences <= self.bounds[pairs.rows] + reach
        of_col = pairs.differences <= self.bounds[pairs.cols] + reach
        connects = self.spanning.may_connect(pairs)
        is_wanted = of_row | of_col | connects
        wanted = picked(pairs, is_wanted)
        round_differences(self.unit, wanted)
        self.spanning.add(picked(wanted, connects[is_wanted]))
        found.add(picked(wanted, of_row[is_wanted]))
        found.add(_turned(picked(wanted, of_col[is_wanted])))
        return len(pairs.rows)

    def _keep_nearest(self, found: Spool, kept: Spool) -> None:
        for number in range(found.n_parts):
            pairs = pairs_of(found.part(number))
            counts = np.bincount(pairs.rows, minlength=1)
            rank = np.arange(len(pairs.rows)) - (np.cumsum(counts) - counts)[pairs.rows]
            kept.add(_smaller_first(picked(pairs, rank < self.cap)))
            report(self.progress, "keeping the nearest", number + 1, found.n_parts)


def _turned(pairs: Pairs) -> Pairs:
    return Pairs(pairs.cols, pairs.rows, pairs.differences)


def _smaller_first(pairs: Pairs) -> Pairs:
    return Pairs(np.minimum(pairs.rows, pairs.cols), np.maximum(pairs.rows, pairs.cols), pairs.differences)


def _build(path: Path, search: _Search) -> None:
    def measure(part: Path) -> None:
        graph = open_graph(part, search.unit, search.radius)
        assert graph is not None
        quality = measured_quality(graph, search.cap, progress=search.progress)
        (part / _QUALITY).write_text(json.dumps(asdict(quality)), encoding="utf-8")
        logger.info("approximate graph of %d images: %d pairs, recall %.4f", graph.n, graph.n_pairs, quality.recall)

    build_graph(path, len(search.unit), search.radius, search.write, finish=measure)


def _opened(path: Path, unit: VectorSource, radius: float) -> ApproximateGraph | None:
    """The graph in a folder, None when it is not there or not whole."""
    graph = open_graph(path, unit, radius)
    try:
        quality = Quality(**json.loads((path / _QUALITY).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if graph is None:
        return None
    return ApproximateGraph(graph.n, radius, graph.rows, graph.cols, graph.differences, unit, path, quality=quality)
