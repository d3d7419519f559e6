"""Operator: the images of a group in the grid."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of, whole_dataset
from ...app.ask.groups import ask_group, ask_group_path, group_arguments, path_arguments, whole_store
from ...app.forms import Form
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import CLICKED_ITEMS, Output
from ...app.selection import is_id
from ...labels.views import show_group, show_items

GROUP_SHOWN = "CCIP: the group is in the grid, the least confident first"
ITEMS_SHOWN = "CCIP: the images of this row are in the grid"
MAX_ID = 2**31


def _id_problem(value: Any) -> str | None:
    is_group_id = isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_ID
    return None if is_group_id else "the id of a group is expected"


def _items_problem(value: Any) -> str | None:
    is_list = isinstance(value, list) and len(value) <= CLICKED_ITEMS
    is_fine = is_list and all(is_id(each) for each in value)
    return None if is_fine else f"a list of at most {CLICKED_ITEMS} ids is expected"


class ShowGroup(CCIPOperator):
    """Shows the members of a group; see :func:`~ccip_plugin.labels.views.show_group`."""

    name, label, button = "show_group", "CCIP: show a group", "Show"
    description = "Show the images of a character group, found by its name, the least confident first"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not show the group"
    function = staticmethod(show_group)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        group=route.text,
        group_id=_id_problem,
        items=_items_problem,
    )
    reloads = False

    def ask(self, form: Form) -> None:
        if form.ctx.params.get("items") or form.ctx.params.get("group_id"):
            return  # a click in a result says which images
        path = ask_group_path(form, "There is no group to show")
        if path is not None:
            ask_group(form, whole_store(form.ctx, **path_arguments(path)), "group", "Character group")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        items, group = ctx.params.get("items"), ctx.params.get("group_id") or text_of(ctx, "group")
        if group is None and not items:
            raise MissingAnswerError("group")
        return {"group": group, "items": items, **group_arguments(ctx)}

    def call(self, samples: Any, progress: Any, *, items: list[str] | None = None, **options: Any) -> Any:
        if not items:
            return GROUP_SHOWN, show_group(samples, **options)
        return ITEMS_SHOWN, show_items(samples, items, patches_field=options["patches_field"])

    def show(self, report: Any, out: Output) -> None:
        out.message, view = report
        out.has_dialog = False
        out.show_view(view, clears_selection=True)
