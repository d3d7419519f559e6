"""Similarity search and pairwise comparison of images."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["compare_images", "find_similar"]

if TYPE_CHECKING:
    from .comparison import compare_images
    from .similar import find_similar

_MODULES = {
    "comparison": ("compare_images",),
    "similar": ("find_similar",),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
