"""Does this package give what dghs-imgutils gives? Asks both the same and prints a table; fails on a difference.

Each tool answers in an environment of its own, offline, from one prepared hub cache: `make parity` makes the one of
dghs-imgutils. Compared are the tensors that the models are fed, boxes of detectors, raw embeddings, differences,
thresholds and presets, groups, and merged embeddings; and what is different on purpose.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import common
from scripts.local_services import isolated_environment

from . import world
from .questions import SAME_VERSIONS, Answers

EQUAL, NEAR = 0.0, 2e-6


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what is compared
        cases: how many answers
        ours: our answers in short
        theirs: theirs in short
        worst: the largest difference
        problem: what is wrong, empty when nothing is
    """

    what: str
    cases: int
    ours: str
    theirs: str
    worst: float
    problem: str


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder and leave it there")
    arguments = parser.parse_args()
    if not common.IMGUTILS_PYTHON.exists():
        parser.error(f"no {common.IMGUTILS_PYTHON}: `make parity` makes that environment")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ccip-parity-") as temporary:
        folder = arguments.keep or Path(temporary) / "world"
        folder.mkdir(parents=True)
        index = world.build(folder)
        ask_both(folder, index["env"])
        (ours, our_versions), (theirs, their_versions) = (Answers.load(folder / f"{s}.npz") for s in ("ours", "theirs"))
    rows = [*versions(our_versions, their_versions), *compare(ours, theirs)]
    show(rows)
    n_problems = sum(bool(row.problem) for row in rows)
    n_answers = sum(row.cases for row in rows)
    skipped = "" if world.DEMO_MODEL in index["models"] else f", SKIPPED {world.DEMO_MODEL}: not in this checkout"
    verdict = f"{n_problems} of {len(rows)} lines DIFFER" if n_problems else "no difference"
    print(f"\n{verdict} in {n_answers:,} answers ({time.monotonic() - started:.0f} s){skipped}")
    return 1 if n_problems else 0


def ask_both(folder: Path, hub: dict[str, str]) -> None:
    """Lets both tools answer, at the same time."""
    env = isolated_environment(os.environ, folder / "home", uri="", database="none") | hub
    env |= {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}
    asked = {
        "parity.ours": (common.PYTHON, folder / "ours.log"),
        "parity.theirs": (common.IMGUTILS_PYTHON, folder / "theirs.log"),
    }
    running = {}
    for module, (python, log) in asked.items():
        with log.open("wb") as output:
            command = [str(python), "-m", module, str(folder)]
            running[module] = subprocess.Popen(command, cwd=common.ROOT, env=env, stdout=output, stderr=output)
    for module, process in running.items():
        if process.wait():
            log = asked[module][1].read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{module} ended with status {process.returncode}:\n{log}")


def versions(ours: dict[str, str], theirs: dict[str, str]) -> list[Row]:
    """Bits can only be equal when the same libraries computed them."""
    return [
        Row(name, 1, ours[name], theirs[name], 0.0, "" if ours[name] == theirs[name] else "not the same version")
        for name in SAME_VERSIONS
    ]


def compare(ours: Answers, theirs: Answers) -> list[Row]:
    """All lines of the table but the versions."""
    lines: list[tuple[str, str, Callable[[np.ndarray, np.ndarray], float], float]] = []
    for kind in sorted({name.split("/")[1] for name in theirs if name.startswith("tensor/")}):
        lines.append((f"tensor: {kind}", f"tensor/{kind}/", farthest, EQUAL))
    for kind in sorted({name.split("/")[1] for name in theirs if name.startswith("plain/")}):
        lines.append((f"tensor: {kind}, theirs of a plain copy", f"plain/{kind}/", farthest, EQUAL))
    for layout in sorted({name.split("/")[1] for name in theirs if name.startswith("boxes/")}):
        lines.append((f"boxes, classes and scores of a detector: {layout}", f"boxes/{layout}/", farthest, EQUAL))
    for model in sorted({name.split("/")[1] for name in theirs if name.startswith("raw/")}):
        lines.append((f"raw embedding: {model}, one a call", f"raw/{model}/one", farthest, EQUAL))
        lines.append((f"raw embedding: {model}, all in a call", f"raw/{model}/all", farthest, NEAR))
    lines += [
        ("difference of a pair", "pair/", farthest, NEAR),
        ("differences of all pairs", "matrix/", farthest, NEAR),
        ("same character, of all pairs", "same/", farthest, EQUAL),
        ("same character, difference = threshold", "inclusive/", farthest, EQUAL),
        ("merged embedding", "merge/", relative, NEAR),
        ("threshold, from the file", "threshold/", farthest, EQUAL),
        ("presets, from the file", "preset/", farthest, EQUAL),
        ("threshold, as documented", "documented/threshold/", farthest, EQUAL),
        ("presets, as documented", "documented/preset/", farthest, EQUAL),
    ]
    for where, what in (("labels", "groups"), ("graph", "groups, of a stored graph")):
        for sort in sorted({name.split("/")[2] for name in theirs if name.startswith(f"{where}/")}):
            lines.append((f"{what}: {sort.replace(' None None', ', as published')}", f"{where}/*/{sort}", moved, EQUAL))
    rows = [_row(*line, ours, theirs) for line in lines]
    return rows + _stated(ours, theirs)


def farthest(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of two numbers in the same place."""
    return float(np.abs(a.astype(np.float64) - b).max(initial=0.0))


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The same as a share of the largest number."""
    return farthest(a, b) / float(np.abs(b).max(initial=1e-30))


def moved(a: np.ndarray, b: np.ndarray) -> float:
    """How many images are not in the same company, whatever the groups are called; "none" keeps its meaning."""
    pairs, counts = np.unique(np.stack([a, b]), axis=1, return_counts=True)
    is_none = (pairs == -1).any(axis=0)
    wrong = int(counts[is_none & (pairs[0] != pairs[1])].sum())
    pairs, counts = pairs[:, ~is_none], counts[~is_none]
    for side in pairs:
        numbers, first = np.unique(side, return_inverse=True)
        best = np.zeros(len(numbers), np.int64)
        np.maximum.at(best, first, counts)
        wrong += int(counts.sum() - best.sum())
    return float(wrong)


def _row(
    what: str,
    pattern: str,
    measure: Callable[[np.ndarray, np.ndarray], float],
    allowed: float,
    ours: Answers,
    theirs: Answers,
) -> Row:
    start, _, end = pattern.partition("*")
    names = [name for name in sorted({*ours, *theirs}) if name.startswith(start) and name.endswith(end)]
    if pattern.startswith("documented/"):  # imgutils documents some of the models
        names = [name for name in names if name in theirs]
    worst, problems = 0.0, [] if names else ["nothing was compared"]
    for name in names:
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            problems.append(f"no answer of {'ours' if a is None else 'theirs'} to {name}")
        elif a.dtype.kind == "U" or b.dtype.kind == "U":
            if a.dtype.kind != b.dtype.kind:
                problems.append(f"{name}: {_short(a)}, not {_short(b)}")
        elif a.shape != b.shape:
            problems.append(f"{name}: shape {a.shape}, not {b.shape}")
        else:
            found = measure(a, b)
            worst = max(worst, found)
            if not found <= allowed:
                problems.append(f"{name}: {found:.1e}")
    largest = max(names, key=lambda name: theirs[name].size if name in theirs else 0, default="")
    shown = (_short(side.get(largest, np.array("nothing"))) for side in (ours, theirs))
    return Row(what, len(names), *shown, worst, "; ".join(problems[:3]))


def _stated(ours: Answers, theirs: Answers) -> list[Row]:
    """What is different on purpose: shown, never a failure; the lines on plain copies say what ours must be."""
    rows = []
    for kind in sorted({name.split("/")[1] for name in theirs if name.startswith("stated/")}):
        names = [name for name in theirs if name.startswith(f"stated/{kind}/")]
        worst = max(_apart(ours[name], theirs[name]) for name in names)
        shown = (_short(side[names[0]]) for side in (ours, theirs))
        rows.append(Row(f"different on purpose: {kind}", len(names), *shown, worst, ""))
    return rows


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return farthest(a, b) if a.shape == b.shape and "U" not in (a.dtype.kind, b.dtype.kind) else np.inf


def _short(answer: np.ndarray) -> str:
    """An answer in a few characters."""
    if answer.dtype.kind == "U":
        return str(answer)
    if answer.dtype.kind == "i" and answer.ndim == 1:
        return f"{len(np.unique(answer[answer >= 0]))} groups, {(answer < 0).sum()} none"
    if answer.size <= 2:
        return ", ".join(f"{value:.6g}" for value in answer.ravel())
    return f"mean {answer.mean():.7f}"


def show(rows: list[Row]) -> None:
    """Prints the table."""
    common.table(
        "Parity with dghs-imgutils (of each line, the largest answer is shown)",
        ("what", "answers", "ours", "theirs", "max difference", "verdict"),
        [
            (row.what, row.cases, row.ours, row.theirs, f"{row.worst:.1e}" if row.worst else "0", _verdict(row))
            for row in rows
        ],
    )
    for row in rows:
        if row.problem:
            print(f"DIFFERENT {row.what}: {row.problem}")


def _verdict(row: Row) -> str:
    if row.problem:
        return "DIFFERENT"
    if row.what.startswith("different on purpose"):
        return "as stated" if row.worst else "no longer different"
    return "near" if row.worst else "equal"


if __name__ == "__main__":
    sys.exit(main())
