"""What the correction of one group costs: with more and more images and groups, and after many corrections.

Every group has 20 images, without files, which are written straight into the database. The targets: each correction
of one group takes less than 0.3 s with 50,000 images, the same with 5,000 and 200,000, and the 1,000th as long as the
10th. After these, the oldest are deleted.

    python benchmarks/edits.py
    python benchmarks/edits.py --images 5000 50000 --history 100
"""

import argparse
import datetime
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bson import ObjectId
from common import machine, span, table
from fiftyone_overhead import use_own_database

FIELD, SIZE, N_REPEATS = "character_group", 20, 7
MODEL = "ccip-caformer-24-randaug-pruned"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[5_000, 50_000, 200_000], help="how many")
    parser.add_argument("--history", type=int, nargs="+", default=[975, 1_500], help="numbers of corrections before")
    options = parser.parse_args()
    use_own_database()
    print(machine())
    _measure([4_000])  # all is imported now
    columns = _measure(options.images)
    rows = [(name, *(span(each, ".0f") for each in spans)) for name, spans in columns.items()]
    header = ("correction of one group, ms", *(f"{n:,} images" for n in options.images))
    table(f"Corrections, {N_REPEATS} each", header, rows, save_as="edits")
    rows = [
        (f"{n:,}", span(early, ".0f"), span(late, ".0f"), f"{_ratio(late, early):.2f}")
        for n, early, late in _with_history(options.history)
    ]
    header = ("corrections before", "after 10, ms", "after these, ms", "ratio")
    table("Moving an image", header, rows, save_as="edits-history")


def _ratio(late: list[float], early: list[float]) -> float:
    return statistics.median(late) / statistics.median(early)


def _measure(sizes: list[int]) -> dict[str, list[list[float]]]:
    """The milliseconds of each correction for each number of images, which take turns."""
    datasets = list(map(_dataset, sizes))
    corrections = list(map(_corrections, datasets))
    measured: dict[str, list[list[float]]] = {}
    for name in corrections[0]:
        rounds = [[_milliseconds(edits[name]) for edits in corrections] for _ in range(N_REPEATS)]
        measured[name] = [list(column) for column in zip(*rounds, strict=True)]
    for dataset in datasets:
        dataset.delete()
    return measured


def _corrections(dataset: Any) -> dict[str, Callable[[], object]]:
    import ccip_plugin as ccip

    groups, ids = itertools.count(1), dataset.values("id")
    return {
        "confirm": lambda: ccip.confirm(dataset, groups=next(groups)),
        "rename_group": lambda: ccip.rename_group(dataset, number := next(groups), f"綾波 {number}"),
        "merge_groups": lambda: ccip.merge_groups(dataset, [next(groups), next(groups)]),
        "split_group": lambda: ccip.split_group(dataset, next(groups), k=2),
        "keep_apart": lambda: ccip.keep_apart(dataset, [next(groups), next(groups)]),
        "move of 3": lambda: ccip.move(dataset.select(ids[SIZE * (number := next(groups)) :][:3]), number + 3),
        "reject of 1": lambda: ccip.reject(dataset.select(ids[SIZE * next(groups)])),
        "ignore of a group": lambda: ccip.ignore(dataset, groups=next(groups)),
        "undo": lambda: ccip.undo(dataset),
    }


def _with_history(counts: list[int]) -> list[tuple[int, list[float], list[float]]]:
    """For each number of corrections the milliseconds of another one, and after 10, in two datasets that take turns."""
    datasets = [_dataset(5_000), _dataset(5_000)]
    early, late = map(_mover, datasets)
    result, n_done = [], 0
    for _ in range(10):
        early()
    for count in counts:
        for _ in range(count - n_done):
            late()
        rounds = [(_milliseconds(early), _milliseconds(late)) for _ in range(25)]
        result.append((count, *(list(column) for column in zip(*rounds, strict=True))))
        n_done = count + 25
    for dataset in datasets:
        dataset.delete()
    return result


def _mover(dataset: Any) -> Callable[[], None]:
    """Moves another image at each call."""
    import ccip_plugin as ccip

    ids, moves = dataset.values("id"), itertools.count()

    def move() -> None:
        number = next(moves)
        ccip.move(dataset.select(ids[number]), number // SIZE + 3)

    return move


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _dataset(n: int) -> Any:
    """``n`` images in groups of 20, with embeddings for the first groups."""
    import fiftyone as fo

    from ccip_plugin.core.identity.groups import Draft, Registry
    from ccip_plugin.core.identity.planning import Plan
    from ccip_plugin.embeddings.provenance import Provenance, write_provenance
    from ccip_plugin.labels.changes import apply
    from ccip_plugin.labels.identities import save_look
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.labels.tables import GroupLabel, table_of
    from ccip_plugin.storage.internals import sample_documents
    from ccip_plugin.storage.targets import resolve

    dataset, read_at = fo.Dataset(), datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    ids, now = [ObjectId() for _ in range(n)], dataset.created_at
    for start in range(0, n, 10_000):
        sample_documents(dataset).insert_many(
            {
                "_id": each,
                "filepath": f"/{each}.png",
                "_media_type": "image",
                "created_at": now,
                "last_modified_at": now,
            }
            for each in ids[start : start + 10_000]
        )
    dataset.add_sample_field("ccip_embedding", fo.VectorField)
    write_provenance(dataset, "ccip_embedding", Provenance(MODEL, 2))
    vectors = np.random.default_rng(0).standard_normal((min(n, 100 * SIZE), 768)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dataset[: len(vectors)].set_values("ccip_embedding", list(vectors))
    draft, rows = Draft(Registry()), []
    for start in range(0, n, SIZE):
        group_id = draft.new_group()
        label = GroupLabel(draft.name_of(group_id), group_id, "auto", 0.5, 0.1, 0.2, draft.name_of(group_id))
        rows += [(str(each), str(each), label) for each in ids[start : start + SIZE]]
    store = LabelStore(resolve(dataset), FIELD)
    apply(store, Plan(table_of(rows), draft.changes()), action="group_characters", run_key="k", run={"method": "m"})
    save_look(dataset, FIELD, read_at)  # as a run does
    return dataset


if __name__ == "__main__":
    main()
