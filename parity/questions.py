"""What both tools are asked, and how their answers are kept. Needs numpy only: it is imported in both environments."""

import importlib.metadata
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SAME_VERSIONS = ("onnxruntime", "pillow", "scikit-learn")
METHODS = ("dbscan", "dbscan_2", "dbscan_free", "optics", "optics_best")
IDENTITY = "identity"  # a "model" that gives back its input: shows the tensor that a tool feeds

# (method, eps, min_samples); None for what is published. OPTICS by a Python callable sets the limit to the sizes.
CLUSTERINGS: tuple[tuple[str, float | None, int | None], ...] = (
    *((method, None, None) for method in METHODS),
    ("dbscan", 0.15, 4),
    ("dbscan", 0.2, 1),
    ("optics", 0.3, 3),
)

LAYOUTS = ("yolo", "end_to_end", "rtdetr")
DETECTOR_REPO = "parity/detectors"
# (min_score, max_overlap) of detectors
LIMITS = ((0.25, 0.7), (0.4, 0.5), (0.6, 0.3), (0.0, 1.0))

# ours means eps=0, where theirs takes it for "not given"; ours puts too few images into no group, theirs fails
DIFFERENT_ON_PURPOSE: dict[str, dict[str, Any]] = {
    "eps of 0": {"method": "dbscan", "eps": 0},
    "OPTICS of fewer images than min_samples": {"method": "optics", "min_samples": 100},
}


class Answers(dict[str, np.ndarray]):
    """Arrays by name; an error is an answer, too, kept as the name of its class."""

    def ask(self, name: str, question: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """Keeps what ``question(*arguments, **named)`` gives, or what it raises."""
        try:
            self[name] = np.asarray(question(*arguments, **named))
        except Exception as error:
            print(f"{name}:", file=sys.stderr)
            traceback.print_exc()
            self[name] = np.array(f"error: {type(error).__name__}")

    def save(self, path: Path) -> None:
        """Writes them, and the versions of what gave them."""
        versions = {name: importlib.metadata.version(name) for name in (*SAME_VERSIONS, "numpy")}
        np.savez(path, **self, versions=np.array(json.dumps(versions)))

    @classmethod
    def load(cls, path: Path) -> tuple["Answers", dict[str, str]]:
        """Reads answers and versions."""
        with np.load(path) as stored:
            answers = cls({name: stored[name] for name in stored.files})
        return answers, json.loads(str(answers.pop("versions")))


def read_index(folder: Path) -> dict[str, Any]:
    """What there is to compare, as :func:`world.build` wrote it."""
    return json.loads((folder / "index.json").read_text(encoding="utf-8"))


def read_vectors(folder: Path) -> dict[str, np.ndarray]:
    """The sets of embeddings by name."""
    with np.load(folder / "vectors.npz") as stored:
        return {name: stored[name] for name in stored.files}
