"""Reads and writes the ids and names of character groups, which are kept with the dataset from run to run.

The registry of a field is a custom run, so that it survives clone and export and loads in any process. It holds nothing
per image, and its document does not grow with the groups: an edit costs the same for a thousand and for a million of
them. The document has the revision, the id of the next group, and the last changes (``delta``). The groups as they were
before these are the results of the run (:mod:`~ccip_plugin.storage.run_files`), about 280 bytes each, in parts that are
read alone (:mod:`~ccip_plugin.core.identity.parts`). Earlier versions kept all groups in the document (version 1): they
are read, and written in the new form at the first change.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import fiftyone as fo
from pymongo.errors import WriteError

from ..core.errors import CCIPError
from ..core.identity.groups import (
    Group,
    GroupDelta,
    GroupNameError,
    Registry,
    check_length,
    looks_default,
)
from ..core.identity.parts import Part, PartError, changed, ids_named, joined, numbers_of, packed, unpacked
from ..core.plain import canonical_name, is_one_line, is_visible
from ..storage.fields import UNASSIGNED
from ..storage.internals import run_document, update_run_document
from ..storage.run_files import RunFileError, TextFile, delete_unused, write_texts
from ..storage.runs import RunKeyError, RunKind, key_of, register
from ..storage.updates import TOO_LARGE
from .tables import GroupLabel

_VERSION = 2
_FEW = 500  # groups whose changes are read one by one
_LARGEST = {True: 64_000, False: 4_000_000}  # bytes of changes in the head, after a run and after an edit
_N_TIMES = 20  # large changes that are known by their time
_CHANGES = "groups", "rejected", "lifted"

LARGE_CHANGE = 500
"""Labels of a change whose samples are not searched for edits by hand afterwards."""


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


class GroupsDamagedError(CCIPError):
    """The groups of a field cannot be read."""

    def __init__(self, path: str):
        super().__init__(
            f"the character groups of {path!r} cannot be read: the results of the run {registry_key(path)!r} are "
            f"missing or damaged. Import an export of the dataset, or forget the ids with "
            f"dataset.delete_run({registry_key(path)!r}): the next run registers the names in the labels again"
        )
        self.path = path


class RegistryFullError(CCIPError):
    """Others keep too much in the run with the groups of a field."""

    def __init__(self, path: str):
        super().__init__(
            f"the run {registry_key(path)!r} is full: others keep values in it, and the database allows 16 MB"
        )
        self.path = path


def check_name(name: str) -> None:
    """Checks a name for a group.

    Raises:
        GroupNameError: the name is empty, reserved, too long, has control characters or looks like a default one
    """
    if not is_visible(name):
        raise GroupNameError("a character group needs a name that is not empty")
    if not is_one_line(name):
        raise GroupNameError(f"{name[:40]!r} has control characters, such as a line break: choose a name without them")
    if name.strip() == UNASSIGNED:
        raise GroupNameError(f"{UNASSIGNED!r} means 'in no group'; choose another name for the character group")
    if looks_default(name):
        raise GroupNameError(f"{name!r} looks like a default name; choose another name for the character group")
    check_length(name)


def registry_key(path: str) -> str:
    """The run key of the registry of a field."""
    return key_of(RunKind.REGISTRY, path)


def registry_revision(dataset: fo.Dataset, path: str) -> int:
    """The revision of the registry of a field, at the same cost for any size; 0 without a registry."""
    run = _read(dataset, path, ("revision",))
    return int(run["config"]["revision"]) if run else 0


@dataclass(frozen=True)
class Look:
    """The last search for edits by hand.

    Attributes:
        at: when it was, in UTC; 1970 for never
        own: the ``last_modified_at`` that the last large changes of this plugin gave to the samples they wrote
    """

    at: datetime.datetime
    own: list[datetime.datetime]


def last_look(dataset: fo.Dataset, path: str) -> Look | None:
    """The last search for edits by hand; None where there are no groups."""
    run = _read(dataset, path, ("looked_at", "own_times"))
    if run is None:
        return None
    at, own = run["config"].get("looked_at", "1970-01-01"), run["config"].get("own_times", [])
    return Look(datetime.datetime.fromisoformat(at), list(map(datetime.datetime.fromisoformat, own)))


def save_look(dataset: fo.Dataset, path: str, at: datetime.datetime) -> None:
    """Records when labels were searched for edits by hand. The revision stays as it is."""
    change = {"$max": {"config.looked_at": at.isoformat(timespec="milliseconds")}}
    update_run_document(dataset, registry_key(path), {}, change)


def save_own_time(dataset: fo.Dataset, path: str, at: str, n_labels: int) -> None:
    """Records the ``last_modified_at`` of the samples that a change of this plugin has written, if it is large."""
    if n_labels >= LARGE_CHANGE:
        change = {"$push": {"config.own_times": {"$each": [at], "$slice": -_N_TIMES}}}
        update_run_document(dataset, registry_key(path), {}, change)


def check_version(dataset: fo.Dataset, path: str) -> None:
    """Checks that this version can write the groups of a field.

    Raises:
        NewerGroupsError: a newer version of this plugin has written them
    """
    _read(dataset, path, ())


def load_registry(
    dataset: fo.Dataset, path: str, group_ids: Iterable[int] | None = None, names: Iterable[str] = ()
) -> Registry:
    """Reads the current registry of a field.

    Args:
        dataset: the dataset
        path: the path of the grouped field
        group_ids (None): read these groups and their rejections only, all by default. Costs a few milliseconds for a
            few groups, whatever the number of all is, and 2 seconds for 300,000 without this
        names (()): with ``group_ids``, also the groups of these names

    Raises:
        NewerGroupsError: a newer version of this plugin has written it
        GroupsDamagedError: a part of it is missing
    """
    wanted = None if group_ids is None else set(group_ids)
    canonical = set(map(canonical_name, names))
    values = None if wanted is None or canonical or len(wanted) > _FEW else _places(wanted)
    while (run := _read(dataset, path, values)) is not None:
        try:
            part = _groups(run, wanted, canonical)
        except (RunFileError, PartError) as error:
            now = _read(dataset, path, ())
            if now is not None and now.get("results") == run.get("results"):
                raise GroupsDamagedError(path) from error
            continue  # another process has just replaced it
        return Registry(run["config"]["revision"], run["config"]["next_id"], *part)
    return Registry()


def load_registry_of(dataset: fo.Dataset, path: str, labels: Iterable[GroupLabel | None]) -> Registry:
    """Reads the groups that some labels name. Raises as :func:`load_registry`."""
    named = {(label.group_id, label.group_name) for label in labels if label is not None and label.group_name}
    ids = {group_id for group_id, _ in named if group_id is not None}
    return load_registry(dataset, path, ids, {name for _, name in named if name})


def _no_changes() -> dict[str, dict[str, Any]]:
    return {name: {} for name in _CHANGES}


def _places(group_ids: Iterable[int]) -> list[str]:
    places = ("groups", "rejections", *(f"delta.{name}" for name in _CHANGES))
    return ["revision", "next_id", "n_parts", *(f"{place}.{group_id}" for place in places for group_id in group_ids)]


def _groups(run: Mapping[str, Any], wanted: set[int] | None, names: set[str]) -> Part:
    """Groups as the document of the registry and its file have them."""
    config = run["config"]
    delta = _no_changes() | config.get("delta", {})
    if config.get("version") == 1:
        before = Part(_loaded(config.get("groups", {})), _loaded_ids(config.get("rejections", {})))
    else:
        before, wanted = _groups_in_file(run, wanted, names) if config["n_parts"] else (Part({}, {}), wanted)
    groups: dict[int, Group | None] = {int(key): None for key, values in delta["groups"].items() if values is None}
    groups |= _loaded({key: values for key, values in delta["groups"].items() if values is not None})
    part = changed(before, groups, _loaded_ids(delta["rejected"]), _loaded_ids(delta["lifted"]))
    if wanted is None:
        return part
    wanted = wanted.union(key for key, group in part.groups.items() if canonical_name(group.name) in names)
    return Part(
        {group_id: part.groups[group_id] for group_id in wanted if group_id in part.groups},
        {group_id: part.rejections[group_id] for group_id in wanted if group_id in part.rejections},
    )


def _groups_in_file(run: Mapping[str, Any], wanted: set[int] | None, names: set[str]) -> tuple[Part, set[int] | None]:
    """The parts with the wanted groups, all by default, and the wanted groups with those that may have the names."""
    file, n_parts = TextFile(run.get("results")), run["config"]["n_parts"]
    if wanted is None:
        return joined(map(unpacked, file.texts(range(n_parts)))), None
    if names:
        wanted = wanted | ids_named(
            lambda numbers: file.texts([n_parts + number for number in numbers]), file.values["first_keys"], names
        )
    numbers = numbers_of(file.values["first_ids"], wanted)
    return joined(map(unpacked, file.texts(numbers))), wanted


def _loaded(stored: Mapping[str, Any]) -> dict[int, Group]:
    return {int(key): Group.from_stored(values) for key, values in stored.items()}


def _loaded_ids(stored: Mapping[str, Iterable[str]]) -> dict[int, frozenset[str]]:
    return {int(key): frozenset(ids) for key, ids in stored.items() if ids}


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
    is_run: bool = False,
) -> None:
    """Writes changed groups into the registry, at a cost that depends only on their number.

    When many changes have come together, all groups are written again: after runs, which have read them all anyway, and
    after thousands of edits. The dataset object has the registry of before until
    :func:`~ccip_plugin.storage.internals.forget_runs`.

    Args:
        dataset: the dataset
        path: the path of the grouped field
        revision: the expected revision; it is counted up
        next_id: the id of the next new group; it never goes down
        groups: the changed groups
        rejected (None): rejections to add, as :func:`stored_ids` gives them
        lifted (None): rejections to remove, likewise
        is_backward (False): the other way round: remove the former, add the latter
        is_run (False): whether a run has changed them, not an edit

    Raises:
        StaleGroupsError: the registry has another revision
        NewerGroupsError: a newer version of this plugin has written it
        GroupsDamagedError: a part of it is missing
        RegistryFullError: others keep too much in it
    """
    run = _read(dataset, path, ("revision", "delta_bytes"))
    if run is None:
        head = {"path": path, "version": _VERSION, "revision": 0, "next_id": 1, "n_parts": 0}
        register(dataset, registry_key(path), RunKind.REGISTRY, **head, delta=_no_changes(), delta_bytes=0)
        run = _read(dataset, path, ("revision", "delta_bytes")) or {}
    added, removed = (lifted or {}, rejected or {}) if is_backward else (rejected or {}, lifted or {})
    changes = [_change(next_id, groups, added, {key: ids for key, ids in removed.items() if key not in added})]
    if both := {key: ids for key, ids in removed.items() if key in added}:  # one update cannot do both to one list
        changes.append(_change(next_id, {}, {}, both))
    n_bytes = len(bson.encode({"changes": changes}))
    config = run["config"]
    if config["version"] < _VERSION or config["delta_bytes"] + n_bytes > _LARGEST[is_run]:
        registry = load_registry(dataset, path)
        after = {group_id: group for group_id, (_, group) in groups.items()}
        before = Part(registry.groups, registry.rejections)
        part = changed(before, after, _loaded_ids(added), _loaded_ids(removed))
        next_id = max(next_id, registry.next_id)
        is_written = registry.revision == revision and _write_all(dataset, path, run, part, revision, next_id)
    else:
        changes[0]["$inc"]["config.delta_bytes"] = n_bytes
        is_written = all(_update(dataset, path, revision + n, change) for n, change in enumerate(changes))
    if not is_written:
        raise StaleGroupsError(path)


def _change(
    next_id: int, groups: GroupDelta, added: Mapping[str, Sequence[str]], removed: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """A change of the head of the registry, as the database takes it."""
    change: dict[str, dict[str, Any]] = {"$inc": {"config.revision": 1}, "$max": {"config.next_id": next_id}}
    for group_id, (_, after) in groups.items():
        values = None if after is None else after.stored()
        change.setdefault("$set", {})[f"config.delta.groups.{group_id}"] = values
    for to, away, ids_of in (("rejected", "lifted", added), ("lifted", "rejected", removed)):
        for key, ids in ids_of.items():
            change.setdefault("$addToSet", {})[f"config.delta.{to}.{key}"] = {"$each": list(ids)}
            change.setdefault("$pullAll", {})[f"config.delta.{away}.{key}"] = list(ids)
    return change


def _write_all(dataset: fo.Dataset, path: str, run: Mapping[str, Any], part: Part, revision: int, next_id: int) -> bool:
    """Writes all groups into a new file of the run, and a head without changes. The file of before is kept until the
    next time: copies of the head that other processes hold refer to it."""
    first_ids, first_keys, texts = packed(*part)
    file_id = write_texts(run["_id"], {"first_ids": first_ids, "first_keys": first_keys}, texts) if texts else None
    head = {"version": _VERSION, "revision": revision + 1, "next_id": next_id, "n_parts": len(first_ids)}
    values = {f"config.{name}": value for name, value in {**head, "delta": _no_changes(), "delta_bytes": 0}.items()}
    change = {
        "$set": {**values, "results": file_id, "results_meta": {}},
        "$unset": {"config.groups": "", "config.rejections": ""},
    }
    is_written = _update(dataset, path, revision, change)
    delete_unused(run["_id"], (run.get("results"), file_id if is_written else None))
    return is_written


def _update(dataset: fo.Dataset, path: str, revision: int, change: Mapping[str, object]) -> bool:
    """Changes the document of the registry in one step, if it has the expected revision; returns whether it had."""
    try:
        return update_run_document(dataset, registry_key(path), {"config.revision": revision}, change)
    except WriteError as error:
        if error.code not in TOO_LARGE:
            raise
        raise RegistryFullError(path) from error


def _read(dataset: fo.Dataset, path: str, names: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Reads the document of the registry of a field, with all values of its configuration by default; None without."""
    key = registry_key(path)
    wanted = ["config"] if names is None else [f"config.{name}" for name in ("method", "path", "version", *names)]
    run = run_document(dataset, key, ["results", *wanted])
    if run is None:
        return None
    config = run.setdefault("config", {})
    if config.get("method") != RunKind.REGISTRY:
        raise RunKeyError(
            f"the run {key!r} holds something else, {config.get('method')}, in the place of the character groups of "
            f"{path!r}: rename it with dataset.rename_run, or choose another field"
        )
    if config.get("path", path) != path:
        raise RunKeyError(
            f"the run {key!r} has the character groups of another field, {config['path']!r}: the names of two fields "
            "may not differ in letters outside of A to Z only; choose another group_field"
        )
    config.setdefault("version", 1)
    if config["version"] > _VERSION:
        raise NewerGroupsError(path)
    return run


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
