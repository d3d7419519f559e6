"""Ids and names of groups: never used twice, matched by what clusters share."""

from dataclasses import asdict

import pytest

from ccip_plugin.core.identity.groups import Draft, Group, Registry
from ccip_plugin.labels.identities import (
    GroupNameError,
    StaleGroupsError,
    check_name,
    load_registry,
    loaded_delta,
    registry_key,
    save_delta,
    stored_delta,
)
from ccip_plugin.labels.tables import GroupLabel
from ccip_plugin.storage.internals import refresh_run
from ccip_plugin.storage.runs import read_config

pytestmark = pytest.mark.mongo


def registry_of(**names):
    """``registry_of(Rei=3)``: the group 3 is called Rei."""
    groups = {group_id: Group(name, "2024-01-01T00:00:00+00:00") for name, group_id in names.items()}
    return Registry(1, max(groups, default=0) + 1, groups)


@pytest.mark.parametrize(
    "label, expected",
    [
        pytest.param(GroupLabel("Rei", 3, assigned="Rei"), 3, id="name and id agree"),
        pytest.param(GroupLabel("Rei", 4, assigned="Asuka"), 3, id="the name wins over the id"),
        pytest.param(GroupLabel("Misato", 3, assigned="Rei"), 5, id="an unknown name is a new group"),
        pytest.param(GroupLabel("Misato", 40), 5, id="an id from elsewhere counts as none"),
        pytest.param(GroupLabel("Misato", 2**62), 5, id="a huge one"),
        pytest.param(GroupLabel("Misato", 2**63 - 1), 5, id="the largest that the database has"),
        pytest.param(GroupLabel("Misato", -4), 5, id="a negative one"),
        pytest.param(GroupLabel("Rei", 2**63 - 1), 3, id="a known name with a huge id"),
        pytest.param(GroupLabel("unassigned", None), None, id="unassigned"),
        pytest.param(GroupLabel("", None), None, id="an emptied label"),
        pytest.param(GroupLabel(" \u3000", None), None, id="only blanks"),
        pytest.param(GroupLabel("Rei ", None), 3, id="a blank behind the name"),
        pytest.param(GroupLabel("\u3000Rei", 4, assigned="Asuka"), 3, id="a wide blank before it"),
        pytest.param(GroupLabel("Rei", 3, "ignored"), None, id="not a character"),
        pytest.param(GroupLabel("レイ/綾波 🎤", None), 5, id="any script"),
    ],
)
def test_says_which_group_a_label_means(label, expected):
    draft = Draft(registry_of(Rei=3, Asuka=4))
    assert draft.id_of(label.group_name, label.group_id) == expected
    assert draft.id_of(label.group_name, label.group_id) == expected
    if expected is not None:
        assert draft.next_id > max(draft.groups)


GA, NFD_GA = "\u30ac", "\u30ab\u3099"  # the kana ga in one character, and with its mark as another


@pytest.mark.parametrize(
    "known, typed, is_same",
    [
        pytest.param(f"{GA}ウ", f"{NFD_GA}ウ", True, id="kana with a mark"),
        pytest.param("Zoé", "Zoe\u0301", True, id="an accent"),
        pytest.param("한", "\u1112\u1161\u11ab", True, id="Hangul"),
        pytest.param("Å", "\u212b", True, id="a compatibility character"),
        pytest.param("Rei", "\uff32ei", False, id="a full-width letter"),
        pytest.param("Rei", "rei", False, id="another case"),
    ],
)
def test_names_are_compared_in_one_unicode_form(known, typed, is_same):
    for first, second in ((known, typed), (typed, known)):
        draft = Draft(registry_of(**{first: 3}))
        assert (draft.id_of(second) == 3) == is_same
        assert (draft.id_of(second, 3) == 3) == is_same
        assert draft.groups[3].name == first, "the first spelling is kept"


def test_names_new_groups_by_ids_that_nobody_used_as_names():
    draft = Draft(registry_of(char_0003=1))
    assert [draft.groups[draft.new_group()].name for _ in range(3)] == ["char_0002", "char_0004", "char_0005"]


@pytest.mark.parametrize("n, letter, is_refused", [(200, "絵", False), (201, "x", True), (400, "\u30ab\u3099", False)])
def test_the_length_of_a_name_is_bounded(n, letter, is_refused):
    name = f" {letter * (n // len(letter))} "
    if not is_refused:
        check_name(name)
        Draft(Registry()).new_group(name)
        return
    for check in (check_name, Draft(Registry()).new_group):
        with pytest.raises(GroupNameError, match=r"at most 200 characters, .* has 201"):
            check(name)


@pytest.mark.parametrize("name", ["", "   ", "unassigned", "character_0007", "char_0007", " char_12 "])
def test_refuses_names_that_mean_something_else(name):
    with pytest.raises(GroupNameError):
        check_name(name)


def test_the_delta_has_only_what_changed():
    draft = Draft(registry_of(Rei=3, character_0004=4))
    draft.drop([4])
    new = draft.new_group("Misato")
    delta = draft.changes().groups
    assert set(delta) == {4, new}
    assert (delta[4][1], delta[new][0]) == (None, None)


def test_saves_and_loads(dataset):
    new = dataset()
    assert load_registry(new, "x") == Registry()
    draft = Draft(Registry())
    draft.new_group("綾波.レイ$")
    save_delta(new, "x", revision=0, next_id=draft.next_id, groups=draft.changes().groups)
    refresh_run(new, registry_key("x"))
    loaded = load_registry(new, "x")
    assert loaded.groups == draft.groups
    assert (loaded.revision, loaded.next_id) == (1, 2)
    assert new.get_run_info("ccip_registry_x").config.delta["groups"]["1"]["name"] == "綾波.レイ$"


def test_refuses_to_save_on_another_revision(dataset):
    new = dataset()
    save_delta(new, "x", revision=0, next_id=1, groups={})
    with pytest.raises(StaleGroupsError):
        save_delta(new, "x", revision=0, next_id=1, groups={})


def test_sees_what_another_process_registered(dataset, run_python):
    new = dataset(persistent=True)
    run_python(
        """
        import sys, fiftyone as fo
        from ccip_plugin.core.identity.groups import Group
        from ccip_plugin.labels.identities import save_delta
        dataset = fo.load_dataset(sys.argv[1])
        save_delta(dataset, "x", revision=0, next_id=2, groups={1: (None, Group("a", "now"))})
        """,
        new.name,
    )
    assert load_registry(new, "x").groups[1].name == "a"
    save_delta(new, "x", revision=1, next_id=3, groups={2: (None, Group("b", "now"))})
    refresh_run(new, registry_key("x"))
    assert new.get_run_info("ccip_registry_x").config.delta["groups"].keys() == {"1", "2"}


def group_of(name, **values):
    return Group.from_stored({"name": name, "created": "now", "merged_into": None, **values})


@pytest.mark.parametrize(
    "values, is_auto_named",
    [
        pytest.param({"name": "character_0007"}, True, id="earlier version, a default name"),
        pytest.param({"name": "character_12345678"}, True, id="earlier version, a large id"),
        pytest.param({"name": "character_x"}, False, id="earlier version, no default name"),
        pytest.param({"name": "Rei"}, False, id="earlier version, a name"),
        pytest.param({"name": "char_0007"}, False, id="earlier version, which had no such default names"),
        pytest.param({"name": "character_0007", "named_by": "person"}, False, id="a person, whatever the name is"),
        pytest.param({"name": "char_0007", "named_by": None}, True, id="nobody, a default name"),
        pytest.param({"name": "Rei", "named_by": None}, True, id="nobody, whatever the name is"),
    ],
)
def test_who_named_a_group_is_recorded(values, is_auto_named):
    group = group_of(**values)
    assert group.is_auto_named == is_auto_named
    assert Group.from_stored(group.stored()) == group
    assert Group.from_stored(asdict(group)) == group
    assert ("named_by" in group.stored()) == ("named_by" in values)
    assert loaded_delta(stored_delta({7: (None, group)})) == {7: (None, group)}


def test_who_named_a_new_group_is_recorded():
    draft = Draft(Registry())
    ids = [draft.new_group(name) for name in (None, "Rei", "char_0100", "character_0100")]
    assert [draft.groups[group_id].named_by for group_id in ids] == [None, "person", None, None]


def test_a_registry_without_that_record_is_filled_as_it_is_read(dataset):
    """As earlier versions write it, and read it. What they recorded of a change is compared with it."""
    new = dataset()
    draft = Draft(Registry())
    for name in ("character_0001", "Rei"):
        draft.new_group(name)
    save_delta(new, "x", revision=0, next_id=3, groups=draft.changes().groups)
    assert load_registry(new, "x").groups == draft.groups
    groups = read_config(new, registry_key("x"))["delta"]["groups"]
    stored = stored_delta(draft.changes().groups)
    assert {key: pair[1] for key, pair in stored.items()} == groups
    assert all(group.keys() == {"name", "created", "merged_into", "prototype", "model"} for group in groups.values())
    assert loaded_delta(stored) == draft.changes().groups
