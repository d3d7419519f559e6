"""Operator: agreement of character groups with a ground truth field."""

from fiftyone.operators import types

from ...app import route
from ...app.ask.names import ask_ground_truth, ask_group_field, ask_view
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output
from ...evaluation.evaluate import evaluate_groups
from ...evaluation.group_evaluation import CLICK, COST_LABELS, GroupEvaluation


class EvaluateGroups(CCIPOperator):
    """Scores groups; see :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups`."""

    name, label, button = "evaluate_groups", "CCIP: evaluate character groups", "Evaluate"
    description = "Compare character groups with a ground truth field: metrics, clicks to clean, costliest groups"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not evaluate the groups"
    function = staticmethod(evaluate_groups)
    asks = route.asked(patches_field=route.text, group_field=route.text, ground_truth_field=route.text, show=route.text)
    parameters = ("group_field", "ground_truth_field", "run_key")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Evaluate") is None:
            return
        group_field, ground_truth_field = ask_group_field(form), ask_ground_truth(form)
        if group_field is not None and group_field == ground_truth_field:
            form.warning("same", "Both are the same field: everything will agree.")
        ask_view(form, COST_LABELS, f"A click {CLICK}")

    def show(self, report: GroupEvaluation, out: Output) -> None:
        out.facts(report.facts(), "CCIP: character groups")
        out.table("table", "Metrics, unassigned images as groups of their own, and without them", report.table())
        out.table("groups", "Groups with the most clicks", report.group_table()[:MAX_ROWS])
        out.table("characters", "Characters with the most clicks", report.character_table()[:MAX_ROWS])
        if (kind := out.ctx.params.get("show")) in report.ids:
            out.show_view(report.view(kind))
