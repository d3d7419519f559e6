"""Decisions of people about images and groups: each is one change that can be undone, and holds for later runs."""

from typing import TYPE_CHECKING

from ...core.lazy import lazy_names

__all__ = [
    "EditReport",
    "NoSuchGroupError",
    "NothingToRejectError",
    "Rejection",
    "SeveralCoversError",
    "SeveralNamesError",
    "SplitError",
    "TooFewGroupsError",
    "confirm",
    "ignore",
    "keep_apart",
    "keep_together",
    "merge_groups",
    "move",
    "reject",
    "rename_group",
    "set_cover",
]

if TYPE_CHECKING:
    from .assignments import confirm, ignore, move
    from .chosen import NoSuchGroupError
    from .covers import SeveralCoversError, set_cover
    from .merging import SeveralNamesError, TooFewGroupsError, merge_groups
    from .names import rename_group
    from .rejection import NothingToRejectError, Rejection, reject
    from .report import EditReport
    from .splitting import SplitError
    from .together import keep_apart, keep_together

_MODULES = {
    "assignments": ("confirm", "ignore", "move"),
    "chosen": ("NoSuchGroupError",),
    "covers": ("SeveralCoversError", "set_cover"),
    "merging": ("SeveralNamesError", "TooFewGroupsError", "merge_groups"),
    "names": ("rename_group",),
    "rejection": ("NothingToRejectError", "Rejection", "reject"),
    "report": ("EditReport",),
    "splitting": ("SplitError",),
    "together": ("keep_apart", "keep_together"),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
