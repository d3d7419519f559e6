"""The panels of the plugin: each is registered here and drawn by a component of its own."""

from importlib import import_module
from typing import Any

PANELS = ("review_characters.ReviewCharacters",)
"""The panels, by module and class."""


def register(plugin: Any) -> None:
    """Registers the panels with FiftyOne.

    Args:
        plugin: the plugin context
    """
    for path in PANELS:
        module, _, name = path.rpartition(".")
        plugin.register(getattr(import_module(f".{module}", __name__), name))
