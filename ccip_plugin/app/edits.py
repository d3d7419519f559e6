"""The base of operators that correct the groups of the selected images or detections."""

from typing import Any

from fiftyone.operators import types

from ..core.errors import CCIPError
from ..labels.store import LabelStore
from ..storage.targets import Target
from . import route
from .ask.groups import ask_group_path, group_arguments, path_arguments
from .forms import Form, sentence
from .operator import CCIPOperator
from .outputs import Output
from .selection import NothingSelectedError, selected_target

UNDO = "'CCIP: undo the last change of character groups' restores them."


class SelectionEdit(CCIPOperator):
    """An edit of the selected items: its form says what it will do, counted by a dry run.

    Attributes:
        to_do: the end of a sentence: "select the samples ... to ..."
        nothing: what cannot be done without groups
    """

    risk = types.RiskLevel.MEDIUM
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)
    to_do: str
    nothing: str

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        try:
            target = selected_target(form.ctx)
        except NothingSelectedError:
            form.error("selection", f"Select the samples, or labels in an opened sample, to {self.to_do}.")
            return
        except CCIPError as error:
            form.error("target", sentence(error))
            return
        path = ask_group_path(form, self.nothing, target)
        if path is not None:
            self.ask_more(form, LabelStore(target, path_arguments(path)["group_field"]))
            self._show_consequences(form, target, path)

    def ask_more(self, form: Form, store: LabelStore) -> None:
        """Asks what else there is to ask."""

    def details(self, ctx: Any) -> dict[str, Any]:
        """The answers to these questions, as the function takes them."""
        return {}

    def samples(self, ctx: Any) -> Any:
        return selected_target(ctx).view

    def options(self, ctx: Any) -> dict[str, Any]:
        return {**self.details(ctx), **group_arguments(ctx, selected_target(ctx))}

    def show(self, report: Any, out: Output) -> None:
        out.facts(report.facts(), self.label)
        out.is_clean, out.clears_selection = report.n_changed > 0, True

    def _show_consequences(self, form: Form, target: Target, path: str) -> None:
        try:
            planned = self.function(target.view, dry_run=True, **self.details(form.ctx), **path_arguments(path))
        except CCIPError as error:
            form.error("groups", sentence(error))
            return
        noun = target.noun
        if not planned.n_changed:
            form.error("unchanged", f"Nothing would change: the selected {noun} are like this already, or in no group.")
            return
        counts = planned.facts()["Groups"]
        form.hint("what", f"Selected {noun} whose labels change: {planned.n_changed:,} ({counts}). {UNDO}")
        if planned.n_without:
            form.hint("without", f"{planned.n_without:,} of the selected {noun} are in no group and stay as they are.")
        if planned.n_lifted:
            form.hint("lifted", f"Earlier rejections that this removes: {planned.n_lifted:,}.")
