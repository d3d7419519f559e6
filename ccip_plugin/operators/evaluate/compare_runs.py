"""Operator: compare two groupings, models or evaluations."""

from fiftyone.operators import types

from ...app import route
from ...app.ask.groups import paths_in
from ...app.ask.models import MODEL_FOLDER, ask_model_folder
from ...app.ask.names import ask_view
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output
from ...core.options import Choice
from ...evaluation.comparison import comparable, compare_runs
from ...evaluation.comparison_report import (
    DIFFERENCE_LABELS,
    GROUPED,
    MOVED,
    UNGROUPED,
    EvaluationComparison,
    GroupingComparison,
)
from ...labels.history.last_reports import ReportKind, keep_report

HOW = "Run 'CCIP: group by character' into another field, or embed with another model into another field."
COLUMNS = {
    "first": "Group",
    "second": "Corresponds to",
    "n_first": "Images",
    "n_second": "Images there",
    "n_shared": "In both",
}


class CompareRuns(CCIPOperator):
    """Compares two groupings; see :func:`~ccip_plugin.evaluation.comparison.compare_runs`. Writes no label."""

    name, label, button = "compare_runs", "CCIP: compare groupings", "Compare"
    description = "Compare two groupings, models or evaluations: their agreement, and what moved"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not compare them"
    function = staticmethod(compare_runs)
    asks = route.asked(patches_field=route.text, first=route.text, second=route.text, show=route.text, **MODEL_FOLDER)
    parameters = ("first", "second", "model_dir")
    is_delegable = True
    reloads = False

    def ask(self, form: Form) -> None:
        if form.ask_target("Compare") is None:
            return
        names = comparable(form.target)
        if len(names) < 2:
            form.error("nothing", f"There are no two groupings, models or evaluations to compare. {HOW}")
            return
        choices = [Choice(name, name) for name in names]
        form.choose("first", "First", choices, default=names[0], is_list=True)
        form.choose("second", "Second", choices, default=names[1], is_list=True)
        ask_model_folder(form)
        ask_view(form, {kind: DIFFERENCE_LABELS[kind] for kind in (MOVED, GROUPED, UNGROUPED)})

    def show(self, report: GroupingComparison | EvaluationComparison, out: Output) -> None:
        out.facts(report.facts(), "CCIP: comparison")
        out.table("table", "Agreement", report.table())
        if isinstance(report, GroupingComparison):
            _show_groups(report, out)
        _keep(report, out)


def _show_groups(report: GroupingComparison, out: Output) -> None:
    rows = [{name: _plain(getattr(pair, name)) for name in COLUMNS} for pair in report.groups[:MAX_ROWS]]
    out.table("groups", "Groups of the first, those that differ most first", rows, COLUMNS)
    if (kind := out.ctx.params.get("show")) in report.ids:
        out.show_view(report.view(kind))


def _keep(report: GroupingComparison | EvaluationComparison, out: Output) -> None:
    """Keeps what is shown, to be shown again."""
    dataset, names = out.ctx.dataset, (report.first, report.second)
    paths = [report.target.path(name) for name in names] if isinstance(report, GroupingComparison) else []
    about = tuple(path for path in paths if path in paths_in(out.ctx))
    content = {"results": {**out.results(), "message": out.message}}
    keep_report(dataset, ReportKind.COMPARISON, " and ".join(names), report.facts(), content, about=about)


def _plain(value: object) -> int | str:
    return value if isinstance(value, int) else "" if value is None else str(value)
