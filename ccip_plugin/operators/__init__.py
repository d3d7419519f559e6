"""The operators of the plugin: each translates a form into one call of a function."""

from typing import Any


def register(plugin: Any) -> None:
    """Tells FiftyOne of the operators.

    Args:
        plugin: the plugin context
    """
    from .compute_embeddings import ComputeEmbeddings
    from .group_characters import GroupCharacters
    from .undo import Redo, Undo

    for operator in (ComputeEmbeddings, GroupCharacters, Undo, Redo):
        plugin.register(operator)
