"""Operators: take the last change of the character groups back, and bring it back again."""

from collections.abc import Callable
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_groups, execution, forms, outputs
from ...labels.history import last_done, last_undone, redo, undo
from ...labels.reports import ApplyReport, PastChange


class Undo(foo.Operator):
    """Takes back the last change; see :func:`~ccip_plugin.labels.history.undo`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return _config("undo", "CCIP: undo the last change of character groups", "Take the last change back")

    def resolve_input(self, ctx: Any) -> types.Property:
        return _form(ctx, self.config.label, "Undo", last_done, "There is no change to undo")

    def execute(self, ctx: Any) -> Any:
        return _execute(ctx, undo, "CCIP could not undo the change")

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, **options: Any) -> ApplyReport:
        """Undoes from Python; takes what :func:`~ccip_plugin.labels.history.undo` takes."""
        return undo(samples, **options)


class Redo(foo.Operator):
    """Brings back what was undone; see :func:`~ccip_plugin.labels.history.redo`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return _config("redo", "CCIP: redo the change of character groups", "Bring back the change last undone")

    def resolve_input(self, ctx: Any) -> types.Property:
        return _form(ctx, self.config.label, "Redo", last_undone, "There is no change to redo")

    def execute(self, ctx: Any) -> Any:
        return _execute(ctx, redo, "CCIP could not redo the change")

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)

    def __call__(self, samples: Any, **options: Any) -> ApplyReport:
        """Redoes from Python; takes what :func:`~ccip_plugin.labels.history.redo` takes."""
        return redo(samples, **options)


def _config(name: str, label: str, description: str) -> foo.OperatorConfig:
    return foo.OperatorConfig(
        name=name,
        label=label,
        description=f"{description}; labels that were edited since then stay as they are",
        **forms.AT_ONCE,
        risk_level=types.RiskLevel.MEDIUM,
    )


def _form(
    ctx: Any, title: str, button: str, find: Callable[[Any, str], PastChange | None], nothing: str
) -> types.Property:
    form = forms.Form(ctx, title)
    path = ask_groups.ask(form, nothing)
    if path is None:
        return form.property()
    change = find(ctx.dataset, path)
    if change is None:
        form.error("nothing", f"{nothing}.")
    else:
        form.hint("change", f"{button} {change}. Labels that were edited since then stay as they are.")
    return form.property(button)


def _execute(ctx: Any, turn: Callable[..., ApplyReport], title: str) -> Any:
    def work(progress: Any) -> ApplyReport:
        return turn(forms.flat(ctx), progress=progress, **ask_groups.where(ctx))

    return execution.execute(
        ctx,
        work,
        title=title,
        results_of=_results,
        outputs_of=_outputs,
        message_of=lambda done: f"CCIP: {_words(done.action)}, {done.n_written:,} labels",
    )


def _words(action: str) -> str:
    return action.replace("_", " ")


def _results(report: ApplyReport) -> dict[str, Any]:
    return {
        "facts": outputs.facts(
            [
                ("Done", f"{_words(report.action)} (change number {report.number})"),
                ("Labels changed back", report.n_written),
                ("Edited since then, left as they are", report.n_left),
            ]
        )
    }


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: character groups")
    return types.Property(shown, view=types.View(label="CCIP: character groups"))
