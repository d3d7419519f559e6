"""Operator: name a group."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of, whole_dataset
from ...app.ask.groups import ask_group, ask_group_path, group_arguments, path_arguments, selected_group, whole_store
from ...app.edits import with_progress
from ...app.forms import Form, sentence
from ...app.operator import CCIPOperator, MissingAnswerError
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...labels.edits import EditReport, rename_group


class RenameGroup(CCIPOperator):
    """Names a group; see :func:`~ccip_plugin.labels.edits.names.rename_group`."""

    name, label, button = "rename_group", "CCIP: rename a group", "Rename"
    description = "Give a character group a name, in all labels of the dataset; runs keep it"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not rename the group"
    function = staticmethod(rename_group)
    asks = route.asked(
        path=route.text, group_field=route.text, patches_field=route.text, group=route.text, name=route.text
    )

    def ask(self, form: Form) -> None:
        path = ask_group_path(form, "There is nothing to rename")
        if path is None:
            return
        arguments = path_arguments(path)
        store = whole_store(form.ctx, **arguments)
        group = ask_group(form, store, "group", "Character group", default=selected_group(form.ctx, store))
        name = form.text("name", "New name", description="In any script; at most 200 characters")
        if name is None:
            form.needs("name", "Write a new name.")
        if group is None or name is None:
            return
        try:
            planned = rename_group(whole_dataset(form.ctx), group, name, dry_run=True, **arguments)
        except CCIPError as error:
            form.error("name", sentence(error))
            return
        form.hint(
            "what",
            f"Labels that get the name {name!r}: {planned.n_changed:,}, in the whole dataset. "
            "'CCIP: undo the last change of character groups' brings the earlier name back.",
        )

    def samples(self, ctx: Any) -> Any:
        return whole_dataset(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        arguments = group_arguments(ctx)
        group = text_of(ctx, "group") or selected_group(ctx, whole_store(ctx, **arguments))
        answers = {"group": group, "name": text_of(ctx, "name")}
        for name, answer in answers.items():
            if answer is None:
                raise MissingAnswerError(name)
        return {**answers, **arguments}

    def show(self, report: EditReport, out: Output) -> None:
        out.facts(with_progress(report.facts(), report.path, out), self.label)
        out.clears_selection = True
