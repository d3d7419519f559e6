"""Operator: the App shows the names of the groups on detections."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.ask.groups import ask_group_path, group_arguments, path_arguments, paths_in
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...app.selection import shown_samples
from ...core.errors import CCIPError
from ...labels.views import show_names
from ...storage.targets import split_path


class ShowNames(CCIPOperator):
    """Shows names on detections; see :func:`~ccip_plugin.labels.views.show_names`."""

    name, label, button = "show_names", "CCIP: show names on detections", "Show"
    description = "Show the name of its group on each detection, instead of the detector's label; nothing is written"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not show the names"
    function = staticmethod(show_names)
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)
    reloads = False

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        paths = _of_detections(form.ctx)
        if not paths and paths_in(form.ctx):
            form.error("nothing", "There are no names to show on detections: images show the names of theirs anyway.")
            return
        path = ask_group_path(form, "There are no names to show", among=paths)
        if path is None:
            return
        try:
            show_names(shown_samples(form.ctx), **path_arguments(path))
        except CCIPError as error:
            form.error("view", sentence(error))
            return
        form.hint(
            "what",
            "The current view, with the names as labels. Do not save this view, and do not edit the labels in it: that "
            "writes the names over the labels of the detector. The operators of CCIP can be used.",
        )

    def samples(self, ctx: Any) -> Any:
        return shown_samples(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        return group_arguments(ctx, among=_of_detections(ctx) or None)

    def call(self, samples: Any, progress: Any, **options: Any) -> Any:
        return show_names(samples, **options)

    def show(self, report: Any, out: Output) -> None:
        out.text("the detections have the names of their groups in this view", self.label)
        out.show_view(report)


def _of_detections(ctx: Any) -> list[str]:
    """The fields with groups of detections: those of images have their name as their label already."""
    return [path for path in paths_in(ctx) if split_path(path)[0] is not None]
