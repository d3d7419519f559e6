"""How good and how fast grouping is: quality over settings, speed against matrix products, memory.

python benchmarks/engine.py quality [--sizes 2000 8000 20000] [--seeds 5] [--settings all] [--methods linkage] [--quick]
python benchmarks/engine.py speed [--sizes 20000 50000 100000] [--tasks dbscan linkage graph kept add] [--quick]
python benchmarks/engine.py index [--sizes 50000 100000] [--no-exact] [--quick]     (needs the extra "index")
python benchmarks/engine.py large [--sizes 1000000] [--subsample 100000] [--quick]  (needs the extra "index")

quality: ARI and B-cubed F of methods as they are, untuned; with --plain-linkage, what the default method gains over it.
speed: time of DBSCAN, linkage and the graph, as a share of what matrix products alone would take, measured in the same
process before and after; ARI; another eps and another cut from a graph on disk; adding a twentieth to a set of groups.
index: an approximate graph against the exact one.
large: vectors in a float16 file, an approximate graph after its estimate, groups of DBSCAN at the threshold and at the
published eps of dbscan_2, and ARI of these against the exact groups of the first images alone (--subsample).
"""

import argparse
import itertools
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import table
from engine_data import DIM, SETTINGS, characters

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ccip_plugin.core.clustering import METHODS, cluster
from ccip_plugin.core.clustering.constraints import Constraints
from ccip_plugin.core.clustering.dbscan import dbscan
from ccip_plugin.core.clustering.linkage.agglomeration import agglomerate
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.neighbors.approximate import CAP, PROBES, approximate_graph
from ccip_plugin.core.neighbors.files import stored_graph
from ccip_plugin.core.neighbors.pairs import BLOCK
from ccip_plugin.core.neighbors.quality import estimate_graph
from ccip_plugin.core.registry import DEFAULT_MODEL, get_spec

THRESHOLD = get_spec(DEFAULT_MODEL).threshold
MIB = 1 << 20
KEPT = (  # what is asked of a graph on disk, one after the other: method, eps in thresholds, min_samples
    ("DBSCAN, eps of 1 threshold", "dbscan", 1.0, 2),
    ("DBSCAN, another eps: 0.72 thresholds", "dbscan", 0.72, 2),
    ("DBSCAN, another eps: 0.8 thresholds, min_samples 5", "dbscan", 0.8, 5),
    ("linkage, the first time", "linkage", 1.0, None),
    ("linkage, another cut: 0.9 thresholds", "linkage", 0.9, None),
    ("linkage, another cut: 0.75 thresholds", "linkage", 0.75, None),
    ("linkage, another cut: 1.2 thresholds", "linkage", 1.2, None),
)
FOLDER = Path(__file__).resolve().parents[1] / ".work" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "speed", "index", "large", "task"))
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--settings", nargs="+", default=["all"], choices=["all", *SETTINGS])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["linkage"])
    parser.add_argument("--plain-linkage", action="store_true", help="compare with plain average linkage, too")
    parser.add_argument("--quick", action="store_true", help="small sizes, one seed")
    parser.add_argument("--no-exact", action="store_true", help="do not build the exact graph to compare with")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="what to measure the speed of")
    parser.add_argument(
        "--subsample", type=int, help="images that are compared exactly, too (a tenth, at most 100,000)"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where vectors and graphs go; default: .work/bench")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what == "quality":
        quality(args)
    elif args.what == "speed":
        sizes = args.sizes or ([4000] if args.quick else [20_000, 50_000, 100_000])
        speed(sizes, args.tasks, is_quick=args.quick)
    elif args.what == "index":
        for n in args.sizes or ([4000] if args.quick else [50_000, 100_000]):
            approximate(n, with_exact=not args.no_exact)
    elif args.what == "large":
        for n in args.sizes or ([4000] if args.quick else [1_000_000]):
            large(n, args.subsample or min(n // 10, 100_000), args.folder)
    else:
        print(json.dumps(TASKS[args.task](*_saved(args.sizes[0]))))


def quality(args: argparse.Namespace) -> None:
    """Prints ARI and B-cubed F of methods, and gains of the default method over plain average linkage."""
    names = list(SETTINGS) if "all" in args.settings else args.settings
    seeds = range(args.first_seed, args.first_seed + (1 if args.quick else args.seeds))
    rows = []
    for n in args.sizes or ([1000] if args.quick else [2000, 8000, 20_000]):
        scores: dict[str, list[tuple[float, float]]] = {method: [] for method in args.methods}
        gains = []
        for name, seed in itertools.product(names, seeds):
            vectors, truth = characters(n, seed, SETTINGS[name])
            for method in args.methods:
                start = time.perf_counter()
                found = _scores(cluster(vectors, method=method), truth)
                line = f"{n:>7} {name:<9} seed {seed}  {method:<11} ARI {found[0]:.3f}  B3F {found[1]:.3f}"
                line += f"  {time.perf_counter() - start:6.1f} s"
                scores[method].append(found)
                if method == "linkage" and (args.plain_linkage or args.quick):
                    plain = agglomerate(vectors, np.ones(n), THRESHOLD)
                    gains.append(np.subtract(found, _scores(plain, truth)))
                    line += f"  gain {gains[-1][0]:+.3f} {gains[-1][1]:+.3f}"
                print(line, flush=True)
        for method in sorted(args.methods, key=lambda method: -np.mean(scores[method], axis=0)[0]):
            (ari, b3), (worst_ari, worst_b3) = np.mean(scores[method], axis=0), np.min(scores[method], axis=0)
            rows.append((method, f"{n:,}", f"{ari:.3f}", f"{worst_ari:.3f}", f"{b3:.3f}", f"{worst_b3:.3f}"))
        if gains:
            mean, worst = np.mean(gains, axis=0), np.min(gains, axis=0)
            print(f"{n:>7} mean gain {mean[0]:+.4f} {mean[1]:+.4f}  worst {worst[0]:+.4f} {worst[1]:+.4f}", flush=True)
    header = ("method", "images", "ARI", "worst ARI", "B-cubed F", "worst B-cubed F")
    title = f"Mean over {len(names) * len(seeds)} simulated sets of characters, nothing tuned"
    save_as = "engine-quality" if len(args.methods) > 1 and not args.quick else None
    table(title, header, rows, save_as=save_as)


def speed(sizes: list[int], tasks: list[str], *, is_quick: bool) -> None:
    """Prints times and memory, each task in a process of its own, with matrix products measured before and after."""
    rows, kept = [], []
    for n in sizes:
        _saved(n)
        for task in tasks:
            command = [sys.executable, __file__, "task", "--task", task, "--sizes", str(n)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            result = json.loads(done.stdout)
            print(f"{n:>7} {task:<10}", "  ".join(f"{key} {value}" for key, value in result.items()), flush=True)
            if task in METHODS:
                rows.append((task, f"{n:,}", *(result[key] for key in ("s", "of_peak", "MiB_above", "ARI", "B3F"))))
            if task == "kept":
                kept += [(name, f"{n:,}", f"{result[name]:.1f}") for name, *_ in KEPT]
    if kept:
        title = "Groups from a graph that is kept on disk"
        table(title, ("groups", "images", "s"), kept, save_as=None if is_quick else "engine-kept")
    header = ("method", "images", "s", "share of matrix products", "MiB above the vectors", "ARI", "B-cubed F")
    if rows:
        table("Grouping of vectors", header, rows, save_as=None if is_quick else "engine-speed")


def approximate(n: int, *, with_exact: bool) -> None:
    """Prints time, memory and quality of an approximate graph of vectors in float16, and its groups against truth.

    With ``with_exact``, also DBSCAN's groups against those of the exact graph, at several eps.
    """
    vectors, truth = _saved(n)
    vectors = vectors.astype(np.float16)
    estimate = estimate_graph(vectors, THRESHOLD, cap=CAP, n_probes=PROBES)
    print(f"{n:>7} estimate {estimate.seconds:.0f} s, {estimate.disk_bytes / MIB:.0f} MiB of disk", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        before, start = _peak_memory(), time.perf_counter()
        graph = approximate_graph(vectors, THRESHOLD, folder)
        seconds = time.perf_counter() - start
        print(f"{n:>7} graph {seconds:.1f} s  MiB_above {(_peak_memory() - before) // MIB}  pairs {graph.n_pairs:,}")
        print(f"{n:>7} {graph.quality}", flush=True)
        start = time.perf_counter()
        found = _scores(cluster(graph, method="linkage"), truth)
        seconds = time.perf_counter() - start
        print(f"{n:>7} linkage {seconds:.1f} s  ARI {found[0]:.3f}  B3F {found[1]:.3f}", flush=True)
        if with_exact:
            exact = stored_graph(vectors.astype(np.float32), THRESHOLD, folder)
            for eps in (THRESHOLD, 0.85 * THRESHOLD, 0.72 * THRESHOLD):
                one, other = (dbscan(of, eps=eps, min_samples=2) for of in (graph, exact))
                print(f"{n:>7} DBSCAN eps {eps:.3f}: ARI {_scores(one, other)[0]:.5f} against exact", flush=True)
        print(f"{n:>7} peak of the process {_peak_memory() // MIB} MiB", flush=True)


def large(n: int, n_exact: int, folder: Path) -> None:
    """Prints an estimate, then time, memory and quality of an approximate graph of vectors in a float16 file.

    Both kinds of graph are compared on the first images alone, as the others may connect what is not connected among
    these.
    """
    path, truth = _half_file(n, folder)
    vectors = np.load(path, mmap_mode="r")
    estimate = estimate_graph(vectors, THRESHOLD, cap=CAP, n_probes=PROBES)
    print(f"{n:>8} estimate {estimate.seconds / 60:.1f} min, {estimate.disk_bytes / MIB:,.0f} MiB of disk", flush=True)
    first = np.asarray(vectors[:n_exact])
    with tempfile.TemporaryDirectory(dir=folder) as graphs:
        begin = time.perf_counter()
        graph = approximate_graph(vectors, THRESHOLD, graphs)
        built = time.perf_counter() - begin
        print(f"{n:>8} graph {_since(begin)}  pairs {graph.n_pairs:,}  {_peak_text()}")
        print(f"{n:>8} {graph.quality}", flush=True)
        for method in ("dbscan", "dbscan_2", "linkage"):
            start = time.perf_counter()
            labels = cluster(graph, method=method)
            seconds = time.perf_counter() - start
            ari, b3 = _scores(labels, truth)
            total = f"{seconds:.1f} s, {(built + seconds) / 60:.1f} min with the graph"
            print(f"{n:>8} {method} {total}  ARI {ari:.3f}  B3F {b3:.3f}  {_peak_text()}", flush=True)
        few = approximate_graph(first, THRESHOLD, graphs)
        for method in ("dbscan", "dbscan_2", "linkage"):
            exact = cluster(first.astype(np.float32), method=method)
            ari = _scores(cluster(few, method=method), exact)[0]
            print(f"{n_exact:>8} {method}: ARI {ari:.5f} against exact", flush=True)


def _half_file(n: int, folder: Path) -> tuple[Path, Any]:
    """Vectors in a float16 file, and their true labels. Made in a process of its own: it takes 12 kB for each."""
    path, names = folder / f"engine_{n}_half.npy", folder / f"engine_{n}_half_truth.npy"
    if not (path.exists() and names.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(_write_half, path, names, n).result()
    return path, np.load(names)


def _write_half(path: Path, names: Path, n: int) -> None:
    vectors, truth = characters(n, 0)
    np.save(path, vectors.astype(np.float16))
    np.save(names, truth)


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.1f} s"


def _peak_text() -> str:
    return f"peak of the process {_peak_memory() / MIB:,.0f} MiB"


def _scores(labels: Any, truth: Any) -> tuple[float, float]:
    metrics = group_metrics(labels, truth)
    return metrics.ari, metrics.bcubed_f1


def _saved(n: int) -> tuple[Any, Any]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = [FOLDER / f"engine_{n}_{what}.npy" for what in ("vectors", "truth")]
    if not all(path.exists() for path in paths):
        for path, array in zip(paths, characters(n, 0), strict=True):
            np.save(path, array)
    return np.load(paths[0]), np.load(paths[1])


def _gemm_rate(vectors: Any) -> float:
    """Multiplications and additions a second of products of blocks, as the comparison makes them."""
    a = vectors[:BLOCK]
    b = vectors[-BLOCK:]
    out = np.empty((len(a), len(b)), np.float32)
    np.matmul(a, b.T, out=out)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 2:
        np.matmul(a, b.T, out=out)
        count += 1
    return count * 2 * len(a) * len(b) * DIM / (time.perf_counter() - start)


def _peak_memory() -> int:
    """Most bytes that this process had so far. (What ``getrusage`` gives comes from the parent process.)"""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("memory is measured on Linux only")


def _measured(vectors: Any, work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    before = _gemm_rate(vectors)
    peak = _peak_memory()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    grown = _peak_memory() - peak
    rate = (before + _gemm_rate(vectors)) / 2
    ideal = len(vectors) ** 2 * DIM / rate
    numbers = {"s": round(seconds, 1), "of_peak": round(ideal / seconds, 2), "MiB_above": round(grown / MIB)}
    return result, {**numbers, "gflops": round(rate / 1e9)}


def _grouping(method: str) -> Callable[[Any, Any], dict[str, Any]]:
    def run(vectors: Any, truth: Any) -> dict[str, Any]:
        cluster(vectors[:100], method=method)  # loads what is loaded late
        labels, numbers = _measured(vectors, lambda: cluster(vectors, method=method))
        ari, b3 = _scores(labels, truth)
        return {**numbers, "ARI": round(ari, 3), "B3F": round(b3, 3)}

    return run


def _graph(vectors: Any, truth: Any) -> dict[str, Any]:
    graph, numbers = _measured(vectors, lambda: radius_graph(vectors, THRESHOLD))
    start = time.perf_counter()
    cluster(graph, method="dbscan_2")
    return {**numbers, "pairs": graph.n_pairs, "dbscan_at_other_eps_s": round(time.perf_counter() - start, 2)}


def _kept(vectors: Any, truth: Any) -> dict[str, Any]:
    """A graph on disk as the plugin keeps it, and what it answers: another eps, another cut of linkage."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        reach = 1.25 * THRESHOLD
        graph, numbers = _measured(vectors, lambda: stored_graph(vectors, reach, folder))
        result = {**numbers, "pairs": graph.n_pairs}
        for name, method, share, min_samples in KEPT:
            start = time.perf_counter()
            cluster(graph, method=method, eps=share * THRESHOLD, min_samples=min_samples)
            result[name] = round(time.perf_counter() - start, 2)
    return result


def _added(vectors: Any, truth: Any) -> dict[str, Any]:
    """A twentieth of the images added to groups that stay; all of one character are in one group before."""
    fixed = np.unique(truth, return_inverse=True)[1].astype(np.int64)
    fixed[-len(fixed) // 20 :] = -1
    decided = Constraints(fixed)
    labels, numbers = _measured(vectors, lambda: cluster(vectors, method="linkage", constraints=decided))
    return {**numbers, "ARI": round(_scores(labels, truth)[0], 3)}


def _steps() -> Iterator[tuple[str, Callable[[Any, Any], dict[str, Any]]]]:
    yield from ((method, _grouping(method)) for method in ("dbscan", "linkage"))
    yield "graph", _graph
    yield "kept", _kept
    yield "add", _added


TASKS = dict(_steps())

if __name__ == "__main__":
    main()
