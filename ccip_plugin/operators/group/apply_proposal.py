"""Operator: write what a grouping has proposed."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_groups, execution, forms
from ...grouping.proposals import Pending, apply_proposal, pending_proposals
from ...grouping.report import GroupingReport
from ...storage.fields import GROUP_FIELD
from .group_characters import CHANGES, message_of, outputs_of, results_of

TITLE = "CCIP: apply the proposal"


class ApplyProposal(foo.Operator):
    """Writes a proposal; see :func:`~ccip_plugin.grouping.proposals.apply_proposal`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="apply_proposal",
            label=TITLE,
            description="Write the labels that a grouping has proposed; labels that people decided since then are kept",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        if ctx.dataset is None:
            form.error("dataset", "Open a dataset first.")
            return form.property()
        found = {pending.path: pending for pending in pending_proposals(ctx.dataset)}
        if not found:
            form.error("nothing", "There is no proposal: run 'CCIP: group by character' and switch writing off.")
            return form.property()
        if len(found) > 1:
            choices = types.RadioGroup()
            for path in found:
                choices.add_choice(path, label=path)
            form.inputs.enum("path", choices.values(), label="For the field", default=next(iter(found)), view=choices)
        pending = _chosen(ctx, list(found.values()))
        if pending is None or pending.is_outdated:
            form.error("outdated", "The groups were changed since this was proposed: propose it again.")
        else:
            form.hint("counts", f"Proposed {pending.at[:19].replace('T', ' ')} (UTC): {_in_words(pending)}.")
        return form.property("Apply")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> GroupingReport:
            pending = _chosen(ctx, pending_proposals(ctx.dataset))
            group_field = pending.group_field if pending is not None else GROUP_FIELD
            patches_field = pending.patches_field if pending is not None else None
            return apply_proposal(ctx.dataset, group_field=group_field, patches_field=patches_field, progress=progress)

        return execution.execute(
            ctx,
            work,
            title="CCIP could not apply the proposal",
            results_of=results_of,
            outputs_of=outputs_of,
            is_clean=lambda done: not done.warnings,
            message_of=message_of,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return outputs_of(ctx.results)

    def __call__(self, samples: Any, **options: Any) -> GroupingReport:
        """Applies from Python; takes what :func:`~ccip_plugin.grouping.proposals.apply_proposal` takes."""
        return apply_proposal(samples, **options)


def _chosen(ctx: Any, found: list[Pending]) -> Pending | None:
    """The proposal that was chosen: by its path, by the names that Python uses, else the first."""
    path = ask_groups.path_of(ctx)
    return next((pending for pending in found if path in (None, pending.path)), None)


def _in_words(pending: Pending) -> str:
    parts = [f"{n:,} {CHANGES[kind].lower()}" for kind, n in pending.counts.items() if n]
    return ", ".join(parts) or "nothing would change"
