"""Operator: the table of the model card for the images of a dataset."""

from fiftyone.operators import types

from ...app import route
from ...app.ask.models import MODEL_FOLDER, ask_model_folder, model_folder
from ...app.ask.names import ask_ground_truth, ask_view
from ...app.forms import Form
from ...app.operator import CCIPOperator, default_of
from ...app.outputs import MAX_ROWS, Output, Picture, PictureRow, file_paths
from ...embeddings.provenance import fields_by_model
from ...evaluation.evaluate import evaluate_model, load_evaluation
from ...evaluation.ground_truth import read_names
from ...evaluation.model_evaluation import ModelEvaluation
from ...zoo.table import rows as model_rows

CONFUSED = "confused"
N_ROWS, N_PICTURES = 5, 3
"""Rows of pictures, and pictures of each of their two characters."""
RUN_KEY = default_of(load_evaluation, "run_key")


class EvaluateModel(CCIPOperator):
    """Scores models; see :func:`~ccip_plugin.evaluation.evaluate.evaluate_model`."""

    name, label, button = "evaluate_model", "CCIP: evaluate models", "Evaluate"
    description = "F1, precision, recall, threshold and clusters of CCIP models, against a ground truth field"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not evaluate the models"
    function = staticmethod(evaluate_model)
    asks = route.asked(
        patches_field=route.text,
        ground_truth_field=route.text,
        models=route.names,
        clusters=route.switch,
        run_key=route.text,
        show=route.text,
        **MODEL_FOLDER,
    )
    parameters = ("ground_truth_field", "models", "clusters", "run_key", "model_dir", "provider")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Evaluate on") is None:
            return
        ask_ground_truth(form)
        ask_model_folder(form)
        _ask_models(form)
        form.switch(
            "clusters",
            "Tune DBSCAN and OPTICS, too",
            default=True,
            description="Cluster_2 and Cluster_Free of the model card; OPTICS for up to 5,000 images",
        )
        form.text("run_key", "Run key", default=RUN_KEY, description="The result is stored with the dataset under it")
        ask_view(form, {CONFUSED: "The images of the two characters that are confused most"})

    def show(self, report: ModelEvaluation, out: Output) -> None:
        show_model_evaluation(report, out)
        if out.ctx.params.get("show") == CONFUSED and report.rows[0].confused:
            out.show_view(report.confused_view())


def show_model_evaluation(report: ModelEvaluation, out: Output) -> None:
    """Shows an evaluation of models: the model card, charts, confused characters."""
    is_one = len(report.rows) == 1
    out.table("table", "The model card, for these images", map(_narrow, report.table(intervals=False)))
    out.facts(report.facts(), "CCIP: evaluation")
    out.is_clean = True
    for chart in report.charts():
        out.chart(chart)
    out.pictures("confused_pictures", "Most confused characters. A click shows the character", _pictures(report))
    confused = report.confused_table(MAX_ROWS // len(report.rows))
    out.table("confused", "Most confused characters", confused)
    details = [_without(row, "Model") if is_one else row for row in report.details()]
    out.table("details", "All scores, with 95% confidence intervals", details)


def _ask_models(form: Form) -> None:
    fields = fields_by_model(form.target)
    choices = types.DropdownView(multiple=True)
    for row in model_rows(model_folder(form.ctx)):
        state = "has embeddings" if row.name in fields else "embeddings will be computed"
        choices.add_choice(row.name, label=f"{row.name}: {state}")
    form.inputs.list(
        "models",
        types.String(),
        label="Models",
        description="Empty: the models whose embeddings the dataset has",
        default=None,
        view=choices,
    )
    chosen = form.ctx.params.get("models") or list(fields)
    if not chosen:
        form.error("models", "There are no CCIP embeddings yet: choose models, whose embeddings are then computed.")
    elif new := [name for name in chosen if name not in fields]:
        form.hint("models", f"Embeddings are computed first with {', '.join(new)}, each into a field of its own.")


def _narrow(row: dict[str, str]) -> dict[str, str]:
    """A row of the model card without its second column, so that it fits into the dialog."""
    return {"Model": row["Model"] or row["On"], **_without(row, "Model", "On")}


def _without(row: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in names}


def _pictures(report: ModelEvaluation) -> list[PictureRow]:
    """A row with pictures of both characters for each of the most confused pairs of the first model."""
    target, pairs = report.target, report.rows[0].confused[:N_ROWS]
    wanted = {name for pair in pairs for name in (pair.first, pair.second)}
    members: dict[str, list[str]] = {name: [] for name in wanted}
    if not wanted:
        return []
    ids, _, names = read_names(target, report.ground_truth_field)
    for item_id, name in zip(ids, names, strict=True):
        if name in members:
            members[name].append(item_id)
    shown = [item_id for of_name in members.values() for item_id in of_name[:N_PICTURES]]
    files, path = file_paths(target.dataset, shown, target.patches_field), target.path(report.ground_truth_field)
    return [
        PictureRow(
            f"{pair.first} and {pair.second}: {pair.n_pairs:,} pairs of images below the threshold",
            [
                Picture(files[item_id], name, path, ids=members[name])
                for name in (pair.first, pair.second)
                for item_id in members[name][:N_PICTURES]
                if item_id in files
            ],
        )
        for pair in pairs
    ]
