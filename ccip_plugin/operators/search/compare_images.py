"""Operator: ticked images, or detections, each with each."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs, selection
from ...search.comparison import MAX_ITEMS, MIN_ITEMS, Comparison, compare_images
from ...search.heatmap import plotly_layout, plotly_traces
from ...storage.fields import EMBEDDINGS_FIELD
from ...storage.targets import CCIPError, Target

TITLE = "CCIP: compare images"
N_ROWS = 20


class CompareImages(foo.Operator):
    """Compares what is ticked; see :func:`~ccip_plugin.search.comparison.compare_images`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="compare_images",
            label=TITLE,
            description=f"See which of {MIN_ITEMS} to {MAX_ITEMS} ticked images, or detections, are the same character",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.LOW,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = _ask_for_ticked(form)
        found = ask_embeddings.ask(form, target, without="cannot be compared") if target is not None else None
        if found is not None:
            asked = form.inputs.float(
                "threshold",
                label="Same character up to a difference of",
                description="Empty means the threshold of the model, the value shown",
                view=types.TextFieldView(placeholder=f"{found[2].threshold:.4f}", space=6),
            )
            threshold = forms.number_of(ctx, "threshold")
            if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
                asked.invalid, asked.error_message = True, "A difference is a number from 0 to 1"
        return form.property("Compare")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> Comparison:
            options = forms.options(ctx, ("threshold", "model_dir"))
            field = forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD) or EMBEDDINGS_FIELD
            target = selection.target(ctx)
            if target is None:
                return compare_images(ctx.view, embeddings_field=field, **options)
            return compare_images(target.view, patches_field=target.patches_field, embeddings_field=field, **options)

        return execution.execute(
            ctx,
            work,
            title="CCIP could not compare the images",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda found: not found.missing,
            has_changed=lambda found: False,
            message_of=lambda found: f"CCIP: {found.facts().headline}",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, **options: Any) -> Comparison:
        """Compares from Python; takes what :func:`~ccip_plugin.search.comparison.compare_images` takes."""
        return compare_images(samples, **options)


def _ask_for_ticked(form: forms.Form) -> Target | None:
    if form.ctx.dataset is None:
        form.error("dataset", "Open a dataset first.")
        return None
    n = len(form.ctx.selected or form.ctx.selected_labels or ())
    if not MIN_ITEMS <= n <= MAX_ITEMS:
        words = "nothing is" if n == 0 else "1 is" if n == 1 else f"{n:,} are"
        form.error("ticked", f"Tick {MIN_ITEMS} to {MAX_ITEMS} tiles, or boxes in an opened image: {words} ticked.")
        return None
    try:
        return selection.target(form.ctx)
    except CCIPError as error:
        form.error("target", forms.sentence(error))
        return None


def _results(found: Comparison) -> dict[str, Any]:
    pairs = found.pairs
    rows = [
        {
            "a": found.names[pair.a],
            "b": found.names[pair.b],
            "difference": f"{pair.difference:.4f}",
            "verdict": "same character" if pair.is_same else "different",
        }
        for pair in pairs[:N_ROWS]
    ]
    facts = [
        ("Compared", len(found.ids)),
        ("Pairs of the same character", f"{sum(pair.is_same for pair in pairs):,} of {len(pairs):,}"),
        ("Same character up to", f"a difference of {found.threshold:.4f}"),
        ("Left out, without embedding", len(found.missing) or None),
        ("Model", found.model_name),
    ]
    return {
        "facts": outputs.facts(facts),
        "matrix": plotly_traces(found),
        "layout": plotly_layout(found),
        "pairs": rows,
    }


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: images compared")
    layout = results.get("layout") or {}
    shown.plot("matrix", label="Differences", layout=layout, height=layout.get("height"))
    columns = {"a": "Image", "b": "and", "difference": "Difference", "verdict": "Verdict"}
    outputs.add_table(shown, "pairs", columns, f"The nearest pairs (up to {N_ROWS})")
    return types.Property(shown, view=types.View(label=TITLE))
