"""Neighbor graphs on disk, named after their vectors and radius: built once, read in chunks."""

import contextlib
import logging
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..progress import ProgressCallback
from ..system import PART_SUFFIX, atomic_write, cache_dir
from .graph import NeighborGraph
from .integrity import DamagedError, check_pairs, checksum_of, read_record, write_record
from .pairs import BLOCK, Pairs, check_radius, joined, near_pairs, sorted_by_row
from .vectors import VectorSource, unit_vectors

logger = logging.getLogger(__name__)

_FORMAT = 2  # 1 had no checksums
_ABOUT = "graph.json"
_OLD_SECONDS = 86_400
_ARRAYS = {"rows": np.int32, "cols": np.int32, "differences": np.float32}
_OPEN_FILES_CAN_MOVE = os.name != "nt"
_MISSING = -math.inf


def graphs_folder() -> Path:
    """Folder of cached graphs: ``graphs`` in the cache folder (``CCIP_CACHE_DIR``)."""
    return cache_dir() / "graphs"


def stored_graph(
    embeddings: ArrayLike | VectorSource,
    radius: float,
    folder: str | Path,
    *,
    block_size: int = BLOCK,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Opens the graph of :func:`~ccip_plugin.core.neighbors.graph.radius_graph` in ``folder``; builds it if missing.

    Pairs are written to disk as they are found, 12 bytes each, and memory-mapped: a build needs memory only for the
    blocks of one stripe of rows, for any number of pairs. A stored graph is identified by its vectors and radius, and
    verified by checksums each time it is opened; an incomplete or damaged one is rebuilt. A killed build leaves only a
    folder whose name ends in ``.part``. Several processes may use one folder at the same time.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference
        folder: folder of stored graphs; created if missing
        block_size: number of rows and of columns of a block
        progress (None): called after each block with the number of compared pairs

    Raises:
        OSError: the folder cannot be written
        ParameterError: the radius is outside [0, 1]
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_radius("radius", radius)
    unit = unit_vectors(embeddings)
    path = Path(folder) / f"{unit.digest}-{float(radius).hex()}"
    graph = open_graph(path, unit, radius)
    if graph is None:
        graph = build_graph(path, unit, radius, lambda part: _write_pairs(part, unit, radius, block_size, progress))
    return graph


def find_graph(embeddings: ArrayLike | VectorSource, radius: float, folder: str | Path) -> NeighborGraph | None:
    """Opens the smallest graph of these embeddings in ``folder`` with at least this radius; None without one.

    Hashes the embeddings, unless the folder is empty; compares no embeddings.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if not _stored(folder):
        return None
    unit = unit_vectors(embeddings)
    for path, stored_radius in kept_graphs(folder, f"{unit.digest}-", radius):
        graph = open_graph(path, unit, stored_radius)
        if graph is not None:
            touch(path)
            return graph
    return None


def kept_graphs(folder: str | Path, prefix: str, radius: float, *, suffix: str = "") -> list[tuple[Path, float]]:
    """Lists the folders of graphs with at least this radius, and their radii, in increasing order.

    Args:
        folder: folder of stored graphs
        prefix: the name of a graph up to its radius
        radius: the smallest radius
        suffix: the name of a graph after its radius
    """
    graphs = []
    for path in _stored(folder):
        if path.name.startswith(prefix) and path.name.endswith(suffix):
            with contextlib.suppress(ValueError):  # a folder of another kind
                graphs.append((path, float.fromhex(path.name.removeprefix(prefix).removesuffix(suffix))))
    return sorted([graph for graph in graphs if graph[1] >= radius], key=lambda graph: graph[1])


def touch(path: Path) -> None:
    """Marks a graph as just used: :func:`prune_graphs` deletes the least recently used graphs."""
    with contextlib.suppress(OSError):  # a folder that cannot be written
        os.utime(path / _ABOUT)  # creates none in a folder that another process is deleting


def prune_graphs(folder: str | Path, keep: int) -> int:
    """Deletes the least recently used graphs, and partial graphs of processes that died more than a day ago.

    Args:
        folder: folder of stored graphs
        keep: number of graphs to keep

    Returns:
        number of deleted graphs
    """
    graphs = sorted(_stored(folder), key=lambda path: _modified(path / _ABOUT), reverse=True)
    parts = [path for path in _entries(folder) if path.name.endswith(PART_SUFFIX)]
    stale = [path for path in parts if _MISSING < _modified(path) < time.time() - _OLD_SECONDS]
    for path in (*graphs[keep:], *stale):
        shutil.rmtree(path, ignore_errors=True)  # another process may have it open, or delete it, too
    return len(graphs[keep:])


def has_graphs(folder: str | Path) -> bool:
    """Whether a folder has stored graphs."""
    return bool(_stored(folder))


def delete_graphs(folder: str | Path, digest: str) -> int:
    """Deletes the graphs of some vectors, exact and approximate ones; returns their number.

    Args:
        folder: folder of stored graphs
        digest: the hash of the vectors
    """
    graphs = [path for path in _stored(folder) if f"{digest}-" in path.name]
    for path in graphs:
        shutil.rmtree(path, ignore_errors=True)
    return len(graphs)


def delete_unused_graphs(folder: str | Path, seconds: float, *, dry_run: bool = False) -> int:
    """Deletes graphs that were not used for some time; returns their bytes.

    Args:
        folder: folder of stored graphs
        seconds: the time, 0 for all graphs
        dry_run (False): delete nothing
    """
    latest = time.time() - seconds
    graphs = [path for path in _stored(folder) if not seconds or _modified(path / _ABOUT) < latest]
    n_bytes = sum(file.stat().st_size for path in graphs for file in path.rglob("*") if file.is_file())
    for path in () if dry_run else graphs:
        shutil.rmtree(path, ignore_errors=True)
    return n_bytes


def _stored(folder: str | Path) -> list[Path]:
    """Folders of stored graphs; empty if the folder cannot be read."""
    return [
        path
        for path in _entries(folder)
        if "-" in path.name and not path.name.endswith(PART_SUFFIX) and _modified(path / _ABOUT) > _MISSING
    ]


def _entries(folder: str | Path) -> list[Path]:
    try:
        return sorted(Path(folder).iterdir())
    except OSError:
        return []


def _modified(path: Path) -> float:
    """When a file was last modified; :data:`_MISSING` if another process has deleted it just now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return _MISSING


def _write_pairs(
    folder: Path, unit: VectorSource, radius: float, block_size: int, progress: ProgressCallback | None
) -> int:
    stripe: list[Pairs] = []
    with PairFiles(folder) as files:
        for block in near_pairs(unit, radius, block_size=max(1, block_size), progress=progress):
            stripe.append(block.pairs)
            if block.ends_stripe:
                files.add(sorted_by_row(joined(stripe)))
                stripe = []
    return files.n_pairs


class PairFiles:
    """Writes the files of a graph; a context manager.

    Attributes:
        n_pairs: number of pairs written so far
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._open = folder, contextlib.ExitStack()
        self.n_pairs = 0

    def __enter__(self) -> "PairFiles":
        self._files = {name: self._open.enter_context((self._folder / name).open("wb")) for name in _ARRAYS}
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def add(self, pairs: Pairs) -> None:
        """Appends pairs, which must be sorted."""
        for name, file in self._files.items():
            getattr(pairs, name).tofile(file)
        self.n_pairs += len(pairs.rows)


def build_graph(
    path: Path,
    unit: VectorSource,
    radius: float,
    write_pairs: Callable[[Path], int],
    *,
    finish: Callable[[Path, NeighborGraph], None] | None = None,
) -> NeighborGraph:
    """Writes the folder of a graph atomically, and opens it.

    Args:
        path: the folder; a damaged one, or one that another process has just written, is replaced
        unit: the vectors of the graph
        radius: the largest difference
        write_pairs: writes the files of :class:`PairFiles` into the folder it gets, and returns the number of pairs
        finish (None): called with that folder and the graph in it

    Raises:
        OSError: the folder cannot be written, or what was written cannot be read back
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.mkdir()
        n_pairs = write_pairs(part)
        checksums = {name: checksum_of(_mapped(part / name, kind)) for name, kind in _ARRAYS.items()}
        about = {"format": _FORMAT, "n": len(unit), "radius": float(radius), "n_pairs": n_pairs, "checksums": checksums}
        write_record(part / _ABOUT, about)
        graph = _read_back(part, unit, radius)
        if finish is not None:
            finish(part, graph)
        if not _OPEN_FILES_CAN_MOVE:
            del graph
    return replace(graph, folder=path) if _OPEN_FILES_CAN_MOVE else _read_back(path, unit, radius)


def _read_back(path: Path, unit: VectorSource, radius: float) -> NeighborGraph:
    graph = open_graph(path, unit, radius)
    if graph is None:
        raise OSError(f"{path} was written, but cannot be read back")
    return graph


def open_graph(path: Path, unit: VectorSource, radius: float) -> NeighborGraph | None:
    """Opens the graph in a folder, after a check of its checksums and ranges; None if it is missing or damaged."""
    try:
        about = read_record(path / _ABOUT)
        if about.get("format") != _FORMAT:
            return None  # of another version
        if about.get("n") != len(unit) or about.get("radius") != float(radius):
            raise DamagedError("it is of other vectors")
        pairs = Pairs(*(_mapped(path / name, kind) for name, kind in _ARRAYS.items()))
        check_pairs(pairs, about, len(unit), radius)
    except FileNotFoundError:
        return None
    except (OSError, DamagedError) as error:
        logger.warning("the stored neighbor graph %s is damaged (%s): it is computed again", path, error)
        return None
    return NeighborGraph(len(unit), float(radius), *pairs, unit, path)


def _mapped(path: Path, kind: type) -> NDArray[Any]:
    """Maps the array in a file into memory; an empty file cannot be mapped."""
    size = path.stat().st_size
    if size % np.dtype(kind).itemsize:
        raise DamagedError(f"{path.name} is truncated")
    return np.memmap(path, kind, mode="r") if size else np.empty(0, kind)
