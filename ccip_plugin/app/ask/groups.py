"""Asks for a field with character groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from fiftyone.operators import types

from ...core.errors import CCIPError
from ...core.options import Choice
from ...core.plain import canonical_name
from ...labels.store import LabelStore
from ...reports.facts import counted
from ...storage.fields import GROUP_FIELD
from ...storage.runs import RunKind, read_config
from ...storage.targets import Target, field_path, resolve, split_path
from ..answers import patches_field_of, text_of, whole_dataset
from ..counts import remembered
from ..forms import Form
from ..selection import NothingSelectedError, selected_target, shown_patches_field

GROUP_FIRST = "Run 'CCIP: group by character' first."
LISTED_GROUPS = 100
"""The most groups that a form lists at once; typing a part of a name lists those that have it."""


def ask_group_path(
    form: Form, nothing: str, target: Target | None = None, *, among: Sequence[str] | None = None
) -> str | None:
    """Asks for a field with character groups, where there is a choice.

    Args:
        form: the form
        nothing: what cannot be done without groups
        target (None): take only fields for this kind of item
        among (None): the fields to choose from, the one to begin with first; by default those of :func:`paths_in`

    Returns:
        its path; None when there is none, and then the form says so
    """
    if not form.has_dataset():
        return None
    paths = paths_in(form.ctx, target) if among is None else among
    if not paths:
        subject = "this dataset has" if target is None else f"{target.noun} have"
        form.error("nothing", f"{nothing}: {subject} no character groups. {GROUP_FIRST}")
        return None
    if len(paths) > 1:
        form.choose("path", "Group field", [Choice(path, path) for path in paths], default=paths[0])
    return path_of(form.ctx) or paths[0]


def paths_in(ctx: Any, target: Target | None = None) -> list[str]:
    """The paths of the fields with character groups in the dataset; with a target, those for its kind of item.

    Those of the shown patches, or of the labels that are selected in an opened sample, come first.
    """
    keys = ctx.dataset.list_runs(method=RunKind.REGISTRY)
    configs = [read_config(ctx.dataset, key, ("path",)) for key in keys]
    paths = [config["path"] for config in configs if config is not None]
    if target is not None:
        return [path for path in paths if split_path(path)[0] == target.patches_field]
    shown = shown_patches_field(ctx)
    return sorted(paths, key=lambda path: split_path(path)[0] != shown)


def ask_group(
    form: Form, store: LabelStore, name: str, label: str, *, allows_new: bool = False, default: str | None = None
) -> str | None:
    """Asks for a group by its name, found as one types.

    Args:
        form: the form
        store: the field with the groups
        name: the parameter
        label: the question
        allows_new (False): whether another name makes a new group
        default (None): the group that the form begins with

    Returns:
        the answer, the default where nothing was chosen
    """
    sizes = remembered(store.target.whole(), f"sizes {store.path}", store.group_sizes)
    chosen = text_of(form.ctx, name)
    choices = types.AutocompleteView(allow_user_input=True)
    listed = listed_groups(sizes, chosen or "")
    for each in listed:
        choices.add_choice(each, label=each, description=counted(sizes[each], store.target.noun.removesuffix("s")))
    description = None
    if len(sizes) > LISTED_GROUPS:
        description = f"{len(sizes):,} groups, the largest are listed: type a part of a name to find others"
    asked = form.inputs.str(name, label=label, view=choices, default=default, description=description)
    if chosen and not allows_new and canonical_name(chosen) not in set(map(canonical_name, sizes)):
        asked.invalid, asked.error_message = True, f"There is no character group {chosen!r}"
    if not sizes and not allows_new:
        say_no_groups(form, store)
    elif not chosen and not default and not allows_new:
        form.needs(name, "Choose a character group.")
    return chosen or default


def has_groups(form: Form, store: LabelStore) -> bool:
    """Whether there are groups in a field; else the form says so."""
    is_any = bool(remembered(store.target.whole(), f"sizes {store.path}", store.group_sizes))
    if not is_any:
        say_no_groups(form, store)
    return is_any


def say_no_groups(form: Form, store: LabelStore) -> None:
    """Says that a field has no groups, as after they were deleted, and how to get some."""
    form.error("nothing", f"There are no character groups in {store.path!r}. {GROUP_FIRST}")


def listed_groups(sizes: Mapping[str, int], typed: str) -> list[str]:
    """The groups that a form lists: of those with the typed text in their name, the largest first.

    Args:
        sizes: the names with their numbers of items, the largest first
        typed: a part of a name; a whole one lists all, so that another can be chosen
    """
    wanted = canonical_name(typed).casefold()
    if typed in sizes or not wanted:
        found = [name for name in sizes if name != typed]
        return [*([typed] if typed in sizes else []), *found][:LISTED_GROUPS]
    found = [name for name in sizes if wanted in canonical_name(name).casefold()]
    return sorted(found, key=lambda name: not canonical_name(name).casefold().startswith(wanted))[:LISTED_GROUPS]


def whole_store(ctx: Any, *, patches_field: str | None, group_field: str) -> LabelStore:
    """The groups of the whole dataset in a field."""
    return LabelStore(resolve(whole_dataset(ctx), patches_field).whole(), group_field)


def path_of(ctx: Any) -> str | None:
    """The chosen field: as a path, or by the parameters of the functions; None when none was chosen."""
    if path := text_of(ctx, "path"):
        return path
    group_field, patches_field = text_of(ctx, "group_field"), patches_field_of(ctx)
    if group_field is None and patches_field is None:
        return None
    return field_path(group_field or GROUP_FIELD, patches_field)


def group_arguments(ctx: Any, target: Target | None = None, *, among: Sequence[str] | None = None) -> dict[str, Any]:
    """The chosen field, as the functions take it: ``patches_field`` and ``group_field``.

    Args:
        ctx: the execution context
        target (None): take only fields for this kind of item
        among (None): the fields whose first is the default; by default those of :func:`paths_in`
    """
    chosen = path_of(ctx)
    if chosen is None:
        chosen = next(iter(paths_in(ctx, target) if among is None else among), GROUP_FIELD)
    return path_arguments(chosen)


def path_arguments(path: str) -> dict[str, Any]:
    """A path as the functions take it: ``patches_field``, None for whole images, and ``group_field``."""
    patches_field, group_field = split_path(path)
    return {"patches_field": patches_field, "group_field": group_field}


def selected_group(ctx: Any, store: LabelStore) -> str | None:
    """The group of the selected items, None where they are of several or none."""
    try:
        target = selected_target(ctx)
    except (NothingSelectedError, CCIPError):
        return None
    if target.patches_field != store.target.patches_field:
        return None
    names = {label.group_name for label in store.read(target)[2] if label is not None}
    return names.pop() if len(names) == 1 else None
