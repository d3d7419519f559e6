"""Operator: the images of a group in the grid."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of, whole_dataset
from ...app.ask.groups import ask_group, ask_group_path, group_arguments, path_arguments, whole_store
from ...app.forms import Form
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...labels.views import show_group


class ShowGroup(CCIPOperator):
    """Shows the members of a group; see :func:`~ccip_plugin.labels.views.show_group`."""

    name, label, button = "show_group", "CCIP: show a group", "Show"
    description = "Show the images of a character group, found by its name, the least confident first"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not show the group"
    function = staticmethod(show_group)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text, group=route.text)
    reloads = False

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is no group to show")
        if path is not None:
            ask_group(form, whole_store(form.ctx, **path_arguments(path)), "group", "Character group")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        group = text_of(ctx, "group")
        if group is None:
            raise MissingAnswerError("group")
        return {"group": group, **group_arguments(ctx)}

    def call(self, samples: Any, progress: Any, **options: Any) -> Any:
        return show_group(samples, **options)

    def show(self, report: Any, out: Output) -> None:
        out.message, out.has_dialog = "CCIP: the group is in the grid, the least confident first", False
        out.show_view(report, clears_selection=True)
