"""Indexes of the database: the App's "Sort by" offers indexed fields only."""

import contextlib
import logging
from collections.abc import Iterable

import fiftyone as fo
from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from .internals import sample_documents

logger = logging.getLogger(__name__)


def ensure_indexes(dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Indexes fields, where they are not; all new ones with one pass over the samples.

    A database that refuses, as one with 64 indexes does, costs the order in the App, nothing else.

    Args:
        dataset: the dataset
        paths: the full paths of the fields
    """
    documents = sample_documents(dataset)
    indexed = _indexed(dataset)
    missing = [IndexModel([(path, ASCENDING)]) for path in paths if path not in indexed]
    if not missing:
        return
    try:
        documents.create_indexes(missing)
    except OperationFailure as error:
        logger.warning("%r has no indexes for the order in the App: %s", dataset.name, error)


def drop_indexes(dataset: fo.Dataset, paths: Iterable[str]) -> None:
    """Removes the indexes of fields, as far as there are some."""
    indexed = _indexed(dataset)
    for path in paths:
        if path in indexed:
            with contextlib.suppress(OperationFailure):  # another process dropped it at this moment
                sample_documents(dataset).drop_index(indexed[path])


def _indexed(dataset: fo.Dataset) -> dict[str, str]:
    """The names of the indexes of single fields, by the paths of these."""
    found = sample_documents(dataset).index_information()
    return {info["key"][0][0]: name for name, info in found.items() if len(info["key"]) == 1}
