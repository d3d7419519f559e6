"""Computes, stores and loads the embeddings of a dataset, with their provenance."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = ["Embeddings", "EmbeddingsReport", "compute_embeddings", "count_missing", "load_embeddings"]

if TYPE_CHECKING:
    from .compute import EmbeddingsReport, compute_embeddings
    from .load import Embeddings, count_missing, load_embeddings

_MODULES = {
    "compute": (
        "EmbeddingsReport",
        "compute_embeddings",
    ),
    "load": (
        "Embeddings",
        "count_missing",
        "load_embeddings",
    ),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
