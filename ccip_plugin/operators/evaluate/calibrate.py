"""Operator: threshold and parameters fitted to the images of a dataset."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of
from ...app.ask.embeddings import ask_embeddings
from ...app.ask.groups import path_arguments, paths_in
from ...app.ask.models import MODEL_FOLDER
from ...app.ask.names import ask_ground_truth
from ...app.counts import is_countable, remembered
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...evaluation.calibration import calibrate
from ...evaluation.ground_truth import likely_ground_truth
from ...grouping.calibrated import Calibrated
from ...labels.store import LabelStore

CONFIRMED, TRUTH = "confirmed", "truth"


class Calibrate(CCIPOperator):
    """Recommends parameters; see :func:`~ccip_plugin.evaluation.calibration.calibrate`."""

    name, label, button = "calibrate", "CCIP: calibrate", "Calibrate"
    description = "Fit the threshold, eps and min_samples to these images, from user labels and answers"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not calibrate"
    function = staticmethod(calibrate)
    asks = route.asked(
        patches_field=route.text,
        embeddings_field=route.text,
        evidence=route.text,
        group_field=route.text,
        ground_truth_field=route.text,
        **MODEL_FOLDER,
    )
    parameters = ("group_field", "embeddings_field", "model_dir", "ground_truth_field")
    is_delegable = True

    def ask(self, form: Form) -> None:
        without = "will be left out"
        if form.ask_target("Calibrate on") is None or ask_embeddings(form, without=without) is None:
            return
        group_field = text_of(form.ctx, "group_field") or self.default("group_field")
        choices = [Choice(CONFIRMED, "Groups with user labels"), Choice(TRUTH, "A ground truth field")]
        default = _evidence(form, group_field)
        if form.choose("evidence", "Evidence, besides answers about pairs", choices, default=default) == TRUTH:
            ask_ground_truth(form)
        _ask_group_field(form, group_field)

    def options(self, ctx: Any) -> dict[str, Any]:
        options = super().options(ctx)
        if text_of(ctx, "evidence") == CONFIRMED:
            options.pop("ground_truth_field", None)
        return options

    def show(self, report: Calibrated, out: Output) -> None:
        out.facts(report.facts(), "CCIP: calibration")
        out.table("methods", "Fitted parameters", report.table())


def _evidence(form: Form, group_field: str) -> str:
    """What the form begins with: user labels, unless there are none and another field has names."""
    store = LabelStore(form.target, group_field)
    if not likely_ground_truth(form.target):
        return CONFIRMED
    if not store.exists():
        return TRUTH
    if not is_countable(form.target.dataset):
        return CONFIRMED
    return CONFIRMED if remembered(form.target, store.path, store.count_user_labels) else TRUTH


def _ask_group_field(form: Form, default: str) -> None:
    """Asks for the field with the groups, where there are any."""
    fields = [path_arguments(path)["group_field"] for path in paths_in(form.ctx, form.target)]
    if not fields:
        return
    form.choose(
        "group_field",
        "Group field",
        [Choice(field, field) for field in fields],
        default=default if default in fields else fields[0],
        description="Its user labels and rejections are evidence",
        is_list=True,
    )
