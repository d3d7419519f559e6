"""How fast image files become embeddings: the plugin, dghs-imgutils, FiftyOne alone, and what onnxruntime allows.

Each contender is a process of its own that has loaded its model and read the files once. They work in turn on the
same files, several rounds; ratios are taken within a round. `make bench-setup` makes what is needed.
"""

import argparse
import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common
import make_models
import numpy as np
from common import Timing, Worker, in_turn, ratio, seconds, span, table
from contenders import MODEL_NAME

HERE = Path(__file__).resolve().parent
NAMES = {
    "ours": "this plugin",
    "imgutils_1": "dghs-imgutils, one image a call",
    "imgutils_8": "dghs-imgutils, calls of 8",
    "native": "dataset.compute_embeddings",
    "limit_workers": "tensors ready, one run per core",
    "limit_threads": "tensors ready, all cores per run",
}
LIMITS = ("limit_workers", "limit_threads")
DEMO = "ccip-demo"
# What is wanted: (model, is a core busy): {rival: at least so many times as fast}
WANTED = {
    ("caformer_s18", False): {"limit": 0.85, "imgutils_1": 1.10, "imgutils_8": 1.20},
    ("caformer_s36", False): {"limit": 0.90, "imgutils_1": 1.05, "imgutils_8": 1.15},
    ("caformer_s18", True): {"limit": 0.88, "imgutils_1": 1.5, "imgutils_8": 1.5},
    ("caformer_s36", True): {"limit": 0.88, "imgutils_1": 1.5, "imgutils_8": 1.5},
    (DEMO, False): {"native": 1.6},
}


@dataclass(frozen=True)
class Plan:
    """One table: a model, how many files, how many rounds, and whether a core is busy."""

    model: str
    n_files: int
    rounds: int
    is_busy: bool = False


FULL = (
    Plan("caformer_s18", 16, 5),
    Plan("caformer_s18", 16, 5, is_busy=True),
    Plan("caformer_s36", 16, 5),
    Plan("caformer_s36", 16, 5, is_busy=True),
    Plan(DEMO, 40, 5),
    Plan(DEMO, 40, 5, is_busy=True),
)
QUICK = (Plan("caformer_s18", 8, 2), Plan("caformer_s18", 8, 2, is_busy=True), Plan(DEMO, 16, 3))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few files, two rounds, without the s36 model")
    parser.add_argument("--prepare", action="store_true", help="only make the models and the image files")
    parser.add_argument("--model", action="append", choices=[*make_models.SHAPES, DEMO], help="only this one; repeat")
    parser.add_argument("--busy", choices=("yes", "no", "both"), default="both", help="with one core kept busy or not")
    parser.add_argument("--rounds", type=int, help="rounds, 5 by default")
    parser.add_argument("--files", type=int, help="files per round")
    arguments = parser.parse_args()
    plans = chosen(QUICK if arguments.quick else FULL, arguments)
    if arguments.prepare:
        prepare(plans)
        return
    print(f"Extraction. {common.machine()}")
    for plan in plans:
        run(plan)
    print(f"\nAt the end: {common.machine()}")


def chosen(plans: Sequence[Plan], arguments: argparse.Namespace) -> list[Plan]:
    """The plans that the command line asks for, also for models that are not among them."""
    others = [model for model in arguments.model or () if model not in {plan.model for plan in plans}]
    plans = [*plans, *(Plan(model, 16, 5, is_busy) for model in others for is_busy in (False, True))]
    wanted = {"yes": (True,), "no": (False,), "both": (True, False)}[arguments.busy]
    return [
        Plan(plan.model, arguments.files or plan.n_files, arguments.rounds or plan.rounds, plan.is_busy)
        for plan in plans
        if plan.is_busy in wanted and (not arguments.model or plan.model in arguments.model)
    ]


def prepare(plans: Sequence[Plan]) -> None:
    """Makes what takes a while, once."""
    for model in sorted({plan.model for plan in plans}):
        print(f"{model}: {model_files(model) or 'not in this checkout'}")
    images = common.draw_images(common.WORK / "images", max(plan.n_files for plan in plans))
    print(f"{len(images)} image files: {images[0].parent}")


def run(plan: Plan) -> None:
    """Measures and prints one table."""
    source = model_files(plan.model)
    if source is None:
        print(f"\nSKIPPED: {plan.model} is not in this checkout")
        return
    files = [str(path) for path in common.draw_images(common.WORK / "images", plan.n_files)]
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ccip-bench-", ignore_cleanup_errors=True))
        )
        shutil.copytree(source, folder / "models" / MODEL_NAME)
        env = common.hub_cache(folder / "cache", {MODEL_NAME: source}) | {"CCIP_CACHE_DIR": str(folder / "ccip")}
        workers = {}
        for name in NAMES:
            if name.startswith("imgutils") and not common.IMGUTILS_PYTHON.exists():
                print(f"\nSKIPPED: {NAMES[name]}: no {common.IMGUTILS_PYTHON} (make bench-setup)")
                continue
            python = common.IMGUTILS_PYTHON if name.startswith("imgutils") else common.PYTHON
            worker = Worker(python, HERE / "contenders.py", name, folder / "models", *files, env=env)
            workers[name] = stack.enter_context(worker)
        vectors = {name: vectors_of(worker, folder / f"{name}.npy") for name, worker in workers.items()}
        if plan.is_busy:
            stack.enter_context(common.busy_core())
        found = in_turn(workers, plan.rounds)
    show(plan, found, {name: worker.loaded["peak_mib"] for name, worker in workers.items()}, vectors)


def model_files(model: str) -> Path | None:
    """The folder with the four files of a model; random weights are drawn once."""
    if model == DEMO:
        return common.DEMO_MODEL if (common.DEMO_MODEL / "model_feat.onnx").exists() else None
    folder = common.WORK / "models" / model
    if not (folder / "cluster.json").exists():
        make_models.write_model(folder, model)
    return folder


def vectors_of(worker: Worker, path: Path) -> np.ndarray:
    """The unit vectors that a contender gives; the round that it takes does not count."""
    worker(save=str(path))
    vectors = np.load(path).astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def show(plan: Plan, found: dict[str, list[Timing]], loaded: dict[str, float], vectors: dict[str, np.ndarray]) -> None:
    """Prints speeds side by side, and how they stand to what is wanted."""
    limit = min(LIMITS, key=lambda name: statistics.median(seconds(found[name])))
    rivals = [name for name in ("imgutils_1", "imgutils_8", "native") if name in found]
    rows = []
    for name, timings in found.items():
        row = [NAMES[name], span([plan.n_files / s for s in seconds(timings)])]
        row += [f"{1000 * statistics.median(t.cpu for t in timings) / plan.n_files:.0f}"]
        row += [f"{ratio(timings, found[to]):.2f}" for to in (limit, *rivals)]
        row += [f"{loaded[name]:.0f}", f"{timings[-1].result['peak_mib']:.0f}"]
        row += [f"{np.abs(vectors[name] - vectors['ours']).max():.0e}"]
        rows.append(row)
    short = {"imgutils_1": "x imgutils 1", "imgutils_8": "x imgutils 8", "native": "x native"}
    header = ["", "images/s [range]", "CPU ms", "of limit", *(short[name] for name in rivals)]
    header += ["MiB loaded", "MiB peak", "max|diff|"]
    load = "one core kept busy" if plan.is_busy else "no other load"
    name = f"extraction-{plan.model}{'-busy' if plan.is_busy else ''}"
    table(
        f"{plan.model}, {plan.n_files} files of 1000-2500 px, {plan.rounds} rounds, {load}",
        header,
        rows,
        save_as=name if plan.rounds >= common.ENOUGH_ROUNDS else None,
    )
    wanted = WANTED.get((plan.model, plan.is_busy), {})
    for rival, least in wanted.items():
        to = limit if rival == "limit" else rival
        if to in found:
            measured = ratio(found["ours"], found[to])
            print(f"{'ok  ' if measured >= least else 'LOW '} {measured:.2f} x {NAMES[to]}, wanted {least:.2f}")


if __name__ == "__main__":
    main()
