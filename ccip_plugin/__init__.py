"""Group images by anime character in FiftyOne, with CCIP.

The functions named here are imported when they are first used: importing the package imports neither FiftyOne nor a
model. The core, which does without FiftyOne, is in :mod:`ccip_plugin.core`.
"""

from typing import TYPE_CHECKING

from .core.lazy import lazy_names

__version__ = "0.2.0"

__all__ = [
    "Questions",
    "__version__",
    "add_and_group",
    "add_images",
    "apply_proposal",
    "calibrate",
    "compare_images",
    "compare_runs",
    "compute_embeddings",
    "compute_similarity",
    "compute_visualization",
    "confirm",
    "count_missing",
    "delete_grouping",
    "detect_characters",
    "drop_change",
    "evaluate_groups",
    "evaluate_model",
    "explore_parameters",
    "export_decisions",
    "find_images",
    "find_similar",
    "group_characters",
    "history",
    "ignore",
    "import_decisions",
    "keep_apart",
    "keep_together",
    "last_report",
    "load_answers",
    "load_calibrated",
    "load_character_similarity",
    "load_embeddings",
    "load_evaluation",
    "load_library",
    "load_proposal",
    "manage_models",
    "merge_groups",
    "merge_libraries",
    "move",
    "name_characters",
    "open_dataset",
    "propose_groups",
    "redo",
    "register_model",
    "reject",
    "remove_ccip",
    "rename_group",
    "rescued_view",
    "review_progress",
    "review_queue",
    "save_answers",
    "save_library",
    "save_views",
    "set_cover",
    "show_group",
    "show_names",
    "split_group",
    "undo",
    "unregister_model",
    "use_thumbnails_in_grid",
]

if TYPE_CHECKING:
    from .brain.similarity import compute_similarity
    from .brain.visualization import compute_visualization
    from .detection import detect_characters
    from .embeddings import compute_embeddings, count_missing, load_embeddings
    from .evaluation import (
        calibrate,
        compare_runs,
        evaluate_groups,
        evaluate_model,
        explore_parameters,
        load_evaluation,
    )
    from .grouping import (
        apply_proposal,
        group_characters,
        load_calibrated,
        load_proposal,
        propose_groups,
        rescued_view,
        split_group,
    )
    from .io.character_similarity import load_character_similarity
    from .io.images import add_images, find_images, open_dataset
    from .jobs.grid import use_thumbnails_in_grid
    from .jobs.naming import name_characters
    from .jobs.new_images import add_and_group
    from .jobs.removal import remove_ccip
    from .labels.answers import load_answers, save_answers
    from .labels.decisions.exporting import export_decisions
    from .labels.decisions.importing import import_decisions
    from .labels.deletion import delete_grouping
    from .labels.edits import (
        confirm,
        ignore,
        keep_apart,
        keep_together,
        merge_groups,
        move,
        reject,
        rename_group,
        set_cover,
    )
    from .labels.history import drop_change, history, last_report, redo, undo
    from .labels.reviewed import review_progress
    from .labels.views import save_views, show_group, show_names
    from .library import load_library, merge_libraries, save_library
    from .review.questions import Questions, review_queue
    from .search import compare_images, find_similar
    from .zoo.manage import manage_models
    from .zoo.registration import register_model, unregister_model

_MODULES = {
    "brain.similarity": ("compute_similarity",),
    "brain.visualization": ("compute_visualization",),
    "detection": ("detect_characters",),
    "embeddings": (
        "compute_embeddings",
        "count_missing",
        "load_embeddings",
    ),
    "evaluation": (
        "calibrate",
        "compare_runs",
        "evaluate_groups",
        "evaluate_model",
        "explore_parameters",
        "load_evaluation",
    ),
    "grouping": (
        "apply_proposal",
        "group_characters",
        "load_calibrated",
        "load_proposal",
        "propose_groups",
        "rescued_view",
        "split_group",
    ),
    "io.character_similarity": ("load_character_similarity",),
    "io.images": (
        "add_images",
        "find_images",
        "open_dataset",
    ),
    "jobs.grid": ("use_thumbnails_in_grid",),
    "jobs.naming": ("name_characters",),
    "jobs.new_images": ("add_and_group",),
    "jobs.removal": ("remove_ccip",),
    "labels.answers": (
        "load_answers",
        "save_answers",
    ),
    "labels.decisions.exporting": ("export_decisions",),
    "labels.decisions.importing": ("import_decisions",),
    "labels.deletion": ("delete_grouping",),
    "labels.edits": (
        "confirm",
        "ignore",
        "keep_apart",
        "keep_together",
        "merge_groups",
        "move",
        "reject",
        "rename_group",
        "set_cover",
    ),
    "labels.history": (
        "drop_change",
        "history",
        "last_report",
        "redo",
        "undo",
    ),
    "library": ("load_library", "merge_libraries", "save_library"),
    "labels.reviewed": ("review_progress",),
    "labels.views": ("save_views", "show_group", "show_names"),
    "zoo.manage": ("manage_models",),
    "zoo.registration": (
        "register_model",
        "unregister_model",
    ),
    "review.questions": ("Questions", "review_queue"),
    "search": (
        "compare_images",
        "find_similar",
    ),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
