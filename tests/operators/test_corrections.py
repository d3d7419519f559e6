"""Confirm, move, ignore and rename in the App: the form counts what will change, the run does exactly that."""

import fiftyone as fo
import pytest

from ccip_plugin import confirm, group_characters, rename_group, undo
from ccip_plugin.app.ask.groups import listed_groups
from tests.support.app.operator_tools import choices, facts, form, problems, run, said, uri
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

FIELD, ONE, TWO = "character_group", "char_0001", "char_0002"


@pytest.fixture
def data(grouped):
    return grouped("aaabb")


@pytest.mark.parametrize(
    "name, answers, shown, after",
    [
        ("confirm", {}, "2 (1 in 'char_0001', 1 in 'char_0002')", [ONE, ONE, ONE, TWO, TWO]),
        ("ignore", {}, "2 in no group", ["unassigned", ONE, ONE, "unassigned", TWO]),
        ("move", {"to": "Rei"}, "2 in 'Rei'", ["Rei", ONE, ONE, "Rei", TWO]),
        ("move", {}, "2 in 'char_0003'", ["char_0003", ONE, ONE, "char_0003", TWO]),
        ("move", {"to": TWO, "reject": True}, "2 in 'char_0002'", [TWO, ONE, ONE, TWO, TWO]),
    ],
)
def test_the_selected_images(data, name, answers, shown, after):
    before, ids = labels(data), data.values("id")
    selected = {"selected": [ids[0], ids[3]]}
    inputs = form(uri(name), data, **selected, **answers)
    assert not problems(inputs)
    assert said(inputs, "what_hint").startswith(f"Selected images whose labels change: {shown}")
    messages = run(uri(name), data, **selected, **answers)
    assert labels(data) == after
    assert "clear_selected_samples" in messages and "reload_dataset" in messages
    undo(data)
    assert labels(data) == before


def test_without_a_selection_the_form_says_how(data):
    ((_, problem),) = problems(form(uri("move"), data)).items()
    assert problem.startswith("Select the samples, or labels in an opened sample, to ")


@pytest.mark.parametrize("name, after", [("confirm", ONE), ("ignore", "unassigned")])
@pytest.mark.parametrize("selects", [False, True], ids=["nothing is selected", "others are selected"])
def test_all_images_of_a_group(data, name, after, selects):
    ids = data.values("id")
    options = {"selected": ids[3:4], "what": "group"} if selects else {}
    inputs = form(uri(name), data, **options)
    assert problems(inputs) == ({} if selects else {"groups_needed": "Choose a character group."})
    assert ("what" in inputs) == selects
    assert inputs["groups"]["default"] == (TWO if selects else None), "that of what is selected"
    assert ("what_hint" in inputs) == selects != ("how_hint" in inputs)
    inputs = form(uri(name), data, **options, groups=ONE)
    where = "no group" if after == "unassigned" else repr(after)
    assert said(inputs, "what_hint").startswith(f"Images of the group whose labels change: 3 in {where}")
    run(uri(name), data, **options, groups=ONE)
    assert labels(data) == [after] * 3 + [TWO] * 2
    assert data.values(f"{FIELD}.status") == [f"{name.removesuffix('e')}ed"] * 3 + ["auto"] * 2
    undo(data)


def test_the_group_of_the_selected_image_is_meant_without_a_name(data):
    ids = data.values("id")
    run(uri("confirm"), data, selected=ids[3:4], what="group")
    assert data.values(f"{FIELD}.status") == ["auto"] * 3 + ["confirmed"] * 2
    run(uri("confirm"), data, selected=ids[2:4], what="group")
    assert data.values(f"{FIELD}.status")[:3] == ["auto"] * 3, "of several groups none is meant"
    assert "'groups' is empty" in str(run(uri("confirm"), data, selected=ids[2:4], what="group"))


def test_the_selection_is_meant_where_there_is_one(data):
    inputs = form(uri("confirm"), data, selected=data.values("id")[3:])
    assert choices(inputs, "what") == {"selection": "The selection (2)", "group": "All images of a group"}
    assert said(inputs, "what_hint").startswith("Selected images whose labels change: 2 in 'char_0002'")


def test_a_group_has_to_be_named(data):
    assert "There is no character group 'someone'" in problems(form(uri("confirm"), data, groups="someone")).values()
    assert "'groups' is empty: choose a value" in str(run(uri("confirm"), data))
    assert "char_0009" in str(run(uri("confirm"), data, groups="char_0009"))
    assert data.values(f"{FIELD}.status") == ["auto"] * 5


def test_groups_are_listed_with_their_sizes_and_found_as_one_types(data):
    rename_group(data, ONE, "綾波レイ")
    listed = form(uri("rename_group"), data)["group"]["view"]["choices"]
    assert [(each["value"], each["description"]) for each in listed] == [("綾波レイ", "3 images"), (TWO, "2 images")]
    for typed, found in {"レイ": ["綾波レイ"], "CHAR": [TWO], TWO: [TWO, "綾波レイ"], "x": []}.items():
        assert list(choices(form(uri("rename_group"), data, group=typed), "group")) == found


def test_of_very_many_groups_a_hundred_are_listed():
    sizes = {f"char_{number:04d}": 5000 - number for number in range(5000)} | {"アスカ": 1, "惣流アスカ": 1}
    assert listed_groups(sizes, "") == [f"char_{number:04d}" for number in range(100)]
    assert listed_groups(sizes, "アスカ") == ["アスカ", *(f"char_{number:04d}" for number in range(99))]
    assert listed_groups(sizes, "ｱｽｶ") == [] and listed_groups(sizes, "スカ") == ["アスカ", "惣流アスカ"]
    assert listed_groups(sizes, "4998") == ["char_4998"] and len(listed_groups(sizes, "char")) == 100
    assert listed_groups(sizes, "char_0") == [f"char_{number:04d}" for number in range(100)]


def test_what_would_change_nothing_is_said(data):
    confirm(data, groups=ONE)
    ids = data.values("id")
    ((_, problem),) = problems(form(uri("confirm"), data, selected=ids[:2])).items()
    assert problem == "Nothing would change: the selected images are like this already, or in no group."
    assert not problems(form(uri("confirm"), data, selected=ids[:4]))


def test_rename_begins_with_the_group_of_the_selection(data):
    ids = data.values("id")
    inputs = form(uri("rename_group"), data, selected=ids[:2])
    assert inputs["group"]["default"] == ONE and problems(inputs) == {"name_needed": "Write a new name."}
    assert form(uri("rename_group"), data, selected=ids)["group"]["default"] is None
    inputs = form(uri("rename_group"), data, selected=ids[:2], name="綾波レイ")
    assert said(inputs, "what_hint").startswith("Labels that get the name '綾波レイ': 3, in the whole dataset.")
    shown = run(uri("rename_group"), data, selected=ids[:2], name="綾波レイ")
    assert labels(data) == ["綾波レイ"] * 3 + [TWO] * 2
    assert facts(shown["show_output"]["results"])["Groups"] == "3 in '綾波レイ'"


@pytest.mark.parametrize(
    "answers, problem",
    [
        ({"group": "someone", "name": "Rei"}, "There is no character group 'someone'"),
        (
            {"group": TWO, "name": "Asuka"},
            "There is a group 'Asuka' already: merge the two with 'CCIP: merge groups', or choose another name",
        ),
        ({"group": TWO, "name": "char_0009"}, "'char_0009' looks like a default name"),
        ({"group": TWO, "name": "x" * 201}, "The name of a character group has at most 200 characters"),
    ],
)
def test_names_that_cannot_be_given(data, answers, problem):
    rename_group(data, ONE, "Asuka")
    told = problems(form(uri("rename_group"), data, **answers))
    assert any(each.startswith(problem) for each in told.values()), told


def test_an_empty_name_is_asked_for(data):
    shown = run(uri("rename_group"), data, group=ONE)
    assert "'name' is empty: choose a value" in str(shown)
    assert labels(data) == [ONE] * 3 + [TWO] * 2


def test_patches_are_corrected_in_their_dataset(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(2)))
    boxes = [fo.Detection(label="girl", bounding_box=[0.3 * k, 0.1, 0.2, 0.2]) for k in range(4)]
    for sample, part in zip(new, (boxes[:2], boxes[2:]), strict=True):
        sample["people"] = fo.Detections(detections=part)
        sample.save()
    embed(new, "aabb", "people")
    group_characters(new, patches_field="people")
    patches = new.to_patches("people")
    run(uri("move"), patches, selected=patches.values("id")[:1], to="Rei")
    assert new.values("people.detections.character_group", unwind=True) == ["Rei", ONE, TWO, TWO]
    assert new.values("people_characters") == [["Rei", ONE], [TWO]]
    run(uri("confirm"), new, selected_labels=[{"label_id": patches.values("id")[1], "field": "people"}])
    assert new.values("people.detections.character_status", unwind=True) == ["confirmed", "confirmed", "auto", "auto"]
