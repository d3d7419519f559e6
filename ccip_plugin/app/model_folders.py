"""Folders of models that the App offers, and errors in the words of the App: what its users can do."""

import os
import re
from pathlib import Path
from typing import Any

from ..core.errors import CCIPError
from ..core.hub import NAME_FOLDER

DEFAULT_FOLDER = "default"
MAX_FOLDERS = 200
OPERATORS: dict[str, str] = {}
"""The labels of the operators, quoted, by the names of the functions that they call."""

_AS_IN_PYTHON = frozenset({"model_dir"})  # what is said about models is for whoever runs the server, too

_BY_HAND = re.compile(rf"Without network: put (?P<files>.+) into (?P<folder>\S+) {re.escape(NAME_FOLDER)}")
_REMOVE = re.compile(r"ccip_plugin\.core\.hub\.remove\('[^']*'\)")


def offered_folders() -> list[str]:
    """The folders inside those that the environment variable ``CCIP_MODEL_DIRS`` names."""
    parents = [Path(name) for name in os.environ.get("CCIP_MODEL_DIRS", "").split(os.pathsep) if name]
    folders = (each for parent in parents if parent.is_dir() for each in sorted(parent.iterdir()) if each.is_dir())
    return [str(each) for each in folders][:MAX_FOLDERS]


def is_offered(value: Any) -> str | None:
    """Why a value cannot be the folder that a form asks for; None when it can."""
    return None if value == DEFAULT_FOLDER or value in offered_folders() else "choose one of the offered folders"


def may_download() -> bool:
    """Whether the server of the App may use the network for models, as far as its environment says."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() not in ("1", "ON", "YES", "TRUE")


def in_app(error: Exception | str) -> str:
    """A message with what a user of the App can do, who has neither Python nor a shell there.

    Functions that an error mentions are called as their operators are, options without underscores.
    """
    text = str(error)
    if isinstance(error, CCIPError):
        words = {name: name.replace("_", " ") for name in error.mentions if name not in _AS_IN_PYTHON}
        text = error.spelled(words | OPERATORS)
    return _REMOVE.sub("'CCIP: manage models'", _BY_HAND.sub(_for_users, text))


def _for_users(by_hand: re.Match[str]) -> str:
    choose = "choose a folder that has the model under 'Models from'; or " if offered_folders() else ""
    return (
        f"Without network: {choose}choose a model that is on this machine ('CCIP: manage models' lists them); or ask "
        f"whoever runs the server of the App to give it network access once, or to put {by_hand['files']} into "
        f"{by_hand['folder']} and start it with CCIP_MODEL_DIR=<folder>, or with CCIP_MODEL_DIRS=<the folder around "
        "it> for a choice in this form."
    )
