"""Confirm, ignore, move and rename: each is one change, holds for later runs, and is undone exactly."""

import fiftyone as fo
import pytest

from ccip_plugin import confirm, group_characters, history, ignore, merge_groups, move, redo, reject, rename_group, undo
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.identity.groups import Group, GroupNameError
from ccip_plugin.labels.edits.chosen import NoSuchGroupError
from ccip_plugin.labels.edits.names import NameTakenError
from ccip_plugin.labels.identities import save_delta
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.runs import RunKeyError
from ccip_plugin.storage.schema import FieldTypeError, ForeignFieldError
from ccip_plugin.storage.targets import TargetError
from tests.support.database.edits import FIELD, LETTERS, ONE, TWO, Data
from tests.support.groups import embed

pytestmark = pytest.mark.mongo


def test_the_groups_at_first(grouped):
    assert grouped.names() == [ONE] * 4 + [TWO] * 4 + ["unassigned"]


EDITS = {
    "confirm": lambda made: made.call(confirm, made.view(0, 5)),
    "confirm a group": lambda made: made.call(confirm, made.data, groups=ONE),
    "ignore": lambda made: made.call(ignore, made.view(1, 8)),
    "move": lambda made: made.call(move, made.view(0, 8), TWO),
    "move to a new group": lambda made: made.call(move, made.view(0, 8), None),
    "move to a new name": lambda made: made.call(move, made.view(0, 8), "綾波レイ 💙"),
    "move and reject": lambda made: made.call(move, made.view(0), 2, reject=True),
    "rename": lambda made: made.call(rename_group, made.data, ONE, "綾波レイ"),
}


@pytest.mark.parametrize("name", EDITS)
def test_it_is_undone_and_redone_exactly(grouped, name):
    before, registry = grouped.stored(), grouped.registry
    done = EDITS[name](grouped)
    assert done.is_done and done.n_changed > 0 and done.number == 2
    after, changed = grouped.stored(), grouped.registry
    assert after != before
    grouped.call(undo, grouped.data)
    assert grouped.stored() == before
    assert (grouped.registry.groups, grouped.registry.rejections) == (registry.groups, registry.rejections)
    grouped.call(redo, grouped.data)
    assert grouped.stored() == after
    assert (grouped.registry.groups, grouped.registry.rejections) == (changed.groups, changed.rejections)


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("parameters", [{}, {"method": "dbscan", "eps": 0.9}, {"eps": 0.001}])
def test_runs_keep_it(grouped, name, parameters):
    EDITS[name](grouped)
    decided = {place: label for place, label in enumerate(grouped.labels()) if label.is_human}
    names = {group.name for group in grouped.registry.groups.values() if not group.is_auto_named}
    grouped.run(**parameters)
    after = grouped.labels()
    assert {place: (after[place].label, after[place].status) for place in decided} == {
        place: (label.label, label.status) for place, label in decided.items()
    }
    assert names <= {group.name for group in grouped.registry.groups.values() if group.merged_into is None}


@pytest.mark.parametrize("name", EDITS)
def test_a_second_time_changes_nothing(grouped, name):
    if name in ("move to a new group", "rename"):  # which makes another one, and finds no group of that name
        return
    EDITS[name](grouped)
    before, number = grouped.stored(), len(grouped.call(history, grouped.data))
    again = EDITS[name](grouped)
    assert (again.n_changed, again.number) == (0, None) and again.n_same > 0
    assert (grouped.stored(), len(grouped.call(history, grouped.data))) == (before, number)


def test_a_dry_run_changes_nothing(grouped):
    before, registry = grouped.stored(), grouped.registry
    for function, arguments in ((confirm, ()), (ignore, ()), (move, (TWO,))):
        report = grouped.call(function, grouped.view(0, 1), *arguments, dry_run=True)
        assert (report.n_changed, report.is_done, report.number) == (2, False, None)
        assert "not written" in str(report)
    assert grouped.call(rename_group, grouped.data, ONE, "Rei", dry_run=True).groups == {"Rei": 4}
    assert (grouped.stored(), grouped.registry) == (before, registry)


def test_confirm(grouped):
    done = grouped.call(confirm, grouped.view(0, 1, 5, 8))
    assert (done.groups, done.n_without, done.n_same) == ({ONE: 2, TWO: 1}, 1, 0)
    expected = ["auto"] * 9
    expected[0] = expected[1] = expected[5] = "confirmed"
    assert grouped.statuses() == expected
    everything = grouped.call(confirm, grouped.data, groups=[ONE, 2])
    assert (everything.n_changed, everything.n_same) == (5, 3)
    assert grouped.statuses() == ["confirmed"] * 8 + ["auto"]


def test_confirm_in_a_view_confirms_what_is_in_it(grouped):
    done = grouped.call(confirm, grouped.view(0, 1, 5), groups=ONE)
    assert done.groups == {ONE: 2}
    assert grouped.statuses()[:3] == ["confirmed", "confirmed", "auto"]


def test_confirm_of_a_name_given_by_hand(grouped):
    """The name becomes a group, and its image a member."""
    label = grouped.store.attribute_path("label")
    grouped.view(0).set_values(label, [["Rei"]] if grouped.options["patches_field"] else ["Rei"])
    done = grouped.call(confirm, grouped.view(0))
    assert (done.n_by_hand, done.n_same, done.n_changed) == (1, 1, 0)
    assert (grouped.names()[0], grouped.ids()[0], grouped.statuses()[0]) == ("Rei", 3, "confirmed")
    assert grouped.registry.groups[3].named_by == "person"


def test_ignored_images_leave_their_groups(grouped):
    done = grouped.call(ignore, grouped.view(0, 8))
    assert done.n_changed == 2
    assert [grouped.names()[place] for place in (0, 8)] == ["unassigned"] * 2
    assert [grouped.ids()[place] for place in (0, 8)] == [None] * 2
    grouped.run(method="dbscan", eps=1)
    assert [grouped.statuses()[place] for place in (0, 8)] == ["ignored"] * 2
    assert grouped.call(confirm, grouped.view(0)).n_without == 1
    name = grouped.names()[1]
    assert grouped.call(move, grouped.view(0), name).n_changed == 1, "who moves it decides again"
    assert (grouped.names()[0], grouped.statuses()[0]) == (name, "confirmed")


@pytest.mark.parametrize("to", [TWO, f" {TWO}\u3000", 2])
def test_move_to_a_group_by_name_or_id(grouped, to):
    done = grouped.call(move, grouped.view(0, 4), to)
    assert (done.groups, done.n_same) == ({TWO: 2}, 0)
    assert (grouped.names()[0], grouped.ids()[0], grouped.statuses()[0]) == (TWO, 2, "confirmed")
    assert grouped.labels()[0].difference is None, "what was measured to the other group is gone"
    assert grouped.labels()[4].difference is not None


def test_move_takes_a_rejection_back_and_undo_brings_it_again(grouped):
    grouped.call(reject, grouped.view(0))
    item = grouped.store.read()[0][0]
    assert grouped.registry.rejections == {1: {item}}
    done = grouped.call(move, grouped.view(0), ONE)
    assert (done.n_lifted, done.groups, grouped.registry.rejections) == (1, {ONE: 1}, {})
    grouped.run()
    assert grouped.names()[0] == ONE
    grouped.call(undo, grouped.data)
    grouped.call(undo, grouped.data) if grouped.registry.rejections == {} else None
    assert grouped.registry.rejections == {1: {item}}


def test_move_remembers_where_it_does_not_belong(grouped):
    grouped.call(move, grouped.view(0), "Rei", reject=True)
    item = grouped.store.read()[0][0]
    assert grouped.registry.rejections == {1: {item}}
    samples = grouped.view(0)
    paths = [path for path in grouped.store.own_fields() if "." in path or not grouped.options["patches_field"]]
    for path in paths:
        samples.set_values(path, [[None]] if grouped.options["patches_field"] else [None])
    grouped.run()
    assert grouped.names()[0] != ONE


def test_new_groups_get_names_of_their_own(grouped):
    assert grouped.call(move, grouped.view(0), None).groups == {"char_0003": 1}
    assert grouped.call(move, grouped.view(1), None).groups == {"char_0004": 1}
    assert grouped.call(move, grouped.view(2), "Rei").groups == {"Rei": 1}
    assert grouped.ids()[:3] == [3, 4, 5]
    assert grouped.registry.next_id == 6


@pytest.mark.parametrize("name", ["綾波レイ", "Ayanami 💙", " Rei ", "a.b$c/d\\e", "..", "x" * 200])
def test_rename(grouped, name):
    grouped.call(confirm, grouped.view(1))
    done = grouped.call(rename_group, grouped.data, ONE, name)
    new = name.strip()
    assert done.groups == {new: 4}
    assert grouped.names() == [new] * 4 + [TWO] * 4 + ["unassigned"]
    assert grouped.statuses() == ["auto", "confirmed", *["auto"] * 7]
    assert grouped.ids()[:4] == [1] * 4
    group = grouped.registry.groups[1]
    assert (group.name, group.named_by) == (new, "person")
    grouped.run()
    assert grouped.names()[:4] == [new] * 4
    if grouped.options["patches_field"]:
        assert grouped.data.values("箱_characters")[0] == [new]


def test_rename_reaches_images_outside_of_a_view(grouped):
    grouped.call(rename_group, grouped.view(0), 1, "Rei")
    assert grouped.names()[:4] == ["Rei"] * 4


def test_rename_keeps_a_group_without_images(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    grouped.call(move, grouped.view(0, 1, 2, 3), TWO)
    grouped.run()
    assert grouped.call(rename_group, grouped.data, "Rei", "Asuka").groups == {}
    assert grouped.registry.groups[1].name == "Asuka"
    assert grouped.call(history, grouped.data)[0].action == "rename_group"


def test_a_name_in_use_is_refused(grouped):
    grouped.call(rename_group, grouped.data, ONE, "\u30ac")
    before = grouped.stored()
    for name in ("\u30ac", " \u30ab\u3099"):
        with pytest.raises(NameTakenError, match="there is a group"):
            grouped.call(rename_group, grouped.data, TWO, name)
    assert grouped.stored() == before
    assert grouped.call(rename_group, grouped.data, 1, "\u30ab\u3099").n_changed == 4, "the same name in another form"


def test_a_name_that_is_free_again(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    grouped.call(rename_group, grouped.data, "Rei", "Asuka")
    grouped.call(rename_group, grouped.data, TWO, "Rei")
    assert grouped.names() == ["Asuka"] * 4 + ["Rei"] * 4 + ["unassigned"]


NO_NAMES = (
    "",
    "  ",
    "\u200b\u200d",
    "unassigned",
    " unassigned ",
    "R\ud83d",
    "\udc00",
    "a\nb",
    "a\0b",
    "char_0009",
    "char_12",
)


@pytest.mark.parametrize("name", [*NO_NAMES, "char_12", "x" * 201])
def test_names_that_no_group_can_have(grouped, name):
    before = grouped.stored()
    for call in (
        lambda: grouped.call(rename_group, grouped.data, ONE, name),
        lambda: grouped.call(move, grouped.view(0), name),
    ):
        with pytest.raises((GroupNameError, NoSuchGroupError)):
            call()
    assert grouped.stored() == before


@pytest.mark.parametrize("group", ["unknown", 99, -1, 2**62])
def test_groups_that_do_not_exist(grouped, group):
    calls = [
        lambda: grouped.call(confirm, grouped.data, groups=group),
        lambda: grouped.call(ignore, grouped.data, groups=[ONE, group]),
        lambda: grouped.call(rename_group, grouped.data, group, "Rei"),
    ]
    if isinstance(group, int):
        calls.append(lambda: grouped.call(move, grouped.view(0), group))
    before = grouped.stored()
    for call in calls:
        with pytest.raises(NoSuchGroupError, match=f"has no character group {group!r}"):
            call()
    assert grouped.stored() == before


def test_a_whole_dataset_is_refused(grouped):
    for function, arguments in ((confirm, ()), (ignore, ()), (move, (ONE,))):
        with pytest.raises(TargetError, match="every image of the dataset: give a view of some"):
            grouped.call(function, grouped.data, *arguments)


@pytest.mark.parametrize("group", [1.5, None, ["a"], b"a", True])
def test_wrong_types(grouped, group):
    if group is not None:
        for call in (
            lambda: grouped.call(move, grouped.view(0), group),
            lambda: grouped.call(confirm, grouped.data, groups=[group]),
        ):
            with pytest.raises(ParameterError):
                call()
    with pytest.raises(ParameterError):
        grouped.call(rename_group, grouped.data, group, "Rei")


def test_a_view_that_shows_other_labels(dataset, tmp_path):
    """What is stored counts, not what the view shows."""
    made = Data(dataset(*(tmp_path / f"{n}.png" for n in range(len(LETTERS)))), None)
    shown = made.data.map_labels(FIELD, {ONE: "Mapped"})
    assert confirm(shown[:1]).groups == {ONE: 1}
    assert reject(shown[1:2]).groups == {ONE: 1}
    assert made.names()[:2] == [ONE, "unassigned"]
    assert list(made.registry.rejections) == [1]


def test_a_new_group_finds_a_name_behind_many_that_are_taken(grouped):
    names = [f"char_{number:04d}" for number in range(3, 20)]
    label = grouped.store.attribute_path("label")
    for place, name in enumerate(names[:9]):
        grouped.view(place).set_values(label, [[name]] if grouped.options["patches_field"] else [name])
    registry = grouped.registry
    groups = {100 + n: (None, Group(name, "now")) for n, name in enumerate(names)}
    save_delta(grouped.data, grouped.store.path, revision=registry.revision, next_id=3, groups=groups)
    grouped.call(move, grouped.view(8), None)
    found = [group.name for group in grouped.registry.groups.values()]
    assert len(set(found)) == len(found)


def test_fields_that_are_taken(dataset):
    data = dataset("/0.png")
    data.set_values("people", [fo.Detections(detections=[fo.Detection(label="girl", bounding_box=[0, 0, 1, 1])])])
    for field in ("label", "confidence", "index", "bounding_box", "tags"):
        with pytest.raises(TargetError, match="is the detector's, and stays as it is"):
            group_characters(data, patches_field="people", group_field=field)
    move(data.to_patches("people"), "Rei", patches_field="people")
    with pytest.raises(TargetError, match="would share attributes: choose another group_field"):
        move(data.to_patches("people"), "Rei", group_field="character")
    data.add_sample_field("組", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    move(data[:1], "Rei", group_field="組")
    with pytest.raises(RunKeyError, match="has the character groups of another field, '組'"):
        move(data[:1], "Rei", group_field="群")


@pytest.mark.parametrize("value", [["a"], [], {"a": 1}, [{"a": 1}]])
def test_an_attribute_of_others_that_holds_no_text(dataset, value):
    data = dataset("/0.png")
    data.set_values("people", [fo.Detections(detections=[fo.Detection(label="girl", bounding_box=[0, 0, 1, 1])])])
    sample = data.first()
    sample.people.detections[0][FIELD] = value
    sample.save()
    calls = [
        lambda: group_characters(data, patches_field="people"),
        *(
            lambda call=call: call(data.to_patches("people"))
            for call in (confirm, ignore, reject, lambda view: move(view, "Rei"))
        ),
        lambda: rename_group(data, 1, "Rei", patches_field="people"),
    ]
    embed(data, "a", "people")
    for call in calls:
        with pytest.raises(ForeignFieldError, match="did not write; choose another group_field"):
            call()


@pytest.mark.parametrize("patches_field", [None, "people"])
def test_embeddings_are_no_groups(dataset, patches_field):
    data = dataset("/0.png")
    data.set_values("people", [fo.Detections(detections=[fo.Detection(label="girl", bounding_box=[0, 0, 1, 1])])])
    embed(data, "a", patches_field)
    view = data.to_patches("people") if patches_field else data[:1]
    for call in (confirm, ignore, reject, lambda view, **options: move(view, "Rei", **options)):
        with pytest.raises(FieldTypeError):
            call(view, group_field="ccip_embedding")


def test_only_the_items_named_are_read(grouped, monkeypatch):
    read, one = [], grouped.view(0)
    monkeypatch.setattr(
        LabelStore, "read", lambda self, target=None, of=LabelStore.read: read.append(of(self, target)) or read[-1]
    )
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    grouped.call(confirm, grouped.data, groups="Rei")
    grouped.call(move, one, TWO)
    assert [len(ids) for ids, _, _ in read] == [4, 4, 1]


def test_names_that_users_typed_are_groups_of_their_own(grouped):
    """Images of a group whose labels were edited are of the group that these name, known or not."""
    label, is_patches = grouped.store.attribute_path("label"), grouped.options["patches_field"]
    for place, name in ((0, TWO), (1, "Asuka"), (2, " Asuka ")):
        grouped.view(place).set_values(label, [[name]] if is_patches else [name])
    done = grouped.call(confirm, grouped.data, groups=ONE)
    assert (done.groups, done.n_by_hand) == ({ONE: 1}, 3)
    assert {group.name for group in grouped.registry.groups.values()} == {ONE, TWO, "Asuka"}
    assert grouped.call(confirm, grouped.data, groups=TWO).groups == {TWO: 4}
    assert grouped.call(merge_groups, grouped.view(1, 3)).gone == (ONE,)
    assert grouped.names() == [TWO, *["Asuka"] * 3, *[TWO] * 4, "unassigned"]
    assert sorted(group.name for group in grouped.registry.groups.values()) == ["Asuka", ONE, TWO]
    assert grouped.call(rename_group, grouped.data, "Asuka", "Rei").n_changed == 3
    with pytest.raises(NoSuchGroupError):
        grouped.call(confirm, grouped.data, groups="nobody")
