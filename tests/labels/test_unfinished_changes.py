"""Changes that a process left unfinished: what is finished later passes all checks of a new one, and nothing wedges."""

import fiftyone as fo
import pytest

from ccip_plugin.labels.edits import NothingToRejectError, reject
from ccip_plugin.labels.history import NoSuchChangeError, drop_change, history, redo, undo
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.journal import EntryState, Journal, NewerJournalError, UnstorableError
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.labels.tables import GroupLabel
from ccip_plugin.storage import internals
from ccip_plugin.storage.schema import FieldReadOnlyError, FieldTypeError
from ccip_plugin.storage.targets import resolve
from tests.support.planned_labels import apply
from tests.support.planned_labels import plan_names as plan

pytestmark = pytest.mark.mongo

FIELD = "character_group"


@pytest.fixture
def store(dataset):
    return LabelStore(resolve(dataset(*[f"/絵/{n}.png" for n in range(6)])), FIELD)


def names_in(store):
    return [label and label.label for label in store.read()[2]]


def interrupt(store, monkeypatch, n_written=3, action=None):
    """A change of which some labels are written when its process dies."""

    class DiedError(Exception):
        pass

    write = LabelStore.write_raw

    def die(self, rows, at):
        write(self, rows[:n_written], at)
        raise DiedError

    with monkeypatch.context() as context:
        context.setattr(LabelStore, "write_raw", die)
        with pytest.raises(DiedError):
            (action or (lambda: apply(store, plan(store, "aabbcc"))))()


def damage_chunk(journal, entry):
    journal._content.delete(f"{journal._key(entry)}/000000")


def damage_text(journal, entry):
    journal._content.set(f"{journal._key(entry)}/000000", '[["half')


def damage_groups(journal, entry):
    journal._content.delete(f"{journal._key(entry)}/plan")


def damage_groups_text(journal, entry):
    journal._content.set(f"{journal._key(entry)}/plan", "[]")


DAMAGES = [damage_chunk, damage_text, damage_groups, damage_groups_text]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_change_is_set_aside_and_blocks_nothing(store, monkeypatch, damage, caplog):
    data = store.target.dataset
    interrupt(store, monkeypatch)
    journal = Journal(data, store.path)
    damage(journal, journal.entries()[0])
    assert apply(store, plan(store, "ddddee")).n_written == 6
    assert "change 1 (group_characters)" in caplog.text and "is set aside" in caplog.text
    caplog.clear()
    assert reject(data.limit(1)).n_rejected == 1
    assert caplog.text == "", "it is said once"
    assert [change.state for change in history(data)] == ["done", "done", "set aside"]
    assert "missing or damaged" in history(data)[-1].problem
    undo(data), undo(data)
    dropped = drop_change(data, 1)
    assert dropped.number == 1
    assert [change.number for change in history(data)] == [3, 2]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_damaged_change_has_written_can_be_undone(store, monkeypatch, damage):
    data = store.target.dataset
    interrupt(store, monkeypatch)
    assert names_in(store) == ["a", "a", "b", None, None, None]
    journal = Journal(data, store.path)
    damage(journal, journal.entries()[0])
    is_readable = damage in (damage_groups, damage_groups_text)
    undone = undo(data)
    assert undone.n_written == (6 if is_readable else 0), "it was set aside with all labels that could be read written"
    assert names_in(store) == ([None] * 6 if is_readable else ["a", "a", "b", None, None, None])
    assert history(data) == [], "there is nothing to redo"


def test_a_damaged_change_that_is_undone_or_redone(store):
    data = store.target.dataset
    apply(store, plan(store, "aabbcc"))
    journal = Journal(data, store.path)
    damage_chunk(journal, journal.entries()[0])
    with pytest.raises(Exception, match="missing or damaged"):
        undo(data)
    assert history(data)[0].state == "set aside"
    assert apply(store, plan(store, "abcabc")).n_written == 4


def test_an_interrupted_change_is_not_said_to_be_done(store, monkeypatch):
    interrupt(store, monkeypatch)
    assert [change.state for change in history(store.target.dataset)] == ["interrupted"]
    undo(store.target.dataset)
    assert [change.state for change in history(store.target.dataset)] == ["undone"]


def test_a_damaged_list_of_refused_labels_blocks_nothing(store):
    data = store.target.dataset
    apply(store, plan(store, "aabbcc"))
    journal = Journal(data, store.path)
    journal.put(journal.entries()[0], n_refused=2)
    assert history(data)[0].refused == {}
    assert undo(data).n_written == 6


def test_a_rejection_that_is_called_again_after_an_interruption_is_finished(store, monkeypatch):
    """It finds nothing to reject, as the labels are written: the rejections are recorded all the same."""
    data = store.target.dataset
    apply(store, plan(store, "aabbcc"))

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr("ccip_plugin.labels.changes.save_delta", die)
        reject(data[:1])
    assert names_in(store)[0] == "unassigned"
    with pytest.raises(NothingToRejectError):
        reject(data[:1], dry_run=True)
    assert load_registry(data, store.path).rejections == {}
    with pytest.raises(NothingToRejectError):
        reject(data[:1])
    assert load_registry(data, store.path).rejections == {1: {data.first().id}}
    assert [change.state for change in history(data)] == ["done", "done"]


def test_only_what_was_set_aside_is_dropped(store):
    apply(store, plan(store, "aabbcc"))
    for number in (1, 2):
        with pytest.raises(NoSuchChangeError, match=f"change {number} of 'character_group' was not set aside"):
            drop_change(store.target.dataset, number)


REPLACED = {
    "text": lambda data: data.add_sample_field(FIELD, fo.StringField),
    "number": lambda data: data.add_sample_field(FIELD, fo.IntField),
    "detections": lambda data: data.add_sample_field(FIELD, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections),
}


@pytest.mark.parametrize("kind", REPLACED)
@pytest.mark.parametrize("call", ["undo", "redo", "group"])
def test_a_field_that_was_replaced_meanwhile_is_left_alone(store, monkeypatch, kind, call):
    data = store.target.dataset
    interrupt(store, monkeypatch)
    data.delete_sample_field(FIELD)
    REPLACED[kind](data)
    values = {"text": "mine", "number": 7, "detections": fo.Detections()}[kind]
    data.set_values(FIELD, [values] * 6)
    before = list(data._sample_collection.find())
    with pytest.raises(FieldTypeError):
        {"undo": undo, "redo": redo, "group": lambda _: apply(store, plan(store, "aabbcc"))}[call](data)
    assert list(data._sample_collection.find()) == before
    assert len([sample[FIELD] for sample in data]) == 6, "FiftyOne reads it"
    data.delete_sample_field(FIELD)
    assert apply(store, plan(store, "abcabc")).n_written == 6
    assert "was deleted before it was finished" in history(data)[-1].problem


@pytest.mark.parametrize("begin", ["group", "undo"])
def test_a_field_that_became_read_only_meanwhile(store, monkeypatch, begin):
    data = store.target.dataset
    if begin == "undo":
        apply(store, plan(store, "aabbcc"))
        interrupt(store, monkeypatch, action=lambda: undo(data))
    else:
        interrupt(store, monkeypatch)
    before = names_in(store)
    field = data.get_field(f"{FIELD}.label")
    field.read_only = True
    field.save()
    with pytest.raises(FieldReadOnlyError):
        undo(data)
    assert names_in(store) == before
    field.read_only = False
    field.save()
    if begin == "group":
        assert undo(data).n_written == 6, "it was finished first"
    else:
        redo(data)
    assert names_in(store) == ([None] * 6 if begin == "group" else list("aabbcc"))


def test_a_history_of_a_newer_version_is_refused_in_a_sentence(store):
    data = store.target.dataset
    apply(store, plan(store, "aabbcc"))
    journal = Journal(data, store.path)
    head = journal._heads.get(journal._key(journal.entries()[0]))
    for changed in ({**head, "something": 1}, {**head, "state": "merging"}):
        journal._heads.set(f"{store.path}/00000001", changed)
        for call in (undo, history, lambda _: apply(store, plan(store, "abcabc"))):
            with pytest.raises(NewerJournalError, match="update this one"):
                call(data)
    assert names_in(store) == list("aabbcc")


def test_heads_are_read_in_one_query(store, monkeypatch):
    data = store.target.dataset
    for names in ("aabbcc", "abcabc", "aaabbb"):
        apply(store, plan(store, names))
    reads = []
    journal = Journal(data, store.path)
    monkeypatch.setattr(type(journal._heads), "get", lambda *_: reads.append("get"))
    monkeypatch.setattr(type(journal._heads), "list_keys", lambda *_: reads.append("list"))
    assert [entry.number for entry in Journal(data, store.path).entries()] == [1, 2, 3]
    assert reads == []


def test_large_changes_are_kept_as_far_as_there_is_room(store):
    data = store.target.dataset
    for names in ("aabbcc", "abcabc", "aaabbb"):
        apply(store, plan(store, names))
    journal = Journal(data, store.path)
    sizes = [entry.n_bytes for entry in journal.entries()]
    assert journal.prune(10, sum(sizes)) == 0
    assert journal.prune(10, sum(sizes) - 1) == 1
    assert journal.prune(10, 0) == 1, "the newest stays"
    assert [entry.number for entry in journal.entries()] == [3]
    assert journal.entries()[0].state == EntryState.DONE


def test_a_number_of_changes_to_keep_beyond_all_numbers_keeps_all(store, monkeypatch):
    monkeypatch.setenv("CCIP_KEPT_CHANGES", str(2**80))
    for names in ("aabbcc", "abcabc"):
        apply(store, plan(store, names))
    assert len(Journal(store.target.dataset, store.path).entries()) == 2


SCHEMAS = [
    "text",
    {FIELD: 5},
    {FIELD: {"type": "classification", "component": "text", "attributes": [None, 7, {"name": 5}]}},
    {FIELD: {"attributes": {"status": 1}}},
    {"another": {"component": "of another version"}},
]


@pytest.mark.parametrize("stored", SCHEMAS, ids=str)
def test_label_schemas_that_fiftyone_refuses_block_nothing(store, stored):
    data = store.target.dataset
    data.add_sample_field("another", fo.StringField)
    internals.database().datasets.update_one({"_id": internals.dataset_id(data)}, {"$set": {"label_schemas": stored}})
    data.reload()
    assert apply(store, plan(store, "aabbcc")).n_written == 6
    assert undo(data).n_written == 6


def test_values_that_the_database_cannot_store_wedge_nothing(dataset):
    """The journal takes half a character; the database does not."""
    data = dataset(*[f"/絵/{n}.png" for n in range(2)])
    store = LabelStore(resolve(data), FIELD)
    apply(store, plan(store, "aa"))
    bad = plan(store, "ab", is_automatic=False)
    bad.labels[0] = (*bad.labels[0][:2], GroupLabel("R\ud83d", 1, "confirmed"))
    with pytest.raises(UnstorableError, match="the database refuses it"):
        apply(store, bad)
    assert names_in(store)[0] == "a"
    apply(store, plan(store, "bb"))
    assert names_in(store) == ["b", "b"]
    assert [change.problem is not None for change in history(data)] == [False, True, False]
