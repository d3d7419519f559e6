"""Labels that people edit elsewhere: the next change records them, as a change of its own."""

import datetime

import pytest

from ccip_plugin import (
    confirm,
    history,
    ignore,
    move,
    propose_groups,
    redo,
    reject,
    rename_group,
    review_progress,
    undo,
)
from ccip_plugin.labels import identities
from ccip_plugin.labels.edits import by_hand
from ccip_plugin.labels.identities import last_look
from ccip_plugin.storage.internals import sample_documents
from tests.support.database.edits import ONE, TWO

pytestmark = pytest.mark.mongo

WRITING = {
    "confirm": lambda data: data.call(confirm, data.view(7)),
    "ignore": lambda data: data.call(ignore, data.view(7)),
    "move": lambda data: data.call(move, data.view(7), "Asuka"),
    "reject": lambda data: data.call(reject, data.view(7)),
    "rename": lambda data: data.call(rename_group, data.data, TWO, "Asuka"),
    "run": lambda data: data.run(),
}


def write(data, places, names):
    """As "Edit field values" and scripts do."""
    label = data.store.attribute_path("label")
    for place, name in zip(places, names, strict=True):
        data.view(place).set_values(label, [[name] if data.options["patches_field"] else name])


def actions(data):
    return [change.action for change in data.call(history, data.data)]


@pytest.mark.parametrize("how", WRITING)
def test_the_next_change_records_them(grouped, how):
    before = grouped.stored()
    write(grouped, (0, 1), ("Rei", "Rei"))
    done = WRITING[how](grouped)
    assert done.n_by_hand == 2
    assert (grouped.names()[:3], grouped.statuses()[:3]) == (["Rei", "Rei", ONE], ["confirmed", "confirmed", "auto"])
    changes = grouped.call(history, grouped.data)
    own = [change for change in changes if change.action == "edited_by_hand"]
    assert [(change.n_labels, change.by, change.problem_text) for change in own] == [(2, None, None)]
    assert changes.n_by_hand == 0
    assert {group.name: group.named_by for group in grouped.registry.groups.values()}["Rei"] == "person"
    while changes[0].number > own[0].number:
        grouped.call(undo, grouped.data)
        changes = [change for change in grouped.call(history, grouped.data) if not change.is_undone]
    assert grouped.names()[:2] == ["Rei", "Rei"]
    grouped.call(undo, grouped.data)
    assert grouped.stored() == before, "the labels of before the edit by hand"
    assert "Rei" not in {group.name for group in grouped.registry.groups.values()}
    grouped.call(redo, grouped.data)
    assert (grouped.names()[:2], grouped.statuses()[:2]) == (["Rei", "Rei"], ["confirmed", "confirmed"])


def test_a_deleted_text_is_decided_again(grouped):
    """The group of a detection is an attribute of its own: whoever deletes that, leaves the status behind."""
    grouped.call(confirm, grouped.view(0, 1))
    before = grouped.names()
    write(grouped, (0,), (None,))
    assert (grouped.names()[0], grouped.call(review_progress, grouped.data).n_confirmed) == (None, 1)
    assert grouped.store.count_user_labels() == 1
    grouped.run()
    assert (grouped.names(), grouped.statuses()[:2]) == (before, ["auto", "confirmed"])
    grouped.call(ignore, grouped.view(0))
    write(grouped, (0,), (None,))
    grouped.run()
    assert (grouped.names()[0], grouped.statuses()[0]) == ("unassigned", "ignored"), "its status says it"


def test_a_name_typed_for_a_rejected_image_lifts_that(grouped):
    grouped.call(reject, grouped.view(0))
    rejected = grouped.registry.rejections
    write(grouped, (0,), (ONE,))
    grouped.call(confirm, grouped.view(7))
    assert grouped.names()[0] == ONE and not any(grouped.registry.rejections.values())
    for _ in range(2):
        grouped.call(undo, grouped.data)
    assert (grouped.names()[0], grouped.registry.rejections) == ("unassigned", rejected)


def test_what_only_reads_or_undoes_records_nothing(grouped):
    write(grouped, (0, 4), ("Rei", "Asuka"))
    grouped.call(confirm, grouped.view(7), dry_run=True)
    grouped.call(propose_groups, grouped.data)
    grouped.run(mode="add")
    grouped.call(undo, grouped.data)
    found = grouped.call(history, grouped.data)
    assert (found.n_by_hand, {change.action for change in found}) == (2, {"group_characters"})
    assert str(found).endswith("edited by hand since, recorded with the next change: 2 labels")
    assert (grouped.names()[0], grouped.statuses()[0]) == ("Rei", "auto")
    assert grouped.call(undo, grouped.data).n_left == 2, "undo leaves them as they are"
    assert grouped.names()[0] == "Rei"


@pytest.mark.parametrize(
    ("first", "name"),
    [("confirm", "Rei"), ("ignore", "Rei"), ("move", "Rei"), ("confirm", TWO), ("confirm", "unassigned")],
)
def test_labels_that_users_decided_before(grouped, first, name):
    """The later word counts, and undo restores the earlier one."""
    options = {"move": ("Asuka",)}.get(first, ())
    grouped.call({"confirm": confirm, "ignore": ignore, "move": move}[first], grouped.view(0), *options)
    before = grouped.stored()
    write(grouped, (0,), (name,))
    assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert grouped.names()[0] == name
    assert grouped.statuses()[0] == ("ignored" if first == "ignore" else "confirmed")
    grouped.call(undo, grouped.data)
    assert grouped.stored() == before


def replace_label(data, place, name):
    """As an import of annotations does: another label, without our values."""
    import fiftyone as fo

    if not data.options["patches_field"]:
        data.view(place).set_values("character_group", [fo.Classification(label=name)])
        return
    store, view = data.store, data.view(place)
    item_id = view.values(f"{store.target.labels_path}.id", unwind=True)[0]
    for sample in view:
        for detection in sample[data.options["patches_field"]].detections:
            if detection.id == item_id:
                for key in store.keys:
                    detection[key] = None
                detection[data.store.group_field] = name
        sample.save()


def test_a_label_that_was_replaced_is_restored_from_the_history(grouped):
    before = grouped.labels()
    replace_label(grouped, 0, "Rei")
    assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert (grouped.names()[0], grouped.statuses()[0]) == ("Rei", "confirmed")
    assert not grouped.call(history, grouped.data)[0].problem_text
    grouped.call(undo, grouped.data)
    assert grouped.labels() == before


def test_what_cannot_be_undone_is_said(grouped, monkeypatch):
    monkeypatch.setattr(by_hand, "_LARGEST", 0)
    replace_label(grouped, 0, "Rei")
    write(grouped, (1,), ("Rei",))
    grouped.call(confirm, grouped.view(8))
    change = next(each for each in grouped.call(history, grouped.data) if each.action == "edited_by_hand")
    assert change.problem_text == f"change {change.number}: 1 of 2 cannot be undone"
    done = grouped.call(undo, grouped.data, number=change.number)
    assert grouped.names()[:2] == ["Rei", ONE]
    assert (done.n_written, done.n_unknown) == (1, 1)
    assert done.facts()["Kept as edited by hand, the label before is not known"] == "1"


def test_text_that_names_no_group(grouped):
    """A text that is too long stays as it is; a default name that no group has is for a run to judge."""
    write(grouped, (0, 1, 2), ("x" * 201, "char_0999", " Rei\u3000"))
    assert grouped.call(history, grouped.data).n_by_hand == 1
    assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert grouped.call(history, grouped.data).n_by_hand == 0, "what is not recorded is not waiting"
    assert grouped.names()[:3] == ["x" * 201, "char_0999", "Rei"]
    assert grouped.statuses()[:3] == ["auto", "auto", "confirmed"]
    (warning,) = [each for each in grouped.run().warnings if "default name" in each]
    assert "that no group of this field had, as when they were typed, or datasets were merged" in warning
    assert (grouped.names()[1], grouped.call(history, grouped.data).n_by_hand) == ("char_0999", 0)


def test_labels_from_before_the_first_run_are_no_edits(dataset, tmp_path):
    import fiftyone as fo

    from tests.support.database.edits import Data

    data = dataset(*(tmp_path / f"{n}.png" for n in range(9)))
    data.set_values("character_group", [fo.Classification(label="Rei"), *[None] * 8])
    grouped = Data(data, None)
    assert actions(grouped) == ["group_characters"]
    assert (grouped.names()[0], grouped.statuses()[0]) == ("Rei", "confirmed")


def test_an_edit_at_the_same_moment_wins(grouped, monkeypatch):
    """A label that is edited again while the first edit is recorded stays as it is, for the next change."""
    write(grouped, (0, 1), ("Rei", "Rei"))
    kept = by_hand.apply

    def apply_late(*arguments, **options):
        write(grouped, (0,), ("Asuka",))
        return kept(*arguments, **options)

    with monkeypatch.context() as context:
        context.setattr(by_hand, "apply", apply_late)
        assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert (grouped.names()[:2], grouped.statuses()[:2]) == (["Asuka", "Rei"], ["auto", "confirmed"])
    assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert (grouped.names()[:2], grouped.statuses()[:2]) == (["Asuka", "Rei"], ["confirmed", "confirmed"])


@pytest.mark.parametrize(("minutes", "is_seen"), [(-30, False), (-5, True), (0, True), (30, True)])
def test_clocks_of_other_machines_may_be_late(grouped, minutes, is_seen):
    """What is older than ten minutes before the last look was seen then; a run looks at everything."""
    write(grouped, (0,), ("Rei",))
    look = last_look(grouped.data, grouped.store.path).at
    at = look + datetime.timedelta(minutes=minutes)
    sample_documents(grouped.data).update_many({}, {"$set": {"last_modified_at": at}})
    assert grouped.call(history, grouped.data).n_by_hand == is_seen
    assert grouped.run().n_by_hand == 1


def test_samples_that_a_large_change_wrote_are_not_read_again(grouped, monkeypatch):
    monkeypatch.setattr(identities, "LARGE_CHANGE", 5)
    monkeypatch.setattr(by_hand, "_FEW", 0)
    grouped.call(undo, grouped.data)
    grouped.run()
    read = []
    kept = by_hand._edited_in
    monkeypatch.setattr(by_hand, "_edited_in", lambda store, ids: kept(store, read.extend(ids) or read))
    plan = sample_documents(grouped.data).find({"last_modified_at": {"$gte": datetime.datetime(1970, 1, 1)}}).explain()
    assert "IXSCAN" in str(plan), "by the index that FiftyOne makes"
    write(grouped, (0,), ("Rei",))
    read.clear()
    assert grouped.call(confirm, grouped.view(8)).n_by_hand == 1
    assert len(read) == 1


def test_the_order_of_keys_does_not_matter(grouped):
    """The App's editor writes the keys of a label in an order of its own."""
    place = grouped.store.group_field if not grouped.options["patches_field"] else grouped.options["patches_field"]
    documents = sample_documents(grouped.data)
    write(grouped, (0,), ("Rei",))
    for document in documents.find():
        documents.update_one({"_id": document["_id"]}, {"$set": {place: backwards(document[place])}})
    grouped.run()
    while grouped.call(history, grouped.data)[-1].is_undone is False:
        grouped.call(undo, grouped.data)
    assert grouped.names() == [None] * 9


def backwards(value):
    """A stored value with its keys in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return list(map(backwards, value)) if isinstance(value, list) and value and isinstance(value[0], dict) else value
