"""Asks for a model and says where its files are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.hub import how_to_fetch
from ...core.hub import model_folder as find_model_folder
from ...core.options import Choice
from ...core.registry import DEFAULT_MODEL
from ...zoo.table import ModelRow
from ...zoo.table import rows as model_rows
from ..answers import text_of
from ..forms import Form
from ..model_folders import DEFAULT_FOLDER, in_app, is_offered, may_download, offered_folders
from ..route import Check

MODEL_FOLDER: Mapping[str, Check] = {"model_dir": is_offered}
"""What an operator asks that calls :func:`ask_model_folder`."""


def model_folder(ctx: Any) -> Path | None:
    """The folder that models are taken from; None for the hub."""
    return find_model_folder(chosen_folder(ctx))


def chosen_folder(ctx: Any) -> str | None:
    """The folder that was chosen in a form, or given by a script; None for what is configured."""
    folder = text_of(ctx, "model_dir")
    return None if folder == DEFAULT_FOLDER else folder


def ask_model_folder(form: Form) -> None:
    """Asks for the folder that models are taken from, where ``CCIP_MODEL_DIRS`` offers some.

    Its operator has :data:`MODEL_FOLDER` among what it asks.
    """
    folders = offered_folders()
    if not folders:
        return
    choices = [Choice(DEFAULT_FOLDER, "As configured"), *(Choice(folder, folder) for folder in folders)]
    form.choose("model_dir", "Models from", choices, default=DEFAULT_FOLDER, is_list=True)


def with_chosen_folder(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a function, with the folder that models are taken from as it takes it."""
    is_default = options.get("model_dir") == DEFAULT_FOLDER  # also in a worker, which gets the answers of the form
    return {name: value for name, value in options.items() if not is_default or name != "model_dir"}


def ask_model(form: Form, *, default: str | None = None) -> ModelRow | None:
    """Asks for a model.

    Args:
        form: the form
        default (None): the model that the form begins with, if there is one of that name

    Returns:
        the model; None when there is none of that name, and then the form says so
    """
    folder = model_folder(form.ctx)
    models = {row.name: row for row in model_rows(folder)}
    choices = [Choice(name, f"{name}: {describe(row, in_folder=folder is not None)}") for name, row in models.items()]
    chosen = form.choose(
        "model_name", "Model", choices, default=default if default in models else DEFAULT_MODEL, is_list=True
    )
    if chosen not in models:
        form.error("model", f"There is no model {chosen!r}.")
        return None
    return models[chosen]


def show_location(form: Form, row: ModelRow) -> None:
    """Says that a model will be downloaded, or that it is missing in the folder of models or without network."""
    folder = model_folder(form.ctx)
    if row.is_cached:
        return
    if folder is not None:
        named = "" if chosen_folder(form.ctx) else " (CCIP_MODEL_DIR)"
        form.error(
            "model",
            f"{row.name} is not in the folder of models {folder}{named}, and with such a folder nothing is downloaded. "
            f"Choose another model{' or folder' if offered_folders() else ''}, or ask whoever runs the server of the "
            "App to put its files there.",
        )
    elif not may_download():
        text = f"{row.name} is not on this machine, and it may not download (HF_HUB_OFFLINE). {how_to_fetch(row.name)}"
        form.error("model", in_app(text))
    else:
        form.hint("model", f"{row.name} is not on this machine: {row.size_mb:,.0f} MB will be downloaded first.")


def describe(row: ModelRow, *, in_folder: bool = False) -> str:
    """A model in a few words.

    Args:
        row: the model
        in_folder (False): whether models are taken from a folder, so that none is downloaded
    """
    if row.f1 is None:
        return "stand-in, knows only the demo drawings"
    absent = "not in the folder of models" if in_folder else "will be downloaded"
    parts = ["default"] if row.name == DEFAULT_MODEL else []
    parts += [f"F1 {row.f1:.3f}", f"{row.size_mb:.0f} MB" if row.size_mb >= 1 else "under 1 MB"]
    return ", ".join([*parts, "on this machine" if row.is_cached else absent])
