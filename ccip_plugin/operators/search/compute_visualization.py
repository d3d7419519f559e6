"""Operator: a 2D visualization of the embeddings, for the App's Embeddings panel."""

from fiftyone.operators import types

from ...app import route
from ...app.ask.brain_key import ask_brain_key
from ...app.ask.embeddings import ask_embeddings
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...brain.visualization import (
    METHODS,
    MIN_ITEMS,
    VisualizationError,
    VisualizationReport,
    choose_method,
    compute_visualization,
    has_umap,
    visualization_key,
)
from ...core.options import Choice

METHOD_LABELS = {
    "umap": ("UMAP", "shows groups best; for any number of images"),
    "tsne": ("t-SNE", "shows groups well; for 50 to some thousands of images"),
    "pca": ("PCA", "fast, and shows groups much less well"),
}


class ComputeVisualization(CCIPOperator):
    """Computes a 2D projection; see :func:`~ccip_plugin.brain.visualization.compute_visualization`."""

    name, label = "compute_visualization", "CCIP: compute visualization"
    description = "Compute a 2D map of the embeddings, similar images near each other, for the Embeddings panel"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not compute the visualization"
    function = staticmethod(compute_visualization)
    asks = route.asked(patches_field=route.text, embeddings_field=route.text, brain_key=route.text, method=route.text)
    parameters = ("brain_key", "method", "embeddings_field")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Show") is None:
            return
        embeddings = ask_embeddings(form, without="will not be shown", opens_model=False)
        if embeddings is None:
            return
        _ask_method(form, embeddings.n_embedded)
        key, run = ask_brain_key(form, visualization_key(form.target.path(embeddings.field)), "visualization")
        if run is not None:
            text = f"The visualization {key!r} exists ({run.method}): it is replaced, unless nothing has changed."
            form.hint("replace", text)

    def show(self, report: VisualizationReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: visualization of the embeddings")
        out.is_clean = report.method is not None and not report.note


def _ask_method(form: Form, n: int) -> None:
    default, note = choose_method(None, n)
    choices = []
    for method in METHODS:
        label, description = METHOD_LABELS[method]
        absent = "; not installed: pip install umap-learn" if method == "umap" and not has_umap() else ""
        is_default = " (recommended)" if method == default else ""
        choices.append(Choice(method, f"{label}{is_default}", f"{description}{absent}"))
    chosen = form.choose("method", "Method", choices, default=default)
    if n < MIN_ITEMS:
        form.error("method", f"A visualization needs at least {MIN_ITEMS} embeddings, there are {n}.")
        return
    try:
        choose_method(chosen, n)
    except VisualizationError as error:
        form.error("method", f"{sentence(error)}.")
        return
    if note and chosen == default:
        form.hint("method", f"{sentence(note)}.")
