"""Merge, split, keep apart and together, and covers in the App: the form says what will be, the run does it."""

import pytest

from ccip_plugin import group_characters, rename_group, undo
from ccip_plugin.labels.identities import load_registry
from tests.support.app.operator_tools import form, problems, run, said
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

FIELD, ONE, TWO = "character_group", "char_0001", "char_0002"


def uri(name):
    return f"@ccip/characters/{name}"


@pytest.fixture
def data(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(6)))
    embed(new, "aaabbb")
    group_characters(new)
    return new


def labels(data):
    return data.values(f"{FIELD}.label")


@pytest.mark.parametrize(
    "name, answers, shown, after",
    [
        ("merge_groups", {}, "Images of these groups whose labels change: 3 (3 in 'char_0001')", [ONE] * 6),
        ("merge_groups", {"name": TWO}, "Images of these groups whose labels change: 3 (3 in 'char_0002')", [TWO] * 6),
        ("merge_groups", {"name": "綾波"}, "Images of these groups whose labels change: 6 (6 in '綾波')", ["綾波"] * 6),
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
    assert (
        not problems(inputs) and said(inputs, "also_2_hint") == "Rejected from groups where no run puts them again: 2."
    )
    run(uri("keep_apart"), data, selected=ids[2:4])
    assert load_registry(data, FIELD).rejections == {1: {ids[3]}, 2: {ids[2]}}


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
    assert not problems(form(uri("split_group"), data, group=ONE, how="cut")), "the form waits for the number"
    assert "group" not in problems(form(uri("split_group"), data))


def test_several_selected_images_are_the_part_that_is_divided_off(data):
    ids = data.values("id")
    inputs = form(uri("split_group"), data, selected=ids[:2])
    assert (inputs["how"]["default"], "k" in inputs) == ("parts", False) and not problems(inputs)
    run(uri("split_group"), data, selected=ids[:2])
    first, second, third = labels(data)[:3]
    assert first == second != third
    assert form(uri("split_group"), data, selected=ids[3:4])["how"]["default"] == "k"
