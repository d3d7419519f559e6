"""Conversion to and from JSON types."""

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Converts containers to dicts and lists, and NaN and infinities, which JSON lacks, to None."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> float:
    """Restores a number that :func:`plain` converted: None becomes NaN."""
    return math.nan if value is None else value
