"""Named characters: libraries of them, and names for groups."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["LibraryReport", "load_library", "merge_libraries", "save_library"]

if TYPE_CHECKING:
    from .saving import LibraryReport, load_library, merge_libraries, save_library

_MODULES = {"saving": ("LibraryReport", "load_library", "merge_libraries", "save_library")}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
