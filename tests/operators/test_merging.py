"""Merge, split, keep apart and together, and covers in the App: the form says what will be, the run does it."""

import pytest

from ccip_plugin import move, rename_group, undo
from ccip_plugin.labels.identities import load_registry
from tests.support.app.operator_tools import choices, facts, form, problems, run, said, uri
from tests.support.groups import labels

pytestmark = pytest.mark.mongo

FIELD, ONE, TWO = "character_group", "char_0001", "char_0002"


@pytest.fixture
def data(grouped):
    return grouped("aaabbb")


@pytest.mark.parametrize(
    "name, answers, shown, after",
    [
        ("merge_groups", {}, "Images of these groups whose labels change: 3 in 'char_0001'", [ONE] * 6),
        ("merge_groups", {"name": TWO}, "Images of these groups whose labels change: 3 in 'char_0002'", [TWO] * 6),
        ("merge_groups", {"name": "綾波"}, "Images of these groups whose labels change: 6 in '綾波'", ["綾波"] * 6),
        ("keep_together", {}, "Selected images whose labels change: 2", [ONE, ONE, ONE, ONE, TWO, TWO]),
    ],
)
def test_the_selected_images(data, name, answers, shown, after):
    before, ids = labels(data), data.values("id")
    selected = {"selected": [ids[0], ids[3]]}
    inputs = form(uri(name), data, **selected, **answers)
    assert not problems(inputs)
    assert said(inputs, "what_hint").startswith(shown)
    messages = run(uri(name), data, **selected, **answers)
    assert labels(data) == after
    assert "clear_selected_samples" in messages and "reload_dataset" in messages
    undo(data)
    assert labels(data) == before


def test_a_merge_asks_once_more_where_several_groups_have_names(data):
    rename_group(data, ONE, "Rei")
    rename_group(data, TWO, "Asuka")
    ids = data.values("id")
    selected = {"selected": [ids[0], ids[3]]}
    inputs = form(uri("merge_groups"), data, **selected)
    assert "Choose the name that stays: Rei, Asuka" in problems(inputs).values()
    assert not problems(form(uri("merge_groups"), data, **selected, name="Asuka"))
    run(uri("merge_groups"), data, **selected, name="Asuka")
    assert labels(data) == ["Asuka"] * 6


def test_a_merge_needs_two_groups(data):
    inputs = form(uri("merge_groups"), data, selected=data.values("id")[:2])
    assert any("takes two or more character groups" in problem for problem in problems(inputs).values())
    assert any(each.startswith("Select the samples") for each in problems(form(uri("merge_groups"), data)).values())


def test_images_are_kept_apart(data):
    ids = data.values("id")
    inputs = form(uri("keep_apart"), data, selected=ids[2:4])
    words = f"Not this character, so no run puts them into: {ONE!r} (1 image), {TWO!r} (1 image)."
    assert not problems(inputs) and said(inputs, "also_2_hint") == words
    run(uri("keep_apart"), data, selected=ids[2:4])
    assert load_registry(data, FIELD).rejections == {1: {ids[3]}, 2: {ids[2]}}


def test_what_no_run_does_again_is_said_in_words(data):
    ids = data.values("id")
    inputs = form(uri("move"), data, selected=ids[:2], to=TWO, reject=True)
    words = f"Not this character, so no run puts them into: {ONE!r} (2 images)."
    assert words in [said(inputs, name) for name in inputs if name.endswith("_hint")]
    messages = run(uri("move"), data, selected=ids[:2], to=TWO, reject=True)
    told = facts(messages["show_output"]["results"])
    assert told["Not this character, so no run puts them into"] == f"{ONE!r} (2 images)"
    back = move(data.select(ids[:1]), ONE)
    assert dict(back.facts().pairs)["No longer marked as not this character"] == f"{ONE!r} (1 image)"
    assert (back.n_lifted, back.n_rejected, back.lifted) == (1, 0, {ONE: (ids[0],)})


def test_the_cover(data):
    ids = data.values("id")
    inputs = form(uri("set_cover"), data, selected=ids[1:2])
    assert not problems(inputs) and said(inputs, "also_0_hint") == "Cover of: 'char_0001'."
    run(uri("set_cover"), data, selected=ids[1:2])
    assert load_registry(data, FIELD).groups[1].cover == ids[1]
    assert "already" in str(problems(form(uri("set_cover"), data, selected=ids[1:2])))


@pytest.mark.parametrize(
    "answers, sizes",
    [
        ({}, [1, 2]),
        ({"group": ONE}, [1, 2]),
        ({"group": ONE, "how": "k", "k": 3}, [1, 1, 1]),
        ({"group": ONE, "how": "cut", "cut": 0}, None),
        ({"how": "parts", "name": "Rei"}, [1, 2]),
    ],
)
def test_split(data, answers, sizes):
    selected = {"selected": data.values("id")[:1]}
    inputs = form(uri("split_group"), data, **selected, **answers)
    if sizes is None:
        return
    assert not problems(inputs)
    run(uri("split_group"), data, **selected, **answers)
    assert sorted(data.count_values(f"{FIELD}.label").values()) == sorted([*sizes, 3])
    assert ("Rei" in labels(data)) == ("name" in answers)


@pytest.mark.parametrize("answers", [{"k": 0}, {"k": "a"}, {"k": 4}, {"how": "cut", "cut": 2}, {"name": TWO}])
def test_splits_that_are_refused_beside_the_form(data, answers):
    assert problems(form(uri("split_group"), data, group=ONE, **answers))


def test_split_without_an_answer(data):
    assert problems(form(uri("split_group"), data, group=ONE, how="cut")) == {
        "cut_needed": "Write a number for the mean difference."
    }
    assert "group" not in problems(form(uri("split_group"), data))


@pytest.mark.parametrize("n, text", [(1, "(1 selected image)"), (2, "(2 selected images)")])
def test_the_selected_images_are_the_part_that_is_divided_off(data, n, text):
    ids = data.values("id")
    inputs = form(uri("split_group"), data, selected=ids[:n])
    assert (inputs["how"]["default"], "k" in inputs) == ("parts", False) and not problems(inputs)
    assert choices(inputs, "how")["parts"] == f"The selection {text} becomes a group of its own"
    run(uri("split_group"), data, selected=ids[:n])
    parts = labels(data)[:3]
    assert len(set(parts[:n])) == 1 and len(set(parts[n:])) == 1 and parts[0] != parts[2]


def test_of_another_group_than_the_selected_one_no_selection_is_divided_off(data):
    inputs = form(uri("split_group"), data, selected=data.values("id")[:1], group=TWO)
    assert list(choices(inputs, "how")) == ["k", "cut"] and inputs["how"]["default"] == "k" and not problems(inputs)
