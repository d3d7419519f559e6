"""How long it takes to group embedded images in a dataset, and to see that there is nothing left to do.

Starts a MongoDB of its own. The images are not there: their embeddings are made up, as CCIP gives them.

    python benchmarks/grouping.py --images 10000 --rounds 3
"""

import argparse
import functools
from collections.abc import Callable
from typing import Any

import common
import simulation
from common import Timing, seconds, span, table, timed
from fiftyone_overhead import use_own_database

# Seconds for 10,000 images
WANTED = {"group and label": 15.0, "group again, nothing new": 5.0, "compute_embeddings, all done": 5.0}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often, each time on new data (3)")
    parser.add_argument("--method", help="the method of grouping, the default of the plugin unless given")
    parser.add_argument("--quick", action="store_true", help="2,000 images, one round")
    arguments = parser.parse_args()
    n, rounds = (2000, 1) if arguments.quick else (arguments.images, arguments.rounds)
    print(f"Grouping. {common.machine()}")
    use_own_database()
    found: dict[str, list[Timing]] = {}
    for seed in range(rounds):
        for what, timing in one_round(n, seed, arguments.method).items():
            found.setdefault(what, []).append(timing)
    rows = [
        (what, span(seconds(timings)), span([timing.cpu for timing in timings]), _wanted(what, n))
        for what, timings in found.items()
    ]
    header = ("", "seconds [range]", "CPU s of this process", "wanted")
    save_as = None if arguments.quick else "grouping"
    table(f"{n:,} embedded images, {rounds} rounds", header, rows, save_as=save_as)
    print(f"\nAt the end: {common.machine()}")


def one_round(n: int, seed: int, method: str | None) -> dict[str, Timing]:
    """Makes a dataset and times each step on it."""
    from ccip_plugin.embeddings import compute_embeddings
    from ccip_plugin.embeddings.load import load_embeddings
    from ccip_plugin.grouping import group_characters
    from ccip_plugin.labels.history import undo

    dataset = embedded_dataset(n, seed)
    group = functools.partial(group_characters, dataset, method=method)
    steps: dict[str, Callable[[], Any]] = {
        "compute_embeddings, all done": functools.partial(compute_embeddings, dataset),
        "load_embeddings": functools.partial(load_embeddings, dataset),
        "group and label": group,
        "group again, nothing new": group,
        "undo": functools.partial(undo, dataset),
    }
    timings = {what: timed(work) for what, work in steps.items()}
    assert timings["compute_embeddings, all done"].result.n_skipped == n
    first, again = timings["group and label"].result, timings["group again, nothing new"].result
    assert first.n_written == n and again.n_written == 0, (first, again)
    stages = ", ".join(f"{stage} {taken:.2f} s" for stage, taken in first.seconds.items())
    print(f"round {seed}: {first}\n{stages}")
    dataset.delete()
    return timings


def embedded_dataset(n: int, seed: int) -> Any:
    """A dataset of ``n`` images with embeddings that it takes for those of the default model."""
    import fiftyone as fo

    from ccip_plugin.core.differences import normalize
    from ccip_plugin.core.registry import DEFAULT_MODEL
    from ccip_plugin.embeddings import compute_embeddings
    from ccip_plugin.storage.fields import EMBEDDINGS_FIELD

    dataset = fo.Dataset(f"grouping {seed}")
    dataset.add_samples([fo.Sample(f"/images/{number:06d}.png") for number in range(n)], progress=False)
    dataset.add_sample_field(EMBEDDINGS_FIELD, fo.VectorField)
    dataset.set_values(EMBEDDINGS_FIELD, list(normalize(simulation.simulate(n, seed)[0])))
    compute_embeddings(dataset, model_name=DEFAULT_MODEL, adopt=True)
    return dataset


def _wanted(what: str, n: int) -> str:
    return f"< {WANTED[what]:g}" if n == 10_000 and what in WANTED else ""


if __name__ == "__main__":
    main()
