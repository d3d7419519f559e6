"""Merges of libraries: nothing is lost, conflicts are listed."""

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.library.merging import ConflictKind, merge
from ccip_plugin.core.library.records import Character, Library, Origin, OtherModelError

ORIGIN = Origin("ccip-demo", None, 1)


def vectors(seed, n=2):
    random = np.random.default_rng(seed)
    return random.normal(size=64) + random.normal(size=(n, 64)) * 0.05


def library(*characters, origin=ORIGIN):
    return Library(origin, characters)


def merged(first, second):
    return merge(first, second, threshold=0.2)


def test_disjoint_libraries():
    result = merged(library(Character.of("a", vectors(1))), library(Character.of("b", vectors(2))))
    assert (result.library.names, result.conflicts, result.n_joined, result.n_added) == (["a", "b"], (), 0, 1)


def test_one_character_of_both():
    mine = Character.of("Rei", vectors(1), aliases=["レイ"], counts=[5, 5], limit=0.1)
    theirs = Character.of("レイ", vectors(1, 3), aliases=["Ayanami"], series="EVA", negatives=vectors(9))
    result = merged(library(mine), library(theirs))
    (rei,) = result.library.characters
    assert (rei.name, rei.aliases, rei.series, result.n_joined) == ("Rei", ("レイ", "Ayanami"), "EVA", 1)
    assert len(rei.negatives) == 2 and rei.limit is None and not result.conflicts
    assert rei.counts.sum() == 13 - 2, "two images are in both"


def test_a_library_with_itself_changes_nothing():
    mine = library(Character.of("a", vectors(1), counts=[4, 2]), Character.of("b", vectors(2)))
    result = merged(mine, mine)
    assert result.library.names == ["a", "b"] and not result.conflicts
    for before, after in zip(mine.characters, result.library.characters, strict=True):
        np.testing.assert_allclose(before.prototypes, after.prototypes, atol=1e-6)
        assert before.counts.tolist() == after.counts.tolist()


def test_one_name_for_two_characters():
    result = merged(
        library(Character.of("Rei", vectors(1))), library(Character.of("Rei", vectors(2), series="Mars", aliases=["x"]))
    )
    assert result.library.names == ["Rei", "Rei (Mars)"]
    (conflict,) = result.conflicts
    assert (conflict.kind, conflict.first, conflict.second) == (ConflictKind.OTHER_LOOK, "Rei", "Rei")
    assert conflict.difference > 0.2 and "Rei (Mars)" in str(conflict)
    again = merged(result.library, library(Character.of("Rei", vectors(3), series="Mars")))
    assert again.library.names == ["Rei", "Rei (Mars)", "Rei (Mars) (2)"]


def test_two_names_for_one_character():
    result = merged(library(Character.of("Rei", vectors(1))), library(Character.of("Ayanami", vectors(1))))
    assert result.library.names == ["Rei", "Ayanami"]
    assert [conflict.kind for conflict in result.conflicts] == [ConflictKind.OTHER_NAME]


def test_an_alias_of_two_characters():
    result = merged(
        library(Character.of("a", vectors(1), aliases=["x"])), library(Character.of("b", vectors(2), aliases=["x"]))
    )
    assert result.library.names == ["a", "b"]
    assert [conflict.kind for conflict in result.conflicts] == [ConflictKind.ALIAS]


def test_two_series():
    result = merged(
        library(Character.of("a", vectors(1), series="X")), library(Character.of("a", vectors(1), series="Y"))
    )
    assert result.library["a"].series == "X"
    assert [conflict.kind for conflict in result.conflicts] == [ConflictKind.SERIES]


def test_prototypes_stay_few():
    parts = [Character.of("a", np.concatenate([vectors(1)[:1], vectors(seed)[:1]])) for seed in range(2, 30)]
    whole = library(parts[0])
    for part in parts[1:]:
        whole = merged(whole, library(part)).library
    assert len(whole["a"].prototypes) <= 8


def test_other_models_and_wrong_types():
    mine = library(Character.of("a", vectors(1)))
    with pytest.raises(OtherModelError):
        merged(mine, library(Character.of("a", vectors(1)), origin=Origin("other")))
    for arguments in ((mine, 5), ("x", mine)):
        with pytest.raises(ParameterError):
            merged(*arguments)
    with pytest.raises(ParameterError):
        merge(mine, mine, threshold=0)
