"""Operators: undo the last change of the character groups, and redo it."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...labels.history import last_done, last_undone, redo, undo


class _Turn(CCIPOperator):
    """Common to undo and redo."""

    risk = types.RiskLevel.MEDIUM
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)

    def ask(self, form: Form) -> None:
        nothing = f"There is no change to {self.name}"
        path = ask_group_path(form, nothing)
        if path is None:
            return
        find = last_done if self.name == "undo" else last_undone
        change = find(form.ctx.dataset, path)
        if change is None:
            form.error("nothing", f"{nothing}.")
        else:
            form.hint("change", f"{self.button} {change}. Labels that were edited since then stay as they are.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return group_arguments(ctx)

    def show(self, report: Any, out: Output) -> None:
        out.facts(report.facts(), "CCIP: character groups")


class Undo(_Turn):
    """Undoes the last change; see :func:`~ccip_plugin.labels.history.undo`."""

    name, label, button = "undo", "CCIP: undo the last change of character groups", "Undo"
    description = "Undo the last change; labels that were edited since then stay as they are"
    failure = "CCIP could not undo the change"
    function = staticmethod(undo)


class Redo(_Turn):
    """Redoes the change that was undone last; see :func:`~ccip_plugin.labels.history.redo`."""

    name, label, button = "redo", "CCIP: redo the change of character groups", "Redo"
    description = "Redo the change that was undone last; labels that were edited since then stay as they are"
    failure = "CCIP could not redo the change"
    function = staticmethod(redo)
