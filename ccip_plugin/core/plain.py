"""Plain values: conversion to and from JSON types, and names of characters."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters that are blanks around a name, as ``str.strip`` has them: the ideographic space among others."""

_CONTROL = "Cc", "Zl", "Zp"
_INVISIBLE = "Cc", "Cf", "Mn", "Zs", "Zl", "Zp"


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


def is_visible(name: str) -> bool:
    """Whether a name has anything to see: more than blanks, and characters without a width."""
    return any(unicodedata.category(character) not in _INVISIBLE for character in name)


def is_one_line(name: str) -> bool:
    """Whether a name has no control characters, such as a line break, but around it."""
    return all(unicodedata.category(character) not in _CONTROL for character in name.strip())


def pieces(fragments: Iterable[str], size: int) -> Iterator[str]:
    """Fragments of a text, joined to texts of up to a size.

    Args:
        fragments: parts of a text, in their order
        size: the most characters of a piece
    """
    texts: list[str] = []
    n = 0
    for fragment in fragments:
        for start in range(0, len(fragment), size):
            part = fragment[start : start + size]
            if texts and n + len(part) > size:
                yield "".join(texts)
                texts, n = [], 0
            texts.append(part)
            n += len(part)
    if texts:
        yield "".join(texts)


def abridged(text: str, size: int) -> str:
    """A text of up to a size; of a longer one the beginning, with ``...``."""
    return text if len(text) <= size else f"{text[: size - 3]}..."
