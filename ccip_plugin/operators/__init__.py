"""The operators of the plugin: each translates a form into one call of a function."""

from typing import Any


def register(plugin: Any) -> None:
    """Tells FiftyOne of the operators.

    Args:
        plugin: the plugin context
    """
    from .apply_proposal import ApplyProposal
    from .calibrate import Calibrate
    from .compare_images import CompareImages
    from .compare_runs import CompareRuns
    from .compute_embeddings import ComputeEmbeddings
    from .compute_similarity import ComputeSimilarity
    from .compute_visualization import ComputeVisualization
    from .delete_grouping import DeleteGrouping
    from .evaluate_groups import EvaluateGroups
    from .evaluate_model import EvaluateModel
    from .explore_parameters import ExploreParameters
    from .find_similar import FindSimilar
    from .group_characters import GroupCharacters
    from .manage_models import ManageModels
    from .register_model import RegisterModel
    from .reject import Reject
    from .undo import Redo, Undo

    for operator in (
        ComputeEmbeddings,
        GroupCharacters,
        ExploreParameters,
        ApplyProposal,
        Reject,
        Undo,
        Redo,
        DeleteGrouping,
        FindSimilar,
        CompareImages,
        ComputeSimilarity,
        ComputeVisualization,
        EvaluateModel,
        EvaluateGroups,
        Calibrate,
        CompareRuns,
        RegisterModel,
        ManageModels,
    ):
        plugin.register(operator)
