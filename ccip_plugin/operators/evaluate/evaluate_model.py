"""Operator: the table of the model card for the images of a dataset."""

import math
from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_names, execution, forms, outputs
from ...embeddings.provenance import fields_by_model
from ...evaluation.evaluate import evaluate_model
from ...evaluation.report import ModelEvaluation
from ...storage.fields import EVALUATION_KEY
from ...storage.targets import Target
from ...zoo.table import rows as model_rows

TITLE = "CCIP: evaluate models"
NOTHING, CONFUSED = "nothing", "confused"


class EvaluateModel(foo.Operator):
    """Measures models; see :func:`~ccip_plugin.evaluation.evaluate.evaluate_model`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="evaluate_model",
            label=TITLE,
            description="F1, precision, recall, threshold and clusters of CCIP models, where it is known who is who",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Evaluate on")
        if target is None:
            return form.property()
        ask_names.ask_for_names(form, target, "ground_truth_field", "Who is who is in the field")
        _ask_for_models(form, target)
        form.inputs.bool(
            "clusters",
            label="Tune DBSCAN and OPTICS, too",
            description="Cluster_2 and Cluster_Free of the model card; OPTICS for up to 5,000 images",
            default=True,
            view=types.SwitchView(),
        )
        form.inputs.str("run_key", label="Keep the result as the run", default=EVALUATION_KEY)
        choices = types.RadioGroup(orientation="vertical")
        choices.add_choice(NOTHING, label="What is shown now")
        choices.add_choice(CONFUSED, label="The images of the two characters that are confused most")
        form.inputs.enum("show", choices.values(), label="Afterwards show", default=NOTHING, view=choices)
        return form.property("Evaluate")

    def execute(self, ctx: Any) -> Any:
        names = ("ground_truth_field", "models", "clusters", "run_key", "model_dir", "provider")
        options = {**forms.options(ctx, names), "patches_field": forms.patches_field_of(ctx)}

        def work(progress: Any) -> ModelEvaluation:
            return evaluate_model(ctx.target_view(require_flat=True), progress=progress, **options)

        def also(found: ModelEvaluation) -> Iterator[Any]:
            if ctx.params.get("show") == CONFUSED and found.rows[0].confused:
                yield ctx.ops.set_view(found.confused_view())

        return execution.execute(
            ctx,
            work,
            title="CCIP could not evaluate the models",
            results_of=_results,
            outputs_of=_outputs,
            message_of=_message,
            also=also,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, ground_truth_field: str, *, delegate: bool = False, **options: Any) -> Any:
        """Evaluates from Python; takes what :func:`~ccip_plugin.evaluation.evaluate.evaluate_model` takes.

        Args:
            samples: a dataset or view
            ground_truth_field: who is who
            delegate (False): schedule it instead, for a worker
            options: those of the function
        """
        if delegate:
            return execution.schedule(self.uri, samples, {"ground_truth_field": ground_truth_field, **options})
        return evaluate_model(samples, ground_truth_field, **options)


def _ask_for_models(form: forms.Form, target: Target) -> None:
    folder = forms.model_folder(form.ctx)
    there = fields_by_model(target)
    choices = types.DropdownView(multiple=True)
    for row in model_rows(folder):
        state = "embeddings are there" if row.name in there else "embeddings will be computed"
        choices.add_choice(row.name, label=f"{row.name}: {state}")
    form.inputs.list(
        "models",
        types.String(),
        label="Models",
        description="None chosen: those whose embeddings are there",
        default=None,
        view=choices,
    )
    chosen = form.ctx.params.get("models") or list(there)
    if not chosen:
        form.error("models", "There are no CCIP embeddings yet: choose models, whose embeddings are then computed.")
    elif new := [name for name in chosen if name not in there]:
        form.hint("models", f"Embeddings are computed first with {', '.join(new)}, each into a field of its own.")


def _message(found: ModelEvaluation) -> str:
    scored = [row for row in found.rows if math.isfinite(row.scores["f1"])]
    if not scored:
        return "CCIP: there are no two images of one character"
    best = max(scored, key=lambda row: row.scores["f1"])
    models = "" if len(found.rows) == 1 else f"{len(found.rows)} models, the best is "
    return f"CCIP: {models}{best.model_name}: F1 {best.scores['f1']:.3f} at {best.scores['threshold']:.3f}"


def _results(found: ModelEvaluation) -> dict[str, Any]:
    charts = ask_names.charts_as_results(found.charts())
    facts = [
        *((row.model_name, f"{row.n_images:,} images, {row.n_characters:,} characters") for row in found.rows),
        ("Run", found.run_key),
        ("Time", f"{found.seconds:.1f} s"),
    ]
    confused = [
        {"Model": row.model_name, "One": each.first, "Other": each.second, "Pairs": each.n_pairs}
        | {"Share": f"{each.share:.1%}"}
        for row in found.rows
        for each in row.confused[: ask_names.MOST_ROWS // len(found.rows)]
    ]
    return {
        "table": [_narrow(row) for row in found.table(intervals=False)],
        "details": [row if len(found.rows) > 1 else _without(row, "Model") for row in found.details()],
        "facts": outputs.facts(facts),
        "confused": confused,
        "charts": charts,
        "warnings": found.notes,
        **ask_names.plots_of(charts),
    }


def _narrow(row: dict[str, str]) -> dict[str, str]:
    """A row of the model card without its second column, so that it fits into the dialog."""
    return {"Model": row["Model"] or row["On"], **_without(row, "Model", "On")}


def _without(row: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in names}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_warnings(shown, results.get("warnings") or ())
    ask_names.add_rows(shown, results, "table", "The model card, for these images")
    outputs.add_facts(shown, "CCIP: evaluation")
    ask_names.add_charts(shown, results.get("charts") or ())
    ask_names.add_rows(shown, results, "confused", "Most confused characters")
    ask_names.add_rows(
        shown, results, "details", "All scores; likely: with 95% confidence for other characters like these"
    )
    return types.Property(shown, view=types.View(label=TITLE))
