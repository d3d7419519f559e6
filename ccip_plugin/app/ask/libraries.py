"""Asks where libraries and references of known characters are, and for groups to name."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
from fiftyone.operators import types

from ...core.options import Choice
from ...evaluation.ground_truth import name_fields
from ...reports.facts import counted
from ...storage.targets import resolve
from ..answers import text_of
from ..counts import remembered
from ..forms import Form
from .folders import VARIABLE
from .groups import LISTED_GROUPS, path_arguments, whole_store

HOW = f"Ask whoever runs the server of the App to start it with {VARIABLE}=<a folder>."
LIBRARY_ENDING = ".ccip.zip"

_MOST = 500
_NAME = re.compile(r"(?![\s.])[\w .()\[\]&+-]{1,100}(?<![\s.])")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # on Windows


def app_folders() -> list[str]:
    """The folders of ``CCIP_APP_FOLDERS`` that exist; without it, ``ccip`` in the home of whoever runs the server."""
    named = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    if not named:
        return [default_folder()]
    return [folder for folder in named if Path(folder).is_absolute() and Path(folder).is_dir()]


def default_folder() -> str:
    """The folder that is used without ``CCIP_APP_FOLDERS``; it is made when a library is saved."""
    return str(Path.home() / "ccip")


def library_files() -> list[str]:
    """The character libraries in these folders."""
    files = (file for folder in _existing() for file in sorted(folder.glob(f"*{LIBRARY_ENDING}")))
    return [str(file) for file in files if file.is_file()][:_MOST]


def reference_folders() -> list[str]:
    """The folders inside of these folders: each can have one folder of images per character."""
    folders = (each for folder in _existing() for each in sorted(folder.iterdir()) if each.is_dir())
    return [str(each) for each in folders if not each.name.startswith(".")][:_MOST]


def _existing() -> list[Path]:
    return [Path(folder) for folder in app_folders() if os.access(folder, os.R_OK | os.X_OK) and Path(folder).is_dir()]


def is_app_folder(value: Any) -> str | None:
    """Why a value cannot be the folder that a form asks for; None when it can."""
    return None if value in app_folders() else "choose one of the offered folders"


def is_library_file(value: Any) -> str | None:
    """Why a value cannot be the library that a form asks for; None when it can."""
    return None if value in library_files() else "choose one of the offered libraries"


def is_reference_folder(value: Any) -> str | None:
    """Why a value cannot be the folder of references that a form asks for; None when it can."""
    return None if value in reference_folders() else "choose one of the offered folders"


def name_problem(name: str) -> str | None:
    """Why a text cannot be the name of a new file; None when it can."""
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        return "A name of at most 100 letters, digits, spaces and . - _ ( ) is expected"
    return None


def ask_offered(form: Form, name: str, label: str, offered: list[str], nothing: str) -> None:
    """Asks for one of the offered files or folders; without any, the form says how to get some."""
    if not offered:
        form.error(name, f"{nothing} in {' or '.join(app_folders()) or VARIABLE}. {HOW}")
        return
    choices = [Choice(each, each) for each in offered]
    form.choose(name, label, choices, default=offered[0], is_list=True, is_searchable=True)


def ask_labeled_dataset(form: Form) -> None:
    """Asks for a dataset and its field with names: ``dataset`` and ``references_field``."""
    names = fo.list_datasets()
    choices = [Choice(name, name) for name in names]
    default = form.ctx.dataset.name
    chosen = form.choose("dataset", "Dataset", choices, default=default, is_list=True, is_searchable=True)
    if chosen not in names:
        form.error("dataset", f"There is no dataset {chosen!r}.")
        return
    fields = name_fields(resolve(fo.load_dataset(chosen)))
    if not fields:
        form.error("references_field", f"The dataset {chosen!r} has no field with names.")
        return
    listed = [Choice(name, name) for name in fields]
    form.choose("references_field", "Field with the names", listed, default=fields[0], is_list=True)


def labeled_dataset(ctx: Any) -> dict[str, Any]:
    """The chosen dataset and field, as functions take them."""
    name = text_of(ctx, "dataset") or ctx.dataset.name
    field = text_of(ctx, "references_field")
    if field is None and fo.dataset_exists(name):
        field = next(iter(name_fields(resolve(fo.load_dataset(name)))), None)
    return {"references": name, "references_field": field}


def ask_groups(form: Form, path: str, name: str, label: str, *, proposed: Mapping[str, str]) -> None:
    """Asks for one or several groups by their names.

    Args:
        form: the form
        path: the field with the groups
        name: the parameter
        label: the question
        proposed: what is proposed for groups, by their names; these are listed first
    """
    store = whole_store(form.ctx, **path_arguments(path))
    sizes = remembered(store.target.whole(), f"sizes {store.path}", store.group_sizes)
    view = types.AutocompleteView(allow_user_input=len(sizes) > LISTED_GROUPS, allow_duplicates=False)
    listed = sorted(sizes, key=lambda each: each not in proposed)[:LISTED_GROUPS]
    for each in listed:
        size = counted(sizes[each], store.target.noun.removesuffix("s"))
        view.add_choice(each, label=each, description=f"{proposed[each]}; {size}" if each in proposed else size)
    chosen = form.ctx.params.get(name) or []
    asked = form.inputs.list(name, types.String(), label=label, view=view)
    if not isinstance(chosen, list):
        asked.invalid, asked.error_message = True, "Choose groups"
    elif not chosen:
        form.needs(name, "Choose one group or several.")
    elif missing := [each for each in chosen if each not in sizes]:
        asked.invalid, asked.error_message = True, f"There is no character group {missing[0]!r}"
