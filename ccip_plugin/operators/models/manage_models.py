"""Operator: the models on this machine."""

from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import execution, forms, outputs
from ...zoo.manage import CHECK, DOWNLOAD, LIST, REMOVE, ModelsReport, manage_models, why_not_removed
from ...zoo.table import DEFAULT_MODEL, ModelRow, rows, source

TITLE = "CCIP: manage models"
BUTTONS = {LIST: "Show", DOWNLOAD: "Download", CHECK: "Check", REMOVE: "Delete"}
MARKS = {True: "as it should be", False: "NOT as it should be", None: "could not be judged"}
COLUMNS = {"model": "Model", "here": "On this machine", "size": "Size", "f1": "F1", "threshold": "Threshold"}


class ManageModels(foo.Operator):
    """Lists, downloads, checks and deletes models; see :func:`~ccip_plugin.zoo.manage.manage_models`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="manage_models",
            label=TITLE,
            description="See which CCIP models are on this machine, their sizes and scores; fetch one, check one",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.HIGH,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        folder = forms.model_folder(ctx)
        known = {row.name: row for row in rows(folder)}
        action = _ask_for_action(form)
        if action != LIST:
            _ask_for_model(form, known, action, folder)
        elif text := source(forms.text_of(ctx, "model_dir")):
            form.hint("folder", text)
        return form.property(BUTTONS.get(action))

    def execute(self, ctx: Any) -> Any:
        action, name = ctx.params.get("action") or LIST, ctx.params.get("model_name")

        def work(progress: Any) -> ModelsReport:
            options = forms.options(ctx, ("model_dir", "revision"))
            return manage_models(
                action, None if action == LIST else name or DEFAULT_MODEL, progress=progress, **options
            )

        return execution.execute(
            ctx,
            work,
            title=f"CCIP could not {action} the model" if action != LIST else "CCIP could not list the models",
            results_of=_results,
            outputs_of=_outputs,
            message_of=_message,
            is_clean=lambda report: report.is_ok,
            has_changed=lambda report: False,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any = None, **options: Any) -> ModelsReport:
        """Manages models from Python.

        Args:
            samples (None): not needed, as the models are there for all datasets
            options: those of :func:`~ccip_plugin.zoo.manage.manage_models`

        Returns:
            a :class:`~ccip_plugin.zoo.manage.ModelsReport`
        """
        return manage_models(**options)


def _ask_for_action(form: forms.Form) -> str:
    choices = types.RadioGroup(orientation="vertical")
    choices.add_choice(LIST, label="Show all", description="with their published scores, and which are here")
    choices.add_choice(DOWNLOAD, label="Download one", description="once; from then on it works without network")
    choices.add_choice(CHECK, label="Check one", description="its files and what it computes, by what is published")
    choices.add_choice(REMOVE, label="Delete one", description="to free the space; it can be downloaded again")
    form.inputs.enum("action", choices.values(), label="What to do", default=LIST, view=choices)
    action = form.ctx.params.get("action") or LIST
    if action not in BUTTONS:
        form.error("action", f"There is no action {action!r}.")
    return action


def _ask_for_model(form: forms.Form, known: dict[str, ModelRow], action: str, folder: Path | None) -> None:
    choices = types.Dropdown()
    for row in known.values():
        choices.add_choice(row.name, label=f"{row.name}: {forms.describe_model(row, is_in_folder=folder is not None)}")
    form.inputs.enum("model_name", choices.values(), label="Model", default=DEFAULT_MODEL, view=choices)
    chosen = known.get(form.ctx.params.get("model_name") or DEFAULT_MODEL)
    if chosen is None:
        form.error("model", "There is no such model.")
    elif action == REMOVE:
        _say_what_is_deleted(form, chosen, folder)
    elif chosen.is_cached:
        form.hint("model", f"{chosen.name} is on this machine.")
    elif folder is not None:
        form.error("model", f"{chosen.name} is not in {folder} (CCIP_MODEL_DIR), and nothing is downloaded there.")
    else:
        form.hint("model", f"{chosen.size_mb:,.0f} MB will be downloaded from the hub.")


def _say_what_is_deleted(form: forms.Form, row: ModelRow, folder: Path | None) -> None:
    if problem := why_not_removed(row.name, model_dir=folder):
        form.error("model", f"{row.name} cannot be deleted: {problem}.")
    elif not row.is_cached:
        form.hint("model", f"{row.name} is not on this machine. What is left of a broken download is deleted.")
    else:
        form.warning("model", f"{row.size_mb:,.0f} MB are deleted. Embeddings that were made with it stay.")


def _message(report: ModelsReport) -> str:
    n_here = sum(row.is_cached for row in report.rows)
    if report.action == CHECK:
        return f"CCIP: {report.model_name} {'passed' if report.is_ok else 'did not pass'} its checks"
    if report.action == REMOVE:
        return f"CCIP: {report.model_name} deleted, {report.n_bytes / 1e6:,.0f} MB are free again"
    return f"CCIP: {n_here} of {len(report.rows)} models are on this machine"


def _results(report: ModelsReport) -> dict[str, Any]:
    pairs = [
        ("Model", report.model_name),
        ("Where", str(report.folder) if report.folder else None),
        ("Space that is free again", f"{report.n_bytes / 1e6:,.1f} MB" if report.action == REMOVE else None),
    ]
    checks = [{"name": check.name, "ok": MARKS[check.ok], "detail": check.detail} for check in report.checks]
    return {"facts": outputs.facts(pairs), "checks": checks, "models": [_row(row) for row in report.rows]}


def _row(row: ModelRow) -> dict[str, str]:
    return {
        "model": f"{row.name} ({row.note.partition(':')[0]})" if row.note else row.name,
        "here": "yes" if row.is_cached else "no",
        "size": f"{row.size_mb:,.0f} MB" if row.size_mb >= 1 else "under 1 MB",
        "f1": "" if row.f1 is None else f"{row.f1:.4f}",
        "threshold": f"{row.threshold:.4f}",
    }


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    if results.get("facts"):
        outputs.add_facts(shown, "CCIP: done")
    if results.get("checks"):
        outputs.add_table(shown, "checks", {"name": "Checked", "ok": "Is", "detail": "What was seen"}, "Checks")
    outputs.add_table(shown, "models", COLUMNS, "Models, with their published scores")
    return types.Property(shown, view=types.View(label=TITLE))
