"""Memory that planning and writing the labels of a grouping takes, beside embeddings and graph.

The target: at most 400 bytes an image at the peak, everything that was read included. Images of random characters are
written straight into the database and clustered by their true characters; then labels are planned and written, and once
more after a part of the clusters changed. Everything that a run makes is counted, from reading labels and ids on, but
not what the process held before, such as FiftyOne's copy of the groups of the first run in the second. Every row is
measured in processes of its own with their own MongoDB: by the peak of resident memory, and by the peak of what Python
and numpy allocate. Linux only, where a process can reset its peak.

    python benchmarks/labels_memory.py
    python benchmarks/labels_memory.py --quick
"""

import argparse
import ctypes
import gc
import itertools
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import engine_data
import numpy as np
from bson import ObjectId
from common import machine, peak_mib, table
from fiftyone_overhead import use_own_database
from numpy.typing import NDArray

TARGET = 400
BATCH = 2000
WARM_UP = 2000
MIB = 1 << 20
STAGES = ("read", "plan", "write")

T = TypeVar("T")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[50_000, 200_000], help="how many (50000 200000)")
    parser.add_argument("--quick", action="store_true", help="5,000 images, without a target")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(**json.loads(options.child))))
        return
    print(machine())
    rows = [row for n in ([5000] if options.quick else options.images) for row in _rows(n)]
    header = ("images", "groups", "run", "measured", *(f"{stage}, bytes an image" for stage in STAGES), "target")
    save_as = None if options.quick else "labels-memory"
    table("Peak memory of a grouping beside its vectors", header, rows, save_as=save_as)
    worst = max(int(cell) for row in rows for cell in row[5:7])
    print(f"\nThe most while planning or writing: {worst} bytes an image")


def _rows(n: int) -> list[tuple[str, ...]]:
    rows = []
    for is_traced in (False, True):
        arguments = json.dumps({"n": n, "is_traced": is_traced})
        command = [sys.executable, __file__, "--child", arguments]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        measured = json.loads(output.splitlines()[-1])
        kind = "allocated" if is_traced else "resident"
        for run, peaks in measured["peaks"].items():
            cells = (f"{peaks[stage]:.0f}" for stage in STAGES)
            target = f"<= {TARGET}" if n >= 50_000 else ""
            rows.append((f"{n:,}", f"{measured['groups']:,}", run, kind, *cells, target))
    return rows


def _measure(n: int, is_traced: bool) -> dict[str, Any]:
    use_own_database()
    small, characters = _dataset("warm up", WARM_UP)
    _run(small, _clusters(characters), _Meter(WARM_UP, False))  # all is imported now, and libraries have their buffers
    small.delete()
    dataset, characters = _dataset("memory", n)
    clusters = _clusters(characters)
    peaks = {"first": _run(dataset, clusters, _Meter(n, is_traced))}
    clusters[::50] = -1
    peaks["again, 2% removed"] = _run(dataset, clusters, _Meter(n, is_traced))
    return {"groups": int(clusters.max()) + 1, "peaks": peaks}


def _run(dataset: Any, clusters: NDArray[np.int64], meter: "_Meter") -> dict[str, float]:
    """Reads, plans and writes; the peaks of the three."""
    from ccip_plugin.core.clustering.methods import ClusteringTask
    from ccip_plugin.grouping.participants import Participants, read_participants
    from ccip_plugin.grouping.plan import make_plan
    from ccip_plugin.labels.changes import apply
    from ccip_plugin.labels.snapshot import read_state
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage.fields import ALL, EMBEDDINGS_FIELD, GROUP_FIELD
    from ccip_plugin.storage.targets import resolve

    store = LabelStore(resolve(dataset), GROUP_FIELD)

    def read() -> tuple[Any, Participants]:
        state = read_state(store)
        return state, read_participants(store, state, EMBEDDINGS_FIELD, ALL)

    peaks: dict[str, float] = {}
    state, participants = meter.peak("read", peaks, read)
    clustering = ClusteringTask(participants.vectors, "linkage", 0.178, 2).result(clusters)
    plan = meter.peak("plan", peaks, lambda: make_plan(state, participants, clustering, mode=ALL, threshold=0.178))
    run = {"method": "ccip_groups", "at": "now"}
    meter.peak("write", peaks, lambda: apply(store, plan, action="group_characters", run_key="ccip_groups", run=run))
    return peaks


class _Meter:
    """Measures peaks of memory above what the process had at first, without the vectors."""

    def __init__(self, n: int, is_traced: bool) -> None:
        self._n, self._is_traced = n, is_traced
        if is_traced:
            tracemalloc.stop()
            tracemalloc.start()
        _settle()
        self._first = self._now()

    def peak(self, stage: str, peaks: dict[str, float], work: Callable[[], T]) -> T:
        """Does the work; notes its peak in bytes an image."""
        _settle()
        if self._is_traced:
            tracemalloc.reset_peak()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        result = work()
        most = tracemalloc.get_traced_memory()[1] if self._is_traced else peak_mib() * MIB
        peaks[stage] = (most - self._first) / self._n - 4 * engine_data.DIM
        return result

    def _now(self) -> float:
        if self._is_traced:
            return tracemalloc.get_traced_memory()[0]
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return peak_mib() * MIB


def _settle() -> None:
    """Gives back what was freed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _clusters(characters: NDArray[np.int64]) -> NDArray[np.int64]:
    """The characters as clusters; who appears once is in none."""
    _, codes, sizes = np.unique(characters, return_inverse=True, return_counts=True)
    is_group = sizes > 1
    numbers = np.where(is_group, np.cumsum(is_group) - 1, -1)
    return numbers[codes]


def _dataset(name: str, n: int) -> tuple[Any, NDArray[np.int64]]:
    """A dataset of ``n`` images with embeddings of random characters, and these characters."""
    import fiftyone as fo
    import fiftyone.core.utils as fou

    from ccip_plugin.core.preprocessing import READING_POLICY
    from ccip_plugin.core.registry import DEFAULT_MODEL
    from ccip_plugin.embeddings.provenance import Provenance, write_provenance
    from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
    from ccip_plugin.storage.internals import sample_documents

    vectors, characters = engine_data.characters(n, 0)
    dataset = fo.Dataset(name)
    dataset.add_sample(fo.Sample("/images/first.png"))
    dataset.add_sample_field(EMBEDDINGS_FIELD, fo.VectorField)
    write_provenance(dataset, EMBEDDINGS_FIELD, Provenance(DEFAULT_MODEL, READING_POLICY))
    samples = sample_documents(dataset)
    pattern = samples.find_one() or {}
    samples.delete_many({})
    documents = (
        {**pattern, "_id": ObjectId(), "filepath": f"/images/{row:07d}.png", EMBEDDINGS_FIELD: stored}
        for row, stored in enumerate(map(fou.serialize_numpy_array, vectors))
    )
    while batch := list(itertools.islice(documents, BATCH)):
        samples.insert_many(batch)
    return dataset, characters


if __name__ == "__main__":
    main()
