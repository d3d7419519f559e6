"""Operator: delete the character groups of a field."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments, path_arguments
from ...app.counts import is_countable
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...labels.deletion import Deletion, delete_grouping


class DeleteGrouping(CCIPOperator):
    """Deletes the labels of runs and keeps user labels; see
    :func:`~ccip_plugin.labels.deletion.delete_grouping`."""

    name, label, button = "delete_grouping", "CCIP: delete character groups", "Delete"
    description = "Delete the labels that runs wrote. User labels are kept, and it can be undone"
    risk = types.RiskLevel.HIGH
    failure = "CCIP could not delete the character groups"
    function = staticmethod(delete_grouping)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is nothing to delete")
        if path is not None:
            _show_consequences(form, path)

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return group_arguments(ctx)

    def show(self, report: Deletion, out: Output) -> None:
        out.facts(report.facts(), "CCIP: character groups deleted")


def _show_consequences(form: Form, path: str) -> None:
    if not is_countable(form.ctx.dataset):
        form.warning("deleted", "All labels that runs wrote will be deleted. User labels are kept.")
        return
    try:
        planned = delete_grouping(whole_dataset(form.ctx), dry_run=True, **path_arguments(path))
    except CCIPError as error:
        form.error("groups", sentence(error))
        return
    if not (planned.n_labels or planned.n_groups):
        form.error("nothing", f"There is nothing to delete: no label in {path!r} was written by a run.")
        return
    form.warning("deleted", f"To be deleted, as runs wrote them: {planned.counts}.")
    if planned.n_kept:
        form.hint("kept", f"User labels to be kept, with their groups: {planned.n_kept:,}.")
    else:
        form.hint("kept", f"There are no user labels, so the field {path!r} is deleted, too.")
    form.hint("undo", "'CCIP: undo the last change of character groups' restores them.")
