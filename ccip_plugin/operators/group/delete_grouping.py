"""Operator: take the character groups of a field away again."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_groups, execution, forms, outputs
from ...labels.deletion import Deletion, delete_grouping
from ...storage.targets import CCIPError

TITLE = "CCIP: delete character groups"


class DeleteGrouping(execution.FunctionOperator):
    """Deletes what runs wrote and keeps what people decided; see
    :func:`~ccip_plugin.labels.deletion.delete_grouping`."""

    function = staticmethod(delete_grouping)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="delete_grouping",
            label=TITLE,
            description="Take away the labels that runs wrote. What people decided stays, and it can be undone",
            **forms.AT_ONCE,
            risk_level=types.RiskLevel.HIGH,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        path = ask_groups.ask(form, "There is nothing to delete")
        if path is not None:
            _say_what_goes(form, path)
        return form.property("Delete")

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> Deletion:
            return delete_grouping(forms.flat(ctx), progress=progress, **ask_groups.where(ctx))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not delete the character groups",
            results_of=_results,
            outputs_of=_outputs,
            message_of=lambda done: f"CCIP: {done.n_labels:,} labels taken away, {done.n_kept:,} kept",
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _say_what_goes(form: forms.Form, path: str) -> None:
    if forms.n_samples(form.ctx.dataset) > forms.COUNT_LIMIT:
        form.warning("goes", "All labels that runs wrote go. Those that people confirmed, ignored or changed stay.")
        return
    try:
        found = delete_grouping(forms.flat(form.ctx), dry_run=True, **ask_groups.split(path))
    except CCIPError as error:
        form.error("groups", forms.sentence(error))
        return
    if not (found.n_labels or found.run_keys or found.fields):
        form.error("nothing", f"There is nothing to delete: no label in {path!r} is one that a run wrote.")
        return
    labels, groups = forms.counted(found.n_labels, "label"), forms.counted(found.n_groups, "group")
    form.warning("goes", f"What runs made goes: {labels} and {groups}.")
    if found.n_kept:
        kept = forms.counted(found.n_kept, "label")
        form.hint("stays", f"What people decided stays: {kept}, with the groups of these.")
    else:
        form.hint("stays", f"Nobody has decided anything here, so the field {path!r} goes, too.")
    form.hint("undo", "'CCIP: undo the last change of character groups' brings them back.")


def _results(done: Deletion) -> dict[str, Any]:
    pairs = [
        ("Labels taken away", done.n_labels),
        ("Groups that went", done.n_groups),
        ("Decided by people, kept", done.n_kept or None),
        ("Fields that went, as they were empty", ", ".join(done.fields)),
        ("Records that went", ", ".join(done.run_keys)),
    ]
    return {"facts": outputs.facts(pairs)}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: character groups deleted")
    return types.Property(shown, view=types.View(label=TITLE))
