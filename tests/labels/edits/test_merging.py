"""Merge, split, keep apart or together, cover: each is one change, holds for later runs, and is undone exactly."""

import pytest

from ccip_plugin import (
    confirm,
    group_characters,
    history,
    keep_apart,
    keep_together,
    merge_groups,
    move,
    redo,
    reject,
    rename_group,
    set_cover,
    split_group,
    undo,
)
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.identity.groups import Group, GroupNameError
from ccip_plugin.labels.edits import (
    NoSuchGroupError,
    SeveralCoversError,
    SeveralNamesError,
    SplitError,
    TooFewGroupsError,
)
from ccip_plugin.labels.edits.names import NameTakenError
from ccip_plugin.labels.edits.together import TooFewItemsError
from ccip_plugin.labels.history.undoing import NameTakenSinceError
from ccip_plugin.storage.targets import TargetError
from tests.support.database.edits import ONE, TWO
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

THREE = "char_0003"
RUNS = [{}, {"method": "dbscan", "eps": 0.9}, {"eps": 0.001}, {"eps": 0.9}]


def halves(made):
    ids = made.store.read()[0]
    return [ids[:2]]


EDITS = {
    "merge": lambda made: made.call(merge_groups, made.data, [ONE, TWO]),
    "merge with a new name": lambda made: made.call(merge_groups, made.view(0, 5), name="綾波レイ"),
    "split by hand": lambda made: made.call(split_group, made.data, ONE, parts=halves(made), names=["Rei"]),
    "split in three": lambda made: made.call(split_group, made.data, 1, k=3),
    "keep groups apart": lambda made: made.call(keep_apart, made.data, [ONE, TWO]),
    "keep images apart": lambda made: made.call(keep_apart, made.view(0, 1, 4)),
    "keep a group together": lambda made: made.call(keep_together, made.data, ONE),
    "keep groups together": lambda made: made.call(keep_together, made.data, [1, 2]),
    "keep images together": lambda made: made.call(keep_together, made.view(0, 4, 5, 8)),
    "cover": lambda made: made.call(set_cover, made.view(1, 5)),
}


@pytest.mark.parametrize("name", EDITS)
def test_it_is_undone_and_redone_exactly(grouped, name):
    before, registry = grouped.stored(), grouped.registry
    done = EDITS[name](grouped)
    assert done.is_done and done.is_change and done.number == 2
    after, changed = grouped.stored(), grouped.registry
    grouped.call(undo, grouped.data)
    assert grouped.stored() == before
    assert (grouped.registry.groups, grouped.registry.rejections) == (registry.groups, registry.rejections)
    grouped.call(redo, grouped.data)
    assert grouped.stored() == after
    assert (grouped.registry.groups, grouped.registry.rejections) == (changed.groups, changed.rejections)


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("parameters", RUNS, ids=str)
def test_runs_keep_the_groups_as_people_made_them(grouped, name, parameters):
    EDITS[name](grouped)
    registry, before = grouped.registry, grouped.labels()
    held = {group_id for group_id, group in registry.groups.items() if group.is_held}
    rejected = registry.rejections
    grouped.run(**parameters)
    for item, old, new in zip(grouped.store.read()[0], before, grouped.labels(), strict=True):
        if old.group_id in held or old.status == "confirmed":
            assert (new.label, new.group_id, new.status) == (old.label, old.group_id, old.status)
        for group_id, ids in rejected.items():
            assert item not in ids or new.group_id != group_id


@pytest.mark.parametrize("name", EDITS)
def test_a_dry_run_changes_nothing(grouped, name, monkeypatch):
    before, registry = grouped.stored(), grouped.registry
    call = grouped.call
    monkeypatch.setattr(grouped, "call", lambda *arguments, **options: call(*arguments, dry_run=True, **options))
    report = EDITS[name](grouped)
    assert report.is_change and not report.is_done and "not written" in str(report)
    assert (grouped.stored(), grouped.registry) == (before, registry)


@pytest.mark.parametrize("name", ["merge", "keep groups apart", "keep images apart", "keep a group together", "cover"])
def test_a_second_time_changes_nothing(grouped, name):
    EDITS[name](grouped)
    before, n = grouped.stored(), len(grouped.call(history, grouped.data))
    try:
        assert not EDITS[name](grouped).is_change
    except CCIPError:
        assert name in ("merge", "keep images apart")
    assert (grouped.stored(), len(grouped.call(history, grouped.data))) == (before, n)


def test_merge(grouped):
    grouped.call(confirm, grouped.view(5))
    done = grouped.call(merge_groups, grouped.data, [TWO, 1])
    assert (done.groups, done.gone) == ({ONE: 4}, (TWO,)), "the first of two as large"
    assert grouped.names() == [ONE] * 8 + ["unassigned"]
    assert grouped.ids()[:8] == [1] * 8
    assert grouped.statuses() == [*["auto"] * 5, "confirmed", *["auto"] * 3], "nothing is confirmed by a merge"
    assert grouped.registry.groups[2].merged_into == 1
    with pytest.raises(
        NoSuchGroupError, match="has no character group 2 any more, it was merged into the group 1: give"
    ):
        grouped.call(confirm, grouped.data, groups=2)
    if patches := grouped.options["patches_field"]:
        assert grouped.data.values(f"{patches}_characters")[0] == [ONE]


def test_the_larger_group_stays(grouped):
    grouped.call(move, grouped.view(0, 1), "Rei")
    grouped.call(undo, grouped.data)
    grouped.call(reject, grouped.view(0))
    assert grouped.call(merge_groups, grouped.view(1, 4)).gone == (ONE,)
    assert grouped.names()[1:8] == [TWO] * 7


def test_the_named_group_stays(grouped):
    grouped.call(rename_group, grouped.data, TWO, "Rei")
    grouped.call(move, grouped.view(4, 5), ONE)
    assert grouped.call(merge_groups, grouped.data, [ONE, "Rei"]).gone == (ONE,)
    assert grouped.names()[:8] == ["Rei"] * 8
    assert grouped.ids()[:8] == [2] * 8


def test_several_names_are_asked_for(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    grouped.call(rename_group, grouped.data, TWO, "Asuka")
    with pytest.raises(SeveralNamesError, match="'Rei' and 'Asuka' are names that people gave: say which one stays"):
        grouped.call(merge_groups, grouped.data, ["Rei", "Asuka"])
    assert grouped.call(merge_groups, grouped.data, ["Rei", "Asuka"], name="Asuka").gone == ("Rei",)
    assert set(grouped.ids()[:8]) == {2}
    grouped.call(rename_group, grouped.data, 2, "Rei")
    assert grouped.names()[0] == "Rei", "a name whose group was merged is free"


def test_a_new_name_for_a_merged_group(grouped):
    done = grouped.call(merge_groups, grouped.data, [ONE, TWO], name=" 綾波 ")
    assert (done.groups, done.gone) == ({"綾波": 8}, (TWO,))
    assert grouped.registry.groups[1] == Group(
        **{**vars_of(grouped.registry.groups[1]), "name": "綾波", "named_by": "person", "held_by": "person"}
    )


def vars_of(group):
    return {name: getattr(group, name) for name in Group.__dataclass_fields__}


def test_how_to_divide_is_asked_for(grouped):
    for how in ({}, {"k": 2, "cut": 0.1}):
        with pytest.raises(
            ParameterError, match=f"how to divide '{ONE}' is given by exactly one of parts .* such as k=2"
        ):
            grouped.call(split_group, grouped.data, ONE, **how)


def test_where_there_are_no_groups_one_learns_how_to_make_them(embedded):
    data = embedded("aab")
    for function in (rename_group, move):
        with pytest.raises(NoSuchGroupError, match="no character groups: make some with group_characters"):
            function(data if function is rename_group else data[:1], "char_0001", *["Rei"] * (function is rename_group))


@pytest.mark.parametrize("function", [keep_apart, keep_together])
def test_it_takes_two_images(grouped, function):
    with pytest.raises(TooFewItemsError, match=r"takes two or more .*, and a single one was given"):
        grouped.call(function, grouped.view(0))
    with pytest.raises(TooFewItemsError, match="and no "):
        grouped.call(function, grouped.view(), dry_run=True)


def test_names_that_a_merged_group_cannot_have(grouped):
    grouped.call(move, grouped.view(8), "Rei")
    for name, error in (("Rei", NameTakenError), ("unassigned", GroupNameError), ("char_0099", GroupNameError)):
        with pytest.raises(error):
            grouped.call(merge_groups, grouped.data, [ONE, TWO], name=name)


def test_it_takes_two_groups(grouped):
    for groups in ([], [ONE], [ONE, 1, f" {ONE} "]):
        for function in (merge_groups, keep_apart):
            with pytest.raises(TooFewGroupsError):
                grouped.call(function, grouped.data, groups)
    with pytest.raises(TooFewGroupsError):
        grouped.call(merge_groups, grouped.view(0, 1, 8))
    with pytest.raises(NoSuchGroupError):
        grouped.call(merge_groups, grouped.data, [ONE, "nobody"])


def test_a_merge_lifts_what_contradicts_it_and_undo_brings_it_back(grouped):
    grouped.call(keep_apart, grouped.data, [ONE, TWO])
    grouped.call(reject, grouped.view(0))
    grouped.call(move, grouped.view(0), TWO)
    item = grouped.store.read()[0][0]
    before = grouped.registry
    assert before.rejections == {1: {item}} and before.groups[1].apart == (2,)
    done = grouped.call(merge_groups, grouped.data, [ONE, TWO])
    assert done.lifted == {ONE: (item,)} or done.lifted == {TWO: (item,)}
    assert done.parted == ((ONE, TWO),)
    assert "No longer kept apart" in str(done)
    assert grouped.registry.rejections == {} and grouped.registry.groups[2].apart == ()
    grouped.run(eps=0.001)
    assert len(set(grouped.names()[:8])) == 1
    while grouped.registry.rejections == {}:
        grouped.call(undo, grouped.data)
    assert (grouped.registry.groups, grouped.registry.rejections) == (before.groups, before.rejections)


def test_rejections_of_others_hold_for_the_merged_group(grouped):
    grouped.call(move, grouped.view(8), TWO)
    grouped.call(reject, grouped.view(8))
    grouped.call(merge_groups, grouped.data, [ONE, TWO])
    embed(grouped.data, "aaaabbbba", grouped.options["patches_field"])
    grouped.run(method="dbscan", eps=0.9)
    assert grouped.names()[8] == "unassigned"


def test_what_kept_a_merged_group_apart_keeps_the_whole_apart(grouped):
    grouped.call(move, grouped.view(8), "Rei")
    grouped.call(keep_apart, grouped.data, [TWO, "Rei"])
    grouped.call(merge_groups, grouped.data, [ONE, TWO])
    assert grouped.registry.groups[1].apart == (3,)


def test_split_by_hand(grouped):
    grouped.call(confirm, grouped.view(1))
    done = grouped.call(split_group, grouped.data, ONE, parts=[grouped.view(0, 1), grouped.view(2)], names=["Rei"])
    assert done.groups == {"Rei": 2, "char_0004": 1}
    assert grouped.names()[:4] == ["Rei", "Rei", "char_0004", ONE]
    assert grouped.statuses()[:4] == ["auto", "confirmed", "auto", "auto"]
    assert [grouped.registry.groups[n].apart for n in (1, 3, 4)] == [(3, 4), (1, 4), (1, 3)]


def test_of_a_group_that_is_divided_wholly_the_largest_part_stays(grouped):
    ids = grouped.store.read()[0]
    done = grouped.call(split_group, grouped.data, ONE, parts=[ids[:1], ids[1:4]])
    assert done.groups == {THREE: 1}
    assert grouped.names()[:4] == [THREE, ONE, ONE, ONE]


def test_split_by_linkage(grouped):
    grouped.call(merge_groups, grouped.data, [ONE, TWO])
    assert grouped.call(split_group, grouped.data, ONE, k=2).groups == {THREE: 4}
    assert grouped.names()[:8] in ([ONE] * 4 + [THREE] * 4, [THREE] * 4 + [ONE] * 4)
    grouped.call(undo, grouped.data)
    assert grouped.call(split_group, grouped.data, ONE, cut=0.2).groups == {"char_0004": 4}, "ids are not used again"
    with pytest.raises(SplitError, match="in one part"):
        grouped.call(split_group, grouped.data, TWO if TWO in grouped.names() else ONE, cut=1)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ParameterError),
        ({"k": 2, "cut": 0.1}, ParameterError),
        ({"k": 0}, ParameterError),
        ({"k": 5}, ParameterError),
        ({"k": 2.0}, ParameterError),
        ({"k": True}, ParameterError),
        ({"cut": -1}, ParameterError),
        ({"cut": float("nan")}, ParameterError),
        ({"k": 1}, SplitError),
        ({"parts": []}, SplitError),
        ({"parts": [[]]}, SplitError),
        ({"parts": "ab"}, ParameterError),
        ({"parts": [5]}, ParameterError),
        ({"parts": [["unknown"]]}, SplitError),
        ({"k": 2, "names": ["char_0009"]}, GroupNameError),
        ({"k": 2, "names": [TWO]}, GroupNameError),
        ({"k": 3, "names": ["Rei", "Rei"]}, NameTakenError),
        ({"k": 2, "names": [5]}, ParameterError),
        ({"k": 2, "embeddings_field": "none"}, CCIPError),
    ],
    ids=str,
)
def test_splits_that_are_refused(grouped, options, error):
    before = grouped.stored()
    with pytest.raises(error):
        grouped.call(split_group, grouped.data, ONE, **options)
    assert grouped.stored() == before


def test_parts_that_overlap_or_are_of_another_group(grouped):
    ids = grouped.store.read()[0]
    for parts in ([ids[:2], ids[1:3]], [ids[3:5]], [ids[:4]]):
        with pytest.raises(SplitError):
            grouped.call(split_group, grouped.data, ONE, parts=parts)


def test_images_of_one_group_that_are_kept_apart(grouped):
    """The one that fits best stays, a confirmed one before others; the others are groups of their own."""
    grouped.call(confirm, grouped.view(2))
    done = grouped.call(keep_apart, grouped.view(1, 2, 4, 8))
    ids = grouped.store.read()[0]
    assert [grouped.names()[place] for place in (1, 2, 4, 8)] == [THREE, ONE, TWO, "unassigned"]
    assert grouped.registry.rejections == {
        1: {ids[1], ids[4], ids[8]},
        2: {ids[1], ids[2], ids[8]},
        3: {ids[2], ids[4], ids[8]},
    }
    assert (done.n_without, done.n_rejected) == (1, 9)


@pytest.mark.parametrize("parameters", RUNS, ids=str)
@pytest.mark.parametrize("is_grouped", [True, False])
def test_three_images_that_are_kept_apart_are_never_together(grouped, parameters, is_grouped):
    if not is_grouped:
        grouped.call(reject, grouped.view(0, 1, 2))
    grouped.call(keep_apart, grouped.view(0, 1, 2))
    grouped.run(**parameters)
    names = [name for name in grouped.names()[:3] if name != "unassigned"]
    assert len(set(names)) == len(names)


def test_images_in_no_group_that_are_kept_together(grouped):
    grouped.call(reject, grouped.view(7))
    grouped.call(keep_together, grouped.view(7, 8))
    assert grouped.names()[7:] == [THREE, THREE]
    assert grouped.statuses()[7:] == ["confirmed"] * 2


def test_too_many_to_keep_apart(grouped, monkeypatch):
    from ccip_plugin.labels.edits import together

    monkeypatch.setattr(together, "MAX_APART", 1)
    for samples, groups in ((grouped.data, [ONE, TWO]), (grouped.view(0, 4), None)):
        with pytest.raises(ParameterError, match="at most 1"):
            grouped.call(keep_apart, samples, groups)


def test_cover(grouped):
    ids = grouped.store.read()[0]
    done = grouped.call(set_cover, grouped.view(1, 5, 8))
    assert done.n_without == 1 and "Cover of" in str(done)
    assert [grouped.registry.groups[n].cover for n in (1, 2)] == [ids[1], ids[5]]
    grouped.run()
    assert grouped.registry.groups[1].cover == ids[1]
    with pytest.raises(SeveralCoversError, match=ONE):
        grouped.call(set_cover, grouped.view(1, 2))


def test_a_whole_dataset_is_refused(grouped):
    for function in (merge_groups, keep_apart, keep_together, set_cover):
        with pytest.raises(TargetError, match="of the dataset"):
            grouped.call(function, grouped.data)


def test_new_images_join_a_merged_group_and_numbers_are_renewed(dataset, tmp_path):
    data = dataset(*(tmp_path / f"{n}.png" for n in range(10)))
    old = data[:8]
    embed(old, "aaaabbbb")
    group_characters(old)
    merge_groups(data, [ONE, TWO])
    before = data.values("character_group.difference")
    embed(data, "aaaabbbbab")
    group_characters(data)
    assert data.values("character_group.label") == [ONE] * 10
    assert data.values("character_group.status") == ["auto"] * 10
    assert data.values("character_group.difference") != before


def test_groups_are_kept_in_a_clone(grouped):
    grouped.call(merge_groups, grouped.data, [ONE, TWO])
    clone = grouped.data.clone()
    try:
        group_characters(clone, **grouped.options, eps=0.001)
        path = grouped.store.attribute_path("label")
        assert clone.values(path) == grouped.data.values(path)
    finally:
        clone.delete()


def test_rejections_go_along_with_merges_and_are_lifted_by_a_move(grouped):
    item = grouped.store.read()[0][0]
    grouped.call(reject, grouped.view(0))
    done = grouped.call(merge_groups, grouped.data, [1, 2], name=TWO)
    assert (done.lifted, done.n_rejected, grouped.registry.rejections) == ({}, 0, {2: {item}})
    assert grouped.call(move, grouped.view(0), TWO).lifted == {TWO: (item,)}
    assert grouped.registry.rejections == {}
    grouped.call(undo, grouped.data)
    grouped.call(undo, grouped.data)
    assert grouped.registry.rejections == {1: {item}}


def test_a_merge_that_moves_some_rejections_and_removes_others(grouped):
    """Of the group that stays, rejections are added and removed by one change."""
    ids = grouped.store.read()[0]
    grouped.call(reject, grouped.view(3))
    grouped.call(move, grouped.view(8), TWO)
    grouped.call(reject, grouped.view(8))
    grouped.call(reject, grouped.view(4))
    grouped.call(move, grouped.view(3), TWO)
    before = grouped.registry
    assert before.rejections == {1: {ids[3]}, 2: {ids[4], ids[8]}}
    grouped.call(merge_groups, grouped.data, [1, 2], name=ONE)
    assert grouped.registry.rejections == {1: {ids[4], ids[8]}}
    grouped.call(undo, grouped.data)
    assert (grouped.registry.groups, grouped.registry.rejections) == (before.groups, before.rejections)


def test_groups_that_were_kept_apart_before_each_was_merged(grouped):
    grouped.call(split_group, grouped.data, ONE, k=2)
    grouped.call(split_group, grouped.data, TWO, k=2)
    grouped.call(keep_apart, grouped.data, [1, 2])
    grouped.call(merge_groups, grouped.data, [1, 3], name="Rei")
    grouped.call(merge_groups, grouped.data, [2, 4], name="Asuka")
    done = grouped.call(merge_groups, grouped.data, ["Rei", "Asuka"], name="Rei")
    assert [set(pair) for pair in done.parted] == [{"Rei", "Asuka"}]
    assert all(not group.apart for group in grouped.registry.groups.values() if group.merged_into is None)


def test_names_that_labels_have_and_no_group_has(grouped):
    """New groups do not get them, and giving one to a group is refused."""
    label, is_patches = grouped.store.attribute_path("label"), grouped.options["patches_field"]
    for place, name in ((4, THREE), (5, "Asuka")):
        grouped.view(place).set_values(label, [[name]] if is_patches else [name])
    assert grouped.call(split_group, grouped.data, ONE, k=2).groups.keys() == {"char_0004"}
    for call in (
        lambda: grouped.call(rename_group, grouped.data, ONE, "Asuka"),
        lambda: grouped.call(split_group, grouped.data, ONE, parts=halves(grouped), names=["Asuka"]),
        lambda: grouped.call(merge_groups, grouped.data, [ONE, TWO], name="Asuka"),
    ):
        with pytest.raises((NameTakenError, SplitError)):
            call()
    assert grouped.call(merge_groups, grouped.data, [ONE, "Asuka"]).groups["Asuka"] > 1


def test_names_that_were_typed_in_another_form(grouped):
    label, is_patches = grouped.store.attribute_path("label"), grouped.options["patches_field"]
    grouped.call(rename_group, grouped.data, ONE, "が")
    for place, name in ((4, "か\u3099"), (5, "が ")):
        grouped.view(place).set_values(label, [[name]] if is_patches else [name])
    assert grouped.call(rename_group, grouped.data, "が", "Rei").groups == {"Rei": 6}


def test_half_a_character_in_a_group(grouped):
    for call in (
        lambda: grouped.call(merge_groups, grouped.data, ["\ud800", TWO]),
        lambda: grouped.call(rename_group, grouped.data, "\ud800", "Rei"),
        lambda: grouped.call(confirm, grouped.data, groups="\ud800"),
    ):
        with pytest.raises(GroupNameError):
            call()


def test_a_name_that_was_taken_since_is_not_brought_back(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Rei")
    number = grouped.call(rename_group, grouped.data, "Rei", "Asuka").number
    grouped.call(rename_group, grouped.data, TWO, "Rei")
    with pytest.raises(NameTakenSinceError, match="another group is called 'Rei' now"):
        grouped.call(undo, grouped.data, number=number)
