"""Operator: write the labels that a grouping has proposed."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.ask.groups import path_arguments, path_of
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...app.selection import shown_patches_field
from ...core.options import Choice
from ...grouping.proposals import Pending, apply_proposal, pending_proposals
from ...grouping.report import GroupingReport, describe_changes
from ...labels.edits import EditReport
from ...storage.targets import split_path
from .results import show_proposed, show_report

MOST_ROWS = 200


class ApplyProposal(CCIPOperator):
    """Writes a proposal; see :func:`~ccip_plugin.grouping.proposals.apply_proposal`."""

    name, label, button = "apply_proposal", "CCIP: apply the proposal", "Apply"
    description = "Write the labels that a grouping has proposed; user labels made since then are kept"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not apply the proposal"
    function = staticmethod(apply_proposal)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        **{f"row_{number}": route.switch for number in range(1, MOST_ROWS + 1)},
    )

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        proposals = _pending(form.ctx)
        if not proposals:
            form.error("nothing", "There is no proposal: run 'CCIP: group by character' and switch writing off.")
            return
        if len(proposals) > 1:
            choices = [Choice(pending.path, pending.path) for pending in proposals]
            form.choose("path", "Group field", choices, default=proposals[0].path)
        pending = _chosen(form.ctx, proposals)
        if pending is None:
            form.error("outdated", "There is no proposal for this field: propose it again.")
            return
        rows = _rows(form.ctx, pending)
        if pending.is_outdated and not rows:
            or_rows = ", or take rows of it, which are checked one by one" if pending.rows else ""
            form.error("outdated", f"The groups were changed since this was proposed: propose it again{or_rows}.")
        elif rows:
            form.hint("chosen", f"Rows to be written: {len(rows):,}. The others stay proposed.")
        else:
            form.hint("counts", f"Proposed {pending.at}: {describe_changes(pending.counts)}.")
        for number, text in pending.rows:
            if number <= MOST_ROWS:
                form.switch(f"row_{number}", text)

    def samples(self, ctx: Any) -> Any:
        return ctx.dataset

    def options(self, ctx: Any) -> dict[str, Any]:
        pending = _chosen(ctx, _pending(ctx))
        if pending is None:
            return {}
        rows = ctx.params.get("rows") or _rows(ctx, pending)
        return {**path_arguments(pending.path), **({"rows": rows} if rows else {})}

    def show(self, report: GroupingReport | EditReport, out: Output) -> None:
        if isinstance(report, EditReport):
            out.facts(report.facts(), self.label)
            out.is_clean = report.n_changed > 0
            show_proposed(report.path, out)
        else:
            show_report(report, out)


def _rows(ctx: Any, pending: Pending) -> list[int]:
    """The rows that were chosen, none for the whole proposal."""
    return [number for number, _ in pending.rows if ctx.params.get(f"row_{number}")]


def _pending(ctx: Any) -> list[Pending]:
    """The proposals, that of the shown detections first."""
    shown = shown_patches_field(ctx)
    return sorted(pending_proposals(ctx.dataset), key=lambda pending: split_path(pending.path)[0] != shown)


def _chosen(ctx: Any, proposals: list[Pending]) -> Pending | None:
    """The proposal of the chosen field, the first one by default."""
    path = path_of(ctx)
    return next((pending for pending in proposals if path in (None, pending.path)), None)
