"""Operator: the selected images or detections do not show the character of their group."""

from typing import Any

from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types

from ...app import route
from ...app.ask.groups import ask_group_path, group_arguments, path_arguments
from ...app.edits import with_progress
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...app.selection import NothingSelectedError, selected_target
from ...core.errors import CCIPError
from ...labels.edits import Rejection, reject


class Reject(CCIPOperator):
    """Removes the selected items from their groups, permanently; see :func:`~ccip_plugin.labels.edits.reject`."""

    name, label, button = "reject", "CCIP: not this character", "Reject"
    description = "Remove the selected images, or detections, from their groups; no run assigns them there again"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not reject the selection"
    function = staticmethod(reject)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        try:
            target = selected_target(form.ctx)
        except NothingSelectedError:
            form.error("selection", "Select the samples, or labels in an opened sample, to remove from their group.")
            return
        except CCIPError as error:
            form.error("target", sentence(error))
            return
        path = ask_group_path(form, "There is nothing to reject", target)
        if path is not None:
            _show_consequences(form, target.view, path)

    def samples(self, ctx: Any) -> Any:
        return selected_target(ctx).view

    def options(self, ctx: Any) -> dict[str, Any]:
        return group_arguments(ctx, selected_target(ctx))

    def show(self, report: Rejection, out: Output) -> None:
        out.facts(with_progress(report.facts(), report.path, out), self.label)
        out.clears_selection = True


def _show_consequences(form: Form, samples: SampleCollection, path: str) -> None:
    try:
        planned = reject(samples, dry_run=True, **path_arguments(path))
    except CCIPError as error:
        form.error("groups", sentence(error))
        return
    form.hint("what", f"To be removed from their group: {planned.counts}. No run assigns them there again.")
    if planned.n_without:
        form.hint("without", f"{planned.n_without:,} of the selected items are in no group and stay as they are.")
    form.hint("undo", "'CCIP: undo the last change of character groups' restores them.")
