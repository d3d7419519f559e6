"""The merges of average linkage, stored beside a neighbor graph, so that another cut needs no merging."""

import io
import logging
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Labels
from ...neighbors.components import Forest
from ...neighbors.graph import NeighborGraph
from ...neighbors.pairs import GRID, Pairs, picked
from ...neighbors.spanning import SpanningForest
from ...progress import ProgressCallback, report
from ...system import atomic_write
from .agglomeration import Merges
from .estimate import announce
from .options import LinkageOptions
from .stages import Stages, Teller, first_positions, packs

logger = logging.getLogger(__name__)

_FORMAT = 2  # 1 had no checksum
_MAGIC = b"ccip merges\n"
_CHECKSUM_BYTES = 4
_TYPES = {"first": "i", "second": "i", "heights": "f", "duplicates": "i", "rows": "i", "cols": "i", "differences": "f"}
_READ = 1 << 18  # pairs of a graph read at a time
_FIRST_CUT = 0.8  # of the largest cut: merged first, as fewer images are connected there


class Hierarchy(NamedTuple):
    """The merges of average linkage of ``n`` images, by their differences alone.

    Attributes:
        duplicates: ``(n,)`` near-duplicate that represents each image
        merges: merges of images up to some mean difference, where near-duplicates count as one image
        spanning: pairs that connect, up to any difference, what all pairs up to it connect
    """

    duplicates: Labels
    merges: Merges
    spanning: Pairs

    def groups(self, cut: float) -> Labels:
        """``(n,)`` groups 0, 1, ... up to a mean difference within the range of the merges."""
        n = len(self.duplicates)
        forest = Forest(n)
        is_merged = self.merges.heights <= cut
        forest.add(np.arange(n), self.duplicates)
        forest.add(self.merges.first[is_merged], self.merges.second[is_merged])
        return forest.labels()

    def components(self, cut: float) -> Labels:
        """``(n,)`` components connected by (rounded) differences up to a cut."""
        forest = Forest(len(self.duplicates))
        is_near = self.spanning.differences <= cut + GRID
        forest.add(self.spanning.rows[is_near], self.spanning.cols[is_near])
        return forest.labels()


def find_hierarchy(
    graph: NeighborGraph, near_duplicate: float, options: LinkageOptions, *, progress: ProgressCallback | None = None
) -> Hierarchy:
    """Finds the merges that do not depend on the sizes of groups, for every cut that the graph allows.

    They are stored in the folder of the graph and loaded from there. The first time takes as long as merging, and reads
    all pairs of the graph once; another cut takes time proportional to the number of images.

    Args:
        graph: a graph in a folder, with vectors
        near_duplicate: maximum mean difference of near-duplicates
        options: thresholds and sizes
        progress (None): called with the stage and the number of items done
    """
    assert graph.folder is not None and graph.vectors is not None
    cut = options.certain * graph.radius
    path = path_of(graph.folder, near_duplicate, cut)
    stored = load(path, graph.n)
    if stored is not None:
        return stored
    announce(graph.vectors, cut, "merging images", progress)
    hierarchy = Hierarchy(np.arange(graph.n), Merges.none(), _spanning_pairs(graph, progress))
    stages = Stages(graph.vectors, graph.radius, near_duplicate, options)
    stages.tell = Teller(progress, "finding near-duplicates", graph.n)
    for images in packs(hierarchy.components(near_duplicate)):
        hierarchy.duplicates[images] = images[stages.near_duplicates(images)]
        stages.tell.done()
    groups = hierarchy.duplicates
    stages.tell = Teller(progress, "merging images", 2 * graph.n)
    for share in (_FIRST_CUT, 1.0):
        parts = []
        for images in packs(hierarchy.components(share * cut)):
            parts.append(stages.find_merges(images, groups, hierarchy.duplicates, share * cut))
            stages.tell.done()
        hierarchy = hierarchy._replace(merges=Merges.joined([hierarchy.merges, *parts]))
        groups = first_positions(hierarchy.groups(share * cut))
    save(hierarchy, path)
    return hierarchy


def _spanning_pairs(graph: NeighborGraph, progress: ProgressCallback | None) -> Pairs:
    """The minimum spanning forest of the graph."""
    spanning = SpanningForest(graph.n, graph.radius)
    done = 0
    for pairs in graph.parts_within(graph.radius):
        for start in range(0, len(pairs.rows), _READ):  # each part knows what the one before connected
            part = picked(pairs, slice(start, start + _READ))
            spanning.add(picked(part, spanning.may_connect(part)))
        done += len(pairs.rows)
        report(progress, "reading pairs", done, graph.n_pairs)
    return spanning.pairs()


def path_of(folder: Path, near_duplicate: float, cut: float) -> Path:
    """The file of a hierarchy, in the folder of its graph.

    Args:
        folder: the folder
        near_duplicate: maximum mean difference of near-duplicates
        cut: maximum mean difference of the merges
    """
    return folder / f"merges-{_FORMAT}-{float(near_duplicate).hex()}-{float(cut).hex()}.npz"


def save(hierarchy: Hierarchy, path: Path) -> None:
    """Writes the file atomically. A failure is logged: it costs time only."""
    content = io.BytesIO()
    np.savez(content, duplicates=hierarchy.duplicates, **hierarchy.merges._asdict(), **hierarchy.spanning._asdict())
    checksum = zlib.crc32(content.getbuffer()).to_bytes(_CHECKSUM_BYTES, "little")
    try:
        with atomic_write(path) as part, part.open("wb") as file:
            file.writelines((_MAGIC, checksum, content.getbuffer()))
    except OSError as error:
        logger.warning("merges of average linkage are not stored, another eps takes as long as this one: %s", error)


def load(path: Path, n: int) -> Hierarchy | None:
    """Reads the file; None if it is missing, damaged, or of another number of images."""
    try:
        data = path.read_bytes()
        start = len(_MAGIC) + _CHECKSUM_BYTES
        checksum = zlib.crc32(memoryview(data)[start:]).to_bytes(_CHECKSUM_BYTES, "little")
        if data[:start] != _MAGIC + checksum:
            raise ValueError("wrong checksum")
        with np.load(io.BytesIO(data[start:]), allow_pickle=False) as arrays:
            read = {name: arrays[name] for name in _TYPES}
        if not _are_usable(read, n):
            raise ValueError("numbers out of range")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s cannot be read and is computed again: %s", path, error)
        return None
    merges = Merges(*(read[name] for name in Merges._fields))
    return Hierarchy(read["duplicates"], merges, Pairs(*(read[name] for name in Pairs._fields)))


def _are_usable(read: dict[str, NDArray[Any]], n: int) -> bool:
    """Whether the arrays of a file have the right types, lengths and ranges."""
    if any(array.dtype.kind != _TYPES[name] or array.ndim != 1 for name, array in read.items()):
        return False
    images = [array for name, array in read.items() if _TYPES[name] == "i"]
    are_images = all(array.size == 0 or (array.min() >= 0 and array.max() < n) for array in images)
    n_merges, n_pairs = {len(read[name]) for name in Merges._fields}, {len(read[name]) for name in Pairs._fields}
    return are_images and len(read["duplicates"]) == n and len(n_merges) == len(n_pairs) == 1
