"""Times of the review panel's server: opening in a new process, a page of groups, questions, answers, undo.

    python benchmarks/review_panel.py --images 10000 --groups 2000 --answers 100
    python benchmarks/review_panel.py --images 50000 --groups 5000 --run   # and what a grouping run takes

Makes a dataset of made-up embeddings in the database of FiftyOne and deletes it again. There are no image files, so no
thumbnails are found. "First cards" is the time from opening the panel in a new process to its first page of groups:
from the embeddings, and from the overview that is kept with the dataset. Answers are timed while the overview is not
kept, and while it is kept twice a second, which is more often than ever happens.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import common
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


def first_cards(name: str) -> dict[str, float]:
    """Milliseconds from opening the panel to the first cards in this process, and to the first questions."""
    from ccip_plugin.operators.review.methods import call_method

    dataset, start, times = fo.load_dataset(name), time.perf_counter(), {}
    for method in ("open", "groups", "questions"):
        result = call_method(dataset, method, {"tab": "benchmark"})
        assert "problem" not in result, result["problem"]
        times[method] = (time.perf_counter() - start) * 1000
    return times


def in_new_process(name: str) -> dict[str, float]:
    """As :func:`first_cards`, in a process of its own."""
    command = [sys.executable, __file__, "--first-cards", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def keep_after_run(dataset: fo.Dataset) -> float:
    """Keeps the overview as a run does at its end; milliseconds."""
    from ccip_plugin.core.calibration import load
    from ccip_plugin.core.identity.ids import ids_of
    from ccip_plugin.core.registry import DEFAULT_MODEL
    from ccip_plugin.embeddings.load import load_embeddings
    from ccip_plugin.labels.overview.making import RunVectors, keep_overview_of_run
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage.targets import resolve
    from ccip_plugin.storage.updates import now

    read_at, embeddings = now(), load_embeddings(dataset)
    ids, vectors = ids_of(embeddings.ids), embeddings.unit
    threshold = load(DEFAULT_MODEL).threshold
    run = RunVectors(ids, ids, vectors, ids, "ccip_embedding", DEFAULT_MODEL, threshold, read_at)
    start = time.perf_counter()
    why = keep_overview_of_run(LabelStore(resolve(dataset), "character_group"), run)
    assert why is None, why
    return (time.perf_counter() - start) * 1000


def opened(dataset: fo.Dataset, times: dict[str, list[float]]) -> None:
    """The first cards in a new process, without and with the overview."""
    from ccip_plugin.labels.overview.stored import delete_overview
    from ccip_plugin.review.sources import Source, store_of

    for what in ("from the embeddings", "from the overview"):
        for _ in range(2):
            if what == "from the embeddings":
                delete_overview(store_of(dataset, Source("character_group")))
            found = in_new_process(dataset.name)
            times.setdefault(f"first cards, {what}", []).append(found["groups"])
            times.setdefault(f"first questions, {what}", []).append(found["questions"])
        if what == "from the embeddings":
            times["kept at the end of a run"] = [keep_after_run(dataset)]


def answered(dataset: fo.Dataset, call, name: str, asked: list, n_answers: int) -> list:
    """Answers questions; what is asked then."""
    for n in range(n_answers):
        if not asked:
            break
        question, said = asked[0], ("same", "different")[n % 2]
        kind, shown = question["kind"], question["shown"]
        said = said if kind in ("same", "halves", "whole") else "none" if kind == "who" else "done"
        done = call(name, "answer", question=question["id"], kind=kind, said=said, shown=shown, n=8)
        asked = done.get("questions") or call("questions", "questions", n=8)["questions"]
        if n % 10 == 0:
            call("questions", "questions", n=8)
            call("groups, after an answer", "groups", page=3)
    return asked


def kept(dataset: fo.Dataset, call, asked: list, times: dict[str, list[float]]) -> list[int]:
    """Keeps the overview after single answers; the bytes written."""
    from ccip_plugin.review.overview.keeping import KEEPER, board_of
    from ccip_plugin.review.sources import Source

    n_bytes = []
    for _ in range(10):
        asked = answered(dataset, call, "answer, then kept", asked, 1)
        board = board_of(dataset, Source("character_group"))
        start = time.perf_counter()
        n_bytes.append(KEEPER.keep_now(board))
        times.setdefault("kept after an answer", []).append((time.perf_counter() - start) * 1000)
    return n_bytes


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=2_000)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", action="store_true", help="also a grouping run, into a field of its own")
    parser.add_argument("--first-cards", metavar="DATASET", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_cards:
        print(json.dumps(first_cards(options.first_cards)))
        return
    dataset = dataset_of(*made(options.images, options.groups, options.seed))
    try:
        measure(dataset, options)
    finally:
        fo.delete_dataset(dataset.name)


def measure(dataset: fo.Dataset, options: argparse.Namespace) -> None:
    """Measures one dataset."""
    from ccip_plugin.operators.review.methods import call_method
    from ccip_plugin.review.overview import keeping
    from ccip_plugin.review.sources import Source

    times: dict[str, list[float]] = {}
    token = None

    def call(name: str, method: str, **args: object) -> dict:
        start = time.perf_counter()
        result = call_method(dataset, method, {"tab": "benchmark", **args}, token)
        times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
        return result

    opened(dataset, times)
    board = keeping.board_of(dataset, Source("character_group"))
    token = call("open, warm", "open")["token"]
    for page in range(20):
        call("groups, a page of 24", "groups", page=page)
    for text in ("char", "char_00", "char_001", "7", "x"):
        call("groups, found by name", "groups", find=text)
    asked = call("questions, first", "questions", n=8)["questions"]
    board.on_change = lambda: None
    asked = answered(dataset, call, "answer, not kept", asked, options.answers // 2)
    n_bytes = kept(dataset, call, asked, times)
    asked = call("questions", "questions", n=8)["questions"]
    keeping.QUIET_SECONDS, keeping.LATEST_SECONDS, board.on_change = 0.1, 0.5, None
    keeping.KEEPER.watch(board)
    asked = answered(dataset, call, "answer, kept meanwhile", asked, options.answers // 2)
    for _ in range(min(20, options.answers)):
        call("undo", "undo")
    call("history", "history")
    print(f"{options.images:,} images, {options.groups:,} groups, milliseconds. {common.machine()}")
    for name, each in times.items():
        ordered = sorted(each)
        p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        print(
            f"{name:38s} n={len(each):4d}  median {statistics.median(each):7.0f}  p95 {p95:7.0f}  max {max(each):7.0f}"
        )
    print(f"bytes written after an answer: median {statistics.median(n_bytes):,.0f}, max {max(n_bytes):,}")
    if options.run:
        from ccip_plugin import group_characters

        seconds = group_characters(dataset, group_field="again").seconds
        print("a run, seconds:", ", ".join(f"{stage} {value:.1f}" for stage, value in seconds.items()))


if __name__ == "__main__":
    main()
