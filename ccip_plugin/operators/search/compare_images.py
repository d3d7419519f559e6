"""Operator: pairwise comparison of the selected images or detections."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given, number_of
from ...app.ask.embeddings import ask_embeddings
from ...app.ask.models import MODEL_FOLDER
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...app.selection import NothingSelectedError, n_selected, selected_target
from ...search.comparison import MAX_ITEMS, MIN_ITEMS, Comparison, compare_images

N_ROWS = 20


class CompareImages(CCIPOperator):
    """Compares the selection; see :func:`~ccip_plugin.search.comparison.compare_images`."""

    name, label, button = "compare_images", "CCIP: compare images", "Compare"
    description = f"See which of {MIN_ITEMS} to {MAX_ITEMS} selected images, or detections, are the same character"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not compare the images"
    function = staticmethod(compare_images)
    asks = route.asked(embeddings_field=route.text, threshold=route.number, **MODEL_FOLDER)
    reloads = False

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        n = n_selected(form.ctx)
        if not MIN_ITEMS <= n <= MAX_ITEMS:
            counts = {0: "nothing is", 1: "1 is"}.get(n, f"{n:,} are")
            text = f"Select {MIN_ITEMS} to {MAX_ITEMS} samples, or labels in an opened sample: {counts} selected."
            form.error("selection", text)
        elif form.use_target(lambda: selected_target(form.ctx)) is not None:
            embeddings = ask_embeddings(form, without="cannot be compared")
            if embeddings is not None:
                _ask_threshold(form, embeddings.published.threshold)

    def samples(self, ctx: Any) -> Any:
        try:
            return selected_target(ctx).view
        except NothingSelectedError:  # a script names a view instead
            return ctx.view

    def options(self, ctx: Any) -> dict[str, Any]:
        patches_field = selected_target(ctx).patches_field if n_selected(ctx) else None
        return {**given(ctx, ("threshold", "embeddings_field", "model_dir")), "patches_field": patches_field}

    def show(self, report: Comparison, out: Output) -> None:
        out.facts(report.facts(), "CCIP: images compared")
        out.is_clean = not report.missing
        out.chart(report.chart())
        columns = {"a": "First image", "b": "Second image", "difference": "Difference", "verdict": "Result"}
        out.table("pairs", f"The most similar pairs (up to {N_ROWS})", report.table()[:N_ROWS], columns)


def _ask_threshold(form: Form, threshold: float) -> None:
    answer = number_of(form.ctx, "threshold")
    is_valid = answer is None or (isinstance(answer, int | float) and 0 <= answer <= 1)
    form.number(
        "threshold",
        "Same character up to a difference of",
        placeholder=f"{threshold:.4f}",
        description="Empty means the threshold of the model, the value shown",
        problem=None if is_valid else "A difference is a number from 0 to 1",
    )
