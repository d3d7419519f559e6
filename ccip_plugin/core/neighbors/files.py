"""Neighbor graphs on disk, named after their vectors and radius: built once, read in chunks."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..progress import ProgressCallback
from ..system import PART_SUFFIX, atomic_write, cache_dir
from .graph import NeighborGraph
from .pairs import BLOCK, Pairs, check_radius, joined, near_pairs, sorted_by_row
from .vectors import VectorSource, unit_vectors

_FORMAT = 1
_ABOUT = "graph.json"
_OLD_SECONDS = 86_400
_ARRAYS = {"rows": np.int32, "cols": np.int32, "differences": np.float32}


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
    blocks of one stripe of rows, for any number of pairs. A stored graph is identified by its vectors and radius; an
    incomplete one is rebuilt. A killed build leaves only a folder whose name ends in ``.part``.

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
        build_graph(path, len(unit), radius, lambda part: _write_pairs(part, unit, radius, block_size, progress))
        graph = open_graph(path, unit, radius)
        assert graph is not None
    return graph


def find_graph(embeddings: ArrayLike | VectorSource, radius: float, folder: str | Path) -> NeighborGraph | None:
    """Opens the smallest graph of these embeddings in ``folder`` with at least this radius; None without one.

    Hashes the embeddings, unless the folder is empty; compares no embeddings.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if not any(Path(folder).glob(f"*-*/{_ABOUT}")):
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
    for path in Path(folder).glob(f"{prefix}*{suffix}/{_ABOUT}"):
        name = path.parent.name
        if not name.endswith(PART_SUFFIX):
            graphs.append((path.parent, float.fromhex(name.removeprefix(prefix).removesuffix(suffix))))
    return sorted([graph for graph in graphs if graph[1] >= radius], key=lambda graph: graph[1])


def touch(path: Path) -> None:
    """Marks a graph as just used: :func:`prune_graphs` deletes the least recently used graphs."""
    (path / _ABOUT).touch()


def prune_graphs(folder: str | Path, keep: int) -> int:
    """Deletes the least recently used graphs, and partial graphs of processes that died more than a day ago.

    Args:
        folder: folder of stored graphs
        keep: number of graphs to keep

    Returns:
        number of deleted graphs
    """
    graphs = [path.parent for path in Path(folder).glob(f"*-*/{_ABOUT}") if not path.parent.name.endswith(PART_SUFFIX)]
    graphs.sort(key=lambda path: (path / _ABOUT).stat().st_mtime, reverse=True)
    stale = [path for path in Path(folder).glob(f"*{PART_SUFFIX}") if path.stat().st_mtime < time.time() - _OLD_SECONDS]
    for path in (*graphs[keep:], *stale):
        shutil.rmtree(path, ignore_errors=True)  # another process may have it open, or delete it, too
    return len(graphs[keep:])


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
    n: int,
    radius: float,
    write_pairs: Callable[[Path], int],
    *,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Writes the folder of a graph atomically.

    Args:
        path: the folder
        n: number of images
        radius: the largest difference
        write_pairs: writes the files of :class:`PairFiles` into the folder it gets, and returns the number of pairs
        finish (None): called with that folder as soon as the graph can be opened
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:  # an existing folder is incomplete, or was just written by another process
        part.mkdir()
        about = {"format": _FORMAT, "n": n, "radius": float(radius), "n_pairs": write_pairs(part)}
        (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        if finish is not None:
            finish(part)


def open_graph(path: Path, unit: VectorSource, radius: float) -> NeighborGraph | None:
    """Opens the graph in a folder; None if it is missing or incomplete."""
    try:
        about: dict[str, Any] = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        sizes = {name: (path / name).stat().st_size for name in _ARRAYS}
    except (FileNotFoundError, ValueError):
        return None
    matches = about.get("format") == _FORMAT and about.get("n") == len(unit) and about.get("radius") == float(radius)
    n_pairs = about.get("n_pairs", -1)
    if not matches or any(sizes[name] != n_pairs * np.dtype(kind).itemsize for name, kind in _ARRAYS.items()):
        return None
    rows, cols, differences = (_mapped(path / name, kind) for name, kind in _ARRAYS.items())
    return NeighborGraph(len(unit), float(radius), rows, cols, differences, unit, path)


def _mapped(path: Path, kind: type) -> NDArray[Any]:
    """Maps the array in a file into memory; an empty file cannot be mapped."""
    return np.memmap(path, kind, mode="r") if path.stat().st_size else np.empty(0, kind)
