"""Operator: threshold and parameters fitted to the images of a dataset."""

from typing import Any

from fiftyone.operators import types

from ...app.answers import text_of
from ...app.ask.embeddings import ask_embeddings
from ...app.ask.names import ask_ground_truth
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...evaluation.calibration import calibrate
from ...grouping.calibrated import Calibrated

CONFIRMED, TRUTH = "confirmed", "truth"


class Calibrate(CCIPOperator):
    """Recommends parameters; see :func:`~ccip_plugin.evaluation.calibration.calibrate`."""

    name, label, button = "calibrate", "CCIP: calibrate", "Calibrate"
    description = "Fit the threshold, eps and min_samples to these images, from user labels and answers"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not calibrate"
    function = staticmethod(calibrate)
    parameters = ("group_field", "embeddings_field", "model_dir", "ground_truth_field")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Calibrate on") is None or ask_embeddings(form) is None:
            return
        choices = [Choice(CONFIRMED, "Groups with user labels"), Choice(TRUTH, "A ground truth field")]
        if form.choose("evidence", "Evidence, beside answers about pairs", choices, default=CONFIRMED) == TRUTH:
            ask_ground_truth(form)
        form.text("group_field", "Group field, with its rejections", default=self.default("group_field"))

    def options(self, ctx: Any) -> dict[str, Any]:
        options = super().options(ctx)
        if text_of(ctx, "evidence") == CONFIRMED:
            options.pop("ground_truth_field", None)
        return options

    def show(self, report: Calibrated, out: Output) -> None:
        out.facts(report.facts(), "CCIP: calibration")
        out.table("methods", "Fitted parameters", report.table())
