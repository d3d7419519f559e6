"""Asks for a model and says where its files are."""

import os
from pathlib import Path
from typing import Any

from ...core.hub import model_folder as find_model_folder
from ...core.options import Choice
from ...core.registry import DEFAULT_MODEL
from ...zoo.table import ModelRow
from ...zoo.table import rows as model_rows
from ..answers import text_of
from ..forms import Form

DEFAULT_FOLDER = "default"
MAX_FOLDERS = 200


def model_folder(ctx: Any) -> Path | None:
    """The folder that models are taken from; None for the hub."""
    return find_model_folder(chosen_folder(ctx).get("model_dir"))


def ask_model_folder(form: Form) -> None:
    """Asks for the folder that models are taken from, where ``CCIP_MODEL_DIRS`` offers some."""
    folders = offered_folders()
    if not folders:
        return
    choices = [Choice(DEFAULT_FOLDER, "As configured"), *(Choice(folder, folder) for folder in folders)]
    form.choose("model_dir", "Models from", choices, default=DEFAULT_FOLDER, is_list=True)


def offered_folders() -> list[str]:
    """The folders inside those that the environment variable ``CCIP_MODEL_DIRS`` names."""
    parents = [Path(name) for name in os.environ.get("CCIP_MODEL_DIRS", "").split(os.pathsep) if name]
    folders = (each for parent in parents if parent.is_dir() for each in sorted(parent.iterdir()) if each.is_dir())
    return [str(each) for each in folders][:MAX_FOLDERS]


def is_offered(value: Any) -> str | None:
    """Why a value cannot be the answer to :func:`ask_model_folder`; None when it can."""
    return None if value == DEFAULT_FOLDER or value in offered_folders() else "choose one of the offered folders"


def chosen_folder(ctx: Any) -> dict[str, str]:
    """The folder that models are taken from, as the functions take it."""
    folder = text_of(ctx, "model_dir")
    return {} if folder in (None, DEFAULT_FOLDER) else {"model_dir": folder}


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
    """Says that a model will be downloaded, or that it is missing in the folder of models."""
    folder = model_folder(form.ctx)
    if row.is_cached:
        return
    if folder is None:
        form.hint("model", f"{row.name} is not on this machine: {row.size_mb:,.0f} MB will be downloaded first.")
        return
    form.error(
        "model",
        f"{row.name} is not in the folder of models {folder} (CCIP_MODEL_DIR), and with such a folder nothing is "
        "downloaded. Choose another model, or put its files there.",
    )


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
