"""Graphs of neighbors on disk: built once, read in parts, found again by their vectors and radius."""

import hashlib
import json
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .differences import Vectors
from .neighbors import NeighborGraph
from .pairs import BLOCK, Pairs, check_radius, joined, near_pairs, sorted_by_row, unit_vectors
from .progress import ProgressCallback

_FORMAT = 1
_ABOUT = "graph.json"
_PART = ".part"
_OLD_SECONDS = 86_400
_ARRAYS = {"rows": np.int32, "cols": np.int32, "differences": np.float32}
_HASHED = 1 << 14  # vectors that are hashed at a time


def stored_graph(
    embeddings: ArrayLike,
    radius: float,
    folder: str | Path,
    *,
    block_size: int = BLOCK,
    progress: ProgressCallback | None = None,
) -> NeighborGraph:
    """Gives the graph of :func:`~ccip_plugin.core.neighbors.radius_graph`, from ``folder`` where it is there already.

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
    path = Path(folder) / f"{_digest(unit)}-{float(radius).hex()}"
    graph = _opened(path, unit, radius)
    if graph is None:
        _build(path, unit, radius, block_size, progress)
        graph = _opened(path, unit, radius)
        assert graph is not None
    return graph


def find_graph(embeddings: ArrayLike, radius: float, folder: str | Path) -> NeighborGraph | None:
    """Gives the smallest graph of these embeddings in ``folder`` that reaches at least to ``radius``; None without one.

    Hashes the embeddings, unless the folder is empty; compares nothing.

    Raises:
        VectorsError: an embedding is zero or not finite; names its row
    """
    if not any(Path(folder).glob(f"*-*/{_ABOUT}")):
        return None
    unit = unit_vectors(embeddings)
    found = {}
    for path in Path(folder).glob(f"{_digest(unit)}-*/{_ABOUT}"):
        if not path.parent.name.endswith(_PART):
            found[float.fromhex(path.parent.name.partition("-")[2])] = path.parent
    for known in sorted(known for known in found if known >= radius):
        graph = _opened(found[known], unit, known)
        if graph is not None:
            (found[known] / _ABOUT).touch()  # used just now
            return graph
    return None


def prune_graphs(folder: str | Path, keep: int) -> int:
    """Deletes the graphs that were used longest ago, and what was left by a process that died over a day ago.

    Args:
        folder: where graphs are kept
        keep: how many stay

    Returns:
        how many were deleted
    """
    graphs = [path.parent for path in Path(folder).glob(f"*-*/{_ABOUT}") if not path.parent.name.endswith(_PART)]
    graphs.sort(key=lambda path: (path / _ABOUT).stat().st_mtime, reverse=True)
    left = [path for path in Path(folder).glob(f"*{_PART}") if path.stat().st_mtime < time.time() - _OLD_SECONDS]
    for path in (*graphs[keep:], *left):
        shutil.rmtree(path, ignore_errors=True)  # another process may have it open, or delete it, too
    return len(graphs[keep:])


def _build(path: Path, unit: Vectors, radius: float, block_size: int, progress: ProgressCallback | None) -> None:
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PART}")
    part.mkdir(parents=True)
    try:
        n_pairs = _write_pairs(part, unit, radius, block_size, progress)
        about = {"format": _FORMAT, "n": len(unit), "radius": float(radius), "n_pairs": n_pairs}
        (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        if path.exists():  # not whole, or of another process that was faster
            shutil.rmtree(path)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write_pairs(folder: Path, unit: Vectors, radius: float, block_size: int, progress: ProgressCallback | None) -> int:
    n_pairs = 0
    stripe: list[Pairs] = []
    files = {name: (folder / name).open("wb") for name in _ARRAYS}
    try:
        for block in near_pairs(unit, radius, block_size=max(1, block_size), progress=progress):
            stripe.append(block.pairs)
            if block.ends_stripe:
                pairs = sorted_by_row(joined(stripe))
                for name, file in files.items():
                    getattr(pairs, name).tofile(file)
                n_pairs += len(pairs.rows)
                stripe = []
    finally:
        for file in files.values():
            file.close()
    return n_pairs


def _opened(path: Path, unit: Vectors, radius: float) -> NeighborGraph | None:
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
    return NeighborGraph(len(unit), float(radius), rows, cols, differences, unit)


def _mapped(path: Path, kind: type) -> NDArray[Any]:
    """The array in a file; an empty file cannot be mapped."""
    return np.memmap(path, kind, mode="r") if path.stat().st_size else np.empty(0, kind)


def _digest(unit: Vectors) -> str:
    digest = hashlib.sha256(repr(unit.shape).encode())
    for start in range(0, len(unit), _HASHED):
        digest.update(unit[start : start + _HASHED].tobytes())
    return digest.hexdigest()[:32]
