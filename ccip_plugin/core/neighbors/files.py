"""Graphs of neighbors on disk: built once, read in parts, found again by their vectors and radius."""

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
    """Where graphs are kept: ``graphs`` in the folder that ``CCIP_CACHE_DIR`` names, or in the user's cache folder."""
    return cache_dir() / "graphs"


def stored_graph(
    embeddings: ArrayLike | VectorSource,
    radius: float,
    folder: str | Path,
    *,
    block_size: int = BLOCK,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Gives the graph of :func:`~ccip_plugin.core.neighbors.graph.radius_graph`, from ``folder`` where it is there
    already.

    Pairs go to disk as they are found, 12 bytes each, and are read from there: memory is needed for a stripe of blocks
    only, however many there are. A graph is found again by its vectors and radius; one that is not whole is built anew.
    What is interrupted leaves nothing behind but a folder that ends in ``.part``.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        radius: the largest difference
        folder: where graphs are kept; made if it is not there
        block_size: how many images are compared with how many at a time
        progress (None): told after each block how many pairs were compared

    Raises:
        OSError: the folder cannot be written
        ParameterError: the radius is not from 0 to 1
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
    """Gives the smallest graph of these embeddings in ``folder`` that reaches at least to ``radius``; None without one.

    Hashes the embeddings, unless the folder is empty; compares nothing.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if not any(Path(folder).glob(f"*-*/{_ABOUT}")):
        return None
    unit = unit_vectors(embeddings)
    for path, known in kept_graphs(folder, f"{unit.digest}-", radius):
        graph = open_graph(path, unit, known)
        if graph is not None:
            touch(path)
            return graph
    return None


def kept_graphs(folder: str | Path, prefix: str, radius: float, *, suffix: str = "") -> list[tuple[Path, float]]:
    """The folders of graphs that reach at least to ``radius``, and their radii, the smallest first.

    Args:
        folder: where graphs are kept
        prefix: how their names begin; the radius comes after it
        radius: how far they must reach
        suffix: how their names end, after the radius
    """
    found = []
    for path in Path(folder).glob(f"{prefix}*{suffix}/{_ABOUT}"):
        name = path.parent.name
        if not name.endswith(PART_SUFFIX):
            found.append((path.parent, float.fromhex(name.removeprefix(prefix).removesuffix(suffix))))
    return sorted([each for each in found if each[1] >= radius], key=lambda each: each[1])


def touch(path: Path) -> None:
    """Notes that a graph was used just now: :func:`prune_graphs` deletes those first that were not."""
    (path / _ABOUT).touch()


def prune_graphs(folder: str | Path, keep: int) -> int:
    """Deletes the graphs that were used longest ago, and what was left by a process that died over a day ago.

    Args:
        folder: where graphs are kept
        keep: how many stay

    Returns:
        how many were deleted
    """
    graphs = [path.parent for path in Path(folder).glob(f"*-*/{_ABOUT}") if not path.parent.name.endswith(PART_SUFFIX)]
    graphs.sort(key=lambda path: (path / _ABOUT).stat().st_mtime, reverse=True)
    left = [path for path in Path(folder).glob(f"*{PART_SUFFIX}") if path.stat().st_mtime < time.time() - _OLD_SECONDS]
    for path in (*graphs[keep:], *left):
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
    """The files of a graph while it is written; a context manager.

    Attributes:
        n_pairs: pairs written
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
        """Writes more pairs; they come sorted."""
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
    """Writes a graph into a folder, whole or not at all.

    Args:
        path: the folder
        n: how many images there are
        radius: the largest difference
        write_pairs: writes the files of :class:`PairFiles` into the folder that it is given, and gives how many pairs
        finish (None): called with that folder when it can be opened
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:  # what it replaces is not whole, or of another process that was faster
        part.mkdir()
        about = {"format": _FORMAT, "n": n, "radius": float(radius), "n_pairs": write_pairs(part)}
        (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        if finish is not None:
            finish(part)


def open_graph(path: Path, unit: VectorSource, radius: float) -> NeighborGraph | None:
    """The graph in a folder, None when it is not there or not whole."""
    try:
        about: dict[str, Any] = json.loads((path / _ABOUT).read_text(encoding="utf-8"))
        sizes = {name: (path / name).stat().st_size for name in _ARRAYS}
    except (FileNotFoundError, ValueError):
        return None
    is_right = about.get("format") == _FORMAT and about.get("n") == len(unit) and about.get("radius") == float(radius)
    n_pairs = about.get("n_pairs", -1)
    if not is_right or any(sizes[name] != n_pairs * np.dtype(kind).itemsize for name, kind in _ARRAYS.items()):
        return None
    rows, cols, differences = (_mapped(path / name, kind) for name, kind in _ARRAYS.items())
    return NeighborGraph(len(unit), float(radius), rows, cols, differences, unit, path)


def _mapped(path: Path, kind: type) -> NDArray[Any]:
    """The array in a file; an empty file cannot be mapped."""
    return np.memmap(path, kind, mode="r") if path.stat().st_size else np.empty(0, kind)
