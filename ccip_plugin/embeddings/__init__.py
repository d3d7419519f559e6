"""Computes, stores and loads the embeddings of a dataset, with their provenance."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["Embeddings", "EmbeddingsReport", "compute_embeddings", "count_missing", "load_embeddings"]

if TYPE_CHECKING:
    from .compute import compute_embeddings
    from .load import Embeddings, count_missing, load_embeddings
    from .report import EmbeddingsReport

_MODULES = {
    "compute": ("compute_embeddings",),
    "load": (
        "Embeddings",
        "count_missing",
        "load_embeddings",
    ),
    "report": ("EmbeddingsReport",),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
