"""Folders of images on the server that a form of the App can name."""
# any text can be typed: these functions of os.path raise for none
# ruff: noqa: PTH111, PTH112

import contextlib
import os
from pathlib import Path
from typing import Any

import fiftyone as fo

from ...core.errors import CCIPError

VARIABLE = "CCIP_APP_FOLDERS"
"""The environment variable with the folders, divided as in ``PATH``."""
MAX_LISTED = 100


class FolderError(CCIPError, ValueError):
    """A folder cannot be read from the App."""


def allowed_folders(dataset: Any) -> list[str]:
    """The folders whose content the App may add: those of ``CCIP_APP_FOLDERS``; without it, that of the images that a
    dataset has, and ``ccip`` in the home of whoever runs the server.

    Args:
        dataset: the dataset that is open
    """
    named = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    if named:
        return named
    own = [str(Path(dataset.first().filepath).parent)] if isinstance(dataset, fo.Dataset) and len(dataset) else []
    return [*own, os.path.expanduser("~/ccip")]


def listed_folders(allowed: list[str]) -> list[str]:
    """These folders that exist, and the folders in them, for a list to choose from."""
    folders = []
    for folder in filter(os.path.isdir, allowed):
        folders.append(folder)
        with contextlib.suppress(OSError):  # not readable
            inside = sorted(each for each in Path(folder).iterdir() if not each.name.startswith("."))
            folders += [str(each) for each in inside if each.is_dir()]
    return folders[:MAX_LISTED]


def check_folder(folder: str, allowed: list[str]) -> None:
    """Checks that a folder may be read: links are resolved first.

    Raises:
        FolderError: it is elsewhere, or no folder
    """
    real = Path(os.path.realpath(os.path.expanduser(folder)))
    if not any(real.is_relative_to(os.path.realpath(os.path.expanduser(each))) for each in allowed):
        raise FolderError(
            f"the App adds images from these folders only: {', '.join(allowed)}. Choose one inside, or ask whoever "
            f"runs the server to name others in {VARIABLE}"
        )
    if not os.path.isdir(real):
        raise FolderError(f"there is no folder {folder!r} on the server")
