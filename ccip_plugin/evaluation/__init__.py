"""Evaluation and calibration against known characters."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["calibrate", "compare_runs", "evaluate_groups", "evaluate_model", "explore_parameters", "load_evaluation"]

if TYPE_CHECKING:
    from .calibration import calibrate
    from .comparison import compare_runs
    from .evaluate import evaluate_groups, evaluate_model, load_evaluation
    from .exploration import explore_parameters

_MODULES = {
    "calibration": ("calibrate",),
    "comparison": ("compare_runs",),
    "evaluate": (
        "evaluate_groups",
        "evaluate_model",
        "load_evaluation",
    ),
    "exploration": ("explore_parameters",),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
