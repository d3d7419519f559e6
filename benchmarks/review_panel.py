"""Times of the review panel's server: a page of groups, questions, answers, undo.

    python benchmarks/review_panel.py --images 10000 --groups 2000 --answers 100

Makes a dataset of made-up embeddings in the database of FiftyOne and deletes it again. There are no image files, so no
thumbnails are found.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import fiftyone as fo
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DIM = 768


def made(n_images: int, n_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and true characters: some characters fall into two groups that are near each other."""
    rng = np.random.default_rng(seed)
    n_characters = int(n_groups * 0.8)
    centers = rng.standard_normal((n_characters, DIM))
    styles = centers[rng.integers(n_characters, size=n_groups)] + 0.75 * rng.standard_normal((n_groups, DIM))
    styles[:n_characters] = centers + 0.2 * rng.standard_normal((n_characters, DIM))
    group_of = np.sort(np.r_[np.repeat(np.arange(n_groups), 2), rng.integers(n_groups, size=n_images - 2 * n_groups)])
    vectors = styles[group_of] + 0.35 * rng.standard_normal((n_images, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), group_of


def dataset_of(vectors: np.ndarray, group_of: np.ndarray) -> fo.Dataset:
    """A dataset with these embeddings and groups."""
    from ccip_plugin.core.identity.groups import Draft
    from ccip_plugin.core.identity.planning import Plan
    from ccip_plugin.core.preprocessing import READING_POLICY
    from ccip_plugin.core.registry import DEFAULT_MODEL
    from ccip_plugin.embeddings.provenance import Provenance, write_provenance
    from ccip_plugin.labels.changes import apply
    from ccip_plugin.labels.identities import load_registry
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.labels.tables import GroupLabel, table_of
    from ccip_plugin.storage.targets import resolve

    dataset = fo.Dataset()
    dataset.add_samples([fo.Sample(filepath=f"/made-up/{n:06d}.png") for n in range(len(vectors))], progress=False)
    dataset.add_sample_field("ccip_embedding", fo.VectorField)
    write_provenance(dataset, "ccip_embedding", Provenance(DEFAULT_MODEL, READING_POLICY))
    dataset.set_values("ccip_embedding", list(vectors))
    store = LabelStore(resolve(dataset), "character_group")
    draft = Draft(load_registry(dataset, store.path))
    ids = {int(each): draft.new_group() for each in np.unique(group_of)}
    rows = []
    for item_id, group in zip(dataset.values("id"), group_of.tolist(), strict=True):
        name = draft.groups[ids[group]].name
        rows.append((item_id, item_id, GroupLabel(name, ids[group], "auto", assigned=name)))
    apply(store, Plan(table_of(rows), draft.changes()), action="group_characters")
    return dataset


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=2_000)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from ccip_plugin.operators.review.methods import call_method

    dataset = dataset_of(*made(options.images, options.groups, options.seed))
    times: dict[str, list[float]] = {}

    def call(name: str, method: str, **args: object) -> dict:
        start = time.perf_counter()
        result = call_method(dataset, method, {"tab": "benchmark", **args}, token)
        times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
        return result

    try:
        token = None
        token = call("open, cold", "open")["token"]
        call("open, warm", "open")
        for page in range(20):
            call("groups, a page of 24", "groups", page=page)
        for text in ("char", "char_00", "char_001", "7", "x"):
            call("groups, found by name", "groups", find=text)
        asked = call("questions, first", "questions", n=8)["questions"]
        for n in range(options.answers):
            if not asked:
                break
            question, said = asked[0], ("same", "different")[n % 2]
            kind, shown = question["kind"], question["shown"]
            said = said if kind in ("same", "halves", "whole") else "none" if kind == "who" else "done"
            done = call("answer", "answer", question=question["id"], kind=kind, said=said, shown=shown, n=8)
            asked = done.get("questions") or call("questions", "questions", n=8)["questions"]
            if n % 10 == 0:
                call("questions", "questions", n=8)
                call("groups, after an answer", "groups", page=3)
        for _ in range(min(20, options.answers)):
            call("undo", "undo")
        call("history", "history")
    finally:
        fo.delete_dataset(dataset.name)
    print(f"{options.images:,} images, {options.groups:,} groups, milliseconds")
    for name, each in times.items():
        ordered = sorted(each)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        print(
            f"{name:26s} n={len(each):4d}  median {statistics.median(each):7.0f}  p95 {p95:7.0f}  max {max(each):7.0f}"
        )


if __name__ == "__main__":
    main()
