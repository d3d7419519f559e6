"""The models on this machine: which are here, fetched, checked, deleted."""

from dataclasses import dataclass
from pathlib import Path

from ..core import hub
from ..core.encoder.verification import CheckResult, check_model, is_ok
from ..core.errors import CCIPError, ParameterError
from ..core.progress import ProgressCallback, report
from ..core.registry import get_spec
from ..reports.facts import Facts
from .table import ModelRow, render, rows

LIST, DOWNLOAD, CHECK, REMOVE = "list", "download", "check", "remove"
ACTIONS = (LIST, DOWNLOAD, CHECK, REMOVE)


class ModelsError(CCIPError, ValueError):
    """What was asked for cannot be done with this model."""


@dataclass(frozen=True)
class ModelsReport:
    """What :func:`manage_models` did, and the models as they are now.

    Attributes:
        action: what was done
        model_name: with which model, None for the list
        rows: all models
        checks: the outcome of each check
        folder: where the model is
        n_bytes: how many bytes became free
    """

    action: str
    model_name: str | None
    rows: tuple[ModelRow, ...]
    checks: tuple[CheckResult, ...] = ()
    folder: Path | None = None
    n_bytes: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether no check failed."""
        return is_ok(self.checks)

    def facts(self) -> Facts:
        """The report as text; the models and the checks are in tables."""
        n_cached = sum(row.is_cached for row in self.rows)
        headline = {
            CHECK: f"{self.model_name} {'passed' if self.is_ok else 'failed'} its checks",
            REMOVE: f"{self.model_name} deleted, {self.n_bytes / 1e6:,.0f} MB freed",
        }.get(self.action, f"{n_cached} of {len(self.rows)} models are on this machine")
        return Facts.of(
            headline,
            [
                ("Model", self.model_name),
                ("Folder", str(self.folder) if self.folder else None),
                ("Disk space freed", f"{self.n_bytes / 1e6:,.1f} MB" if self.action == REMOVE else None),
            ],
        )

    def __str__(self) -> str:
        return f"{self.facts()}\n{render(self.rows)}"


def manage_models(
    action: str = LIST,
    model_name: str | None = None,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    progress: ProgressCallback | None = None,
) -> ModelsReport:
    """Lists the models, downloads one, checks one, or deletes what was downloaded of one.

    Args:
        action ("list"): one of :data:`ACTIONS`. ``check`` compares files, numbers and results with what is published,
            and downloads a model that is nowhere
        model_name (None): a name of the registry; not needed for the list
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default. Nothing is downloaded into it or deleted
            from it
        revision (None): of the hub repository; the pinned one by default
        progress (None): told the bytes of each file

    Returns:
        a :class:`ModelsReport`

    Raises:
        ParameterError: no such action
        UnknownModelError: no such model
        ModelsError: no model is named, or it is not one that can be deleted
        CCIPError: the model cannot be had; the text says what to do
    """
    if action not in ACTIONS:
        raise ParameterError("action", action, f"one of {', '.join(ACTIONS)}")
    if action == LIST:
        return ModelsReport(LIST, None, _rows(model_dir))
    if model_name is None:
        raise ModelsError(f"name the model to {action}")
    get_spec(model_name)
    checks: tuple[CheckResult, ...] = ()
    folder, n_bytes = None, 0
    if action == DOWNLOAD:
        folder = hub.find_files(model_name, model_dir=model_dir, revision=revision, progress=progress).feat.parent
    elif action == CHECK:
        report(progress, "checking the model", 0, None)
        checks = tuple(check_model(model_name, model_dir=model_dir, progress=progress))
    else:
        if problem := why_not_removed(model_name, model_dir=model_dir):
            raise ModelsError(f"{model_name} cannot be deleted: {problem}")
        n_bytes = hub.remove(model_name, revision=revision)
    return ModelsReport(action, model_name, _rows(model_dir), checks, folder, n_bytes)


def why_not_removed(model_name: str, *, model_dir: str | Path | None = None) -> str | None:
    """Why a model cannot be deleted here; None when it can be."""
    if get_spec(model_name).is_stand_in:
        return "it comes with the plugin"
    if folder := hub.model_folder(model_dir):
        return f"models are taken from {folder}, which is yours: delete the files there yourself"
    return None


def _rows(model_dir: str | Path | None) -> tuple[ModelRow, ...]:
    return tuple(rows(model_dir))
