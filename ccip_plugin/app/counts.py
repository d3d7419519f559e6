"""Counts for forms, which FiftyOne builds again at each keystroke: cheap, remembered, or left out."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import fiftyone as fo

from ..reports.facts import counted
from ..storage.internals import sample_documents, view_key
from ..storage.targets import Target

COUNT_LIMIT = 50_000
"""Larger datasets are not counted."""
MAX_REMEMBERED = 50

T = TypeVar("T")

_COUNTS: dict[Any, Any] = {}  # keys name a state of the database: another copy of this module costs time only


def is_countable(dataset: fo.Dataset) -> bool:
    """Whether a dataset is small enough for a count in a form."""
    return n_samples(dataset) <= COUNT_LIMIT


def n_samples(dataset: fo.Dataset) -> int:
    """The number of samples, from the statistics of the database."""
    return int(sample_documents(dataset).estimated_document_count())


def n_of(n: int, noun: str) -> str:
    """A number with its noun, singular or plural, as :func:`~ccip_plugin.reports.facts.counted` gives it."""
    return counted(n, noun)


def n_items(target: Target, n: int) -> str:
    """A number of images or detections as text."""
    return counted(n, target.noun.removesuffix("s"))


def remembered(target: Target, what: str, count: Callable[[], T]) -> T:
    """The result of ``count``, which is called again only when samples have changed.

    Args:
        target: the items that are counted
        what: distinguishes the counts of a target
        count: the slow count
    """
    samples = sample_documents(target.dataset)
    newest = samples.find_one({}, {"last_modified_at": True}, sort=[("last_modified_at", -1)])  # has an index
    version = (n_samples(target.dataset), newest and newest.get("last_modified_at"))
    key = (samples.name, version, view_key(target.view), target.patches_field, what)
    if (value := _COUNTS.get(key)) is None:
        value = count()
        if len(_COUNTS) >= MAX_REMEMBERED:
            _COUNTS.clear()
        _COUNTS[key] = value
    return cast(T, value)
