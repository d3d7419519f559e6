"""The door: what is written, what is kept, what a crash, a person or a second process in the middle does to it."""

import textwrap

import bson
import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
import pytest
from bson import ObjectId

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.labels.history import NothingToUndoError, redo, undo
from ccip_plugin.labels.identities import StaleGroupsError, load_registry
from ccip_plugin.labels.journal import EntryState, Journal
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.labels.tables import GroupLabel
from ccip_plugin.storage.internals import run_document
from ccip_plugin.storage.schema import FieldReadOnlyError, FieldTypeError, ForeignFieldError
from ccip_plugin.storage.targets import resolve
from tests.support.planned_labels import apply
from tests.support.planned_labels import plan_names as plan

pytestmark = pytest.mark.mongo

FIELD = "character_group"
DETECTIONS = "箱"


@pytest.fixture(params=[None, DETECTIONS], ids=["samples", "detections"])
def store(request, dataset):
    """Six items: six samples, or two samples with three detections each."""
    if request.param is None:
        return LabelStore(resolve(dataset(*[f"/絵/{i}.png" for i in range(6)])), FIELD)
    new = dataset("/絵/0.png", "/絵/1.png", "/絵/no detections.png")
    for sample in list(new)[:2]:
        boxes = [fo.Detection(label="girl", confidence=0.5, bounding_box=[0, 0, 0.1, 0.1]) for _ in range(3)]
        sample[DETECTIONS] = fo.Detections(detections=boxes)
        sample.save()
    return LabelStore(resolve(new, DETECTIONS), FIELD)


def names_in(store):
    return [label and label.label for label in store.read()[2]]


def raw_state(store):
    """Everything about the labels, as the database has it, without the times."""
    documents = store.target.dataset._sample_collection.find()
    return [{key: value for key, value in document.items() if key != "last_modified_at"} for document in documents]


def edit(store, index, name):
    """Changes a label as the App or a script does: the name and nothing else."""
    item_id = store.read()[0][index]
    path = store.attribute_path("label")
    samples = store.target.dataset._sample_collection
    if store.target.is_patches:
        where = [{"d._id": ObjectId(item_id)}]
        place = f"{DETECTIONS}.detections.$[d].{FIELD}"
        samples.update_one(
            {f"{DETECTIONS}.detections._id": ObjectId(item_id)}, {"$set": {place: name}}, array_filters=where
        )
    else:
        samples.update_one({"_id": ObjectId(item_id)}, {"$set": {path: name}})


def test_writes_labels_groups_and_run(store):
    done = apply(store, plan(store, "aabbcc", run_key="ccip_groups", run={"method": "ccip_groups", "x": 1}))
    assert (done.n_written, done.n_kept, done.n_left, done.number) == (6, 0, 0, 1)
    assert names_in(store) == list("aabbcc")
    registry = load_registry(store.target.dataset, store.path)
    assert {key: group.name for key, group in registry.groups.items()} == {1: "a", 2: "b", 3: "c"}
    assert (registry.next_id, registry.revision) == (4, 1)
    assert store.target.dataset.get_run_info("ccip_groups").config.x == 1


def test_declares_every_attribute(store):
    apply(store, plan(store, "aabbcc"))
    schema = store.target.dataset.get_field_schema(flat=True)
    for name in ("label", "group_id", "status", "confidence", "difference", "margin", "assigned", "rescued", "source"):
        assert store.attribute_path(name) in schema


def test_leaves_what_belongs_to_the_detector(dataset):
    new = dataset("/a.png")
    box = fo.Detection(label="girl", confidence=0.25, index=7, bounding_box=[0, 0, 0.1, 0.1], tags=["t"], mood="happy")
    sample = new.first()
    sample["boxes"] = fo.Detections(detections=[box])
    sample.save()
    store = LabelStore(resolve(new, "boxes"), FIELD)
    apply(store, plan(store, ["綾波"]))
    box = new.first().boxes.detections[0]
    assert (box.label, box.confidence, box.index, box.tags, box.mood) == ("girl", 0.25, 7, ["t"], "happy")
    assert (box.character_group, box.character_group_id, box.character_status) == ("綾波", 1, "auto")
    assert new.first().boxes_characters == ["綾波"]


def test_rollup_lists_names_and_follows_undo(store):
    if store.rollup_field is None:
        pytest.skip("only detections are rolled up")
    apply(store, plan(store, ["b", "a", "b", None, None, None]))
    assert store.target.dataset.values(store.rollup_field) == [["a", "b"], [], None]
    undo(store.target.dataset, patches_field=DETECTIONS)
    assert store.target.dataset.values(store.rollup_field) == [None, None, None]


def test_the_same_again_writes_nothing(store):
    run = {"method": "ccip_groups", "at": "then"}
    apply(store, plan(store, "aabbcc", run_key="k", run=run))
    before = raw_state(store)
    times = store.target.dataset.values("last_modified_at")
    done = apply(store, plan(store, "aabbcc", run_key="k", run=run | {"at": "now"}))
    assert (done.n_written, done.number) == (0, None)
    assert raw_state(store) == before
    assert store.target.dataset.values("last_modified_at") == times
    assert load_registry(store.target.dataset, store.path).revision == 1


@pytest.mark.parametrize("name", ["Rei", "b", "unassigned", "初音ミク🎤", ""])
def test_keeps_an_edited_label(store, name):
    apply(store, plan(store, "aabbcc"))
    edit(store, 0, name)
    done = apply(store, plan(store, "ccbbaa"))
    assert names_in(store) == [name, "c", "b", "b", "a", "a"]
    assert (done.n_written, done.n_kept) == (3, 1)


def test_promotes_an_edited_label(store):
    apply(store, plan(store, "aabbcc"))
    edit(store, 0, "Rei")
    changes = plan(store, "aabbcc")
    label = store.read()[2][0]
    assert label.is_human and not label.is_settled
    group_id = changes.draft.id_of(label.group_name, label.group_id)
    changes.replace(0, label.confirmed(group_id))
    apply(store, changes)
    label = store.read()[2][0]
    assert (label.label, label.status, label.assigned, label.group_id) == ("Rei", "confirmed", "Rei", 4)


@pytest.mark.parametrize("status", ["confirmed", "ignored", "見た"])
def test_keeps_what_a_person_settled(store, status):
    changes = plan(store, "aabbcc", is_automatic=False)
    changes.replace(0, GroupLabel("a", 1, status, assigned="a"))
    apply(store, changes)
    done = apply(store, plan(store, "bbbbbb"))
    assert names_in(store) == list("abbbbb")
    assert done.n_kept == 1


def test_keeps_labels_that_were_there_before_us(dataset):
    new = dataset("/a.png", "/b.png")
    sample = new.first()
    sample[FIELD] = fo.Classification(label="Asuka", confidence=0.75, tags=["mine"])
    sample.save()
    store = LabelStore(resolve(new), FIELD)
    done = apply(store, plan(store, "ab"))
    assert (done.n_written, done.n_kept) == (1, 1)
    new.reload()
    first = new.first()[FIELD]
    assert (first.label, first.confidence, first.tags) == ("Asuka", 0.75, ["mine"])


@pytest.mark.parametrize("name", [f"{DETECTIONS}_characters", f"{DETECTIONS}.detections.character_confidence"])
def test_refuses_values_of_somebody_else(store, name):
    if not store.target.is_patches:
        pytest.skip("on samples all is inside of the label")
    data = store.target.dataset
    if name == store.rollup_field:
        data.add_sample_field(name, fo.ListField, subfield=fo.StringField)
        data.set_values(name, [["mine"], None, None])
    else:
        data.add_sample_field(name, fo.FloatField)
        data.set_values(name, [[None, 0.5, None], [None] * 3, None])
    before = raw_state(store)
    with pytest.raises(ForeignFieldError, match=f"'{name}' has 1 values that this plugin did not write"):
        apply(store, plan(store, "aabbcc"))
    assert raw_state(store) == before
    data.clear_sample_field(name)  # a field without values is nobody's
    assert apply(store, plan(store, "aabbcc")).n_written == 6


def test_two_group_fields_of_detections_list_their_names_in_one_field(store):
    if not store.target.is_patches:
        pytest.skip("only detections are rolled up")
    apply(store, plan(store, "aabbcc"))
    apply(LabelStore(store.target, "who"), plan(LabelStore(store.target, "who"), "ddeeff"))
    assert store.target.dataset.values(store.rollup_field) == [["d", "e"], ["e", "f"], None]


def test_writes_nothing_where_it_is_read_only(store):
    data = store.target.dataset
    apply(store, plan(store, "aabbcc"))
    field = data.get_field(store.target.patches_field or FIELD)
    field.read_only = True
    field.save()
    before = raw_state(store)
    for write in (
        lambda: apply(store, plan(store, "ccbbaa")),
        lambda: undo(data, patches_field=store.target.patches_field),
    ):
        with pytest.raises(FieldReadOnlyError, match="is read-only"):
            write()
    assert raw_state(store) == before


def test_says_before_anything_that_an_attribute_holds_something_else(store):
    data = store.target.dataset
    if not store.target.is_patches:
        data.add_sample_field(FIELD, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    data.add_sample_field(store.attribute_path("margin"), fo.StringField)
    before = set(data.get_field_schema(flat=True))
    with pytest.raises(FieldTypeError, match="margin"):
        apply(store, plan(store, "aabbcc"))
    assert set(data.get_field_schema(flat=True)) == before


def test_large_labels_of_somebody_else(dataset):
    """What does not fit into one text of the database is kept in several, and comes back."""
    data = dataset(*[f"/絵/{n}.png" for n in range(12)])
    logits = np.random.default_rng(0).standard_normal((12, 250_000)).astype(np.float32)
    data.set_values(FIELD, [fo.Classification(label="Rei", logits=each) for each in logits])
    store = LabelStore(resolve(data), FIELD)
    assert apply(store, plan(store, "a" * 12, is_automatic=False)).n_written == 12
    assert names_in(store) == ["a"] * 12
    undo(data)
    assert names_in(store) == ["Rei"] * 12
    assert np.array_equal(np.array(data.values(f"{FIELD}.logits")), logits)


def test_undo_and_redo_are_exact(store):
    dataset = store.target.dataset
    store.declare()
    states = [raw_state(store)]
    for names in ("aabbcc", "abcabc", "aaaaaa"):
        apply(store, plan(store, names, run_key="k", run={"method": "ccip_groups", "names": names}))
        states.append(raw_state(store))
    for n in (2, 1, 0):
        done = undo(dataset, patches_field=store.target.patches_field)
        assert (done.n_left, raw_state_without_nulls(store)) == (0, without_nulls(states[n]))
    assert not dataset.has_run("k")
    with pytest.raises(NothingToUndoError):
        undo(dataset, patches_field=store.target.patches_field)
    for n in (1, 2, 3):
        redo(dataset, patches_field=store.target.patches_field)
        assert raw_state(store) == states[n]
    assert dataset.get_run_info("k").config.names == "aaaaaa"
    with pytest.raises(NothingToUndoError):
        redo(dataset, patches_field=store.target.patches_field)


def raw_state_without_nulls(store):
    return without_nulls(raw_state(store))


def without_nulls(state):
    """FiftyOne reads null and absent alike."""
    return [{key: value for key, value in document.items() if value is not None} for document in state]


def test_undo_leaves_no_null_where_no_key_was(store):
    store.declare()
    is_null = [False, True, False, True, False, False]
    samples = store.target.dataset._sample_collection
    if store.target.is_patches:
        for number in np.flatnonzero(is_null):
            place = f"{DETECTIONS}.detections.{number % 3}.{FIELD}"
            samples.update_one({"filepath": {"$regex": f"{number // 3}.png"}}, {"$set": {place: None}})
    else:
        for number in range(6):
            change = {"$set": {FIELD: None}} if is_null[number] else {"$unset": {FIELD: ""}}
            samples.update_one({"filepath": {"$regex": f"{number}.png"}}, change)
    if store.rollup_field is not None:
        samples.update_many({}, {"$unset": {store.rollup_field: ""}})
    before = raw_state(store)
    apply(store, plan(store, "aabbcc"))
    assert names_in(store) == list("aabbcc")
    undo(store.target.dataset, patches_field=store.target.patches_field)
    assert raw_state(store) == before
    redo(store.target.dataset, patches_field=store.target.patches_field)
    assert names_in(store) == list("aabbcc")


def test_unsaved_values_of_samples_in_memory_stay(store):
    sample = store.target.dataset.first()
    sample.tags = ["unsaved"]
    sample["number"] = 5
    apply(store, plan(store, "aabbcc"))
    undo(store.target.dataset, patches_field=store.target.patches_field)
    redo(store.target.dataset, patches_field=store.target.patches_field)
    assert (sample.tags, sample["number"]) == (["unsaved"], 5)


def test_an_attribute_without_name_in_the_label_schema(store):
    apply(store, plan(store, "aabbcc"))
    data, field = store.target.dataset, store.target.patches_field or FIELD
    data.reload()
    schemas = data.label_schemas
    schemas[field]["attributes"] = [{"type": "str", "component": "text"}, *schemas[field]["attributes"][1:]]
    foo.get_db_conn().datasets.update_one({"_id": data._doc.id}, {"$set": {"label_schemas": schemas}})
    data.reload()
    apply(store, plan(store, "abbbcc"))
    assert names_in(store) == list("abbbcc")


def test_undo_never_gives_an_id_twice(store):
    apply(store, plan(store, "aabbcc"))
    undo(store.target.dataset, patches_field=store.target.patches_field)
    apply(store, plan(store, "xxyyzz"))
    registry = load_registry(store.target.dataset, store.path)
    assert {key: group.name for key, group in registry.groups.items()} == {4: "x", 5: "y", 6: "z"}


def test_undo_leaves_later_edits(store):
    apply(store, plan(store, "aabbcc"))
    edit(store, 2, "Rei")
    done = undo(store.target.dataset, patches_field=store.target.patches_field)
    assert (done.n_written, done.n_left) == (5, 1)
    assert names_in(store) == [None, None, "Rei", None, None, None]


def test_redo_is_gone_after_another_change(store):
    patches_field = store.target.patches_field
    apply(store, plan(store, "aabbcc"))
    undo(store.target.dataset, patches_field=patches_field)
    apply(store, plan(store, "aaaaaa"))
    with pytest.raises(NothingToUndoError):
        redo(store.target.dataset, patches_field=patches_field)
    undo(store.target.dataset, patches_field=patches_field)
    redo(store.target.dataset, patches_field=patches_field)
    assert names_in(store) == list("aaaaaa"), "what was undone last, not what was given up before"


@pytest.mark.slow
def test_more_groups_than_one_text_of_the_database_holds(dataset):
    """A run may make 30,000 groups, look at all of them anew, make 30,000 more, and be undone."""
    n = 30_000
    samples = dataset("/絵/0.png", "/絵/1.png")
    store = LabelStore(resolve(samples), FIELD)

    def with_groups(name, count, look):
        changes = plan(store, [name, name])
        for _ in range(count):
            changes.draft.set_prototype(changes.draft.new_group(), look * 172, "ccip-caformer-24-randaug-pruned")
        return changes

    apply(store, with_groups("a", n, "x"))
    changes = plan(store, ["b", "b"])
    for group_id in list(changes.draft.groups)[:n]:
        changes.draft.set_prototype(group_id, "y" * 172, "ccip-caformer-24-randaug-pruned")
    apply(store, changes)
    assert names_in(store) == ["b", "b"]

    apply(store, with_groups("c", n, "x"))
    assert len(load_registry(samples, store.path).groups) == 2 * n + 3
    document = run_document(samples, "ccip_registry_character_group", ["config"])
    assert len(bson.encode(document)) < 1_000, "it does not grow with the groups"
    for _ in range(3):
        undo(samples)
    assert names_in(store) == [None, None]
    assert len(load_registry(samples, store.path).groups) == 0


def test_a_plan_on_old_groups_is_refused(store):
    old = plan(store, "aabbcc")
    apply(store, plan(store, "xxxxxx"))
    with pytest.raises(StaleGroupsError, match="changed by another process"):
        apply(store, old)
    assert names_in(store) == list("xxxxxx")


def test_an_item_deleted_meanwhile_is_left_out(store):
    changes = plan(store, "aabbcc")
    dataset = store.target.dataset
    dataset.delete_samples(changes.labels[0][1])
    done = apply(store, changes)
    assert done.n_written == (3 if store.target.is_patches else 5)


def test_two_fields_do_not_meet(store):
    other = LabelStore(store.target, "someone_group")
    apply(store, plan(store, "aabbcc"))
    apply(other, plan(other, "xyzxyz"))
    undo(store.target.dataset, patches_field=store.target.patches_field)
    assert (names_in(store), names_in(other)) == ([None] * 6, list("xyzxyz"))


CRASH = """
    import os, sys
    import fiftyone as fo
    from ccip_plugin.labels import changes, history
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage.targets import resolve
    from tests.support.planned_labels import apply, plan_names

    name, patches_field, where, action = sys.argv[1:]
    dataset = fo.load_dataset(name)
    store = LabelStore(resolve(dataset, patches_field or None), "character_group")

    def crash(*_, **__):
        os._exit(9)

    if where == "journal":  # heads are written, labels are not
        changes.Journal.put_content = crash
    elif where == "labels":  # half of the labels are written
        write = LabelStore.write_raw
        LabelStore.write_raw = lambda self, rows, at: (write(self, rows[:3], at), crash())
    elif where == "groups":  # all labels, but not the groups
        changes._write_groups = crash
    elif where == "run":
        changes.register = changes.restore = crash
    if action == "undo":
        history.undo(dataset, patches_field=patches_field or None)
    apply(store, plan_names(store, "ccbbaa", run_key="k", run={"method": "ccip_groups", "second": True}))
"""


@pytest.mark.parametrize("where, is_finished", [("journal", False), ("labels", True), ("groups", True), ("run", True)])
@pytest.mark.parametrize("action", ["apply", "undo"])
def test_the_next_call_finishes_or_drops_what_a_crash_left(store, run_python, monkeypatch, where, is_finished, action):
    if action == "undo" and where == "journal":
        pytest.skip("an undo writes no new entry")
    dataset = store.target.dataset
    dataset.persistent = True
    patches_field = store.target.patches_field
    apply(store, plan(store, "aabbcc", run_key="k", run={"method": "ccip_groups", "second": False}))
    run_python(textwrap.dedent(CRASH), dataset.name, patches_field or "", where, action, status=9)

    # the dead process still has its lease: it ends by itself
    monkeypatch.setattr("ccip_plugin.labels.changes.lease", impatient(store))
    if action == "undo":
        with pytest.raises(NothingToUndoError):
            undo(dataset, patches_field=patches_field)
        assert names_in(store) == [None] * 6
        assert not dataset.has_run("k")
        assert not load_registry(dataset, store.path).groups
        return
    done = undo(dataset, patches_field=patches_field)
    assert names_in(store) == (list("aabbcc") if is_finished else [None] * 6)
    assert done.n_left == 0
    assert all(entry.state in ("done", "undone") for entry in Journal(dataset, store.path).entries())
    if is_finished:
        assert dataset.get_run_info("k").config.second is False


def impatient(store):
    """The lease as it is after the dead process was silent for its time."""
    import fiftyone.core.odm as foo

    from ccip_plugin.storage.lease import COLLECTION, lease

    foo.get_db_conn()[COLLECTION].delete_many({"_id": f"{store.target.dataset._doc.id}/{store.path}"})
    return lease


RACE = """
    import sys
    import fiftyone as fo
    from ccip_plugin.labels.identities import StaleGroupsError
    from ccip_plugin.labels.store import LabelStore
    from ccip_plugin.storage.targets import resolve
    from tests.support.planned_labels import apply, plan_names

    name, patches_field, letter = sys.argv[1:]
    dataset = fo.load_dataset(name)
    store = LabelStore(resolve(dataset, patches_field or None), "character_group")
    written = 0
    for number in range(12):
        try:
            done = apply(store, plan_names(store, [f"{letter}{number}"] * 6))
        except StaleGroupsError:
            continue
        assert done.n_written == 6, done
        written += 1
    print(written)
"""


def test_two_processes_never_interleave(store, start_python):
    dataset = store.target.dataset
    dataset.persistent = True
    store.declare()
    both = [start_python(RACE, dataset.name, store.target.patches_field or "", letter) for letter in "xy"]
    results = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], results
    written = [int(out) for out, _ in results]
    assert min(written) > 0
    entries = Journal(dataset, store.path).entries()
    assert [entry.state for entry in entries] == ["done"] * sum(written)
    assert load_registry(dataset, store.path).revision == sum(written)
    assert len(set(names_in(store))) == 1
    journal = Journal(dataset, store.path)
    for entry in entries:  # every change saw the whole of the one before
        assert len({name_of(row[2]) for chunk in journal.chunks(entry) for row in chunk}) == 1


def name_of(raw):
    """The name in a stored form, None for no label."""
    return raw.get(FIELD, raw.get("label")) if raw else None


def test_an_edit_at_the_same_moment_wins(store, monkeypatch):
    apply(store, plan(store, "aabbcc"))
    write = LabelStore.write_raw

    def write_late(self, rows, at):
        edit(store, 5, "Rei")  # between reading and writing
        return write(self, rows, at)

    with monkeypatch.context() as context:
        context.setattr(LabelStore, "write_raw", write_late)
        done = apply(store, plan(store, "ccbbaa"))
    assert (done.n_written, done.n_left) == (3, 1)
    assert names_in(store) == ["c", "c", "b", "b", "a", "Rei"]


READER = """
    import sys
    import fiftyone as fo
    assert not [name for name in sys.modules if "ccip" in name]
    dataset = fo.load_dataset(sys.argv[1])
    print(sorted(dataset.count_values(sys.argv[2]).items(), key=str))
    for key in sorted(dataset.list_runs()):
        config = dataset.get_run_info(key).config
        print(key, config.method)
    print(dataset.get_run_info("ccip_groups").config.parameters)
"""


def test_reads_in_a_process_without_the_plugin(store, run_python):
    dataset = store.target.dataset
    dataset.persistent = True
    apply(
        store, plan(store, "aabbcc", run_key="ccip_groups", run={"method": "ccip_groups", "parameters": {"eps": 0.5}})
    )
    out = run_python(READER, dataset.name, store.attribute_path("label")).stdout
    assert "('a', 2), ('b', 2), ('c', 2)" in out
    assert "ccip_groups ccip_groups" in out
    assert "{'eps': 0.5}" in out
    assert "ccip_registry" in out


def test_a_clone_takes_the_groups_along_and_goes_its_own_way(store):
    apply(store, plan(store, "aabbcc"))
    clone = store.target.dataset.clone()
    try:
        copy = LabelStore(resolve(clone, store.target.patches_field), FIELD)
        apply(copy, plan(copy, "aaaadd"))
        assert (names_in(store), names_in(copy)) == (list("aabbcc"), list("aaaadd"))
        assert {g.name: i for i, g in load_registry(clone, copy.path).groups.items()} == {
            "a": 1,
            "b": 2,
            "c": 3,
            "d": 4,
        }
    finally:
        clone.delete()


@pytest.mark.parametrize("setting, kept", [(None, 50), ("2", 2), ("1", 1)])
def test_only_the_newest_changes_can_be_undone(store, monkeypatch, setting, kept):
    if setting is None:
        monkeypatch.setattr("ccip_plugin.labels.changes.KEPT_CHANGES", kept := 3)
    else:
        monkeypatch.setenv("CCIP_KEPT_CHANGES", setting)
    dataset, patches_field = store.target.dataset, store.target.patches_field
    for names in ("aabbcc", "abcabc", "aaaaaa", "bbbbbb", "cccccc"):
        apply(store, plan(store, names))
    journal = Journal(dataset, store.path)
    assert [entry.number for entry in journal.entries()] == list(range(6 - kept, 6))
    contents = journal._content.list_keys()
    assert len(contents) == 2 * kept, "a chunk and a plan of each"
    for _ in range(kept):
        undo(dataset, patches_field=patches_field)
    assert names_in(store) == list(["aabbcc", "abcabc", "aaaaaa", "bbbbbb", "cccccc"][4 - kept])
    with pytest.raises(NothingToUndoError):
        undo(dataset, patches_field=patches_field)
    apply(store, plan(store, "xxxxxx"))
    assert max(entry.number for entry in Journal(dataset, store.path).entries()) == 6, "numbers are not used again"


def test_says_when_the_number_of_changes_to_keep_means_nothing(store, monkeypatch):
    monkeypatch.setenv("CCIP_KEPT_CHANGES", "many")
    with pytest.raises(ParameterError, match="CCIP_KEPT_CHANGES"):
        apply(store, plan(store, "aabbcc"))
    assert names_in(store) == [None] * 6


def test_what_a_crash_left_of_an_old_change_goes(store):
    apply(store, plan(store, "aabbcc"))
    journal = Journal(store.target.dataset, store.path)
    journal.put(journal.entries()[0], state=EntryState.PRUNED)
    apply(store, plan(store, "abcabc"))
    journal = Journal(store.target.dataset, store.path)
    assert [entry.number for entry in journal.entries()] in ([1], [2])
    assert [entry.state for entry in journal.entries()] == ["done"]
