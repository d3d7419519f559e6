"""The operations of the model card at growing numbers of items, by this plugin and by dghs-imgutils.

Both tools keep what they loaded and work in turn; of groups it says whether they are the same. A tool leaves an
operation when the next number of items would take it too long. Prints a table and draws .work/bench/operations.svg and
.png. `make bench-setup` makes what is needed.
"""

import argparse
import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import common
from common import Worker, span, table
from contenders import MODEL_NAME
from extraction import HERE, model_files

TOOLS = {"ours": "this plugin", "imgutils": "dghs-imgutils"}
COLORS = {"ours": "#d95f02", "imgutils": "#4c72b0"}
TITLES = {
    "extract": "embeddings of images ({model})",
    "difference": "difference, pair by pair",
    "differences": "differences of all pairs",
    "dbscan": "groups by DBSCAN",
    "optics": "groups by OPTICS",
}
# What is counted, and how many of it at most; a growth of n costs n or n * n
SIZES = {
    "extract": (1, 2, 4, 8, 16),
    "difference": (1, 10, 100, 1000),
    "differences": (10, 100, 300, 1000, 3000, 10000),
    "dbscan": (30, 100, 300, 1000, 2000, 4000, 5000, 10000, 20000),
    "optics": (30, 100, 300, 1000, 2000),
}
PAIRS = {"differences", "dbscan", "optics"}

Found = dict[tuple[str, int], dict[str, list[float]]]  # (operation, n): {tool: seconds of each round}
Groups = dict[tuple[str, int], set[str | None]]  # (operation, n): digests of the groups that the tools found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 rounds, up to 4 s for each number of items")
    parser.add_argument("--rounds", type=int, help="rounds, 5 by default")
    parser.add_argument("--budget", type=float, help="seconds that a tool may take for one number of items (25)")
    parser.add_argument("--model", default="caformer_s18", help="the model for extraction (caformer_s18)")
    parser.add_argument("--most", type=int, default=1_000_000, help="no more items than this")
    parser.add_argument("--operation", action="append", choices=SIZES, help="only this one; repeat")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    budget = arguments.budget or (4.0 if arguments.quick else 25.0)
    print(f"Operations. {common.machine()}")
    with tools(arguments.model) as workers:
        found, groups = {}, {}
        for operation in arguments.operation or SIZES:
            found |= measure(operation, workers, rounds, budget, arguments.most, groups)
    show(found, rounds, groups, save=arguments.most >= max(map(max, SIZES.values())))
    plot(found, arguments.model)
    print(f"\nAt the end: {common.machine()}")


@contextlib.contextmanager
def tools(model: str):
    """Both tools, each in its process with its models loaded."""
    source = model_files(model)
    if source is None or not common.IMGUTILS_PYTHON.exists():
        raise SystemExit(f"needs {model} and {common.IMGUTILS_PYTHON}: make bench-setup")
    files = common.draw_images(common.WORK / "images", max(SIZES["extract"]))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ccip-bench-")))
        shutil.copytree(source, folder / "models" / MODEL_NAME)
        env = common.hub_cache(folder / "cache", {MODEL_NAME: source}) | {"CCIP_CACHE_DIR": str(folder / "ccip")}
        env |= {"TQDM_DISABLE": "1"}
        pythons = {"ours": common.PYTHON, "imgutils": common.IMGUTILS_PYTHON}
        yield {
            tool: stack.enter_context(Worker(python, HERE / "tools.py", tool, folder / "models", *files, env=env))
            for tool, python in pythons.items()
        }


def measure(
    operation: str, workers: Mapping[str, Worker], rounds: int, budget: float, most: int, groups: Groups
) -> Found:
    """All numbers of items, each with the tools that are fast enough for it; notes the groups that they found."""

    def seconds(worker: Worker, n: int) -> float:
        result = worker(operation=operation, n=n).result
        groups.setdefault((operation, n), set()).add(result["groups"])
        return result["seconds"]

    found: Found = {}
    taking_part = dict(workers)
    for n in (n for n in SIZES[operation] if n <= most):
        for tool, before in found.get((operation, _before(operation, n)), {}).items():
            growth = (n / _before(operation, n)) ** (2 if operation in PAIRS else 1)
            if statistics.median(before) * growth * rounds > budget:
                taking_part.pop(tool)
        if not taking_part:
            break
        for worker in taking_part.values():
            worker(operation=operation, n=min(n, 30))  # whatever is loaded late is loaded now
        found[operation, n] = common.in_turn(
            {tool: lambda w=worker, n=n: seconds(w, n) for tool, worker in taking_part.items()},
            rounds,
        )
    return found


def _before(operation: str, n: int) -> int:
    sizes = SIZES[operation]
    return sizes[max(0, sizes.index(n) - 1)]


def show(found: Found, rounds: int, groups: Groups, *, save: bool) -> None:
    """Prints milliseconds side by side."""
    rows = []
    for (operation, n), by_tool in found.items():
        row = [TITLES[operation].partition(" (")[0], f"{n:,}"]
        row += [span([1000 * s for s in by_tool[tool]], ".4g") if tool in by_tool else "too long" for tool in TOOLS]
        both = [by_tool.get(tool) for tool in ("imgutils", "ours")]
        times = statistics.median(b / a for b, a in zip(*both, strict=True)) if all(both) else None
        row += ["" if times is None else f"{times:.{0 if times >= 10 else 2}f}"]
        is_known = all(both) and None not in groups[operation, n]
        rows.append([*row, ("the same" if len(groups[operation, n]) == 1 else "DIFFERENT") if is_known else ""])
    header = ["operation", "items", *(f"{name}, ms [range]" for name in TOOLS.values()), "times as fast", "groups"]
    is_all = save and len({name for name, _ in found}) == len(SIZES)
    save_as = "operations" if is_all and rounds >= common.ENOUGH_ROUNDS else None
    table(f"Operations of the model card, {rounds} rounds, operations in turn", header, rows, save_as=save_as)


def plot(found: Found, model: str) -> None:
    """Draws time over the number of items, both tools in each picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    operations = list(dict.fromkeys(operation for operation, _ in found))
    figure, axes = pyplot.subplots(1, len(operations), figsize=(3.4 * len(operations), 3.3), squeeze=False)
    for axis, operation in zip(axes[0], operations, strict=True):
        for tool, name in TOOLS.items():
            points = {n: by_tool[tool] for (what, n), by_tool in found.items() if what == operation and tool in by_tool}
            if not points:
                continue
            axis.plot(
                list(points), [statistics.median(s) for s in points.values()], "o-", color=COLORS[tool], label=name
            )
            low, high = ([pick(s) for s in points.values()] for pick in (min, max))
            axis.fill_between(list(points), low, high, color=COLORS[tool], alpha=0.2, linewidth=0)
        axis.set(xscale="log", yscale="log", title=TITLES[operation].format(model=model), xlabel="items")
        axis.grid(alpha=0.3)
        axis.title.set_fontsize(9)
    axes[0][0].set_ylabel("seconds")
    axes[0][0].legend(frameon=False, fontsize=9)
    figure.tight_layout()
    for suffix in ("svg", "png"):
        figure.savefig(common.WORK / f"operations.{suffix}", dpi=110)
    print(f"\nPlot: {common.WORK / 'operations.svg'}")


if __name__ == "__main__":
    main()
