"""Operators: undo the last change of the character groups, and redo it."""

from typing import Any, ClassVar

from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments, paths_in
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...labels.history import changed_at, last_done, last_undone, redo, undo


def changed_last(ctx: Any, *, undone: bool | None = None) -> list[str]:
    """The paths of the fields with character groups, the one that was changed last first.

    Args:
        ctx: the execution context
        undone (None): which changes count, see :func:`~ccip_plugin.labels.history.undoing.changed_at`
    """
    return sorted(paths_in(ctx), key=lambda path: changed_at(ctx.dataset, path, undone=undone), reverse=True)


class _Turn(CCIPOperator):
    """Common to undo and redo."""

    risk = types.RiskLevel.MEDIUM
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)
    undone: ClassVar[bool]

    def ask(self, form: Form) -> None:
        nothing = f"There is no change to {self.name}"
        if not form.has_dataset():
            return
        path = ask_group_path(form, nothing, among=changed_last(form.ctx, undone=self.undone))
        if path is None:
            return
        change = (last_undone if self.undone else last_done)(form.ctx.dataset, path)
        if change is None:
            form.error("nothing", f"{nothing}.")
        else:
            form.hint("change", f"{self.button} {change}. Labels that were edited since then stay as they are.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return group_arguments(ctx, among=changed_last(ctx, undone=self.undone))

    def show(self, report: Any, out: Output) -> None:
        out.facts(report.facts(), "CCIP: character groups")


class Undo(_Turn):
    """Undoes the last change; see :func:`~ccip_plugin.labels.history.undo`."""

    name, label, button = "undo", "CCIP: undo the last change of character groups", "Undo"
    description = "Undo the last change; labels that were edited since then stay as they are"
    failure = "CCIP could not undo the change"
    function, undone = staticmethod(undo), False


class Redo(_Turn):
    """Redoes the change that was undone last; see :func:`~ccip_plugin.labels.history.redo`."""

    name, label, button = "redo", "CCIP: redo the change of character groups", "Redo"
    description = "Redo the change that was undone last; labels that were edited since then stay as they are"
    failure = "CCIP could not redo the change"
    function, undone = staticmethod(redo), True
