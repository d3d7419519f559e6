"""Finds, downloads and checks model files."""

from .download import Hub
from .files import (
    CLUSTER_JSON,
    FEAT,
    FILES,
    METRICS,
    METRICS_JSON,
    NAME_FOLDER,
    ModelFiles,
    find_files,
    find_jsons,
    how_to_fetch,
    is_available,
    model_folder,
    removable_size,
    remove,
    size,
)
from .fingerprints import fingerprint

__all__ = [
    "CLUSTER_JSON",
    "FEAT",
    "FILES",
    "METRICS",
    "METRICS_JSON",
    "NAME_FOLDER",
    "Hub",
    "ModelFiles",
    "find_files",
    "find_jsons",
    "fingerprint",
    "how_to_fetch",
    "is_available",
    "model_folder",
    "removable_size",
    "remove",
    "size",
]
