"""A grouping run: embeddings in, character groups out."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = [
    "GroupingReport",
    "apply_proposal",
    "group_characters",
    "load_calibrated",
    "load_proposal",
    "propose_groups",
    "rescued_view",
    "split_group",
]

if TYPE_CHECKING:
    from .calibrated import load_calibrated
    from .proposals import apply_proposal, load_proposal, rescued_view
    from .report import GroupingReport
    from .run import group_characters, propose_groups
    from .splitting import split_group

_MODULES = {
    "calibrated": ("load_calibrated",),
    "proposals": (
        "apply_proposal",
        "load_proposal",
        "rescued_view",
    ),
    "report": ("GroupingReport",),
    "run": (
        "group_characters",
        "propose_groups",
    ),
    "splitting": ("split_group",),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
