"""The groups of a field as texts of a few hundred groups each, so that a change reads those that it needs alone."""

import base64
import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import CCIPError
from ..plain import canonical_name
from .groups import Group

PART = 512
"""Number of groups in a part."""

NAMES = 4096
"""Number of names in a part of the table of names."""

_ENTRY = np.dtype([("key", "<u4"), ("id", "<u8")])

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


class Packed(NamedTuple):
    """The groups of a field as texts in base64.

    Attributes:
        first_ids: the smallest id of each part, ascending
        first_keys: the smallest key of each part of the table of names, ascending
        texts: the parts, then the parts of the table
    """

    first_ids: list[int]
    first_keys: list[int]
    texts: list[str]


def packed(groups: Groups, rejections: Rejections) -> Packed:
    """Divides groups into parts of :data:`PART`, with a table of their names. Takes about 270 bytes a group."""
    first_keys, names = _packed_names(groups)
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
    return Packed(ids[::PART], first_keys, texts + names)


def _packed_names(groups: Groups) -> tuple[list[int], list[str]]:
    """The keys of the names of the groups that are not merged, with their ids, sorted, in parts."""
    pairs = [(_key(group.name), group_id) for group_id, group in groups.items() if group.merged_into is None]
    table = np.array(sorted(pairs), _ENTRY)
    parts = [table[start : start + NAMES] for start in range(0, len(table), NAMES)]
    return [int(part["key"][0]) for part in parts], [base64.b64encode(part.tobytes()).decode() for part in parts]


def _key(name: str) -> int:
    return zlib.crc32(canonical_name(name).encode("utf-8", "surrogatepass"))


def ids_named(
    packed_texts: Callable[[list[int]], Iterable[str]], first_keys: Sequence[int], names: Iterable[str]
) -> set[int]:
    """The ids of the groups that may have one of these names: all that have one, and seldom others.

    Args:
        packed_texts: gives the parts of these numbers of the table of names
        first_keys: the smallest key of each part
        names: names of groups

    Raises:
        PartError: a part is damaged
    """
    keys = {_key(name) for name in names}
    numbers = {
        number
        for key in keys
        for number in range(max(bisect_left(first_keys, key) - 1, 0), bisect_right(first_keys, key))
    }
    ids: set[int] = set()
    for text in packed_texts(sorted(numbers)):
        try:
            table = np.frombuffer(base64.b64decode(text, validate=True), _ENTRY)
        except ValueError as error:
            raise PartError from error
        ids.update(table["id"][np.isin(table["key"], list(keys))].tolist())
    return ids


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
