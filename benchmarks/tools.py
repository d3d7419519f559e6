"""One tool in a process of its own: does one operation of the model card on ``n`` items whenever it is told to.

Run by ``operations.py``, in the environment that the tool needs.
"""

import argparse
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import contenders
import numpy as np
import simulation

GROUPING = {"dbscan", "optics"}
LEAST = 0.05  # seconds; what is shorter is repeated, and the best of it counts


def our_operations(models: Path) -> dict[str, Callable[[Any], Any]]:
    """Each operation as a user of the plugin calls it."""
    from ccip_plugin.core.clustering import cluster
    from ccip_plugin.core.differences import difference, differences

    return {
        "extract": contenders.ours(models),
        "difference": lambda pairs: [difference(a, b) for a, b in pairs],
        "differences": differences,
        "dbscan": lambda vectors: cluster(vectors, method="dbscan"),
        "optics": lambda vectors: cluster(vectors, method="optics"),
    }


def their_operations(models: Path) -> dict[str, Callable[[Any], Any]]:
    """The same with dghs-imgutils; images one a call, the fastest of its ways on a CPU."""
    from imgutils.metrics import ccip_batch_differences, ccip_clustering, ccip_difference

    return {
        "extract": contenders.imgutils(models),
        "difference": lambda pairs: [ccip_difference(a, b) for a, b in pairs],
        "differences": lambda vectors: ccip_batch_differences(list(vectors)),
        "dbscan": lambda vectors: ccip_clustering(list(vectors), method="dbscan"),
        "optics": lambda vectors: ccip_clustering(list(vectors), method="optics"),
    }


def main() -> None:
    """Loads, waits for work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=("ours", "imgutils"))
    parser.add_argument("models", type=Path, help="a folder of models")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    operations = (our_operations if arguments.tool == "ours" else their_operations)(arguments.models)

    def work(operation: str, n: int) -> dict[str, Any]:
        given = arguments.files[:n] if operation == "extract" else items(operation, n)
        answers: list[Any] = []

        def once() -> None:
            answers[:] = [operations[operation](given)]

        timings = [common.timed(once)]
        while sum(common.seconds(timings)) < LEAST:
            timings.append(common.timed(once))
        groups = digest_of(answers[0]) if operation in GROUPING else None
        return {"seconds": min(common.seconds(timings)), "groups": groups}

    common.serve(work)


def digest_of(labels: Any) -> str:
    """What two partitions have in common only if they are the same; -1 is no group."""
    numbers: dict[int, int] = {-1: -1}
    named = [numbers.setdefault(int(label), len(numbers)) for label in labels]
    return hashlib.sha256(repr(named).encode()).hexdigest()


@functools.cache
def items(operation: str, n: int) -> Any:
    """Embeddings of simulated drawings, the same in both environments; pairs of them for ``difference``."""
    vectors = simulation.simulate(max(n, 2), seed=1)[0]
    if operation == "difference":
        return list(zip(vectors[:n], np.roll(vectors, 1, axis=0)[:n], strict=True))
    return vectors


if __name__ == "__main__":
    main()
