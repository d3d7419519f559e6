"""Operators: take the last change of the character groups back, and bring it back again."""

from collections.abc import Callable, Sequence
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ..fields import GROUP_FIELD
from ..group_labels import ApplyReport, last_done, last_undone, redo, undo
from ..identity import METHOD as REGISTRY
from ..journal import Entry, Journal
from ..runs import read_config
from . import bridge, inputs, outputs


class Undo(foo.Operator):
    """Takes back the last change; see :func:`~ccip_plugin.group_labels.undo`."""

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
        """Undoes from Python; takes what :func:`~ccip_plugin.group_labels.undo` takes."""
        return undo(samples, **options)


class Redo(foo.Operator):
    """Brings back what was undone; see :func:`~ccip_plugin.group_labels.redo`."""

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
        """Redoes from Python; takes what :func:`~ccip_plugin.group_labels.redo` takes."""
        return redo(samples, **options)


def _config(name: str, label: str, description: str) -> foo.OperatorConfig:
    return foo.OperatorConfig(
        name=name,
        label=label,
        description=f"{description}; labels that were edited since then stay as they are",
        **inputs.ICONS,
        dynamic=True,
        execute_as_generator=True,
        allow_immediate_execution=True,
        allow_delegated_execution=False,
        risk_level=types.RiskLevel.MEDIUM,
    )


def _form(
    ctx: Any, title: str, button: str, choose: Callable[[list[Entry]], Entry | None], nothing: str
) -> types.Property:
    form = inputs.Form(ctx, title)
    if ctx.dataset is None:
        form.error("dataset", "Open a dataset first.")
        return form.property()
    paths = _grouped_paths(ctx)
    if not paths:
        form.error("nothing", f"{nothing}: this dataset has no character groups.")
        return form.property()
    if len(paths) > 1:
        choices = types.RadioGroup()
        for path in paths:
            choices.add_choice(path, label=path)
        form.inputs.enum("path", choices.values(), label="Groups in the field", default=paths[0], view=choices)
    entry = choose(Journal(ctx.dataset, _path(ctx, paths)).entries())
    if entry is None:
        form.error("nothing", f"{nothing}.")
    else:
        form.hint("change", f"{button} {_described(entry)}. Labels that were edited since then stay as they are.")
    return form.property(button)


def _execute(ctx: Any, turn: Callable[..., ApplyReport], title: str) -> Any:
    def work(progress: Any) -> ApplyReport:
        patches_field, group_field = _split(_path(ctx, _grouped_paths(ctx)))
        return turn(ctx.dataset, patches_field=patches_field, group_field=group_field, progress=progress)

    return bridge.execute(
        ctx,
        work,
        title=title,
        results_of=_results,
        outputs_of=_outputs,
        message_of=lambda done: f"CCIP: {_words(done.action)}, {done.n_written:,} labels",
    )


def _grouped_paths(ctx: Any) -> list[str]:
    """The paths of the fields with character groups in this dataset."""
    keys = ctx.dataset.list_runs(method=REGISTRY)
    configs = [read_config(ctx.dataset, key) for key in keys]
    return [config["path"] for config in configs if config is not None]


def _path(ctx: Any, paths: Sequence[str]) -> str:
    """The field that was chosen: as a path, or by the names that Python uses."""
    if ctx.params.get("path"):
        return ctx.params["path"]
    field, patches_field = inputs.text_of(ctx, "group_field"), inputs.patches_field_of(ctx)
    if field is None and patches_field is None:
        return paths[0] if paths else GROUP_FIELD
    return f"{patches_field}.detections.{field or GROUP_FIELD}" if patches_field else str(field)


def _split(path: str) -> tuple[str | None, str]:
    """The field with the detections, None for whole images, and the field of the groups."""
    parts = path.split(".")
    return (parts[0], parts[-1]) if len(parts) == 3 else (None, path)


def _described(entry: Entry) -> str:
    """A change in words."""
    at = entry.at.replace("T", " ").removesuffix("+00:00")
    return f"'{_words(entry.action)}' of {at} (UTC), which changed {entry.n_labels:,} labels"


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
