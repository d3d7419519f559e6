"""Operator: the models on this machine."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given, text_of
from ...app.ask.models import MODEL_FOLDER, ask_model, ask_model_folder, chosen_folder, model_folder, show_location
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...core.registry import DEFAULT_MODEL, MODELS
from ...zoo.manage import CHECK, DOWNLOAD, LIST, REMOVE, ModelsReport, deletable, manage_models, why_not_removed
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
    asks = route.asked(action=route.text, model_name=route.text, **MODEL_FOLDER)
    takes_samples = reloads = False

    def ask(self, form: Form) -> None:
        action = form.choose("action", "Action", ACTIONS, default=LIST) or LIST
        form.button = BUTTONS.get(action)
        if action not in BUTTONS:
            form.error("action", f"There is no action {action!r}.")
            return
        ask_model_folder(form)
        if action == REMOVE:
            _ask_deletable(form)
        elif action != LIST:
            _ask_model(form)
        elif text := source(chosen_folder(form.ctx)):
            form.hint("folder", text)

    def options(self, ctx: Any) -> dict[str, Any]:
        action = text_of(ctx, "action") or LIST
        chosen = text_of(ctx, "model_name") or (None if action in (LIST, REMOVE) else DEFAULT_MODEL)
        model = {} if chosen is None or action == LIST else {"model_name": chosen}
        return {"action": action, **model, **given(ctx, ("model_dir", "revision"))}

    def show(self, report: ModelsReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: models")
        out.is_clean = report.is_ok
        checks = [{"name": each.name, "ok": MARKS[each.ok], "detail": each.detail} for each in report.checks]
        out.table("checks", "Checks", checks, {"name": "Check", "ok": "Result", "detail": "Details"})
        out.table("models", "Models, with their published scores", map(_row, report.rows), COLUMNS)


def _ask_model(form: Form) -> None:
    model = ask_model(form)
    if model is None:
        return
    if model.is_cached:
        form.hint("model", f"{model.name} is on this machine.")
    else:
        show_location(form, model)


def _ask_deletable(form: Form) -> None:
    """Asks for one of the models that can be deleted, and says what happens; without any, says so."""
    folder = model_folder(form.ctx)
    sizes = deletable(model_dir=folder)
    chosen = text_of(form.ctx, "model_name") or next(iter(sizes), None)
    if sizes:
        choices = [Choice(name, f"{name}: {_size(n_bytes / 1e6)} on this machine") for name, n_bytes in sizes.items()]
        default = chosen if chosen in sizes else next(iter(sizes))
        form.choose("model_name", "Model", choices, default=default, is_list=True)
    if chosen in sizes:
        text = f"{_size(sizes[chosen] / 1e6)} will be deleted. Embeddings made with this model are kept."
        form.warning("model", text)
    elif chosen is None:
        problem = why_not_removed(DEFAULT_MODEL, model_dir=folder)
        form.error("model", f"{sentence(problem)}." if problem else "No downloaded model is on this machine.")
    elif chosen not in MODELS:
        form.error("model", f"There is no model {chosen!r}.")
    else:
        problem = why_not_removed(chosen, model_dir=folder) or "it is not on this machine"
        form.error("model", f"{chosen} cannot be deleted: {problem}.")


def _size(megabytes: float) -> str:
    return f"{megabytes:,.0f} MB" if megabytes >= 1 else "under 1 MB"


def _row(row: ModelRow) -> dict[str, str]:
    return {
        "model": f"{row.name} ({row.note.partition(':')[0]})" if row.note else row.name,
        "here": "yes" if row.is_cached else "no",
        "size": _size(row.size_mb),
        "f1": "" if row.f1 is None else f"{row.f1:.4f}",
        "threshold": f"{row.threshold:.4f}",
    }
