"""Lists, downloads, checks and deletes models on this machine."""

from dataclasses import dataclass
from pathlib import Path

from ..core import hub
from ..core.encoder.verification import CheckResult, check_model, is_ok
from ..core.errors import CCIPError, ParameterError
from ..core.progress import ProgressCallback, report
from ..core.registry import MODELS, get_spec
from ..reports.facts import Facts
from .table import ModelRow, render, rows

LIST, DOWNLOAD, CHECK, REMOVE = "list", "download", "check", "remove"
ACTIONS = (LIST, DOWNLOAD, CHECK, REMOVE)


class ModelsError(CCIPError, ValueError):
    """The action is not possible for this model."""


@dataclass(frozen=True)
class ModelsReport:
    """The result of :func:`manage_models`.

    Attributes:
        action: the action
        model_name: its model, None for the list
        rows: all models, after the action
        checks: the results of the checks
        folder: the folder of the model
        n_bytes: the disk space freed, in bytes
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
    """Lists the models, or downloads, checks or deletes one.

    Args:
        action ("list"): one of :data:`ACTIONS`. ``check`` compares files, parameters and results with the published
            ones; a missing model is downloaded first
        model_name (None): a name of the registry; not needed for the list
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default. Nothing is downloaded to it or deleted from
            it
        revision (None): revision of the hub repository; the pinned one by default
        progress (None): receives the bytes of each file

    Returns:
        a :class:`ModelsReport`

    Raises:
        ParameterError: the action is unknown
        UnknownModelError: the model is unknown
        ModelsError: no model is given, or it cannot be deleted
        CCIPError: the model is missing and cannot be downloaded; the text says what to do
    """
    if action not in ACTIONS:
        raise ParameterError("action", action, f"one of {', '.join(ACTIONS)}")
    if action == LIST:
        return ModelsReport(LIST, None, _rows(model_dir))
    if model_name is None:
        raise ModelsError(f"model_name is required to {action} a model")
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
    """The reason why a model cannot be deleted, None if it can."""
    if get_spec(model_name).is_stand_in:
        return "it is bundled with the plugin"
    if folder := hub.model_folder(model_dir):
        return f"models are read from your folder {folder}; delete the files there yourself"
    return None


def deletable(*, model_dir: str | Path | None = None) -> dict[str, int]:
    """The bytes on this machine of the models that can be deleted, incomplete downloads included."""
    names = (name for name in MODELS if why_not_removed(name, model_dir=model_dir) is None)
    return {name: n_bytes for name in names if (n_bytes := hub.removable_size(name))}


def _rows(model_dir: str | Path | None) -> tuple[ModelRow, ...]:
    return tuple(rows(model_dir))
