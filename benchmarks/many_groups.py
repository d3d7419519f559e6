"""What a field costs with more and more groups: reading all of them, writing a run, and rejecting an image.

The targets: the document of the registry does not grow with the groups, and an edit takes the same time with ten groups
as with 300,000. Every group has two images, without files, which are written straight into the database.

    python benchmarks/many_groups.py
    python benchmarks/many_groups.py --quick
"""

import argparse
import base64
import statistics
import time
from collections.abc import Callable
from typing import Any

import bson
import numpy as np
from bson import ObjectId
from common import machine, span, table
from fiftyone_overhead import use_own_database

FIELD = "character_group"
N_EDITS = 15
HEADER = ("groups", "write a run, s", "read all groups, s", "reject an image, ms", "document, bytes", "file, MB")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, nargs="+", default=[10, 1000, 45_000, 300_000], help="how many")
    parser.add_argument("--quick", action="store_true", help="10 and 1,000 groups")
    options = parser.parse_args()
    use_own_database()
    print(machine())
    _measure(10)  # all is imported now
    rows = [_measure(n) for n in ([10, 1000] if options.quick else options.groups)]
    table(
        f"A field with many groups, {N_EDITS} edits each",
        HEADER,
        rows,
        save_as=None if options.quick else "many-groups",
    )


def _measure(n: int) -> tuple[str, ...]:
    import fiftyone as fo

    from ccip_plugin import reject
    from ccip_plugin.labels.changes import apply
    from ccip_plugin.labels.identities import load_registry, registry_key
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage.internals import database, run_document, sample_documents
    from ccip_plugin.storage.targets import resolve

    dataset = fo.Dataset()
    ids = [ObjectId() for _ in range(2 * n)]
    now = dataset.created_at
    for start in range(0, len(ids), 10_000):
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
    store = LabelStore(resolve(dataset), FIELD)
    plan = _plan(ids, n)
    written = _seconds(lambda: apply(store, plan, action="group_characters", run_key="k", run={"method": "m"}))
    read = [_seconds(lambda: load_registry(dataset, FIELD)) for _ in range(3)]
    chosen = np.random.default_rng(0).choice(len(ids), min(N_EDITS, n), replace=False).tolist()
    edits = [_seconds(lambda at=at: reject(dataset.select(str(ids[at])))) * 1000 for at in chosen]  # type: ignore[misc]
    run = run_document(dataset, registry_key(FIELD), ["config", "results"]) or {}
    file = database().fs.files.find_one({"_id": run.get("results")}) or {"length": 0}
    dataset.delete()
    size, megabytes = len(bson.encode(run)), file["length"] / 1e6
    seconds = f"{written:.2f}", f"{statistics.median(read):.3f}"
    return (f"{n:,}", *seconds, span(edits, ".0f"), f"{size:,}", f"{megabytes:.1f}")


def _plan(ids: list[ObjectId], n: int) -> Any:
    """Two images for each of ``n`` new groups."""
    from ccip_plugin.core.identity.groups import Draft, Registry
    from ccip_plugin.core.identity.planning import Plan
    from ccip_plugin.labels.tables import GroupLabel, table_of

    draft, random, rows = Draft(Registry()), np.random.default_rng(0), []
    for number in range(n):
        group_id = draft.new_group()
        name = draft.name_of(group_id)
        draft.set_prototype(group_id, base64.b64encode(random.bytes(128)).decode(), "ccip-caformer-24-randaug-pruned")
        label = GroupLabel(name, group_id, "auto", 0.5, 0.1, 0.2, name)
        rows += [(str(each), str(each), label) for each in ids[2 * number : 2 * number + 2]]
    return Plan(table_of(rows), draft.changes())


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
