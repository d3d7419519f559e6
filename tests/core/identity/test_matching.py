"""Which cluster is which group: by members, by what people did, by looks; and what became of the groups."""

import numpy as np
import pytest

from ccip_plugin.core.identity.matching import changes_of_groups, match_clusters, match_prototypes, means_of
from ccip_plugin.core.identity.prototypes import prototypes


def group_ids(ids):
    """As an array; None is no group."""
    return np.array([-1 if group_id is None else group_id for group_id in ids], np.int64)


def match(clusters, now, known, **options):
    return match_clusters(group_ids(clusters), group_ids(now), group_ids(known), **options)


@pytest.mark.parametrize(
    "clusters, now, expected",
    [
        pytest.param([0, 0, 1, 1], [7, 7, 8, 8], {0: 7, 1: 8}, id="the same"),
        pytest.param([1, 1, 0, 0], [7, 7, 8, 8], {1: 7, 0: 8}, id="other numbers"),
        pytest.param([0, 0, 0, 1, 1], [7, 7, 7, 7, 7], {0: 7}, id="a split: the larger part keeps the id"),
        pytest.param([0, 0, 1, 1], [7, 7, 7, 7], {0: 7}, id="an even split: the first part keeps it"),
        pytest.param([0, 0, 0, 0, 0], [7, 7, 8, 8, 8], {0: 8}, id="a merge: the larger part gives the id"),
        pytest.param([0, 0, 0, 0], [8, 8, 7, 7], {0: 7}, id="an even merge: the older id"),
        pytest.param([-1, -1, 0], [7, 7, None], {}, id="noise takes no id"),
        pytest.param([0, 0], [99, 99], {}, id="an id that is not known"),
        pytest.param([], [], {}, id="nothing"),
        pytest.param([0, 0, 0, 1, 1], [7, 7, 8, 8, 7], {0: 7, 1: 8}, id="no id twice"),
    ],
)
def test_matches_clusters_to_the_groups_they_share_most_with(clusters, now, expected):
    assert match(clusters, now, [7, 8]) == expected


H, A = True, False  # a person put the image there, or a run did


@pytest.mark.parametrize(
    "clusters, now, decided, expected",
    [
        pytest.param([0] * 3, [8, 7, 7], [H, A, A], {0: 7}, id="one image of three does not name the group"),
        pytest.param([0] * 3, [8, 8, 7], [H, H, A], {0: 8}, id="two of three do"),
        pytest.param([0] * 4, [8, 8, 7, 7], [H, H, A, A], {0: 7}, id="half of them do not"),
        pytest.param([0] * 30, [8] * 15 + [7] * 15, [H] * 15 + [A] * 15, {0: 7}, id="fifteen of thirty do not"),
        pytest.param([0] * 30, [8] * 16 + [7] * 14, [H] * 16 + [A] * 14, {0: 8}, id="sixteen of thirty do"),
        pytest.param(
            [0] * 30 + [1] * 9, [8] * 5 + [7] * 25 + [8] * 9, [H] * 5 + [A] * 34, {0: 7, 1: 8}, id="8 is elsewhere"
        ),
        pytest.param(
            [0] * 30, [8] * 6 + [7] * 24, [H] * 11 + [A] * 19, {0: 7}, id="people put some of it into each of two"
        ),
    ],
)
def test_naming_most_of_a_group_names_the_group(clusters, now, decided, expected):
    assert match(clusters, now, [7, 8], is_decided=np.array(decided)) == expected


@pytest.mark.parametrize(
    "now, decided, expected",
    [
        pytest.param([7] * 9 + [8] * 2, [A] * 11, {0: 8}, id="the smaller one has a name"),
        pytest.param([7] * 9 + [8] * 2, [A] * 9 + [H] * 2, {0: 7}, id="named image by image"),
        pytest.param([7] * 9 + [9] * 2, [A] * 11, {0: 7}, id="none has"),
    ],
)
def test_a_named_group_keeps_its_name_in_a_merge(now, decided, expected):
    assert match([0] * 11, now, [7, 8, 9], is_decided=np.array(decided), named={8}) == expected


def test_what_is_claimed_is_not_given_again():
    found = match([0, 0, 1, 1], [7, 7, 7, 7], [7], claimed={1: 7})
    assert found == {1: 7}


def looks(*angles):
    """Prototypes of vectors in a plane; 0.09 of difference is 35 degrees."""
    plane = np.zeros((len(angles), 768))
    plane[:, 0], plane[:, 1] = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    return prototypes(plane)


@pytest.mark.parametrize(
    "found, known, rejected, expected",
    [
        pytest.param([0], [5], {}, {0: 70}, id="about the same"),
        pytest.param([0], [60], {}, {}, id="somebody else"),
        pytest.param([0, 8], [10], {}, {1: 70}, id="the nearest of two clusters"),
        pytest.param([0, 10], [8, 1], {}, {0: 71, 1: 70}, id="each its own"),
        pytest.param([0], [5], {0: {70}}, {}, id="rejected"),
        pytest.param([], [5], {}, {}, id="no cluster"),
        pytest.param([0], [], {}, {}, id="no group"),
    ],
)
def test_recognizes_groups_by_their_looks(found, known, rejected, expected):
    clusters, groups = dict(enumerate(looks(*found))), dict(enumerate(looks(*known), start=70))
    assert match_prototypes(clusters, groups, 0.178, rejected) == expected


@pytest.mark.parametrize(
    "before, after, expected",
    [
        pytest.param([1, 1, 2], [1, 1, 2], [], id="nothing"),
        pytest.param([None, None], [3, 3], [("new", 3, None, 2)], id="a new group"),
        pytest.param([1] * 5, [1] * 3 + [3] * 2, [("split", 3, 1, 2)], id="a part of a group"),
        pytest.param([1, 1, None, None], [1, 3, 3, 3], [("new", 3, None, 3)], id="new around one old image"),
        pytest.param([1, 1, 2, 2, 2], [2] * 5, [("merged", 1, 2, 2)], id="two become one"),
        pytest.param([1, 1, 1], [None, None, 2], [("gone", 1, None, 3)], id="fallen apart"),
        pytest.param([1, 1, 2], [1, 2, 2], [], id="an image moves"),
        pytest.param([1, 1], [None, None], [("gone", 1, None, 2)], id="no longer a group"),
        pytest.param([], [], [], id="no images"),
    ],
)
def test_says_what_became_of_groups(before, after, expected):
    names = {1: "綾波", 2: "b", 3: "c"}
    found = changes_of_groups(group_ids(before), group_ids(after), group_ids([1, 2]), names.__getitem__)
    assert [(change.kind, change.group_id, change.other, change.n_items) for change in found] == expected


def test_means():
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = dict(means_of(vectors, [5, -1, 5, 2, 2, 2], [2, 5, 9]))
    assert {key: value.tolist() for key, value in found.items()} == {2: [8, 9], 5: [2, 3]}
