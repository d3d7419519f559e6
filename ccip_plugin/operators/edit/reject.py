"""Operator: ticked images, or detections, are not the character whose group they are in."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_groups, execution, forms, outputs, selection
from ...labels.edits import Rejection, reject
from ...storage.targets import CCIPError, Target, TargetError

TITLE = "CCIP: not this character"


class Reject(execution.FunctionOperator):
    """Takes what is ticked out of its groups, for good; see :func:`~ccip_plugin.labels.edits.reject`."""

    function = staticmethod(reject)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="reject",
            label=TITLE,
            description="Take the ticked images, or detections, out of their groups; no run puts them there again",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = _ask_for_ticked(form)
        path = None if target is None else ask_groups.ask(form, "There is nothing to reject them from", target)
        if target is not None and path is not None:
            _say_what_is_rejected(form, target, path)
        return form.property("Reject")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> Rejection:
            target = selection.target(ctx)
            if target is None:
                raise TargetError("nothing is ticked")
            path = ask_groups.chosen(ctx, ask_groups.paths_in(ctx, target))
            return reject(target.view, progress=progress, **ask_groups.split(path))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not reject them",
            results_of=_results,
            outputs_of=_outputs,
            message_of=lambda done: f"CCIP: {done.facts().headline}",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _ask_for_ticked(form: forms.Form) -> Target | None:
    if form.ctx.dataset is None:
        form.error("dataset", "Open a dataset first.")
        return None
    try:
        target = selection.target(form.ctx)
    except CCIPError as error:
        form.error("target", forms.sentence(error))
        return None
    if target is None:
        form.error("ticked", "Tick the tiles, or boxes in an opened image, that are not the character of their group.")
    return target


def _say_what_is_rejected(form: forms.Form, target: Target, path: str) -> None:
    try:
        found = reject(target.view, dry_run=True, **ask_groups.split(path))
    except CCIPError as error:
        form.error("groups", forms.sentence(error))
        return
    form.hint("what", f"Will leave their group: {found.counts}. No run puts them there again.")
    if found.n_without:
        form.hint("without", f"{found.n_without:,} of them are in no group, and stay as they are.")
    form.hint("undo", "'CCIP: undo the last change of character groups' takes it back.")


def _results(done: Rejection) -> dict[str, Any]:
    pairs = [
        ("Left their group", done.counts),
        ("In no group, as before", done.n_without or None),
        ("Changed by others meanwhile, left as they are", done.n_left or None),
    ]
    return {"facts": outputs.facts(pairs)}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, TITLE)
    return types.Property(shown, view=types.View(label=TITLE))
