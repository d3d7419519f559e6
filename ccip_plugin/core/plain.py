"""Plain values: conversion to and from JSON types, and names of characters."""

import math
import unicodedata
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


def canonical_name(name: str) -> str:
    """A name as names are compared: without blanks around it, in Unicode's composed form (NFC).

    One name can be typed, and stored by a file system, as other characters that look the same: accents, kana with
    marks, Hangul. Full-width letters stay different from narrow ones.
    """
    return unicodedata.normalize("NFC", name.strip())
