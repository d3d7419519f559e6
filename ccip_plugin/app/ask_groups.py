"""What forms ask about the fields that have character groups."""

from collections.abc import Sequence
from typing import Any

from ..storage.fields import GROUP_FIELD
from ..storage.runs import RunKind, read_config
from ..storage.targets import Target, field_path, split_path
from . import forms


def ask(form: forms.Form, nothing: str, target: Target | None = None) -> str | None:
    """Asks for a field with character groups, where there is a choice.

    Args:
        form: the form
        nothing: what cannot be done when there is none
        target (None): take only fields for this kind of item

    Returns:
        its path; None when there is none, and then the form says so
    """
    if form.ctx.dataset is None:
        form.error("dataset", "Open a dataset first.")
        return None
    paths = paths_in(form.ctx, target)
    if not paths:
        what = "this dataset has" if target is None else "detections have" if target.is_patches else "images have"
        form.error("nothing", f"{nothing}: {what} no character groups.")
        return None
    if len(paths) > 1:
        choices = forms.types.RadioGroup()
        for path in paths:
            choices.add_choice(path, label=path)
        form.inputs.enum("path", choices.values(), label="Groups in the field", default=paths[0], view=choices)
    return chosen(form.ctx, paths)


def paths_in(ctx: Any, target: Target | None = None) -> list[str]:
    """The paths of the fields with character groups in the dataset; with a target, those for its kind of item."""
    keys = ctx.dataset.list_runs(method=RunKind.REGISTRY)
    configs = [read_config(ctx.dataset, key, ("path",)) for key in keys]
    paths = [config["path"] for config in configs if config is not None]
    return [path for path in paths if target is None or split(path)["patches_field"] == target.patches_field]


def chosen(ctx: Any, paths: Sequence[str]) -> str:
    """The path of the field that was chosen, the first one by default."""
    return path_of(ctx) or (paths[0] if paths else GROUP_FIELD)


def path_of(ctx: Any) -> str | None:
    """The field that was chosen: as a path, or by the names that Python uses; None when none was chosen."""
    if path := ctx.params.get("path"):
        return str(path)
    group_field, patches_field = forms.text_of(ctx, "group_field"), forms.patches_field_of(ctx)
    if group_field is None and patches_field is None:
        return None
    return field_path(group_field or GROUP_FIELD, patches_field)


def where(ctx: Any) -> dict[str, Any]:
    """The chosen field as the functions take it: ``patches_field`` and ``group_field``."""
    return split(chosen(ctx, paths_in(ctx)))


def split(path: str) -> dict[str, Any]:
    """A path as the functions take it: ``patches_field``, None for whole images, and ``group_field``."""
    patches_field, group_field = split_path(path)
    return {"patches_field": patches_field, "group_field": group_field}
