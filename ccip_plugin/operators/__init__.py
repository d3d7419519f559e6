"""The operators of the plugin: each translates a form into one call of a function."""

from typing import Any


def register(plugin: Any) -> None:
    """Registers the operators with FiftyOne.

    Args:
        plugin: the plugin context
    """
    from .edit.reject import Reject
    from .edit.undo import Redo, Undo
    from .embed.compute_embeddings import ComputeEmbeddings
    from .evaluate.calibrate import Calibrate
    from .evaluate.compare_runs import CompareRuns
    from .evaluate.evaluate_groups import EvaluateGroups
    from .evaluate.evaluate_model import EvaluateModel
    from .group.apply_proposal import ApplyProposal
    from .group.delete_grouping import DeleteGrouping
    from .group.explore_parameters import ExploreParameters
    from .group.group_characters import GroupCharacters
    from .models.manage_models import ManageModels
    from .models.register_model import RegisterModel
    from .search.compare_images import CompareImages
    from .search.compute_similarity import ComputeSimilarity
    from .search.compute_visualization import ComputeVisualization
    from .search.find_similar import FindSimilar

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
