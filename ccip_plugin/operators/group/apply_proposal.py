"""Operator: write the labels that a grouping has proposed."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.ask.groups import path_arguments, path_of
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...grouping.proposals import Pending, apply_proposal, pending_proposals
from ...grouping.report import GroupingReport, describe_changes
from .group_characters import show_report


class ApplyProposal(CCIPOperator):
    """Writes a proposal; see :func:`~ccip_plugin.grouping.proposals.apply_proposal`."""

    name, label, button = "apply_proposal", "CCIP: apply the proposal", "Apply"
    description = "Write the labels that a grouping has proposed; user labels made since then are kept"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not apply the proposal"
    function = staticmethod(apply_proposal)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        proposals = pending_proposals(form.ctx.dataset)
        if not proposals:
            form.error("nothing", "There is no proposal: run 'CCIP: group by character' and switch writing off.")
            return
        if len(proposals) > 1:
            choices = [Choice(pending.path, pending.path) for pending in proposals]
            form.choose("path", "Group field", choices, default=proposals[0].path)
        pending = _chosen(form.ctx, proposals)
        if pending is None or pending.is_outdated:
            form.error("outdated", "The groups were changed since this was proposed: propose it again.")
        else:
            at = pending.at[:19].replace("T", " ")
            form.hint("counts", f"Proposed {at} (UTC): {describe_changes(pending.counts)}.")

    def samples(self, ctx: Any) -> Any:
        return ctx.dataset

    def options(self, ctx: Any) -> dict[str, Any]:
        pending = _chosen(ctx, pending_proposals(ctx.dataset))
        return {} if pending is None else path_arguments(pending.path)

    def show(self, report: GroupingReport, out: Output) -> None:
        show_report(report, out)


def _chosen(ctx: Any, proposals: list[Pending]) -> Pending | None:
    """The proposal of the chosen field, the first one by default."""
    path = path_of(ctx)
    return next((pending for pending in proposals if path in (None, pending.path)), None)
