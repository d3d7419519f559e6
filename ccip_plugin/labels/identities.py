"""Who is who across runs: the ids and names of character groups, kept with the dataset.

The registry of a grouped field is a custom run, so that it survives clone and export and loads in any process. It holds
nothing per image: one edit costs the same at a thousand and at a million images. A group takes about 320 bytes of it,
and the database takes 16 MB: that is enough for about 45,000 groups.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import bson
import fiftyone as fo

from ..core.errors import CCIPError
from ..storage.fields import UNASSIGNED
from ..storage.internals import refresh_run, update_run_document
from ..storage.runs import RunKind, key_of, read_config, register
from .store import GroupLabel

_FEW = 500  # groups that are read one by one
_MANY = 10_000  # groups from which it is worth a look how much room they take
_MOST_BYTES = 15_000_000


class StaleGroupsError(CCIPError):
    """The groups were changed by somebody else since they were looked at."""

    def __init__(self, path: str):
        super().__init__(f"the character groups of {path!r} were changed by another process meanwhile; run it again")
        self.path = path


class TooManyGroupsError(CCIPError, ValueError):
    """More groups than the registry of a field can hold."""

    def __init__(self, n: int, n_bytes: int):
        super().__init__(
            f"{n:,} groups are more than one field can hold: their names and looks take {n_bytes:,} bytes, and the "
            f"database takes {_MOST_BYTES:,}; a larger min_samples makes fewer, or group parts into fields of their own"
        )
        self.n, self.n_bytes = n, n_bytes


class GroupNameError(CCIPError, ValueError):
    """A name that a group cannot have."""


@dataclass(frozen=True)
class Group:
    """A character group: its id never changes and is never used again.

    Attributes:
        name: as people see it
        created: when, in UTC
        merged_into: the id of the group that it became a part of, None for a group of its own
        prototype: its mean embedding, shortened; see :func:`~ccip_plugin.core.identity.prototypes.prototypes`
        model: which model that is of; prototypes of different models say nothing about each other
    """

    name: str
    created: str
    merged_into: int | None = None
    prototype: str | None = None
    model: str | None = None

    @property
    def is_auto_named(self) -> bool:
        """Whether no person has named it."""
        return self.name.startswith("character_") and self.name.removeprefix("character_").isdigit()


@dataclass(frozen=True)
class Registry:
    """The groups of one field.

    Attributes:
        revision: counts the changes; 0 before the first
        next_id: the id of the next new group
        groups: the groups by id
        rejections: per group id, the ids of items of which a person said that they are not of the group
    """

    revision: int = 0
    next_id: int = 1
    groups: Mapping[int, Group] = field(default_factory=dict)
    rejections: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def ids_by_name(self) -> dict[str, int]:
        """The ids of the groups by their names."""
        return {group.name: group_id for group_id, group in self.groups.items() if group.merged_into is None}


class Draft:
    """A registry while a change is planned: new groups get ids and names here."""

    def __init__(self, registry: Registry):
        self.registry, self.next_id = registry, registry.next_id
        self.groups: dict[int, Group] = dict(registry.groups)
        self.rejected: dict[int, set[str]] = {}  # what this change adds to the rejections
        self._dropped: dict[int, Group] = {}
        self._ids = registry.ids_by_name()

    def new_group(self, name: str | None = None, group_id: int | None = None) -> int:
        """Adds a group, named by its id when ``name`` is None; returns its id, the next free one if not given."""
        group_id = self.next_id if group_id is None else group_id
        while name is None and default_name(group_id) in self._ids:  # a person has used the name of a later id
            group_id += 1
        name = default_name(group_id) if name is None else name
        check_name(name)
        self.next_id = max(self.next_id, group_id + 1)
        self.groups[group_id] = Group(name, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
        self._ids[name] = group_id
        return group_id

    def id_of(self, label: GroupLabel) -> int | None:
        """The id of the group that a label means: its name wins over its id, an unknown name is a new group."""
        name = label.group_name
        if name is None:
            return None
        known = self.groups.get(label.group_id) if label.group_id is not None else None
        if known is not None and known.name == name and known.merged_into is None:
            return label.group_id
        if name in self._ids:
            return self._ids[name]
        # labels that came here by an export or a merge bring the ids of their old registry
        is_foreign = label.group_id is not None and label.group_id >= self.next_id
        return self.new_group(name, label.group_id if is_foreign else None)

    def set_prototype(self, group_id: int, prototype: str, model: str) -> None:
        """Records what the members of a group look like on average."""
        self.groups[group_id] = replace(self.groups[group_id], prototype=prototype, model=model)

    @property
    def rejections(self) -> dict[int, frozenset[str]]:
        """The rejections as they count: what is not of a group is not of the one that it became a part of."""
        found: dict[int, frozenset[str]] = {}
        for group_id, ids in (*self.registry.rejections.items(), *self.rejected.items()):
            root = self.root(group_id)
            found[root] = found.get(root, frozenset()) | ids
        return found

    def root(self, group_id: int) -> int:
        """The group that a group became a part of, itself if none."""
        while (group := self.groups.get(group_id)) is not None and group.merged_into is not None:
            group_id = group.merged_into
        return group_id

    def merge(self, group_id: int, into: int) -> None:
        """Makes a group without members a part of another; nothing is named by it any more."""
        self.groups[group_id] = replace(self.groups[group_id], merged_into=into)
        self._ids.pop(self.groups[group_id].name, None)

    def reject(self, group_id: int, ids: Iterable[str]) -> None:
        """Records that items are not of a group."""
        new = set(ids) - self.registry.rejections.get(group_id, frozenset())
        if new:
            self.rejected.setdefault(group_id, set()).update(new)

    def take(self, delta: Mapping[int, tuple[Group | None, Group | None]], next_id: int) -> None:
        """Plans what another draft on the same registry has planned, as its :meth:`delta` says."""
        for group_id, (_, after) in delta.items():
            if after is None:
                self.groups.pop(group_id, None)
            else:
                self.groups[group_id] = after
        self.next_id = max(self.next_id, next_id)
        self._ids = {group.name: key for key, group in self.groups.items() if group.merged_into is None}

    def drop(self, group_ids: Iterable[int]) -> None:
        """Forgets groups that have no members. Their ids are not used again."""
        for group_id in group_ids:
            self._dropped[group_id] = self.groups.pop(group_id)
            self._ids.pop(self._dropped[group_id].name, None)

    def check_size(self) -> None:
        """Checks that the registry can be written.

        Raises:
            TooManyGroupsError: it would be larger than the database takes, from about 45,000 groups on
        """
        if len(self.groups) > _MANY:
            rejections = stored_ids(self.registry.rejections)
            groups = {str(key): _stored(group) for key, group in self.groups.items()}
            n_bytes = len(bson.encode({"groups": groups, "rejections": rejections}))
            if n_bytes > _MOST_BYTES:
                raise TooManyGroupsError(len(self.groups), n_bytes)

    def names(self) -> dict[int, str]:
        """The names of all groups, with those that have lost their members."""
        known = {**self.registry.groups, **self._dropped, **self.groups}
        return {group_id: group.name for group_id, group in known.items()}

    def delta(self) -> dict[int, tuple[Group | None, Group | None]]:
        """The groups that differ from the registry, before and after."""
        before, after = self.registry.groups, self.groups
        keys = before.keys() | after.keys()
        return {key: (before.get(key), after.get(key)) for key in sorted(keys) if before.get(key) != after.get(key)}


def default_name(group_id: int) -> str:
    """The name of a group that no person has named."""
    return f"character_{group_id:04d}"


def check_name(name: str) -> None:
    """Checks a name that a person gave to a group.

    Raises:
        GroupNameError: the name is empty or has a meaning of its own
    """
    if not name.strip():
        raise GroupNameError("a character group needs a name that is not empty")
    if name == UNASSIGNED:
        raise GroupNameError(f"{UNASSIGNED!r} means 'in no group'; choose another name for the character group")


def registry_key(path: str) -> str:
    """The run key of the registry of a field."""
    return key_of(RunKind.REGISTRY, path)


def registry_revision(dataset: fo.Dataset, path: str) -> int:
    """The revision of the registry of a field, whatever its size; 0 when there is none."""
    config = read_config(dataset, registry_key(path), ("revision",))
    return config["revision"] if config else 0


def load_groups(dataset: fo.Dataset, path: str, group_ids: Iterable[int]) -> tuple[int, dict[int, Group]]:
    """Reads some groups only, from the database as they are now; the revision, and those that there are."""
    names = ("revision", *(f"groups.{group_id}" for group_id in group_ids))
    config = read_config(dataset, registry_key(path), names if len(names) <= _FEW else None)
    if config is None:
        return 0, {}
    wanted = {str(group_id) for group_id in group_ids}
    groups = {int(key): _group(value) for key, value in config.get("groups", {}).items() if key in wanted}
    return config["revision"], groups


def load_registry(dataset: fo.Dataset, path: str) -> Registry:
    """Reads the registry of a field from the database, as it is now."""
    config = read_config(dataset, registry_key(path))
    if config is None:
        return Registry()
    return Registry(
        revision=config["revision"],
        next_id=config["next_id"],
        groups={int(key): _group(value) for key, value in config["groups"].items()},
        rejections={int(key): frozenset(ids) for key, ids in config["rejections"].items() if ids},
    )


def save_delta(
    dataset: fo.Dataset,
    path: str,
    *,
    revision: int,
    next_id: int,
    groups: Mapping[int, tuple[Group | None, Group | None]],
    rejected: Mapping[str, Sequence[str]] | None = None,
    is_backward: bool = False,
) -> None:
    """Writes changed groups into the registry, at a cost that depends only on their number.

    Args:
        dataset: the dataset
        path: the path of the grouped field
        revision: the revision that is expected; it is counted up by one
        next_id: the id of the next new group; it never goes down
        groups: per id the group before and after, None where there is none
        rejected (None): rejections that came with it, as :func:`stored_ids` gives them
        is_backward (False): take these rejections back

    Raises:
        StaleGroupsError: the registry has another revision
    """
    registry = registry_key(path)
    if read_config(dataset, registry, ("revision",)) is None:
        register(
            dataset, registry, RunKind.REGISTRY, version=1, path=path, revision=0, next_id=1, groups={}, rejections={}
        )
    change: dict[str, dict[str, Any]] = {"$inc": {"config.revision": 1}, "$max": {"config.next_id": next_id}}
    for group_id, (_, after) in groups.items():
        place = f"config.groups.{group_id}"
        if after is None:
            change.setdefault("$unset", {})[place] = ""
        else:
            change.setdefault("$set", {})[place] = _stored(after)
    for key, ids in (rejected or {}).items():
        operator, value = ("$pullAll", list(ids)) if is_backward else ("$addToSet", {"$each": list(ids)})
        change.setdefault(operator, {})[f"config.rejections.{key}"] = value
    if not update_run_document(dataset, registry, {"config.revision": revision}, change):
        raise StaleGroupsError(path)
    refresh_run(dataset, registry)


def stored_ids(rejections: Mapping[int, Iterable[str]]) -> dict[str, list[str]]:
    """Rejections as plain values."""
    return {str(key): sorted(ids) for key, ids in sorted(rejections.items())}


def stored_delta(delta: Mapping[int, tuple[Group | None, Group | None]]) -> dict[str, list[dict[str, Any] | None]]:
    """A delta as plain values, for the journal."""
    return {str(key): [_stored(group) if group else None for group in pair] for key, pair in delta.items()}


def loaded_delta(stored: Mapping[str, Sequence[Any]]) -> dict[int, tuple[Group | None, Group | None]]:
    """The opposite of :func:`stored_delta`."""
    return {
        int(key): (_group(pair[0]) if pair[0] else None, _group(pair[1]) if pair[1] else None)
        for key, pair in stored.items()
    }


def _stored(group: Group) -> dict[str, Any]:
    return asdict(group)


def _group(stored: Mapping[str, Any]) -> Group:
    return Group(**stored)
