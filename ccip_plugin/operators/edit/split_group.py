"""Operator: a group is several characters."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given, number_of, text_of, whole_dataset
from ...app.ask.groups import ask_group, ask_group_path, group_arguments, path_arguments, selected_group, whole_store
from ...app.counts import n_of
from ...app.edits import show_planned, with_progress
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...app.selection import n_selected, selected_target
from ...core.errors import CCIPError
from ...core.options import Choice
from ...grouping import split_group
from ...labels.edits import EditReport

PARTS, K, CUT = "parts", "k", "cut"


class SplitGroup(CCIPOperator):
    """Divides a group; see :func:`~ccip_plugin.grouping.splitting.split_group`."""

    name, label, button = "split_group", "CCIP: split a group", "Split"
    description = "A character group is several characters: divide it, and keep the parts apart in later runs"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not split the group"
    function = staticmethod(split_group)
    asks = route.asked(
        path=route.text,
        group_field=route.text,
        patches_field=route.text,
        embeddings_field=route.text,
        group=route.text,
        how=route.text,
        k=route.number,
        cut=route.number,
        name=route.text,
    )

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is nothing to split")
        if path is None:
            return
        store = whole_store(form.ctx, **path_arguments(path))
        selected = selected_group(form.ctx, store)
        group = ask_group(form, store, "group", "Character group", default=selected)
        how = _ask_how(form, group is not None and group == selected, store.target.noun)
        if how == K:
            form.number("k", "Number of groups", kind=int, default=2)
        elif how == CUT:
            form.number("cut", "Mean difference up to which images are one group", placeholder="0 to 1, such as 0.15")
        form.text(
            "name",
            "Name of the new group",
            description="Left empty, it gets a default name; further groups always get one",
        )
        if how == CUT and number_of(form.ctx, "cut") is None:
            form.needs("cut", "Write a number for the mean difference.")
            return
        if group is None:
            return
        try:
            planned = split_group(whole_dataset(form.ctx), dry_run=True, **self.options(form.ctx))
        except CCIPError as error:
            form.error("group_error", sentence(error))
            return
        show_planned(form, planned, f"{store.target.noun} of the group")

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        arguments = group_arguments(ctx)
        selected = selected_group(ctx, whole_store(ctx, **arguments))
        group = text_of(ctx, "group") or selected
        if group is None:
            raise MissingAnswerError("group")
        name = text_of(ctx, "name")
        answers = {
            "group": group,
            "names": [] if name is None else [name],
            **given(ctx, ("embeddings_field",)),
            **arguments,
        }
        how = text_of(ctx, "how") or next((each for each in (K, CUT) if ctx.params.get(each)), None)
        how = how or _default_how(group == selected)
        if how == PARTS:
            return {**answers, PARTS: [selected_target(ctx).view]}
        number = number_of(ctx, how)
        if how == CUT and number is None:
            raise MissingAnswerError(CUT)
        return {**answers, how: 2 if number is None else number}

    def show(self, report: EditReport, out: Output) -> None:
        out.facts(with_progress(report.facts(), report.path, out), self.label)
        out.is_clean, out.clears_selection = True, True


def _ask_how(form: Form, is_selected: bool, noun: str) -> str | None:
    choices = [
        Choice(K, "Into a number of groups, by similarity"),
        Choice(CUT, f"Into groups of similar {noun}, up to a difference"),
    ]
    if is_selected:
        what = n_of(n_selected(form.ctx), f"selected {noun.removesuffix('s')}")
        choices.append(Choice(PARTS, f"The selection ({what}) becomes a group of its own"))
    return form.choose("how", "Divide it", choices, default=_default_how(is_selected))


def _default_how(is_selected: bool) -> str:
    """The selected images of the group are the part that is divided off, a single one as well."""
    return PARTS if is_selected else K
