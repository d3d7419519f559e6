"""What the indexes of the labels cost a run that writes them: the first one, and one that writes every label again.

The targets: the first run takes at most 1.3 times as long as without indexes, a later one at most 1.6 times. The whole
of it is timed, from labels in memory to the end of the journal, without the comparison of the images.

    python benchmarks/indexes.py
    python benchmarks/indexes.py --quick
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from bson import ObjectId
from common import machine, span, table
from fiftyone_overhead import use_own_database

FIELD, PER_GROUP = "character_group", 10
HEADER = ("labels", "run", "without indexes, s", "with them, s", "ratio")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000, help="how many (50,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn (5)")
    parser.add_argument("--quick", action="store_true", help="5,000 images, 2 rounds")
    options = parser.parse_args()
    n, rounds = (5_000, 2) if options.quick else (options.images, options.rounds)
    use_own_database()
    print(machine())
    _measure(1_000, "samples", True)  # all is imported now
    rows = [row for kind in ("samples", "detections") for row in _compared(n, kind, rounds)]
    title = f"{n:,} labels in groups of {PER_GROUP}, {rounds} rounds in turn"
    table(title, HEADER, rows, save_as=None if options.quick else "indexes")


def _compared(n: int, kind: str, rounds: int) -> list[tuple[str, ...]]:
    """A row for the first run, and one for later ones."""
    without, indexed = [], []
    for number in range(rounds):
        for is_indexed in (number % 2 == 0, number % 2 == 1):
            (indexed if is_indexed else without).append(_measure(n, kind, is_indexed))
    return [
        _row(kind, run, [pair[at] for pair in without], [pair[at] for pair in indexed])
        for at, run in enumerate(("first", "later"))
    ]


def _row(kind: str, run: str, without: Sequence[float], indexed: Sequence[float]) -> tuple[str, ...]:
    ratio = statistics.median(b / a for a, b in zip(without, indexed, strict=True))
    return kind, run, span(without), span(indexed), f"{ratio:.2f}"


def _measure(n: int, kind: str, is_indexed: bool) -> tuple[float, float]:
    """The seconds of the first run and of one that writes all labels again."""
    import fiftyone as fo

    from ccip_plugin.labels import changes
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage import indexes
    from ccip_plugin.storage.targets import resolve

    changes.ensure_indexes = indexes.ensure_indexes if is_indexed else lambda dataset, paths: None
    dataset = fo.Dataset()
    dataset.media_type = "image"
    rows, patches_field = _add(dataset, n, kind), "people" if kind == "detections" else None
    store = LabelStore(resolve(dataset, patches_field), FIELD)
    seconds = []
    for seed in (0, 1):
        plan = _plan(store, rows, seed)
        start = time.perf_counter()
        changes.apply(store, plan, action="group_characters", run_key="k", run={"method": "m", "seed": seed})
        seconds.append(time.perf_counter() - start)
    if is_indexed != (store.indexed_paths[0] in dataset.get_index_information()):
        raise AssertionError("the indexes are not what was measured")
    dataset.delete()
    return seconds[0], seconds[1]


def _add(dataset: Any, n: int, kind: str) -> list[tuple[str, str]]:
    """Adds samples without files, or detections, two of them in a sample; gives the ids and those of the samples."""
    import fiftyone as fo

    from ccip_plugin.storage.internals import sample_documents

    ids = [ObjectId() for _ in range(n)]
    now, owners = dataset.created_at, ids
    if kind == "detections":
        owners = [each for each in ids[::2] for _ in range(2)][:n]
        dataset.add_sample_field("people", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    documents = {each: _document(each, now) for each in owners}
    for item, owner in zip(ids, owners, strict=True) if kind == "detections" else ():
        people = documents[owner].setdefault("people", {"_cls": "Detections", "detections": []})
        people["detections"].append({"_id": item, "_cls": "Detection", "label": "person", "bounding_box": [0, 0, 1, 1]})
    sample_documents(dataset).insert_many(documents.values())
    return [(str(item), str(owner)) for item, owner in zip(ids, owners, strict=True)]


def _document(sample_id: ObjectId, now: Any) -> dict[str, Any]:
    vector = np.random.default_rng(0).bytes(2_900)  # as large as an embedding, which is rewritten with its labels
    path = f"/{sample_id}.png"
    times = {"created_at": now, "last_modified_at": now}
    return {"_id": sample_id, "filepath": path, "_media_type": "image", "vector": vector, **times}


def _plan(store: Any, rows: Sequence[tuple[str, str]], seed: int) -> Any:
    """All items in groups; the second time other groups and numbers, as after a run with another eps."""
    from ccip_plugin.core.identity.groups import Draft
    from ccip_plugin.core.identity.planning import Plan
    from ccip_plugin.labels.identities import load_registry
    from ccip_plugin.labels.tables import GroupLabel, table_of

    draft, random = Draft(load_registry(store.target.dataset, store.path)), np.random.default_rng(seed)
    order, numbers, labels = random.permutation(len(rows)), random.random((len(rows), 3)), []
    for start in range(0, len(rows), PER_GROUP):
        group_id = draft.new_group()
        name = draft.name_of(group_id)
        for at in order[start : start + PER_GROUP].tolist():
            labels.append((*rows[at], GroupLabel(name, group_id, "auto", *numbers[at].tolist(), name)))
    return Plan(table_of(labels), draft.changes())


if __name__ == "__main__":
    main()
