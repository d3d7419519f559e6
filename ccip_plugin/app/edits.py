"""The base of operators that correct the groups of the selected images or detections."""

from dataclasses import replace
from typing import Any, ClassVar

from fiftyone.operators import types

from ..core.errors import CCIPError
from ..core.options import Choice
from ..labels.edits import EditReport
from ..labels.edits.report import AGAIN, NOT_AGAIN
from ..labels.reviewed import review_progress
from ..labels.store import LabelStore
from ..reports.facts import Facts
from ..storage.targets import Target
from . import route
from .answers import text_of, whole_dataset
from .ask.groups import ask_group, ask_group_path, group_arguments, path_arguments, selected_group, whole_store
from .counts import is_countable
from .forms import Form, sentence
from .operator import CCIPOperator, MissingAnswerError
from .outputs import Output
from .selection import NothingSelectedError, n_selected, selected_target

SELECTED, GROUP = "selection", "group"
UNDO = "'CCIP: undo the last change of character groups' restores them."


class SelectionEdit(CCIPOperator):
    """An edit of the selected items: its form says what it will do, counted by a dry run.

    Attributes:
        to_do: the end of a sentence: "select the samples ... to ..."
        nothing: what cannot be done without groups
        takes_group: whether all images of a group can be edited instead of the selected ones
        takes_several: whether two items or more have to be selected
        edited: which items the selection stands for, ``{noun}`` is what these are called
    """

    risk = types.RiskLevel.MEDIUM
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text)
    to_do: str
    nothing: str
    takes_group: ClassVar[bool] = False
    takes_several: ClassVar[bool] = False
    edited: ClassVar[str] = "selected {noun}"

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        if self.takes_group and self._ask_what(form) == GROUP:
            self._ask_group(form)
            return
        try:
            target = selected_target(form.ctx)
        except NothingSelectedError:
            form.error("selection", f"Select the samples, or labels in an opened sample, to {self.to_do}.")
            return
        except CCIPError as error:
            form.error("target", sentence(error))
            return
        if self.takes_several and n_selected(form.ctx) < 2:
            one = target.noun.removesuffix("s")
            form.error(
                "selection", f"It takes two {target.noun} or more to {self.to_do}: select another {one} as well."
            )
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
        return whole_dataset(ctx) if self._is_of_group(ctx) else selected_target(ctx).view

    def options(self, ctx: Any) -> dict[str, Any]:
        if not self._is_of_group(ctx):
            return {**self.details(ctx), **group_arguments(ctx, selected_target(ctx))}
        arguments = group_arguments(ctx)
        groups = ctx.params.get("groups") or selected_group(ctx, whole_store(ctx, **arguments))
        if not groups:
            raise MissingAnswerError("groups")
        return {**self.details(ctx), "groups": groups, **arguments}

    def show(self, report: Any, out: Output) -> None:
        out.facts(with_progress(report.facts(), report.path, out), self.label)
        out.is_clean, out.clears_selection = report.is_change, True

    def _ask_what(self, form: Form) -> str:
        """Asks whether to edit the selection or a group; without a selection only a group can be."""
        if not n_selected(form.ctx):
            return GROUP
        choices = [
            Choice(SELECTED, f"The selection ({n_selected(form.ctx):,})"),
            Choice(GROUP, "All images of a group"),
        ]
        default = GROUP if self._is_of_group(form.ctx) else SELECTED
        return form.choose("what", f"What to {self.to_do}", choices, default=default) or default

    def _is_of_group(self, ctx: Any) -> bool:
        what = text_of(ctx, "what") or (GROUP if ctx.params.get("groups") or not n_selected(ctx) else SELECTED)
        return self.takes_group and what == GROUP

    def _ask_group(self, form: Form) -> None:
        path = ask_group_path(form, self.nothing)
        if path is None:
            return
        store = whole_store(form.ctx, **path_arguments(path))
        group = ask_group(form, store, "groups", "Character group", default=selected_group(form.ctx, store))
        if group is None:
            form.hint("how", f"Or select samples, or labels in an opened sample, to {self.to_do} these only.")
        elif not form.inputs.properties["groups"].invalid:
            self._show_consequences(form, replace(store.target, view=whole_dataset(form.ctx)), path, groups=group)

    def _show_consequences(self, form: Form, target: Target, path: str, **of_group: str) -> None:
        details = {**self.details(form.ctx), **of_group}
        try:
            planned = self.function(target.view, dry_run=True, **details, **path_arguments(path))
        except CCIPError as error:
            form.error("groups", sentence(error))
            return
        items = ("{noun} of the group" if of_group else self.edited).format(noun=target.noun)
        if not planned.is_change:
            form.error("unchanged", f"Nothing would change: the {items} are like this already, or in no group.")
            return
        show_planned(form, planned, items)
        if planned.n_without:
            form.hint("without", f"{planned.n_without:,} of the {items} are in no group and stay as they are.")


def show_planned(form: Form, planned: EditReport, items: str) -> None:
    """Says what an edit will do, from the report of its dry run."""
    facts = dict(planned.facts().pairs)
    if planned.n_changed:
        groups = facts["Groups"] if len(planned.groups) == 1 else f"{planned.n_changed:,} ({facts['Groups']})"
        form.hint("what", f"{sentence(items)} whose labels change: {groups}. {UNDO}")
    said = {
        **planned.details,
        "Merged groups": facts.get("Merged groups"),
        "No longer kept apart": facts.get("No longer kept apart"),
        NOT_AGAIN: facts.get(NOT_AGAIN),
        AGAIN: facts.get(AGAIN),
    }
    for number, (what, text) in enumerate(said.items()):
        if text:
            form.hint(f"also_{number}", f"{what}: {text}.")


def with_progress(facts: Facts, path: str, out: Output) -> Facts:
    """The facts of an edit, and how far the review is; counting a large dataset would take longer than the edit."""
    dataset = out.ctx.dataset
    if not is_countable(dataset):
        return facts
    try:
        progress = review_progress(dataset, **path_arguments(path))
    except CCIPError:  # of a dataset with groups of slices it is not known which ones to count
        return facts
    return replace(facts, pairs=(*facts.pairs, ("Reviewed", progress.text)))
