"""Operator: the last grouping, proposal, evaluation, comparison or naming, as it was shown when it was made."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of, whole_dataset
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...core.options import Choice
from ...evaluation.evaluate import load_evaluation
from ...evaluation.group_evaluation import GroupEvaluation
from ...grouping.report import GroupingReport
from ...labels.history import LastReport, last_report
from ...labels.history.last_reports import last_reports
from ..evaluate.evaluate_groups import show_evaluation
from ..evaluate.evaluate_model import show_model_evaluation
from .results import show_report


class ShowLastReport(CCIPOperator):
    """Shows a report again; see :func:`~ccip_plugin.labels.history.last_reports.last_report`."""

    name, label, button = "last_report", "CCIP: show the last report", "Show"
    description = "Show the result of the last grouping, proposal, evaluation, comparison or naming again"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not show the report"
    function = staticmethod(last_report)
    asks = route.asked(report=route.text)
    reloads = False

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        kept = last_reports(form.ctx.dataset)
        if not kept:
            form.error("nothing", "There is no report yet: group, propose, evaluate or compare first.")
            return
        choices = [Choice(each.name, f"{each.name.capitalize()}, {each.local_time}", each.headline) for each in kept]
        chosen = form.choose("report", "Report", choices, default=kept[0].name)
        if chosen not in {each.name for each in kept}:
            form.error("report", f"There is no report {chosen!r}.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return {"report": text_of(ctx, "report")}

    def call(self, samples: Any, progress: Any, **options: Any) -> LastReport:
        return last_report(samples, **options)

    def show(self, report: LastReport, out: Output) -> None:
        try:
            _show(report, out)
        except (CCIPError, LookupError, TypeError, ValueError):  # another version has kept it, or its field is gone
            out.clear()
            out.facts(report.facts(), "CCIP: report")
        out.add_title(f"{report.name}, {report.local_time}")
        if report.age is not None:
            out.warn(report.age)


def _show(report: LastReport, out: Output) -> None:
    content = report.content
    if "results" in content:
        out.restore(content["results"])
        return
    if "run" not in content:
        show_report(GroupingReport.from_dict(content), out)
        return
    evaluation = load_evaluation(out.ctx.dataset, content["run"])
    if isinstance(evaluation, GroupEvaluation):
        show_evaluation(evaluation, out)
    else:
        show_model_evaluation(evaluation, out)
