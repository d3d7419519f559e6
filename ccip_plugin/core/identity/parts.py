"""The groups of a field as texts of a few hundred groups each, so that a change reads those that it needs alone."""

import base64
import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..errors import CCIPError
from .groups import Group

PART = 512
"""Number of groups in a part."""

Groups = Mapping[int, Group]
Rejections = Mapping[int, frozenset[str]]


class PartError(CCIPError, ValueError):
    """A text is not a part of the groups of a field."""

    def __init__(self) -> None:
        super().__init__("a part of the groups is damaged")


class Part(NamedTuple):
    """Some groups of a field, whose ids follow each other.

    Attributes:
        groups: the groups by id
        rejections: per group id, the ids of the items that users rejected from it
    """

    groups: Groups
    rejections: Rejections


def numbers_of(first_ids: Sequence[int], group_ids: Iterable[int]) -> list[int]:
    """The numbers of the parts that have these groups, if any part has; ascending.

    Args:
        first_ids: the smallest id of each part, ascending
        group_ids: ids of groups
    """
    numbers = {bisect_right(first_ids, group_id) - 1 for group_id in group_ids}
    return sorted(numbers - {-1})


def packed(groups: Groups, rejections: Rejections) -> tuple[list[int], list[str]]:
    """Divides groups into parts of :data:`PART`. Takes about 250 bytes a group.

    Returns:
        the smallest id of each part, ascending, and the parts as texts in base64
    """
    ids = sorted(groups.keys() | rejections.keys())
    texts = []
    for start in range(0, len(ids), PART):
        part = ids[start : start + PART]
        stored = {
            "groups": {group_id: groups[group_id].stored() for group_id in part if group_id in groups},
            "rejections": {group_id: sorted(rejections[group_id]) for group_id in part if group_id in rejections},
        }
        data = json.dumps(stored, ensure_ascii=False, separators=(",", ":")).encode()
        texts.append(base64.b64encode(zlib.compress(data, 1)).decode())
    return ids[::PART], texts


def unpacked(text: str | bytes) -> Part:
    """The opposite of :func:`packed`, for one part.

    Raises:
        PartError: it is no such text
    """
    try:
        stored = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
        groups = {int(group_id): Group.from_stored(values) for group_id, values in stored["groups"].items()}
        return Part(groups, {int(group_id): frozenset(ids) for group_id, ids in stored["rejections"].items()})
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        raise PartError from error


def joined(parts: Iterable[Part]) -> Part:
    """Several parts as one."""
    groups: dict[int, Group] = {}
    rejections: dict[int, frozenset[str]] = {}
    for part in parts:
        groups.update(part.groups)
        rejections.update(part.rejections)
    return Part(groups, rejections)


def changed(
    part: Part,
    groups: Mapping[int, Group | None],
    added: Mapping[int, Iterable[str]],
    removed: Mapping[int, Iterable[str]],
) -> Part:
    """Groups after a change.

    Args:
        part: the groups before it
        groups: the changed groups, None where there is none afterwards
        added: rejections to add
        removed: rejections to remove, none of which is to be added
    """
    after = {**part.groups, **groups}
    rejections = dict(part.rejections)
    for group_id, ids in added.items():
        rejections[group_id] = rejections.get(group_id, frozenset()).union(ids)
    for group_id, ids in removed.items():
        rejections[group_id] = rejections.get(group_id, frozenset()).difference(ids)
    return Part(
        {group_id: group for group_id, group in after.items() if group is not None},
        {group_id: ids for group_id, ids in rejections.items() if ids},
    )
