"""The groups of a field in parts: what goes in comes out, and a few are read alone."""

import numpy as np
import pytest

from ccip_plugin.core.identity import parts
from ccip_plugin.core.identity.groups import Group
from ccip_plugin.core.identity.parts import (
    NAMES,
    PART,
    Part,
    PartError,
    changed,
    ids_named,
    joined,
    numbers_of,
    packed,
    unpacked,
)
from ccip_plugin.core.plain import canonical_name

TEXTS = "char_0001", "綾波レイ", 'a "quoted" \\ name', "🎤", "カ\u3099", "\x00\n"


def groups_of(ids):
    return {
        group_id: Group(TEXTS[group_id % len(TEXTS)], "now", named_by=("person", None)[group_id % 2])
        for group_id in ids
    }


@pytest.mark.parametrize("n", [0, 1, PART - 1, PART, PART + 1, 3 * PART])
def test_what_goes_in_comes_out(n):
    random = np.random.default_rng(n)
    ids = sorted(random.choice(10 * n + 1, n, replace=False).tolist())
    groups = groups_of(ids)
    rejections = {group_id: frozenset({f"{group_id:024x}", "é"}) for group_id in ids[::7]}
    first_ids, first_keys, texts = packed(groups, rejections)
    assert joined(map(unpacked, texts[: len(first_ids)])) == Part(groups, rejections)
    assert (len(first_ids), len(first_keys)) == (-(-n // PART), -(-n // NAMES))
    assert len(texts) == len(first_ids) + len(first_keys)
    assert all(text.isascii() and '"' not in text and "\\" not in text for text in texts)


def test_rejections_of_a_group_that_is_gone():
    part = Part({5: Group("Rei", "now")}, {3: frozenset({"a"}), 900: frozenset({"b"})})
    assert joined(map(unpacked, packed(*part).texts[:1])) == part


@pytest.mark.parametrize(
    "group_ids, expected",
    [([], []), ([0], []), ([1], [0]), ([9], [0]), ([10], [1]), ([10, 3, 99, 11, 10**12], [0, 1, 2])],
)
def test_which_part_has_a_group(group_ids, expected):
    assert numbers_of([1, 10, 99], group_ids) == expected
    assert numbers_of([], group_ids) == []


@pytest.mark.parametrize("text", ["", "x", "AAAA", "é", packed(groups_of([1]), {}).texts[0][:-4], b"\xff"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(PartError):
        unpacked(text)


@pytest.mark.parametrize("per_part", [1, 3, 4096])
def test_groups_are_found_by_their_names(monkeypatch, per_part):
    """In any Unicode form, also where many have one key, or one name; merged groups have no name."""
    monkeypatch.setattr(parts, "NAMES", per_part)
    monkeypatch.setattr(parts, "_key", lambda name: len(canonical_name(name)) % 5)
    groups = {number: Group(f"name {number}", "now") for number in range(1, 40)}
    groups |= {50: Group("カ\u3099", "now"), 51: Group("same", "now"), 52: Group("same", "now")}
    groups[53] = Group("merged", "now", merged_into=1)
    first_ids, first_keys, texts = packed(groups, {})
    table = texts[len(first_ids) :]

    def found(*names):
        ids = ids_named(lambda numbers: [table[number] for number in numbers], first_keys, names)
        canonical = set(map(canonical_name, names))
        return {number for number in ids if canonical_name(groups[number].name) in canonical}

    for number in range(1, 40):
        assert found(f"name {number}") == {number}
    assert found("\u30ac", " same ", "none", "merged") == {50, 51, 52}
    assert found() == found("none") == set()
    assert ids_named(lambda _: [], [], ["name 1"]) == set()


def test_a_damaged_table_of_names_is_refused():
    with pytest.raises(PartError):
        ids_named(lambda _: ["AAAA"], [0], ["name"])


def test_a_change_of_groups_and_rejections():
    rei, asuka = Group("Rei", "now"), Group("Asuka", "now")
    before = Part({1: rei, 2: asuka}, {1: frozenset("ab"), 2: frozenset("c")})
    after = changed(before, {2: None, 3: asuka}, {1: "bd", 7: "x"}, {2: "c", 9: "y"})
    assert after == Part({1: rei, 3: asuka}, {1: frozenset("abd"), 7: frozenset("x")})
    assert before.rejections[1] == frozenset("ab")
