"""Operator: the models on this machine."""

from typing import Any

from fiftyone.operators import types

from ...app.answers import given, text_of
from ...app.ask.models import ask_model, model_folder, show_location
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...core.registry import DEFAULT_MODEL
from ...zoo.manage import CHECK, DOWNLOAD, LIST, REMOVE, ModelsReport, manage_models, why_not_removed
from ...zoo.table import ModelRow, source

BUTTONS = {LIST: "Show", DOWNLOAD: "Download", CHECK: "Check", REMOVE: "Delete"}
ACTIONS = (
    Choice(LIST, "Show all", "with their published scores, and which are on this machine"),
    Choice(DOWNLOAD, "Download one", "once; from then on it works without network"),
    Choice(CHECK, "Check one", "its files and its results, against what is published"),
    Choice(REMOVE, "Delete one", "to free disk space; it can be downloaded again"),
)
MARKS = {True: "passed", False: "FAILED", None: "not checked"}
COLUMNS = {"model": "Model", "here": "On this machine", "size": "Size", "f1": "F1", "threshold": "Threshold"}


class ManageModels(CCIPOperator):
    """Lists, downloads, checks and deletes models; see :func:`~ccip_plugin.zoo.manage.manage_models`."""

    name, label = "manage_models", "CCIP: manage models"
    description = "See which CCIP models are on this machine, their sizes and scores; download, check or delete one"
    risk = types.RiskLevel.HIGH
    failure = "CCIP could not manage the models"
    function = staticmethod(manage_models)
    takes_samples = reloads = False

    def ask(self, form: Form) -> None:
        action = form.choose("action", "Action", ACTIONS, default=LIST) or LIST
        form.button = BUTTONS.get(action)
        if action not in BUTTONS:
            form.error("action", f"There is no action {action!r}.")
        elif action != LIST:
            _ask_model(form, action)
        elif text := source(text_of(form.ctx, "model_dir")):
            form.hint("folder", text)

    def options(self, ctx: Any) -> dict[str, Any]:
        action = text_of(ctx, "action") or LIST
        model = {} if action == LIST else {"model_name": text_of(ctx, "model_name") or DEFAULT_MODEL}
        return {"action": action, **model, **given(ctx, ("model_dir", "revision"))}

    def show(self, report: ModelsReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: models")
        out.is_clean = report.is_ok
        checks = [{"name": each.name, "ok": MARKS[each.ok], "detail": each.detail} for each in report.checks]
        out.table("checks", "Checks", checks, {"name": "Check", "ok": "Result", "detail": "Details"})
        out.table("models", "Models, with their published scores", map(_row, report.rows), COLUMNS)


def _ask_model(form: Form, action: str) -> None:
    model = ask_model(form)
    if model is None:
        return
    if action == REMOVE:
        _show_consequences(form, model)
    elif model.is_cached:
        form.hint("model", f"{model.name} is on this machine.")
    else:
        show_location(form, model)


def _show_consequences(form: Form, model: ModelRow) -> None:
    if problem := why_not_removed(model.name, model_dir=model_folder(form.ctx)):
        form.error("model", f"{model.name} cannot be deleted: {problem}.")
    elif not model.is_cached:
        form.hint("model", f"{model.name} is not on this machine. Parts of an incomplete download are deleted.")
    else:
        form.warning("model", f"{model.size_mb:,.0f} MB will be deleted. Embeddings made with this model are kept.")


def _row(row: ModelRow) -> dict[str, str]:
    return {
        "model": f"{row.name} ({row.note.partition(':')[0]})" if row.note else row.name,
        "here": "yes" if row.is_cached else "no",
        "size": f"{row.size_mb:,.0f} MB" if row.size_mb >= 1 else "under 1 MB",
        "f1": "" if row.f1 is None else f"{row.f1:.4f}",
        "threshold": f"{row.threshold:.4f}",
    }
