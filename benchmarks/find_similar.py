"""Finding similar images among many: how long the first call of a process takes, and the later ones.

Random unit vectors are put into the dataset directly; there are no image files. The targets are those for 100,000
vectors: 15 s for the first call, which reads them from the database, and 1.5 s for the later ones. Starts a MongoDB of
its own.

    python benchmarks/find_similar.py --vectors 100000 --rounds 5
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from common import machine, span, table
from fiftyone_overhead import use_own_database

FIRST_SECONDS, LATER_SECONDS = 15.0, 1.5
CHUNK = 2000
MODEL = "ccip-caformer-24-randaug-pruned"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--rounds", type=int, default=5, help="how many first and how many later calls (5)")
    options = parser.parse_args()
    print(machine())
    use_own_database()
    samples = _dataset(options.vectors)
    ids = samples.limit(1000).values("id")
    rows = [
        ("first call", *_row(_first_calls(samples, ids, options.rounds), FIRST_SECONDS)),
        ("later call, one image", *_row(_later_calls(samples, ids, options.rounds), LATER_SECONDS)),
        ("later call, 100 images", *_row(_later_calls(samples, ids, options.rounds, n=100), LATER_SECONDS)),
        ("a label edited before each", *_row(_after_edits(samples, ids, options.rounds), LATER_SECONDS)),
    ]
    table(f"find_similar in {options.vectors:,} vectors, seconds", ("call", "median [range]", "target", ""), rows)


def _first_calls(samples: Any, ids: list[str], rounds: int) -> Iterator[float]:
    from ccip_plugin.embeddings.cache import VECTORS

    for number in range(rounds):
        VECTORS.clear()
        yield _call(samples, [ids[number]])


def _later_calls(samples: Any, ids: list[str], rounds: int, n: int = 1) -> Iterator[float]:
    for number in range(rounds):
        yield _call(samples, ids[number : number + n])


def _after_edits(samples: Any, ids: list[str], rounds: int) -> Iterator[float]:
    for number in range(rounds):
        samples.select(ids[number]).set_values("name", [f"name {number}"])
        yield _call(samples, [ids[number]])


def _call(samples: Any, query: list[str]) -> float:
    """Finds, and reads the files that the view shows, as the App does."""
    from ccip_plugin.search import find_similar

    def work() -> None:
        found = find_similar(samples, ids=query)
        assert found.view.values("filepath")
        assert len(query) > 1 or found.ids[0] == query[0]

    return _seconds(work)


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(seconds: Iterator[float], target: float) -> tuple[str, str, str]:
    found = list(seconds)
    return span(found, ".2f"), f"{target:g}", "met" if statistics.median(found) < target else "MISSED"


def _dataset(n: int) -> Any:
    """A dataset of ``n`` samples without files, with an embedding each."""
    import fiftyone as fo
    from pymongo import UpdateOne

    from ccip_plugin.embeddings.provenance import Provenance, write_provenance
    from ccip_plugin.storage.fields import EMBEDDINGS_FIELD

    samples = fo.Dataset("find-similar")
    samples.add_sample_field(EMBEDDINGS_FIELD, fo.VectorField)
    samples.add_samples((fo.Sample(f"/no/file/{i:07d}.png") for i in range(n)), progress=False)
    random, field, keys = np.random.default_rng(0), fo.VectorField(), samples.values("_id")
    for start in range(0, n, CHUNK):
        some = keys[start : start + CHUNK]
        vectors = random.normal(size=(len(some), 768)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        samples._sample_collection.bulk_write(
            [
                UpdateOne({"_id": key}, {"$set": {EMBEDDINGS_FIELD: field.to_mongo(vector)}})
                for key, vector in zip(some, vectors, strict=True)
            ],
            ordered=False,
        )
    write_provenance(samples, EMBEDDINGS_FIELD, Provenance(MODEL, 1))
    return samples


if __name__ == "__main__":
    main()
