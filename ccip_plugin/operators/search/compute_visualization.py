"""Operator: a map of the embeddings, for the App's embeddings panel."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs
from ...brain.runs import BrainKeyError, default_key, find_run
from ...brain.visualization import (
    METHODS,
    MIN_ITEMS,
    VisualizationError,
    VisualizationReport,
    choose_method,
    compute_visualization,
    has_umap,
)
from ...storage.fields import EMBEDDINGS_FIELD, VISUALIZATION_KEY
from ...storage.targets import Target
from .compute_similarity import ask_for_key

TITLE = "CCIP: compute visualization"
WORDS = {
    "umap": ("UMAP", "shows groups best; for any number of images"),
    "tsne": ("t-SNE", "shows groups well; for 50 to some thousands of images"),
    "pca": ("PCA", "quick, and shows groups much less well"),
}


class ComputeVisualization(execution.FunctionOperator):
    """Computes a map; see :func:`~ccip_plugin.brain.visualization.compute_visualization`."""

    function = staticmethod(compute_visualization)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="compute_visualization",
            label=TITLE,
            description="Draw a map on which images of one character lie together, for the App's embeddings panel",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Show")
        found = ask_embeddings.ask(form, target, without="will not be on the map") if target is not None else None
        if target is not None and found is not None:
            _ask_for_method(form, target, found[0])
            _say_what_is_replaced(
                form, target, ask_for_key(form, default_key(VISUALIZATION_KEY, target.path(found[0])))
            )
        return form.property()

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> VisualizationReport:
            options = forms.options(ctx, ("brain_key", "method"))
            options["embeddings_field"] = forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD)
            options["patches_field"] = forms.patches_field_of(ctx)
            return compute_visualization(ctx.target_view(require_flat=True), progress=progress, **options)

        return execution.execute(
            ctx,
            work,
            title="CCIP could not draw the map",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda report: report.method is not None and not report.note,
            message_of=_message,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _ask_for_method(form: forms.Form, target: Target, embeddings_field: str) -> None:
    coverage = form.coverage(target, embeddings_field)
    n = forms.n_samples(target.dataset) if coverage is None else coverage.n_total - coverage.n_missing
    default, note = choose_method(None, n)
    choices = types.RadioGroup(orientation="vertical")
    for method in METHODS:
        label, description = WORDS[method]
        absent = "; not installed here: pip install umap-learn" if method == "umap" and not has_umap() else ""
        label += " (recommended)" if method == default else ""
        choices.add_choice(method, label=label, description=f"{description}{absent}")
    form.inputs.enum("method", choices.values(), label="Method", default=default, view=choices)
    chosen = form.ctx.params.get("method") or default
    if n < MIN_ITEMS:
        form.error("method", f"A map needs at least {MIN_ITEMS} embeddings, there are {n}.")
        return
    try:
        choose_method(chosen, n)
    except VisualizationError as error:
        form.error("method", f"{forms.sentence(error)}.")
        return
    if note and chosen == default:
        form.hint("method", f"{forms.sentence(VisualizationError(note))}.")


def _say_what_is_replaced(form: forms.Form, target: Target, key: str) -> None:
    try:
        found = find_run(target.dataset, key, "visualization") if key.isidentifier() else None
    except BrainKeyError as error:
        form.error("brain_key", forms.sentence(error))
        return
    if found is not None:
        form.hint("replace", f"There is a map {key!r} ({found.method}): it is replaced, unless nothing has changed.")


def _message(report: VisualizationReport) -> str:
    if report.method is None:
        return f"CCIP: no map: {report.note}"
    return f"CCIP: map {report.brain_key!r} of {report.n_points:,} embeddings ({report.method})"


def _results(report: VisualizationReport) -> dict[str, Any]:
    state = "computed now" if report.is_new else "was there, nothing has changed"
    pairs = [
        ("Map", f"{report.brain_key} ({state})" if report.method else "none"),
        ("Points", report.n_points),
        ("Not on it, without embedding", report.n_missing or None),
        ("Method", report.method),
        ("Look at it", "open the panel 'Embeddings' and choose the map" if report.method else None),
    ]
    return {"facts": outputs.facts(pairs), "warnings": [report.note] if report.note else []}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_warnings(shown, results.get("warnings") or ())
    outputs.add_facts(shown, "CCIP: map of the embeddings")
    return types.Property(shown, view=types.View(label=TITLE))
