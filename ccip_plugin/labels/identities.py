"""Reads and writes the ids and names of character groups, which are kept with the dataset from run to run.

The registry of a field is a custom run, so that it survives clone and export and loads in any process. It holds nothing
per image: an edit costs the same for a thousand and for a million images. A group takes about 320 bytes, and the
database allows 16 MB: enough for about 45,000 groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import bson
import fiftyone as fo
from pymongo.errors import WriteError

from ..core.errors import CCIPError
from ..core.identity.groups import (
    Group,
    GroupDelta,
    GroupNameError,
    IdentityChanges,
    Registry,
    check_length,
    looks_default,
)
from ..storage.fields import UNASSIGNED
from ..storage.internals import update_run_document
from ..storage.runs import RunKeyError, RunKind, key_of, read_config, register
from ..storage.updates import TOO_LARGE

_FEW = 500  # groups that are read one by one
_MANY = 10_000  # groups from which their size is checked
_MAX_BYTES = 15_000_000
_VERSION = 1


class StaleGroupsError(CCIPError):
    """The groups were changed since they were read."""

    def __init__(self, path: str):
        super().__init__(f"the character groups of {path!r} were changed by another process meanwhile; run it again")
        self.path = path


class NewerGroupsError(CCIPError):
    """The groups were recorded by a newer version of this plugin."""

    def __init__(self, path: str):
        super().__init__(
            f"the character groups of {path!r} were recorded by a newer version of this plugin; update this one"
        )
        self.path = path


class TooManyGroupsError(CCIPError, ValueError):
    """More groups than the registry of a field can hold."""

    mentions = ("min_samples",)

    def __init__(self, n: int, n_bytes: int):
        super().__init__(
            f"{n:,} groups are more than one field can hold: their names and prototypes take {n_bytes:,} bytes, and "
            f"the database allows {_MAX_BYTES:,}; a larger min_samples makes fewer groups, shorter names take less, or "
            "group parts of the dataset into fields of their own"
        )
        self.n, self.n_bytes = n, n_bytes


def check_name(name: str) -> None:
    """Checks a name for a group.

    Raises:
        GroupNameError: the name is empty, reserved, too long or looks like a default one
    """
    if not name.strip():
        raise GroupNameError("a character group needs a name that is not empty")
    if name == UNASSIGNED:
        raise GroupNameError(f"{UNASSIGNED!r} means 'in no group'; choose another name for the character group")
    if looks_default(name):
        raise GroupNameError(f"{name!r} looks like a default name; choose another name for the character group")
    check_length(name)


def check_size(changes: IdentityChanges) -> None:
    """Checks that the registry will fit into the database.

    Raises:
        TooManyGroupsError: it would be larger, from about 45,000 groups on
    """
    groups = changes.after()
    if sum(map(_most_bytes, groups.values())) > _MAX_BYTES // 2 or len(groups) > _MANY:
        n_bytes = len(bson.encode({"rejections": stored_ids(changes.registry.rejections)}))
        for group_id, group in groups.items():
            n_bytes += len(str(group_id)) + 2 + len(bson.encode(group.stored()))
        if n_bytes > _MAX_BYTES:
            raise TooManyGroupsError(len(groups), n_bytes)


def _most_bytes(group: Group) -> int:
    return 4 * len(group.name)


def registry_key(path: str) -> str:
    """The run key of the registry of a field."""
    return key_of(RunKind.REGISTRY, path)


def registry_revision(dataset: fo.Dataset, path: str) -> int:
    """The revision of the registry of a field, at the same cost for any size; 0 without a registry."""
    config = _read(dataset, path, ("revision",))
    return config["revision"] if config else 0


def check_version(dataset: fo.Dataset, path: str) -> None:
    """Checks that this version can write the groups of a field.

    Raises:
        NewerGroupsError: a newer version of this plugin has written them
    """
    _read(dataset, path, ())


def load_groups(dataset: fo.Dataset, path: str, group_ids: Iterable[int]) -> tuple[int, dict[int, Group]]:
    """Reads the current revision and some groups; groups that do not exist are left out."""
    wanted = {str(group_id) for group_id in group_ids}
    names = ("revision", *(f"groups.{group_id}" for group_id in wanted))
    config = _read(dataset, path, names if len(names) <= _FEW else None)
    if config is None:
        return 0, {}
    groups = {int(key): Group.from_stored(value) for key, value in config.get("groups", {}).items() if key in wanted}
    return config["revision"], groups


def load_registry(dataset: fo.Dataset, path: str) -> Registry:
    """Reads the current registry of a field.

    Raises:
        NewerGroupsError: a newer version of this plugin has written it
    """
    config = _read(dataset, path)
    if config is None:
        return Registry()
    return Registry(
        revision=config["revision"],
        next_id=config["next_id"],
        groups={int(key): Group.from_stored(value) for key, value in config["groups"].items()},
        rejections={int(key): frozenset(ids) for key, ids in config["rejections"].items() if ids},
    )


def save_delta(
    dataset: fo.Dataset,
    path: str,
    *,
    revision: int,
    next_id: int,
    groups: GroupDelta,
    rejected: Mapping[str, Sequence[str]] | None = None,
    lifted: Mapping[str, Sequence[str]] | None = None,
    is_backward: bool = False,
) -> None:
    """Writes changed groups into the registry, at a cost that depends only on their number.

    The dataset object has the registry of before until :func:`~ccip_plugin.storage.internals.forget_runs`.

    Args:
        dataset: the dataset
        path: the path of the grouped field
        revision: the expected revision; it is counted up by one
        next_id: the id of the next new group; it never goes down
        groups: the changed groups
        rejected (None): rejections to add, as :func:`stored_ids` gives them
        lifted (None): rejections to remove, likewise
        is_backward (False): the other way round: remove the former, add the latter

    Raises:
        StaleGroupsError: the registry has another revision
        NewerGroupsError: a newer version of this plugin has written it
        TooManyGroupsError: the database allows no larger registry
    """
    registry = registry_key(path)
    if _read(dataset, path, ("revision",)) is None:
        values: dict[str, Any] = {"path": path, "revision": 0, "next_id": 1, "groups": {}, "rejections": {}}
        register(dataset, registry, RunKind.REGISTRY, version=_VERSION, **values)
    change: dict[str, dict[str, Any]] = {"$inc": {"config.revision": 1}, "$max": {"config.next_id": next_id}}
    for group_id, (_, after) in groups.items():
        place = f"config.groups.{group_id}"
        if after is None:
            change.setdefault("$unset", {})[place] = ""
        else:
            change.setdefault("$set", {})[place] = after.stored()
    added, removed = (lifted, rejected) if is_backward else (rejected, lifted)
    for key, ids in (added or {}).items():
        change.setdefault("$addToSet", {})[f"config.rejections.{key}"] = {"$each": list(ids)}
    for key, ids in (removed or {}).items():
        change.setdefault("$pullAll", {})[f"config.rejections.{key}"] = list(ids)
    try:
        is_written = update_run_document(dataset, registry, {"config.revision": revision}, change)
    except WriteError as error:
        if error.code not in TOO_LARGE:
            raise
        config = read_config(dataset, registry) or {}
        raise TooManyGroupsError(len(config["groups"]) + len(groups), len(bson.encode(config))) from error
    if not is_written:
        raise StaleGroupsError(path)


def _read(dataset: fo.Dataset, path: str, names: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Reads values of the registry of a field, all by default; None without one."""
    key = registry_key(path)
    config = read_config(dataset, key, None if names is None else ("method", "version", *names))
    if config is not None and config.get("method") != RunKind.REGISTRY:
        raise RunKeyError(
            f"the run {key!r} holds something else, {config.get('method')}, in the place of the character groups of "
            f"{path!r}: rename it with dataset.rename_run, or choose another field"
        )
    if config is not None and config.get("version", _VERSION) > _VERSION:
        raise NewerGroupsError(path)
    return config


def stored_ids(rejections: Mapping[int, Iterable[str]]) -> dict[str, list[str]]:
    """Rejections as plain values."""
    return {str(key): sorted(ids) for key, ids in sorted(rejections.items())}


def stored_delta(delta: GroupDelta) -> dict[str, list[dict[str, Any] | None]]:
    """Changed groups as plain values."""
    return {str(key): [group.stored() if group else None for group in pair] for key, pair in delta.items()}


def loaded_delta(stored: Mapping[str, Sequence[Any]]) -> GroupDelta:
    """The opposite of :func:`stored_delta`."""
    return {
        int(key): (Group.from_stored(before) if before else None, Group.from_stored(after) if after else None)
        for key, (before, after) in stored.items()
    }
