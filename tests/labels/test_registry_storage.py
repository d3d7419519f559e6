"""The registry in the database: a small document and a file, whatever the number of groups is."""

import base64
import hashlib
import json

import bson
import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
import pytest
from gridfs import GridFS

from ccip_plugin.core.identity.groups import Group, Registry
from ccip_plugin.labels import identities
from ccip_plugin.labels.history import undo
from ccip_plugin.labels.identities import (
    GroupsDamagedError,
    StaleGroupsError,
    load_registry,
    registry_key,
    registry_revision,
    save_delta,
)
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.internals import forget_runs, run_document, update_run_document
from ccip_plugin.storage.runs import RunKind, register
from ccip_plugin.storage.targets import resolve
from tests.support.planned_labels import apply, plan_names

pytestmark = pytest.mark.mongo

FIELD = "character_group"
KEY = registry_key(FIELD)


def group_of(number, name=None):
    prototype = base64.b64encode(hashlib.shake_128(b"%d" % number).digest(128)).decode()
    return Group(name or f"character_{number:04d}", "now", prototype=prototype, model="ccip-caformer-24-randaug-pruned")


def add(data, ids, **options):
    """Adds groups as a run or an edit would."""
    registry = load_registry(data, FIELD)
    groups = {number: (registry.groups.get(number), group_of(number, options.pop("name", None))) for number in ids}
    next_id = max([registry.next_id, *(number + 1 for number in ids)])
    save_delta(data, FIELD, revision=registry.revision, next_id=next_id, groups=groups, **options)


def stored(data):
    return run_document(data, KEY, ["config", "results"])


def files(data):
    run = run_document(data, KEY, ["_id"])
    return foo.get_db_conn().fs.files.count_documents({"metadata.ccip_run": run["_id"]})


def earlier(data, registry):
    """Stores a registry as version 0.1.0 does."""
    groups = {str(key): group.stored() for key, group in registry.groups.items()}
    rejections = {str(key): sorted(ids) for key, ids in registry.rejections.items()}
    values = {"path": FIELD, "revision": registry.revision, "next_id": registry.next_id}
    register(data, KEY, RunKind.REGISTRY, version=1, **values, groups=groups, rejections=rejections)


def test_a_run_with_many_groups_writes_a_file_and_an_edit_does_not(dataset):
    data = dataset()
    add(data, range(1, 2000), is_run=True)
    run = stored(data)
    assert (run["config"]["n_parts"], len(bson.encode(run)) < 1_000) == (4, True)
    add(data, [5], name="Rei")
    add(data, [3000], name="Asuka")
    assert stored(data)["results"] == run["results"]
    loaded = load_registry(data, FIELD)
    assert (len(loaded.groups), loaded.groups[5].name, loaded.groups[3000].name) == (2000, "Rei", "Asuka")
    assert (loaded.revision, loaded.next_id) == (3, 3001)


def test_few_changes_stay_in_the_document(dataset):
    data = dataset()
    add(data, [1, 2], is_run=True)
    add(data, [3], is_run=True)
    run = stored(data)
    assert (run["config"]["n_parts"], run.get("results")) == (0, None)
    assert set(load_registry(data, FIELD).groups) == {1, 2, 3}


def test_thousands_of_edits_are_put_together_in_a_file(dataset, monkeypatch):
    data = dataset()
    monkeypatch.setitem(identities._LARGEST, False, 5_000)
    for number in range(1, 40):
        add(data, [number])
    run = stored(data)
    assert run["config"]["n_parts"] == 1 and len(bson.encode(run)) < 7_000
    assert set(load_registry(data, FIELD).groups) == set(range(1, 40))


def test_a_few_groups_are_read_alone(dataset, monkeypatch):
    data = dataset()
    add(data, range(1, 5000), is_run=True)
    add(data, [7], name="Rei")
    save_delta(data, FIELD, revision=2, next_id=1, groups={}, rejected={"7": ["a"], "4999": ["b"], "1": ["c"]})
    read = []
    unpacked = identities.unpacked
    monkeypatch.setattr(identities, "unpacked", lambda text: read.append(text) or unpacked(text))
    registry = load_registry(data, FIELD, [7, 4999, 6000])
    assert len(read) == 2
    assert registry.groups == {7: group_of(7, "Rei"), 4999: group_of(4999)}
    assert registry.rejections == {7: frozenset("a"), 4999: frozenset("b")}
    assert registry.revision == 3
    everything = load_registry(data, FIELD, range(0, 6000))
    assert everything == load_registry(data, FIELD)


def test_groups_are_read_by_their_names(dataset, monkeypatch):
    data = dataset()
    add(data, range(1, 5000), is_run=True)
    add(data, [7], name="Rei")
    add(data, [6000], name="\u30ac")
    read = []
    unpacked = identities.unpacked
    monkeypatch.setattr(identities, "unpacked", lambda text: read.append(text) or unpacked(text))
    names = ["Rei", "\u30ab\u3099", "character_4000", "character_0007", "none"]
    groups = load_registry(data, FIELD, [3], names).groups
    assert {key: group.name for key, group in groups.items() if key != 7} == {
        3: "character_0003",
        4000: "character_4000",
        6000: "\u30ac",
    }
    assert groups[7].name == "Rei", "its earlier name leads to it, and is not its name any more"
    assert len(read) == 2


@pytest.mark.parametrize("limit", [0, 1_500, 10**9])
@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_changes_gives_what_a_plain_dictionary_gives(dataset, monkeypatch, limit, seed):
    """However often the groups are put together, and whether the registry was of the earlier version."""
    random, data = np.random.default_rng(seed), dataset()
    for is_run in (True, False):
        monkeypatch.setitem(identities._LARGEST, is_run, limit)
    groups = {number: group_of(number) for number in range(1, 4)}
    rejections = {2: frozenset({"0", "1"})}
    if seed:
        earlier(data, Registry(1, 4, groups, rejections))
    else:
        save_delta(
            data,
            FIELD,
            revision=0,
            next_id=4,
            groups={key: (None, group) for key, group in groups.items()},
            rejected={"2": ["0", "1"]},
        )
    for step in range(1, 30):
        number, items = int(random.integers(1, 8)), [str(item) for item in random.choice(5, 2, replace=False)]
        after = None if random.random() < 0.3 else group_of(number, f"name {step}")
        options = {"rejected": {str(number): items[:1]}} if random.random() < 0.5 else {"lifted": {str(number): items}}
        is_backward = bool(random.random() < 0.3)
        delta = {number: (groups.get(number), after)}
        save_delta(data, FIELD, revision=step, next_id=step, groups=delta, **options, is_backward=is_backward)
        groups = {key: group for key, group in {**groups, number: after}.items() if group is not None}
        is_added = ("rejected" in options) != is_backward
        now, ids = rejections.get(number, frozenset()), next(iter(options.values()))[str(number)]
        rejections |= {number: now.union(ids) if is_added else now.difference(ids)}
        rejections = {key: ids for key, ids in rejections.items() if ids}
        assert load_registry(data, FIELD) == Registry(step + 1, max(4, step), groups, rejections)
    assert files(data) <= 2, "the one in use, and the one before it"


def test_an_older_revision_writes_no_file(dataset):
    data = dataset()
    add(data, range(1, 2000), is_run=True)
    n_files, run = files(data), stored(data)
    groups = {number: (None, group_of(number)) for number in range(2000, 4000)}
    with pytest.raises(StaleGroupsError):
        save_delta(data, FIELD, revision=0, next_id=4000, groups=groups, is_run=True)
    assert (files(data), stored(data)) == (n_files, run)


def test_the_registry_of_the_earlier_version_is_written_anew_at_the_first_change(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    store = LabelStore(resolve(data), FIELD)
    earlier(data, Registry(3, 8, {7: Group("Rei", "now", named_by="person"), 5: Group("character_0005", "now")}))
    before = load_registry(data, FIELD)
    assert (before.revision, before.next_id, before.groups[7].named_by) == (3, 8, "person")
    assert registry_revision(data, FIELD) == 3
    apply(store, plan_names(store, ["Rei", "Rei", "a", "a"]))
    config = stored(data)["config"]
    assert (config["version"], "groups" in config, "rejections" in config) == (2, False, False)
    assert {key: group.name for key, group in load_registry(data, FIELD).groups.items()} == {
        5: "character_0005",
        7: "Rei",
        8: "a",
    }
    undo(data)
    assert load_registry(data, FIELD).groups == before.groups
    assert load_registry(data, FIELD).next_id == 9, "ids are never given again"


def grown(data, n=2000):
    add(data, range(1, n), is_run=True)
    add(data, [5], name="Rei")
    save_delta(data, FIELD, revision=registry_revision(data, FIELD), next_id=1, groups={}, rejected={"5": ["a"]})
    forget_runs(data)
    return load_registry(data, FIELD)


def test_a_clone_goes_its_own_way(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    registry = grown(data)
    clone = data.clone()
    try:
        assert load_registry(clone, FIELD) == registry
        add(clone, range(3000, 6000), is_run=True)
        add(clone, range(6000, 9000), is_run=True)
        add(clone, range(9000, 12000), is_run=True)
        assert load_registry(data, FIELD) == registry
        assert len(load_registry(clone, FIELD).groups) == 1999 + 9000
    finally:
        clone.delete()
    assert load_registry(data, FIELD) == registry


def test_a_process_that_has_not_seen_the_last_change(dataset):
    """A clone has what is stored now; of what the dataset object has in memory, the file is still there."""
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    registry = grown(data)
    assert data.get_run_info(KEY).config.revision == 3
    add(data, range(3000, 6000), is_run=True)
    assert data.load_run_results(KEY).first_ids == [1, 513, 1025, 1537]
    clone = data.clone()
    try:
        assert load_registry(clone, FIELD) == load_registry(data, FIELD) != registry
    finally:
        clone.delete()


def test_a_clone_of_a_view_has_no_registry(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    grown(data)
    clone = data.limit(2).clone()
    try:
        assert load_registry(clone, FIELD) == Registry()
    finally:
        clone.delete()


@pytest.mark.parametrize("n", [3, 2000])
def test_an_export_takes_the_groups_along(dataset, tmp_path, n):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    add(data, range(1, 2), is_run=True)
    registry = grown(data, n) if n > 3 else load_registry(data, FIELD)
    forget_runs(data)
    data.export(export_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset, export_media=False)
    imported = fo.Dataset.from_dir(dataset_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset)
    try:
        assert load_registry(imported, FIELD) == registry
        assert load_registry(imported, FIELD, [1]).groups == {1: registry.groups[1]}
        add(imported, range(3000, 6000), is_run=True)
        assert len(load_registry(imported, FIELD).groups) == len(registry.groups) + 3000
        assert load_registry(data, FIELD) == registry
    finally:
        imported.delete()


def test_the_file_is_found_again_however_it_was_written(dataset):
    """Another program may write the same values in another form of JSON."""
    data = dataset()
    registry = grown(data, 5000)
    forget_runs(data)
    results = data.load_run_results(KEY)
    assert len(results.parts) == stored(data)["config"]["n_parts"] + 2 == 12, "the table of names has two"
    grid = GridFS(foo.get_db_conn())
    values = json.loads(grid.get(stored(data)["results"]).read())
    for form in ({"separators": (",", ":"), "sort_keys": True}, {"indent": 2}, {"separators": (",", ": ")}):
        file_id = grid.put(json.dumps(values, **form).encode())
        update_run_document(data, KEY, {}, {"$set": {"results": file_id}})
        assert load_registry(data, FIELD) == registry
        assert load_registry(data, FIELD, [5, 4000]).groups == {5: registry.groups[5], 4000: registry.groups[4000]}


@pytest.mark.parametrize("damage", ["no file", "no reference", "no chunks", "a chunk less", "another file", "not JSON"])
def test_a_damaged_file_is_a_sentence_with_the_way_out(dataset, damage):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    store = LabelStore(resolve(data), FIELD)
    apply(store, plan_names(store, ["Rei", "Rei", "Asuka", "Asuka"]))
    add(data, range(10, 5000), is_run=True)
    database, file_id = foo.get_db_conn(), stored(data)["results"]
    if damage == "no file":
        database.fs.files.delete_one({"_id": file_id})
    elif damage == "no reference":
        update_run_document(data, KEY, {}, {"$unset": {"results": ""}})
    elif damage == "no chunks":
        database.fs.chunks.delete_many({"files_id": file_id})
    elif damage == "a chunk less":
        database.fs.chunks.delete_one({"files_id": file_id, "n": 1})
    elif damage == "another file":
        data.save_run_results(KEY, data.init_run_results(KEY, something=1), cache=False)
    else:
        database.fs.chunks.update_one({"files_id": file_id, "n": 0}, {"$set": {"data": b"x" * 255 * 1024}})
    with pytest.raises(GroupsDamagedError, match=r"dataset.delete_run\('ccip_registry_character_group'\)"):
        load_registry(data, FIELD)
    with pytest.raises(GroupsDamagedError):
        apply(store, plan_names(store, ["Rei", "Rei", "Rei", "Rei"]))
    data.reload()
    data.delete_run(KEY)
    apply(store, plan_names(store, ["Rei", "Rei", "Asuka", "Asuka"]))
    assert [group.name for group in load_registry(data, FIELD).groups.values()] == ["Rei", "Asuka"]


def test_files_of_deleted_datasets_are_deleted_in_time(dataset):
    other = fo.Dataset()
    grown(other)
    run = run_document(other, KEY, ["_id"])
    add(other, range(3000, 6000), is_run=True)
    other.reload()
    other.delete()
    of_run = {"metadata.ccip_run": run["_id"]}
    assert foo.get_db_conn().fs.files.count_documents(of_run) == 1, "the file before the last one"
    grown(dataset())
    assert foo.get_db_conn().fs.files.count_documents(of_run) == 0


def test_a_reader_meets_a_writer(dataset, monkeypatch):
    """The file can be replaced twice while another process reads it."""
    data = dataset()
    grown(data)
    file_of, times = identities.TextFile, []

    def meanwhile(file_id):
        if not times:
            times.append(1)
            add(data, range(3000, 6000), is_run=True)
            add(data, range(6000, 9000), is_run=True)
        return file_of(file_id)

    monkeypatch.setattr(identities, "TextFile", meanwhile)
    assert len(load_registry(data, FIELD).groups) == 1999 + 6000


@pytest.mark.parametrize("is_earlier", [True, False])
def test_a_crash_between_the_file_and_the_document_changes_nothing(dataset, monkeypatch, is_earlier):
    """The file that no document refers to is deleted at the next time."""
    data = dataset()
    if is_earlier:
        earlier(data, Registry(1, 2000, {number: group_of(number) for number in range(1, 2000)}))
    else:
        add(data, range(1, 2000), is_run=True)
    before, run = load_registry(data, FIELD), stored(data)
    with monkeypatch.context() as patch:
        patch.setattr(identities, "update_run_document", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            add(data, range(2000, 4000), is_run=True)
    assert (load_registry(data, FIELD), stored(data)) == (before, run)
    add(data, range(2000, 4000), is_run=True)
    assert len(load_registry(data, FIELD).groups) == 3999
    assert files(data) == (1 if is_earlier else 2)


@pytest.mark.slow
def test_300_000_groups(dataset):
    """As many groups as a million images make."""
    data, n = dataset(), 300_000
    add(data, range(1, n + 1), is_run=True)
    assert len(bson.encode(stored(data))) < 1_000
    registry = load_registry(data, FIELD, [1, n // 2, n, n + 1])
    assert registry.groups == {number: group_of(number) for number in (1, n // 2, n)}
    save_delta(data, FIELD, revision=1, next_id=1, groups={7: (group_of(7), None)}, rejected={"9": ["a"]})
    everything = load_registry(data, FIELD)
    assert (len(everything.groups), everything.next_id, everything.rejections) == (n - 1, n + 1, {9: frozenset("a")})
