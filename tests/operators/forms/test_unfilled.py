"""Forms that are not filled in, that have nothing to choose from, or whose choice changes what the button does."""

import pytest

from ccip_plugin import confirm, delete_grouping, rename_group, undo
from ccip_plugin.app.model_folders import OPERATORS, in_app
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.labels.views import NoGroupsError
from ccip_plugin.operators.edit.merge_groups import MergeGroups
from ccip_plugin.operators.group.group_characters import GroupCharacters
from tests.support.app.operator_tools import context, facts, form, problems, run, said, uri

pytestmark = pytest.mark.mongo

FIELD, ONE, TWO = "character_group", "char_0001", "char_0002"
HOW = "'CCIP: group by character'"
OF_GROUPS = (
    *("rename_group", "split_group", "show_group", "confirm", "ignore", "save_views", "history", "undo", "redo"),
    *("show_names", "name_characters", "save_library", "export_decisions", "delete_grouping"),
)


@pytest.fixture
def data(grouped):
    return grouped("aaabb")


@pytest.mark.parametrize("name", OF_GROUPS)
def test_a_dataset_that_was_never_grouped_says_how_to_group_it(dataset, tmp_path, name):
    new = dataset(tmp_path / "a.png")
    assert any(HOW in each for each in problems(form(uri(name), new)).values())


@pytest.mark.parametrize(
    "name", ["rename_group", "split_group", "show_group", "confirm", "ignore", "save_views", "name_characters"]
)
def test_after_the_groups_were_deleted_there_is_nothing_to_choose(data, name):
    delete_grouping(data)
    data.reload()
    found = problems(form(uri(name), data))
    assert any("no character groups" in each and HOW in each for each in found.values()), found


@pytest.mark.parametrize(
    "name, answers, needed",
    [
        ("confirm", {}, {"groups_needed": "Choose a character group."}),
        ("ignore", {}, {"groups_needed": "Choose a character group."}),
        ("show_group", {}, {"group_needed": "Choose a character group."}),
        ("rename_group", {"group": ONE}, {"name_needed": "Write a new name."}),
        ("rename_group", {"name": "Rei"}, {"group_needed": "Choose a character group."}),
        ("split_group", {}, {"group_needed": "Choose a character group."}),
        ("show_group", {"group": ONE}, {}),
        ("confirm", {"groups": ONE}, {}),
    ],
)
def test_what_has_to_be_filled_in_is_said_before(data, name, answers, needed):
    assert problems(form(uri(name), data, **answers)) == needed


@pytest.mark.parametrize("name", ["keep_apart", "keep_together"])
def test_two_are_needed(data, name):
    ids = data.values("id")
    ((_, problem),) = problems(form(uri(name), data, selected=ids[:1])).items()
    assert problem.startswith("It takes two images or more to keep ")
    assert problem.endswith(": select another image as well.")
    assert not problems(form(uri(name), data, selected=ids[2:4]))


def button(name, data, **answers):
    import fiftyone.operators as foo

    shown = foo.get_operator(uri(name)).resolve_type(context(data, **answers), "inputs").to_json()
    return shown["view"]["submit_button_label"]


def test_the_button_of_the_history_says_what_it_does(data):
    rename_group(data, ONE, "Rei")
    assert button("history", data) == "Show the history"
    assert button("history", data, change="nothing") == "Show the history"
    assert button("history", data, change="2") == "Undo change 2"
    undo(data)
    assert button("history", data, change="redo") == "Redo change 2"


def test_an_empty_history_says_so_and_what_waits(data):
    assert run(uri("history"), data)["notify"]["message"] == "CCIP: 1 change"
    copy = data.clone(f"{data.name}-copy")  # with the groups, without their history
    try:
        shown = run(uri("history"), copy)
        assert shown["notify"]["message"] == "CCIP: no change of these groups is kept"
        assert facts(shown["show_output"]["results"]) == {"Changes": "none is kept"}
        copy.set_values(f"{FIELD}.label", [TWO, *copy.values(f"{FIELD}.label")[1:]])
        assert "1 label" in said(form(uri("history"), copy), "by_hand_hint")
        results = run(uri("history"), copy)["show_output"]["results"]
        assert facts(results)["Edited by hand since then, recorded with the next change"] == "1 label"
    finally:
        copy.delete()


def test_errors_have_the_names_of_the_app(data):
    for operator in (MergeGroups, GroupCharacters):
        assert OPERATORS[operator.name] == repr(operator.label)
    assert in_app(NoGroupsError(FIELD)) == f"'{FIELD}' has no character groups: make some with {HOW}"
    error = ParameterError("patches_field", None, "the field with the detections")
    assert in_app(error) == "patches field is None; it must be the field with the detections"
    rename_group(data, ONE, "Rei")
    shown = run(uri("rename_group"), data, group=TWO, name="Rei")
    reason = shown["show_output"]["results"]["errors"][0]["reason"]
    assert reason == "there is a group 'Rei' already: merge the two with 'CCIP: merge groups', or choose another name"


def test_what_users_decided_is_a_warning_before_everything_is_removed(data):
    confirm(data, groups=ONE)
    inputs = form(uri("remove_ccip"), data)
    warning = said(inputs, "user_labels_warning")
    assert warning == "User labels in them: 3. To keep them, run 'CCIP: save decisions as a file' first."
    assert not any("Python" in each["view"].get("label", "") for each in inputs.values())


def test_that_not_all_of_the_dataset_is_used_is_said(data):
    view = data.limit(2)  # such as one that another operator left
    for name in ("group_characters", "explore_parameters", "compute_embeddings"):
        assert said(form(uri(name), view), "part_warning") == "Only 2 of the 5 images are used."
        assert said(form(uri(name), data), "part_warning") is None
        assert said(form(uri(name), data.view()), "part_warning") is None
