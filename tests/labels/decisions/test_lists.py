"""The list of decisions of a sample: current after each change, undone with it, and nobody else's."""

import fiftyone as fo
import pytest
from bson import ObjectId

from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.deletion import delete_grouping
from ccip_plugin.labels.edits import reject
from ccip_plugin.labels.history import history, redo, undo
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.schema import FieldReadOnlyError, FieldTypeError, ForeignFieldError
from tests.support.boxes import BOXES, FIELD, LIST, chosen, decide, detect, fill, lists, merge, moved, names, rename
from tests.support.full_samples import fill as fill_up

pytestmark = pytest.mark.mongo

ONE, TWO = "char_0001", "char_0002"
A, B, _ = BOXES


@pytest.fixture
def data(dataset):
    new = dataset()
    fill(new, "ab", "ab", "ab")
    group(new)
    return new


def group(data, **options):
    return group_characters(data, patches_field=FIELD, **options)


def turn(action, data):
    return action(data, patches_field=FIELD)


def decided(label, status="confirmed", box=A, **values):
    return {"box": box, "label": label, "status": status, **values}


def test_it_is_there_when_something_is_decided(data):
    assert not data.has_field(LIST), "most datasets have automatic labels only"
    decide(data, 0, group="Rei")
    group(data)
    assert lists(data) == [[decided("Rei", group_id=3)], [], []]
    assert data[1:].values(LIST) == [None, None]
    key = data.first()[FIELD].detections[0].id
    assert data.first()[LIST][0]["detection"] == key and data.first()[LIST][0]["group_field"] == "character_group"
    assert isinstance(data.get_field(LIST), fo.ListField) and "user labels" in data.get_field(LIST).description


def test_samples_have_no_list(embedded):
    data = embedded("aab")
    group_characters(data)
    data.first().character_group.status = "confirmed"
    group_characters(data)
    assert not [name for name in data.get_field_schema() if name.endswith("_decisions")]


def test_each_change_is_in_it_and_undone_with_it(data):
    found = [lists(data)]
    decide(data, 0, status="ignored")
    group(data)
    found.append(lists(data))
    reject(chosen(data, 1), patches_field=FIELD)
    found.append(lists(data))
    decide(data, 1, group="Asuka")
    group(data)
    found.append(lists(data))
    rejected = [{"group_id": 2, "label": TWO}]
    assert [each[0] for each in found] == [
        [],
        [decided(ONE, "ignored")],
        [decided(ONE, "ignored"), {"box": B, "rejected": rejected}],
        [decided(ONE, "ignored"), decided("Asuka", box=B, group_id=3, rejected=rejected)],
    ]
    edited = [decided("Asuka", box=B, group_id=3, rejected=rejected)]  # the edit by hand is a change of its own
    for undone in (edited, [{"box": B, "rejected": rejected}], []):
        turn(undo, data)
        assert lists(data) == [[decided(ONE, "ignored"), *undone], [], []]
    for _ in range(3):
        turn(redo, data)
    assert lists(data) == found[-1]


def test_an_image_that_is_put_back(data):
    reject(chosen(data, 0), patches_field=FIELD)
    decide(data, 0, group=ONE)
    group(data)
    group(data)
    assert lists(data)[0] == [decided(ONE, group_id=1)], "the rejection was removed"
    detect(data.first(), "ab")
    group(data)
    assert names(data)[0] == [ONE + "!", TWO] and "rejected" not in lists(data)[0][0]


def test_a_decision_that_was_undone_after_its_detection_was_replaced(data):
    decide(data, 0, group="Rei")
    group(data)
    reject(chosen(data, 2), patches_field=FIELD)
    before = names(data)
    for sample in data[:2]:
        detect(sample, "ab")
    turn(undo, data)
    assert group(data).n_taken_over == 1
    assert names(data)[:2] == [["Rei!", TWO], [ONE, TWO]]
    turn(undo, data), turn(undo, data)
    turn(redo, data), turn(redo, data)
    assert names(data)[0] == before[0]


def test_a_rejection_that_is_undone_and_redone_after_its_detection_was_replaced(data):
    reject(chosen(data, 0), patches_field=FIELD)
    detect(data.first(), "ab")
    found = lists(data)
    turn(undo, data)
    assert not any("rejected" in each for each in lists(data)[0])
    turn(redo, data)
    assert lists(data) == found
    group(data)
    assert names(data)[0] == ["unassigned", TWO]


def test_it_is_filled_for_data_of_earlier_versions(data):
    decide(data, 0, group="Rei")
    group(data)
    reject(chosen(data, 3), patches_field=FIELD)
    expected = lists(data)
    assert [len(each) for each in expected] == [1, 1, 0]
    group(data)
    data.delete_sample_field(LIST)
    n = len(history(data, patches_field=FIELD))
    group(data)
    assert lists(data) == expected
    assert len(history(data, patches_field=FIELD)) == n, "it is derived, and no change"


def test_a_box_that_was_moved_by_hand(data):
    decide(data, 0, group="Rei")
    group(data)
    sample = data.first()
    sample[FIELD].detections[0].bounding_box = [0.7, 0.7, 0.2, 0.2]
    sample.save()
    group(data)
    assert lists(data)[0][0]["box"] == [0.7, 0.7, 0.2, 0.2]
    detect(data.first(), "ba", [A, moved([0.7, 0.7, 0.2, 0.2])])
    group(data)
    assert names(data)[0][1] == "Rei!"


def test_detections_without_a_box(data):
    sample = data.first()
    sample[FIELD].detections[0].bounding_box = []
    sample.save()
    decide(data, 0, group="Rei")
    group(data)
    assert "box" not in lists(data)[0][0]
    detect(data.first(), "ab")
    assert group(data).n_taken_over == 0
    assert len(lists(data)[0]) == 1


# -- whose field it is


@pytest.mark.parametrize(
    "kind, value, error",
    [
        pytest.param(fo.StringField, "mine", ForeignFieldError, id="a text"),
        pytest.param(fo.ListField, ["mine"], ForeignFieldError, id="a list of texts"),
        pytest.param(fo.ListField, [{"box": A}], ForeignFieldError, id="other dicts"),
        pytest.param(fo.StringField, None, FieldTypeError, id="an empty text"),
        pytest.param(fo.ListField, None, None, id="an empty list"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_field_of_the_user_in_its_place(dataset, is_first, kind, value, error):
    data = dataset()
    fill(data, "ab", "ab")
    if not is_first:
        group(data)
    decide(data, 0, group="Rei") if not is_first else None
    data.add_sample_field(LIST, kind, description="notes")
    data.set_values(LIST, [value, value])
    before = names(data)
    if error is None:
        group(data)
        assert lists(data)[0] == ([decided("Rei", group_id=3)] if not is_first else [])
        return
    with pytest.raises(error, match=LIST):
        group(data)
    assert names(data) == before and data.values(LIST) == [value, value]


def test_a_read_only_field(data):
    decide(data, 0, group="Rei")
    group(data)
    field = data.get_field(LIST)
    field.read_only = True
    field.save()
    with pytest.raises(FieldReadOnlyError, match=LIST):
        group(data)


def test_what_a_user_wrote_into_it_does_no_harm(data):
    decide(data, 0, group="Rei")
    group(data)
    documents = data._sample_collection
    ours = documents.find_one({}, [LIST])[LIST][0]
    odd = [{"detection": "x", "group_field": "character_group", "box": "?", "rejected": 5, "beside": 5, "label": 5},
           {**ours, "detection": str(ObjectId()), "group_id": 2**62, "label": "Rei", "rejected": [{}, 5]}]  # fmt: skip
    documents.update_one({"_id": ObjectId(data.first().id)}, {"$set": {LIST: [*odd, ours]}})
    group(data)
    assert names(data)[0] == ["Rei!", TWO]
    assert [each["label"] for each in lists(data)[0]] == ["Rei", "Rei"]


def test_several_groups_and_several_detections(data):
    fill(data, "ab", "ab", field="heads")
    group_characters(data, patches_field="heads")
    group(data, group_field="costume")
    decide(data, 0, group="Rei")
    ids = data.values(f"{FIELD}.detections.id", unwind=True)
    data.set_label_values(f"{FIELD}.detections.costume", {ids[0]: "plug suit"})
    head = data[3:].values("heads.detections.id", unwind=True)[0]
    data.set_label_values("heads.detections.character_group", {head: "Kaworu"})
    group(data)
    group(data, group_field="costume")
    group_characters(data, patches_field="heads")
    assert {(each["group_field"], each["label"]) for each in data.first()[LIST]} == {
        ("character_group", "Rei"),
        ("costume", "plug suit"),
    }
    assert [each["label"] for each in data[3:].first()["heads_decisions"]] == ["Kaworu"]
    detect(data.first(), "ab")
    assert group(data, group_field="costume").n_taken_over == 1
    assert group(data).n_taken_over == 1
    assert names(data)[0] == ["Rei!", TWO]
    assert data.first()[FIELD].detections[0].costume == "plug suit"
    delete_grouping(data, patches_field=FIELD, group_field="costume")
    assert len(data.first()[LIST]) == 2


# -- interruptions and limits


@pytest.mark.parametrize("step", ["write_raw", "write_rollup", "refresh"])
@pytest.mark.parametrize("is_undo", [False, True])
def test_a_process_that_dies_in_the_middle(data, monkeypatch, step, is_undo):
    decide(data, 0, group="Rei")
    group(data)
    reject(chosen(data, 3), patches_field=FIELD)
    for sample in data:
        detect(sample, "ab")
    before = lists(data)
    if is_undo:
        group(data)
        turn(undo, data)

    class DiedError(Exception):
        pass

    write = getattr(LabelStore, step)

    def die(self, *arguments):
        write(self, *arguments)
        raise DiedError

    with monkeypatch.context() as context:
        context.setattr(LabelStore, step, die)
        with pytest.raises(DiedError):
            turn(undo, data) if is_undo else group(data)
    if is_undo and step != "refresh":
        assert [change.state for change in history(data, patches_field=FIELD)][1] == "interrupted"
    group(data)
    assert names(data) == [["Rei!", TWO], ["Rei", "unassigned"], ["Rei", TWO]]
    assert [len(each) for each in lists(data)] == [1, 1, 0]
    turn(undo, data), turn(undo, data)
    assert lists(data) == before


def test_a_sample_without_room_for_the_list(data):
    decide(data, 0, group="R" * 200)
    decide(data, 2, group="Asuka")
    data.first().reload()
    fill_up(data, data.first(), 300)
    done = group(data)
    assert list(done.refused) == [data.first().id], "its list has no room"
    assert names(data)[0][0] == "R" * 200 + "!"
    assert [len(each) for each in lists(data)] == [0, 1, 0]
    group(data)
    data.set_values("filling", [None] * 3)
    group(data)
    assert [len(each) for each in lists(data)] == [1, 1, 0]


# -- groups that change meanwhile, and deleted groupings


def test_a_group_that_was_merged_meanwhile(dataset):
    data = dataset()
    fill(data, "aA", "aA", "aA", "aA")
    group(data, eps=0.15, same_image="ignore")
    small, large = names(data)[0]
    assert small != large
    decide(data, 0, status="confirmed")
    reject(chosen(data, 2), patches_field=FIELD)
    group(data, eps=0.15, same_image="ignore")
    for sample in data[:2]:
        detect(sample, "")
    merge(data, small, large)
    detect(data.first(), "a")
    detect(data[1:].first(), "A")
    group(data, eps=0.15, same_image="ignore")
    assert names(data)[:2] == [[large + "!"], [names(data)[1][0]]] and names(data)[1][0] not in (small, large)


def test_a_group_that_was_renamed_meanwhile(data):
    decide(data, 0, status="confirmed")
    group(data)
    detect(data.first(), "b", [B])
    group(data)
    rename(data, 1, "初音ミク")
    detect(data.first(), "ab")
    group(data)
    assert names(data)[0] == ["初音ミク!", TWO]


def test_delete_grouping_keeps_them(data):
    decide(data, 0, group="Rei")
    decide(data, 2, status="confirmed")
    group(data)
    for sample in data:
        detect(sample, "")
    assert LIST not in delete_grouping(data, patches_field=FIELD, dry_run=True).fields
    deletion = delete_grouping(data, patches_field=FIELD)
    assert LIST not in deletion.fields and f"{FIELD}.detections.character_group" in deletion.fields
    assert [[each["label"] for each in one] for one in lists(data)] == [["Rei"], [ONE], []]
    for sample in data:
        detect(sample, "ab")
    assert group(data).n_taken_over == 2
    assert names(data)[0][0] == "Rei!" and names(data)[1][0] == ONE + "!"


def test_delete_grouping_leaves_no_empty_list(data):
    decide(data, 0, status="confirmed")
    group(data)
    turn(undo, data)
    decide(data, 0, status="auto")
    group(data)
    delete_grouping(data, patches_field=FIELD)
    data.reload()
    assert not data.has_field(LIST)


# -- copies of a dataset


def copied(data, kind, folder):
    if kind == "clone":
        return data.clone()
    if kind == "clone of a view":
        return data.limit(3).clone()
    data.export(export_dir=str(folder), dataset_type=fo.types.FiftyOneDataset, export_media=False)
    if kind == "export":
        return fo.Dataset.from_dir(str(folder), dataset_type=fo.types.FiftyOneDataset)
    new = fo.Dataset()
    new.merge_samples(data.view())
    return new


@pytest.mark.parametrize("kind", ["clone", "clone of a view", "export", "merge"])
def test_decisions_travel_with_copies(data, tmp_path, kind):
    decide(data, 0, group="Rei")
    group(data)
    reject(chosen(data, 2), patches_field=FIELD)
    for sample in data[:2]:
        detect(sample, "ab")
    expected = lists(data)
    copy = copied(data, kind, tmp_path / "copy")
    try:
        assert lists(copy) == expected
        assert group(copy).n_taken_over == 2
        assert names(copy)[0][0] == "Rei!" and names(copy)[1][0] == "unassigned"
        assert copy.get_field(LIST).description == data.get_field(LIST).description
    finally:
        copy.delete()
