"""Group images by anime character in FiftyOne, with CCIP.

The functions named here are imported when they are first used: importing the package imports neither FiftyOne nor a
model. The core, which does without FiftyOne, is in :mod:`ccip_plugin.core`.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Questions",
    "__version__",
    "add_images",
    "apply_proposal",
    "calibrate",
    "compare_images",
    "compare_runs",
    "compute_embeddings",
    "compute_similarity",
    "compute_visualization",
    "count_missing",
    "delete_grouping",
    "evaluate_groups",
    "evaluate_model",
    "explore_parameters",
    "find_images",
    "find_similar",
    "group_characters",
    "load_answers",
    "load_calibrated",
    "load_character_similarity",
    "load_embeddings",
    "load_evaluation",
    "load_proposal",
    "manage_models",
    "open_dataset",
    "propose_groups",
    "redo",
    "register_model",
    "reject",
    "rescued_view",
    "save_answers",
    "undo",
    "unregister_model",
]

if TYPE_CHECKING:
    from .asking import load_answers, save_answers
    from .calibrated import load_calibrated
    from .calibrating import calibrate
    from .character_similarity import load_character_similarity
    from .comparing import compare_runs
    from .comparison import compare_images
    from .deleting import delete_grouping
    from .emb_load import count_missing, load_embeddings
    from .embeddings import compute_embeddings
    from .evaluation import evaluate_groups, evaluate_model, load_evaluation
    from .exploration import explore_parameters
    from .grouping import group_characters, propose_groups
    from .history import redo, undo
    from .ingest import add_images, find_images, open_dataset
    from .managing import manage_models
    from .proposals import apply_proposal, load_proposal, rescued_view
    from .questions import Questions
    from .registration import register_model, unregister_model
    from .rejecting import reject
    from .search import find_similar
    from .similarity import compute_similarity
    from .visualization import compute_visualization

_MODULES = {
    "asking": ("Questions", "load_answers", "save_answers"),
    "calibrating": ("calibrate", "load_calibrated"),
    "character_similarity": ("load_character_similarity",),
    "comparing": ("compare_runs",),
    "comparison": ("compare_images",),
    "deleting": ("delete_grouping",),
    "embeddings": ("compute_embeddings", "count_missing", "load_embeddings"),
    "evaluation": ("evaluate_groups", "evaluate_model", "load_evaluation"),
    "exploration": ("explore_parameters",),
    "group_labels": ("redo", "undo"),
    "grouping": ("group_characters", "propose_groups"),
    "ingest": ("add_images", "find_images", "open_dataset"),
    "managing": ("manage_models",),
    "proposals": ("apply_proposal", "load_proposal", "rescued_view"),
    "registration": ("register_model", "unregister_model"),
    "rejecting": ("reject",),
    "search": ("find_similar",),
    "similarity": ("compute_similarity",),
    "visualization": ("compute_visualization",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
