"""What the methods of the panel take: each argument has a check with bounds; others are refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...app.route import MAX_TEXT, Check, text
from ...app.selection import is_id

MAX_ITEMS, MAX_GROUPS, MAX_ID = 20_000, 1_000, 2**31
"""The most items and groups of one call, and the largest id of a group."""
MAX_DEPTH, MAX_VALUES = 6, 2_000  # of what was shown with a question
_NAMED, _SHOWN = 3, 40  # unknown arguments that are named, and how much of their names is shown


def whole(low: int, high: int) -> Check:
    """A whole number."""

    def check(value: Any) -> str | None:
        is_fine = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if is_fine else f"a whole number from {low} to {high:,} is expected"

    return check


def choice(*names: str) -> Check:
    """One of some words."""
    return lambda value: None if isinstance(value, str) and value in names else f"one of {', '.join(names)} is expected"


def optional(check: Check) -> Check:
    """What a check takes, or nothing."""
    return lambda value: None if value is None else check(value)


def listed(check: Check, most: int, what: str, least: int = 0) -> Check:
    """A list."""

    def of(value: Any) -> str | None:
        is_fine = isinstance(value, list) and least <= len(value) <= most and not any(map(check, value))
        return None if is_fine else f"a list of {least} to {most:,} {what} is expected"

    return of


def item_id(value: Any) -> str | None:
    """The id of an item."""
    return None if is_id(value) else "the id of an image or detection is expected"


def tile_id(value: Any) -> str | None:
    """The id of an item, or of a group with a ``g`` before it."""
    is_group = isinstance(value, str) and value[:1] == "g" and value[1:].isascii() and value[1:].isdecimal()
    return None if is_id(value) or (is_group and len(value) < 12) else "the id of a tile is expected"


def short(value: Any) -> str | None:
    """A short text of one line, such as an id that a browser made."""
    return text(value) if not isinstance(value, str) or len(value) <= 100 else "at most 100 characters are expected"


def source(value: Any) -> str | None:
    """A field with groups."""
    expected = "group_field and patches_field are expected"
    if not isinstance(value, dict) or not {"group_field"} <= value.keys() <= {"group_field", "patches_field"}:
        return expected
    is_fine = text(value["group_field"]) is None and optional(text)(value.get("patches_field")) is None
    return None if is_fine else expected


def sizes(value: Any) -> str | None:
    """Numbers of images by the ids of groups."""
    is_fine = isinstance(value, dict) and len(value) <= MAX_GROUPS
    is_fine = is_fine and all(isinstance(key, str) and key.isascii() and key.isdecimal() for key in value)
    is_fine = is_fine and all(len(key) < 12 and whole(0, MAX_ID)(n) is None for key, n in value.items())
    return None if is_fine else "numbers of images by the ids of groups are expected"


def parts(value: Any) -> str | None:
    """For each part of a group the ids of its items."""
    return listed(items, 100, "lists of ids", least=1)(value)


group_id: Check = whole(1, MAX_ID)
group_ids: Check = listed(group_id, MAX_GROUPS, "ids of groups", least=1)
items: Check = listed(item_id, MAX_ITEMS, "ids of images or detections", least=1)
tiles: Check = listed(tile_id, 100, "ids of tiles")
name: Check = text


def plain(value: Any) -> str | None:
    """What was shown with a question: plain values, not deep and not many."""
    return None if isinstance(value, dict) and _is_plain(value) else "what was shown with the question is expected"


def _is_plain(value: Any) -> bool:
    level, n = [value], 0
    for _ in range(MAX_DEPTH):
        n += len(level)
        if n > MAX_VALUES or not all(map(_is_value, level)):
            return False
        level = [child for each in level for child in _children(each)]
    return not level


def _is_value(value: Any) -> bool:
    if isinstance(value, dict):
        return all(short(key) is None for key in value)
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) < 2**53
    return isinstance(value, list | bool | None)


def _children(value: Any) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


def answers(checks: Mapping[str, Check], needed: Sequence[str]) -> Check:
    """A list of answers."""

    def check(value: Any) -> str | None:
        is_fine = isinstance(value, dict) and not problems_of(value, checks, needed)
        return None if is_fine else "an answer is expected"

    return listed(check, 50, "answers")


def problems_of(given: Any, checks: Mapping[str, Check], needed: Sequence[str]) -> dict[str, str]:
    """Why arguments cannot be taken, by name.

    Args:
        given: the arguments
        checks: what the method takes
        needed: the arguments without a default
    """
    if given is None:
        given = {}
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        return {"args": "an object is expected"}
    others = [key for key in given if key not in checks]
    unknown = {repr(key[:_SHOWN]): "there is no such argument" for key in others[:_NAMED]}
    if len(others) > _NAMED:
        unknown["others"] = f"there are {len(others) - _NAMED:,} more such arguments"
    wrong = {key: problem for key, value in given.items() if key in checks and (problem := checks[key](value))}
    missing = {key: "it is missing" for key in needed if key not in given}
    return {**unknown, **wrong, **missing}
