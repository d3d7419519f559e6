"""Decisions of people about images and groups: each is one change that can be undone, and holds for later runs."""

from typing import TYPE_CHECKING

from ...core.lazy import lazy_names

__all__ = [
    "EditReport",
    "NoSuchGroupError",
    "NothingToRejectError",
    "Rejection",
    "confirm",
    "ignore",
    "move",
    "reject",
    "rename_group",
]

if TYPE_CHECKING:
    from .assignments import confirm, ignore, move
    from .chosen import NoSuchGroupError
    from .names import rename_group
    from .rejection import NothingToRejectError, Rejection, reject
    from .report import EditReport

_MODULES = {
    "assignments": ("confirm", "ignore", "move"),
    "chosen": ("NoSuchGroupError",),
    "names": ("rename_group",),
    "rejection": ("NothingToRejectError", "Rejection", "reject"),
    "report": ("EditReport",),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
