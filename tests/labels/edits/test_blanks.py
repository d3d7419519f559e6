"""Names that users typed with blanks around them are the same names, at once."""

import pytest

from ccip_plugin import confirm, ignore, merge_groups, move, reject, rename_group, undo
from ccip_plugin.core.identity.groups import GroupNameError
from ccip_plugin.core.plain import BLANKS
from ccip_plugin.labels.edits.members import name_forms
from ccip_plugin.labels.edits.names import NameTakenError
from tests.support.database.edits import ONE, TWO

pytestmark = pytest.mark.mongo

TYPED = ["\u3000{}\u3000", "\u00a0{}", "{}\t", "\n\t {} \u2003\r\n", "{}\u00a0\u3000"]


def test_blanks_are_those_that_python_strips():
    assert [chr(code) for code in range(0x110000) if chr(code).isspace()] == list(BLANKS)


def type_name(grouped, place, name):
    """Names an item by hand."""
    item = grouped.store.read()[0][place]
    if grouped.store.target.is_patches:
        grouped.data.set_label_values(grouped.store.path, {item: name})
    else:
        grouped.data.select(item).set_values("character_group.label", [name])


@pytest.mark.parametrize("name", ["Rei", "綾波 レイ", "a.b*c (2) [x]", "か\u3099"])
@pytest.mark.parametrize("typed", TYPED)
def test_an_image_belongs_to_its_group_at_once(grouped, typed, name):
    grouped.call(rename_group, grouped.data, ONE, name)
    type_name(grouped, 4, typed.format(name))
    done = grouped.call(confirm, grouped.data, groups=name)
    assert (done.n_changed, done.n_by_hand) == (4, 1) and grouped.names()[:5] == [name] * 5
    assert grouped.ids()[:5] == [1] * 5


@pytest.mark.parametrize("typed", TYPED)
def test_corrections_of_a_group_find_it(grouped, typed):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    type_name(grouped, 4, typed.format("Rei"))
    grouped.call(rename_group, grouped.data, "Rei", "Asuka")
    assert grouped.names()[:5] == ["Asuka"] * 5
    grouped.call(undo, grouped.data)
    assert grouped.names()[4] == "Rei"
    grouped.call(merge_groups, grouped.data, ["Rei", TWO], name="Asuka")
    assert grouped.names()[:8] == ["Asuka"] * 8
    grouped.call(undo, grouped.data)
    grouped.call(move, grouped.view(5), typed.format("Rei"))
    assert (grouped.names()[5], grouped.ids()[5]) == ("Rei", 1)
    grouped.call(reject, grouped.view(4))
    assert grouped.registry.rejections == {1: {grouped.store.read()[0][4]}}
    grouped.call(ignore, grouped.data, groups=typed.format("Rei"))
    assert grouped.statuses()[:4] == ["ignored"] * 4


@pytest.mark.parametrize("typed", TYPED)
def test_a_name_that_only_typed_labels_have_is_taken(grouped, typed):
    type_name(grouped, 4, typed.format("Rei"))
    with pytest.raises(NameTakenError, match="images that users named are called 'Rei'"):
        grouped.call(rename_group, grouped.data, ONE, "Rei", dry_run=True)
    assert grouped.names()[4] == typed.format("Rei")
    with pytest.raises(NameTakenError, match="there is a group 'Rei' already"):
        grouped.call(rename_group, grouped.data, ONE, "Rei")
    assert (grouped.names()[4], grouped.statuses()[4]) == ("Rei", "confirmed")


@pytest.mark.parametrize("name", ["\u3000", "\t\n", "\u00a0"])
def test_blanks_alone_are_no_name(grouped, name):
    with pytest.raises(GroupNameError, match="not empty"):
        grouped.call(rename_group, grouped.data, ONE, name)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "(" * 50, "\\", "^$"])
def test_odd_names_are_looked_for(grouped, name):
    from ccip_plugin.labels.edits import NoSuchGroupError

    with pytest.raises(NoSuchGroupError):
        grouped.call(confirm, grouped.data, groups=name)


def test_sizes_count_the_spellings_of_a_name_together(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    type_name(grouped, 4, "\u3000Rei\t")
    assert grouped.store.group_sizes() == {"Rei": 5, TWO: 3}


def test_names_are_found_by_ranges_of_the_index(grouped):
    path = grouped.store.attribute_path("label")
    explained = grouped.store.documents.find({path: {"$in": name_forms(["Rei"])}}).explain()
    assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"])
    assert explained["executionStats"]["totalKeysExamined"] < 40, "one for each range, not those of other names"
