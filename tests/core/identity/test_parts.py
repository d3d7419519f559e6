"""The groups of a field in parts: what goes in comes out, and a few are read alone."""

import numpy as np
import pytest

from ccip_plugin.core.identity.groups import Group
from ccip_plugin.core.identity.parts import PART, Part, PartError, changed, joined, numbers_of, packed, unpacked

NAMES = "character_0001", "綾波レイ", 'a "quoted" \\ name', "🎤", "カ\u3099", "\x00\n"


def groups_of(ids):
    return {
        group_id: Group(NAMES[group_id % len(NAMES)], "now", named_by=("person", None)[group_id % 2])
        for group_id in ids
    }


@pytest.mark.parametrize("n", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_what_goes_in_comes_out(n):
    random = np.random.default_rng(n)
    ids = sorted(random.choice(10 * n + 1, n, replace=False).tolist())
    groups = groups_of(ids)
    rejections = {group_id: frozenset({f"{group_id:024x}", "é"}) for group_id in ids[::7]}
    first_ids, texts = packed(groups, rejections)
    assert joined(map(unpacked, texts)) == Part(groups, rejections)
    assert len(first_ids) == len(texts) == -(-n // PART)
    assert all(text.isascii() and '"' not in text and "\\" not in text for text in texts)


def test_rejections_of_a_group_that_is_gone():
    part = Part({5: Group("Rei", "now")}, {3: frozenset({"a"}), 900: frozenset({"b"})})
    assert joined(map(unpacked, packed(*part)[1])) == part


@pytest.mark.parametrize(
    "group_ids, expected",
    [([], []), ([0], []), ([1], [0]), ([9], [0]), ([10], [1]), ([10, 3, 99, 11, 10**12], [0, 1, 2])],
)
def test_which_part_has_a_group(group_ids, expected):
    assert numbers_of([1, 10, 99], group_ids) == expected
    assert numbers_of([], group_ids) == []


@pytest.mark.parametrize("text", ["", "x", "AAAA", "é", packed(groups_of([1]), {})[1][0][:-4], b"\xff"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(PartError):
        unpacked(text)


def test_a_change_of_groups_and_rejections():
    rei, asuka = Group("Rei", "now"), Group("Asuka", "now")
    before = Part({1: rei, 2: asuka}, {1: frozenset("ab"), 2: frozenset("c")})
    after = changed(before, {2: None, 3: asuka}, {1: "bd", 7: "x"}, {2: "c", 9: "y"})
    assert after == Part({1: rei, 3: asuka}, {1: frozenset("abd"), 7: frozenset("x")})
    assert before.rejections[1] == frozenset("ab")
