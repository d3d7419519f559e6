"""Tables of models and of checks of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core import hub
from ..core.encoder.verification import CheckResult
from ..core.hub import model_folder
from ..core.registry import DEFAULT_MODEL, MODELS, ModelSpec
from ..reports.tables import table_text

_TITLES = ("model", "cached", "MB", "F1", "precision", "recall", "threshold", "Cluster_2", "Cluster_Free", "")
_MARKS = {True: "ok", False: "FAILED", None: "-"}


@dataclass(frozen=True)
class ModelRow:
    """A line of the table.

    Attributes:
        name: the model
        is_cached: whether it can be used without network
        size_mb: how large it is on this machine, else as published
        f1, precision, recall, threshold, cluster_2, cluster_free: as in the registry, None for a stand-in
        note: what else to know
    """

    name: str
    is_cached: bool
    size_mb: float
    f1: float | None
    precision: float | None
    recall: float | None
    threshold: float
    cluster_2: float | None
    cluster_free: float | None
    note: str


def rows(model_dir: str | Path | None = None) -> list[ModelRow]:
    """The models of the registry, in its order. No network.

    Args:
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default
    """
    return [_row(spec, model_dir) for spec in MODELS.values()]


def render(rows: Sequence[ModelRow]) -> str:
    """The rows as aligned text under a line of titles."""
    return table_text(map(_cells, rows), _TITLES, right=range(2, len(_TITLES) - 1))


def render_checks(results: Sequence[CheckResult]) -> str:
    """The results of checks as aligned text, followed by the number of failed checks."""
    failed = sum(result.ok is False for result in results)
    skipped = sum(result.ok is None for result in results)
    verdict = f"{failed} of {len(results)} checks failed" if failed else f"all {len(results) - skipped} checks passed"
    if skipped:
        verdict += f", {skipped} skipped"
    return f"{table_text([(_MARKS[result.ok], result.name, result.detail) for result in results])}\n{verdict}"


def source(model_dir: str | Path | None = None) -> str | None:
    """Says which folder the models are taken from; None when it is the hub and its cache.

    Args:
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default
    """
    folder = model_folder(model_dir)
    if folder is None:
        return None
    named = "" if model_dir else " (CCIP_MODEL_DIR)"
    absent = "" if folder.is_dir() else ", and there is no such folder"
    return f"Models are taken from {folder}{named}{absent}; nothing is downloaded."


def _row(spec: ModelSpec, model_dir: str | Path | None) -> ModelRow:
    is_cached = hub.is_available(spec.name, model_dir=model_dir)
    size = hub.size(spec.name, model_dir=model_dir) / 1e6 if is_cached else float(spec.size_mb)
    return ModelRow(
        name=spec.name,
        is_cached=is_cached,
        size_mb=size,
        f1=spec.f1,
        precision=spec.precision,
        recall=spec.recall,
        threshold=spec.threshold,
        cluster_2=spec.cluster_2,
        cluster_free=spec.cluster_free,
        note=_note(spec),
    )


def _note(spec: ModelSpec) -> str:
    if spec.is_stand_in:
        return "stand-in for demonstrations and tests: knows only the demo drawings"
    return "default" if spec.name == DEFAULT_MODEL else ""


def _cells(row: ModelRow) -> tuple[str, ...]:
    scores = (row.f1, row.precision, row.recall, row.threshold, row.cluster_2, row.cluster_free)
    numbers = ("-" if score is None else f"{score:.4f}" for score in scores)
    size = f"{row.size_mb:.0f}" if row.size_mb >= 10 else f"{row.size_mb:.1f}"
    return (row.name, "yes" if row.is_cached else "no", size, *numbers, row.note)
