"""Operator: saved views of the groups, in the order in which one reviews."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.ask.groups import ask_group_path, group_arguments, has_groups, path_arguments, whole_store
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...labels.views import VIEWS, SavedViews, save_views


class SaveViews(CCIPOperator):
    """Saves views of the groups; see :func:`~ccip_plugin.labels.views.save_views`."""

    name, label, button = "save_views", "CCIP: save views", "Save"
    description = (
        "Save views of the groups: most doubtful, unassigned, rescued, not reviewed, one tile per group, by group"
    )
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not save the views"
    function = staticmethod(save_views)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        **{name.replace(" ", "_"): route.switch for name in VIEWS},
    )

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is nothing to show")
        if path is None:
            return
        if not has_groups(form, whole_store(form.ctx, **path_arguments(path))):
            return
        for name, description in VIEWS.items():
            form.switch(name.replace(" ", "_"), name.capitalize(), default=True, description=description)
        if not _chosen(form.ctx):
            form.error("views", "Choose at least one view.")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        views = ctx.params.get("views") or _chosen(ctx)
        return {"views": views, **group_arguments(ctx)}

    def call(self, samples: Any, progress: Any, **options: Any) -> SavedViews:
        return save_views(samples, **options)

    def show(self, report: SavedViews, out: Output) -> None:
        out.facts(report.facts(), "CCIP: saved views")


def _chosen(ctx: Any) -> list[str]:
    return [name for name in VIEWS if ctx.params.get(name.replace(" ", "_"), True)]
