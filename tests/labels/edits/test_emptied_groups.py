"""Groups from which the last images are moved: what users said of them holds for the group that gets these."""

import pytest

from ccip_plugin import ignore, keep_apart, merge_groups, move, redo, reject, rename_group, undo
from tests.support.database.edits import ONE, TWO

pytestmark = pytest.mark.mongo


def rejected_from(grouped, name):
    """The ids of the items that are rejected from a group."""
    registry = grouped.registry
    (group_id,) = [key for key, group in registry.groups.items() if group.name == name and group.merged_into is None]
    return registry.rejections.get(group_id, frozenset())


def item(grouped, place):
    return grouped.store.read()[0][place]


def test_a_rejection_follows_the_other_images(grouped):
    grouped.call(reject, grouped.view(0))
    grouped.call(move, grouped.view(1), "Rei")
    before, stored = grouped.registry.groups, grouped.stored()
    assert not rejected_from(grouped, "Rei")
    done = grouped.call(move, grouped.view(2, 3), "Rei")
    assert done.gone == (ONE,) and rejected_from(grouped, "Rei") == {item(grouped, 0)}
    for _ in range(2):
        grouped.run(eps=0.4)
        assert grouped.names()[0] != "Rei" and grouped.names()[1:4] == ["Rei"] * 3
    grouped.call(undo, grouped.data)
    grouped.call(undo, grouped.data)
    assert (grouped.registry.groups, grouped.stored()) == (before, stored)
    grouped.call(redo, grouped.data)
    assert rejected_from(grouped, "Rei") == {item(grouped, 0)}


def test_an_image_that_is_moved_with_the_rest_is_not_rejected_there(grouped):
    grouped.call(reject, grouped.view(0))
    grouped.call(move, grouped.view(0, 1, 2, 3), "Rei")
    assert not rejected_from(grouped, "Rei") or rejected_from(grouped, "Rei") == {item(grouped, 0)}
    grouped.run()
    assert grouped.names()[:4] == ["Rei"] * 4 and not rejected_from(grouped, "Rei")


def test_groups_are_kept_apart_from_the_one_that_gets_the_images(grouped):
    grouped.call(keep_apart, grouped.data, [ONE, TWO])
    done = grouped.call(move, grouped.view(0, 1, 2, 3), "Rei")
    groups = grouped.registry.groups
    (rei,) = [key for key, group in groups.items() if group.name == "Rei"]
    assert (done.gone, groups[rei].apart, groups[1].merged_into) == ((ONE,), (2,), rei)
    done = grouped.call(merge_groups, grouped.data, ["Rei", TWO], dry_run=True)
    assert [set(pair) for pair in done.parted] == [{"Rei", TWO}]
    grouped.run(eps=0.4)
    assert grouped.names()[:8] == ["Rei"] * 4 + [TWO] * 4


def test_moving_all_into_the_group_that_it_was_kept_apart_from_ends_that(grouped):
    grouped.call(keep_apart, grouped.data, [ONE, TWO])
    done = grouped.call(move, grouped.view(0, 1, 2, 3), TWO)
    assert [set(pair) for pair in done.parted] == [{ONE, TWO}]
    grouped.run()
    assert grouped.names()[:8] == [TWO] * 8 and grouped.registry.groups[2].apart == ()


def test_images_that_are_not_of_their_group_leave_it_alone(grouped):
    grouped.call(reject, grouped.view(0))
    done = grouped.call(move, grouped.view(1, 2, 3), "Rei", reject=True)
    assert done.gone == () and not rejected_from(grouped, "Rei")
    grouped.run()
    assert grouped.names()[1:4] == ["Rei"] * 3 and 1 not in grouped.registry.groups


def test_a_group_that_a_person_named_stays_itself(grouped):
    grouped.call(rename_group, grouped.data, ONE, "Asuka")
    grouped.call(reject, grouped.view(0))
    done = grouped.call(move, grouped.view(1, 2, 3), "Rei")
    assert done.gone == () and not rejected_from(grouped, "Rei")
    grouped.run()
    assert rejected_from(grouped, "Asuka") == {item(grouped, 0)}


def test_nothing_is_kept_apart_from_a_group_that_is_gone(grouped):
    grouped.call(keep_apart, grouped.data, [ONE, TWO])
    grouped.call(ignore, grouped.view(0, 1, 2, 3))
    assert grouped.registry.groups[2].apart == (1,)
    grouped.run()
    assert 1 not in grouped.registry.groups and not grouped.registry.groups[2].is_held
    grouped.call(undo, grouped.data)
    assert grouped.registry.groups[2].apart == (1,)


def test_all_images_renamed_by_hand(grouped):
    grouped.call(reject, grouped.view(0))
    ids, name = grouped.store.read()[0][1:4], "character_group" if grouped.store.target.is_patches else None
    if name:
        grouped.data.set_label_values(grouped.store.path, dict.fromkeys(ids, "Rei"))
    else:
        grouped.data.select(ids).set_values("character_group.label", ["Rei"] * 3)
    grouped.run(eps=0.4)
    assert grouped.names()[0] != "Rei" and grouped.names()[1:4] == ["Rei"] * 3
