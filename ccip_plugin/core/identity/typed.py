"""Ids of groups that only labels name, as people typed them: no registered group has them, and they stay the same."""

import hashlib
from collections.abc import Iterable, Mapping

from ..arrays import IntArray
from ..plain import canonical_name

FIRST_TYPED = 1 << 30
"""The first such id; as many follow. The registry counts from 1, and has fewer."""


def typed_id(name: str, taken: Mapping[int, str]) -> int:
    """The id of a name: the same in every process, however many other names there are.

    Args:
        name: the name
        taken: the names that have such an id; where two names would have the same, the later one gets the next
    """
    digest = hashlib.sha256(canonical_name(name).encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest[:8]) % FIRST_TYPED
    while canonical_name(taken.get(FIRST_TYPED + number, name)) != canonical_name(name):
        number = (number + 1) % FIRST_TYPED
    return FIRST_TYPED + number


def with_typed_ids(group_ids: IntArray, named: Iterable[tuple[int, str]]) -> tuple[IntArray, dict[int, str]]:
    """Groups that are not registered, with the ids of their names.

    Args:
        group_ids: ``(n,)`` the group of each item
        named: the groups that are not registered: a number for the time being, and the name

    Returns:
        the group ids, and the names by their new ids
    """
    names: dict[int, str] = {}
    result = group_ids.copy()
    for provisional, name in named:
        group_id = typed_id(name, names)
        names[group_id] = name
        result[group_ids == provisional] = group_id
    return result, names
