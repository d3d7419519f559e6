"""Character groups with stable ids and names, and drafts of changes to them."""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from ..errors import CCIPError
from ..plain import canonical_name

MAX_NAME = 200
"""The largest number of characters of the name of a group."""

PERSON = "person"
"""Who named a group that a user named, where it is not known which user."""

_SELDOM = "held_by", "apart", "cover"  # not stored where they say nothing
_HALF = re.compile("[\ud800-\udfff]")
_EARLIER_DEFAULT = re.compile(r"character_\d+")
_DEFAULT = re.compile(r"(?:character|char)_\d+")

GroupDelta = Mapping[int, tuple["Group | None", "Group | None"]]
"""Changed groups by their ids: before and after, None where the group does not exist."""


class GroupNameError(CCIPError, ValueError):
    """A name that a group cannot have."""


def is_too_long(name: str) -> bool:
    """Whether a text is longer than the name of a group can be."""
    return len(canonical_name(name)) > MAX_NAME


def check_characters(name: str) -> None:
    """Checks that the database takes the characters of a name.

    Raises:
        GroupNameError: it has a half of a character
    """
    if _HALF.search(name):
        raise GroupNameError(f"{name!r} cannot be stored: it has a half of a character, as texts have that were cut")


def check_length(name: str) -> None:
    """Checks that a name for a group can be stored.

    Raises:
        GroupNameError: it is too long, or has characters that no database takes
    """
    check_characters(name)
    if is_too_long(name):
        n = len(canonical_name(name))
        raise GroupNameError(
            f"the name of a character group has at most {MAX_NAME} characters, and {name[:40]!r}... has {n:,}"
        )


@dataclass(frozen=True, slots=True)
class Group:
    """A character group. Its id never changes and is never used again.

    Attributes:
        name: its name
        created: when, in UTC
        merged_into: the id of the group that it was merged into, None for a group of its own
        prototype: its mean embedding, shortened; see :func:`~ccip_plugin.core.identity.prototypes.prototypes`
        model: the model of that embedding; prototypes of different models are not comparable
        named_by: who named it, None for a default name
        held_by: who said of the group as a whole that its images stay in it, e.g. by merging it; None when none did
        apart: the ids of groups that people said are other characters; of two groups, one may have it alone
        cover: the id of the item that people chose to show the group
    """

    name: str
    created: str
    merged_into: int | None = None
    prototype: str | None = None
    model: str | None = None
    named_by: str | None = None
    held_by: str | None = None
    apart: tuple[int, ...] = ()
    cover: str | None = None

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> Self:
        """The opposite of :meth:`stored`, also for what earlier versions have stored.

        Args:
            values: the values by name
        """
        read = {"named_by": _namer(values["name"]), **values}
        return cls(**{**read, "apart": tuple(read.get("apart", ()))})

    def stored(self) -> dict[str, Any]:
        """The group as plain values.

        Who named it is left out where earlier versions read it from the name: 'character_0007' is a default one, and
        every other name is given by a person, 'char_0007' too, which was none before.
        """
        values = {name: value for name, value in asdict(self).items() if value or name not in _SELDOM}
        if self.named_by == _namer(self.name):
            del values["named_by"]
        return values

    @property
    def is_held(self) -> bool:
        """Whether no run takes images out of it, as people shaped it."""
        return self.held_by is not None or len(self.apart) > 0

    @property
    def is_auto_named(self) -> bool:
        """Whether no user gave it its name."""
        return self.named_by is None


@dataclass(frozen=True)
class Registry:
    """The groups of one field.

    Attributes:
        revision: number of changes so far; 0 before the first
        next_id: the id of the next new group
        groups: the groups by id
        rejections: per group id, the ids of the items that users rejected from it
    """

    revision: int = 0
    next_id: int = 1
    groups: Mapping[int, Group] = field(default_factory=dict)
    rejections: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def ids_by_name(self) -> dict[str, int]:
        """The ids of the groups by their names, as :func:`~ccip_plugin.core.plain.canonical_name` gives them."""
        return {
            canonical_name(group.name): group_id for group_id, group in self.groups.items() if group.merged_into is None
        }


@dataclass(frozen=True)
class IdentityChanges:
    """Planned changes of the groups of a field.

    Attributes:
        registry: the groups that the plan was made from; changes apply to its revision only
        next_id: the id of the next new group after the changes
        groups: the changed groups
        rejected: rejections to add: per group id, ids of items
        lifted: rejections to remove, likewise; none of those that are added
    """

    registry: Registry
    next_id: int
    groups: GroupDelta = field(default_factory=dict)
    rejected: Mapping[int, frozenset[str]] = field(default_factory=dict)
    lifted: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def after(self) -> dict[int, Group]:
        """All groups after the changes."""
        groups = dict(self.registry.groups)
        for group_id, (_, group) in self.groups.items():
            if group is None:
                groups.pop(group_id, None)
            else:
                groups[group_id] = group
        return groups


class Draft:
    """A copy of a registry while a change is planned; the registry itself stays as it is.

    Args:
        registry: the groups to start from
        created (None): the time for new groups, now by default
        typed (()): names, as they are compared, that labels have and no group: new groups get others
    """

    def __init__(self, registry: Registry, *, created: str | None = None, typed: Iterable[str] = ()):
        self.registry, self.next_id = registry, registry.next_id
        self.groups: dict[int, Group] = dict(registry.groups)
        self._created = created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._rejected: dict[int, set[str]] = {}  # added by this draft
        self._lifted: dict[int, set[str]] = {}  # removed by it
        self._dropped: dict[int, Group] = {}
        self._ids, self._typed = registry.ids_by_name(), frozenset(typed)

    def new_group(self, name: str | None = None, group_id: int | None = None) -> int:
        """Adds a group and returns its id.

        Args:
            name (None): its name, the default one of its id if not given; of a name that looks like a default one, as
                a label from elsewhere has it, it is not known that a user gave it
            group_id (None): its id in a draft of the same registry, the next free one if not given

        Raises:
            GroupNameError: the name is too long
        """
        if name is not None:
            check_length(name)
        group_id = self.next_id if group_id is None else group_id
        while name is None and (default_name(group_id) in self._ids or self.is_typed(default_name(group_id))):
            group_id += 1  # a user gave another group, or images, the name of a later id
        name = default_name(group_id) if name is None else name
        self.next_id = max(self.next_id, group_id + 1)
        named_by = None if looks_default(name) else PERSON
        self.groups[group_id] = Group(name, self._created, named_by=named_by)
        self._ids[canonical_name(name)] = group_id
        return group_id

    def id_of(self, name: str | None, group_id: int | None = None) -> int | None:
        """The id of the group that a label names; an unknown name becomes a new group.

        Names are compared by :func:`~ccip_plugin.core.plain.canonical_name`. The id of a label counts only where the
        registry has given it, to a group of this name: others come from an export or a merge, or from anywhere.

        Args:
            name: the name in the label, which takes precedence over the id; None for no group
            group_id (None): the id in the label
        """
        if name is None:
            return None
        key = canonical_name(name)
        group = self.groups.get(group_id) if group_id is not None else None
        if group is not None and canonical_name(group.name) == key and group.merged_into is None:
            return group_id
        return self._ids[key] if key in self._ids else self.new_group(name)

    def id_of_name(self, name: str) -> int | None:
        """The id of the group of a name, None where there is none."""
        return self._ids.get(canonical_name(name))

    def is_typed(self, name: str) -> bool:
        """Whether labels have a name that no group has, as far as that was read."""
        return canonical_name(name) in self._typed and canonical_name(name) not in self._ids

    def find(self, group: str | int) -> int | None:
        """The id of a group of its own, by its name or id; None where there is none."""
        group_id = self._ids.get(canonical_name(group)) if isinstance(group, str) else group
        found = None if group_id is None else self.groups.get(group_id)
        return None if found is None or found.merged_into is not None else group_id

    def rename(self, group_id: int, name: str, named_by: str = PERSON) -> None:
        """Names a group; its earlier name is free again.

        Raises:
            GroupNameError: the name is too long
        """
        check_length(name)
        self._ids.pop(canonical_name(self.groups[group_id].name), None)
        self.groups[group_id] = replace(self.groups[group_id], name=name, named_by=named_by)
        self._ids[canonical_name(name)] = group_id

    def set_prototype(self, group_id: int, prototype: str, model: str) -> None:
        """Records the mean embedding of a group."""
        self.groups[group_id] = replace(self.groups[group_id], prototype=prototype, model=model)

    @property
    def rejections(self) -> dict[int, frozenset[str]]:
        """All rejections; those of a merged group count for the group that it was merged into."""
        rejections: dict[int, frozenset[str]] = {}
        for group_id, ids in (*self.registry.rejections.items(), *self._rejected.items()):
            root = self.root(group_id)
            rejections[root] = rejections.get(root, frozenset()) | ids
        return rejections

    def root(self, group_id: int) -> int:
        """The group that a group was merged into, itself if none."""
        while (group := self.groups.get(group_id)) is not None and group.merged_into is not None:
            group_id = group.merged_into
        return group_id

    def merge(self, group_id: int, into: int) -> None:
        """Merges a group without members into another; its name is free again."""
        self.groups[group_id] = replace(self.groups[group_id], merged_into=into)
        self._ids.pop(canonical_name(self.groups[group_id].name), None)

    def unite(self, group_ids: Iterable[int], into: int) -> None:
        """Makes several groups one, whose images stay together; what kept them apart is gone.

        What the others were told, the one that stays is told: who reads it later need not know of them.
        """
        for group_id in sorted({*group_ids} - {into}):
            self.absorb(group_id, into)
        self.hold(into)

    def absorb(self, group_id: int, into: int) -> None:
        """Makes a group a part of another one, which is told what it was told; what kept the two apart is gone.

        If that is what the images of the other one stayed in it for, they still do.
        """
        apart, was_held = {*self.groups[group_id].apart, *self.groups[into].apart}, self.groups[into].is_held
        self.merge(group_id, into)
        self.groups[group_id] = replace(self.groups[group_id], apart=())
        rejected = self.registry.rejections.get(group_id, frozenset())
        self._lifted.setdefault(group_id, set()).update(rejected)
        self.reject(into, rejected)
        kept = {self.root(other) for other in apart} - {into}
        self.groups[into] = replace(self.groups[into], apart=tuple(sorted(kept)))
        if was_held and not kept:
            self.hold(into)

    def hold(self, group_id: int) -> None:
        """Records that the images of a group stay in it."""
        self.groups[group_id] = replace(self.groups[group_id], held_by=PERSON)

    def keep_apart(self, group_ids: Iterable[int]) -> None:
        """Records that groups are different characters."""
        ids = set(group_ids)
        for group_id in ids:
            apart = ids.union(self.groups[group_id].apart) - {group_id}
            self.groups[group_id] = replace(self.groups[group_id], apart=tuple(sorted(apart)))

    def are_apart(self, one: int, other: int) -> bool:
        """Whether people said that two groups are different characters."""
        pairs = ((one, other), (other, one))
        return any(right in map(self.root, self.groups[left].apart) for left, right in pairs)

    def apart_pairs(self) -> set[frozenset[int]]:
        """The pairs of groups that people said are other characters; of merged groups, those they are in now."""
        living = {group_id: group for group_id, group in self.groups.items() if group.merged_into is None}
        pairs = {frozenset((key, self.root(other))) for key, group in living.items() for other in group.apart}
        return {pair for pair in pairs if len(pair) == 2}

    def set_cover(self, group_id: int, item_id: str) -> None:
        """Records which item shows a group."""
        self.groups[group_id] = replace(self.groups[group_id], cover=item_id)

    def reject(self, group_id: int, ids: Iterable[str]) -> None:
        """Records that items do not belong to a group."""
        new = set(ids) - self.registry.rejections.get(group_id, frozenset())
        if new:
            self._rejected.setdefault(group_id, set()).update(new)

    def lift(self, group_id: int, ids: Iterable[str]) -> None:
        """Removes rejections from a group, and from those that were merged into it."""
        ids = set(ids)
        for rejecting, rejected in self.registry.rejections.items():
            if self.root(rejecting) == group_id and (lifted := rejected.intersection(ids)):
                self._lifted.setdefault(rejecting, set()).update(lifted)
        self._rejected.get(group_id, set()).difference_update(ids)

    def drop(self, group_ids: Iterable[int]) -> None:
        """Removes groups without members. Their ids are not used again, and no group is kept apart from them."""
        for group_id in group_ids:
            self._dropped[group_id] = self.groups.pop(group_id)
            self._ids.pop(canonical_name(self._dropped[group_id].name), None)
        for group_id, group in list(self.groups.items()):
            if group.apart:
                self._forget_apart(group_id)

    def _forget_apart(self, group_id: int) -> None:
        """Forgets the groups that a group was kept apart from and that are gone, or a part of it."""
        group = self.groups.get(group_id)
        if group is not None:
            roots = {other: self.root(other) for other in group.apart}
            kept = tuple(other for other in group.apart if roots[other] in self.groups and roots[other] != group_id)
            if kept != group.apart:
                self.groups[group_id] = replace(group, apart=kept)

    def name_of(self, group_id: int) -> str:
        """The name of a group, also of one that was dropped."""
        for groups in (self.groups, self._dropped, self.registry.groups):
            if group_id in groups:
                return groups[group_id].name
        raise KeyError(group_id)

    def changes(self) -> IdentityChanges:
        """What this draft changes in the registry."""
        before, after = self.registry.groups, self.groups
        keys = sorted(before.keys() | after.keys())
        delta = {
            key: (before.get(key), after.get(key))
            for key in keys
            if before.get(key) is not after.get(key) and before.get(key) != after.get(key)
        }
        rejected = {group_id: frozenset(ids) for group_id, ids in self._rejected.items() if ids}
        lifted = {group_id: frozenset(ids) for group_id, ids in self._lifted.items() if ids}
        return IdentityChanges(self.registry, self.next_id, delta, rejected, lifted)


def default_name(group_id: int) -> str:
    """The name of a group that no user named."""
    return f"char_{group_id:04d}"


def _namer(name: str) -> str | None:
    """Who named a group of which this is not stored, as in earlier versions."""
    return None if _EARLIER_DEFAULT.fullmatch(name) else PERSON


def looks_default(name: str) -> bool:
    """Whether a name looks like one that no user gave, in this or another version."""
    return _DEFAULT.fullmatch(name.strip()) is not None
