"""Detects characters in the images of a dataset: persons, heads, half bodies, faces."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["DetectionReport", "detect_characters"]

if TYPE_CHECKING:
    from .detect import detect_characters
    from .report import DetectionReport

_MODULES = {"detect": ("detect_characters",), "report": ("DetectionReport",)}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
