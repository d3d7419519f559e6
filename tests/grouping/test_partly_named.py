"""Names that users give to some images of a group by hand: most of them name the group, else the report says it."""

import pytest

from ccip_plugin import (
    confirm,
    group_characters,
    keep_apart,
    merge_groups,
    move,
    propose_groups,
    rename_group,
    undo,
)
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

FIELD, ONE = "character_group", "char_0001"


@pytest.fixture
def data(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(10)))
    embed(new, "a" * 8 + "bb")
    group_characters(new)
    return new


def name_by_hand(data, n, name="Rei", start=0):
    ids = data.values("id")[start : start + n]
    data.select(ids, ordered=True).set_values(f"{FIELD}.label", [name] * n)


def said(report):
    return [warning for warning in report.warnings if "was given to" in warning]


@pytest.mark.parametrize("n", [1, 2, 4, 5, 8])
@pytest.mark.parametrize("method", [{}, {"method": "dbscan", "eps": 0.9}], ids=["linkage", "dbscan"])
def test_most_of_them_name_the_group(data, n, method):
    if method:
        group_characters(data, **method)
    name_by_hand(data, n)
    report = group_characters(data)
    labels = data.values(f"{FIELD}.label")[:8]
    assert labels == (["Rei"] * 8 if n > 4 else ["Rei"] * n + [ONE] * (8 - n))
    expected = f"'Rei' was given to {n} of 8 images of 'char_0001', which keeps its name: merge the two with"
    assert [warning.startswith(expected) for warning in said(report)] == [True] * (1 < n <= 4)
    assert said(group_characters(data)) == said(report), "until users say whether they are one"


@pytest.mark.parametrize("answer", ["merge", "apart", "reject", "rename"])
def test_it_is_said_until_users_answer(data, answer):
    name_by_hand(data, 3)
    assert said(group_characters(data))
    if answer == "merge":
        merge_groups(data, ["Rei", ONE])
    elif answer == "apart":
        keep_apart(data, ["Rei", ONE])
    elif answer == "rename":
        rename_group(data, ONE, "Asuka")
    else:
        undo(data)
        undo(data)
        move(data[:3], "Rei", reject=True)
    report = group_characters(data)
    assert not said(report)
    assert data.values(f"{FIELD}.label")[:3] == ["Rei"] * 3


def test_an_edit_in_between_does_not_hide_it(data):
    """The edit confirms the names before the run sees them."""
    name_by_hand(data, 3)
    assert confirm(data[8:]).n_by_hand == 3
    assert said(group_characters(data))


def test_the_largest_is_said_first(data):
    name_by_hand(data, 2)
    name_by_hand(data, 2, "Asuka", start=8)
    said_of = [text.split(" was")[0] for text in said(group_characters(data))]
    assert said_of[:1] == ["'Rei'"]


def test_a_proposal_says_it_too(data):
    name_by_hand(data, 3)
    assert said(propose_groups(data).report)


def test_a_group_that_people_named_keeps_its_name(data):
    rename_group(data, ONE, "Asuka")
    name_by_hand(data, 3)
    assert not said(group_characters(data))
    assert data.values(f"{FIELD}.label")[:8] == ["Rei"] * 3 + ["Asuka"] * 5


def test_two_names_each_of_some(data):
    name_by_hand(data, 2)
    name_by_hand(data, 3, "Asuka", start=2)
    assert said(group_characters(data)), "of the one whose images are in a cluster with the others"
    assert data.values(f"{FIELD}.label")[:8] == ["Rei"] * 2 + ["Asuka"] * 3 + [ONE] * 3
