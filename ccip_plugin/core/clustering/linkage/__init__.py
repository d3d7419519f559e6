"""Average linkage inside connected components, with a learned limit between large groups and a rescue."""

from .average import linkage
from .options import LinkageOptions
from .stages import Linkage

__all__ = ["Linkage", "LinkageOptions", "linkage"]
