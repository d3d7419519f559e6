"""The operators of the plugin: each translates a form into one call of a function."""

from importlib import import_module
from typing import Any

OPERATORS = (
    "embed.compute_embeddings.ComputeEmbeddings",
    "io.add_and_group.AddAndGroup",
    "group.group_characters.GroupCharacters",
    "group.explore_parameters.ExploreParameters",
    "group.apply_proposal.ApplyProposal",
    "group.save_views.SaveViews",
    "group.show_group.ShowGroup",
    "group.show_names.ShowNames",
    "group.last_report.ShowLastReport",
    "names.name_characters.NameCharacters",
    "review.open_review.OpenReview",
    "review.panel_methods.Review",
    "edit.rename_group.RenameGroup",
    "edit.merge_groups.MergeGroups",
    "edit.split_group.SplitGroup",
    "edit.confirm.Confirm",
    "edit.move.Move",
    "edit.reject.Reject",
    "edit.ignore.Ignore",
    "edit.keep_together.KeepTogether",
    "edit.keep_apart.KeepApart",
    "edit.set_cover.SetCover",
    "edit.undo.Undo",
    "edit.undo.Redo",
    "edit.history.ShowHistory",
    "group.delete_grouping.DeleteGrouping",
    "names.save_library.SaveLibrary",
    "search.find_similar.FindSimilar",
    "search.compare_images.CompareImages",
    "search.compute_similarity.ComputeSimilarity",
    "search.compute_visualization.ComputeVisualization",
    "evaluate.evaluate_model.EvaluateModel",
    "evaluate.evaluate_groups.EvaluateGroups",
    "evaluate.calibrate.Calibrate",
    "evaluate.compare_runs.CompareRuns",
    "models.decisions.ExportDecisions",
    "models.decisions.ImportDecisions",
    "models.remove_ccip.RemoveCCIP",
    "models.register_model.RegisterModel",
    "models.manage_models.ManageModels",
)
"""The operators, by room, module and class, in the order of their registration."""


def register(plugin: Any) -> None:
    """Registers the operators with FiftyOne.

    Args:
        plugin: the plugin context
    """
    for path in OPERATORS:
        module, _, name = path.rpartition(".")
        plugin.register(getattr(import_module(f".{module}", __name__), name))
