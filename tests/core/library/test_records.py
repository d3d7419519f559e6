"""Characters and libraries: names, search, details, models."""

import numpy as np
import pytest

from ccip_plugin.core.errors import CCIPError, VectorsError
from ccip_plugin.core.library.records import Character, Library, LibraryError, Origin, OtherModelError

ORIGIN = Origin("ccip-demo", "ab", 2)


def made(name, *, seed=0, **details):
    return Character.of(name, np.random.default_rng(seed).normal(size=(2, 8)), **details)


@pytest.fixture
def library():
    return Library(
        ORIGIN,
        (
            made("綾波レイ", aliases=["Rei Ayanami", "あやなみ レイ"], series="EVA"),
            made("Reimu", seed=1, aliases=["霊夢"], series="東方"),
        ),
    )


@pytest.mark.parametrize(
    "text, names",
    [
        pytest.param("rei", ["綾波レイ", "Reimu"], id="a part"),
        pytest.param("REI AYANAMI", ["綾波レイ"], id="case"),
        pytest.param("reimu", ["Reimu"], id="a name"),
        pytest.param("れい", ["綾波レイ"], id="hiragana for katakana"),
        pytest.param("ｱﾔﾅﾐ", ["綾波レイ"], id="half-width katakana"),
        pytest.param("ＥＶＡ", ["綾波レイ"], id="full-width series"),
        pytest.param("霊夢", ["Reimu"], id="an alias"),
        pytest.param("nobody here", [], id="none"),
        pytest.param(" ", [], id="empty"),
    ],
)
def test_find(library, text, names):
    assert [each.name for each in library.find(text)] == names


def test_a_whole_name_comes_first():
    library = Library(ORIGIN, (made("Reimu"), made("Rei", seed=1)))
    assert [each.name for each in library.find("rei")] == ["Rei", "Reimu"]


def test_a_character_by_name_or_alias(library):
    assert library["霊夢"] is library.characters[1]
    assert library["Rei Ayanami"] is library["綾波レイ"]
    with pytest.raises(KeyError):
        library["Asuka"]


def test_details(library):
    changed = library.described("Reimu", aliases=["れいむ"], series="Touhou", new_name="博麗霊夢")
    reimu = changed["れいむ"]
    assert (reimu.name, reimu.aliases, reimu.series) == ("博麗霊夢", ("Reimu", "れいむ"), "Touhou")
    assert library["霊夢"].name == "Reimu"
    for options in ({"name": "Asuka"}, {"name": "Reimu", "new_name": "綾波レイ"}, {"name": "Reimu", "aliases": "ab"}):
        with pytest.raises(CCIPError):
            library.described(**options)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\nb", "\ud800", 5, None])
def test_names_that_cannot_be(name):
    with pytest.raises(LibraryError):
        made(name)
    with pytest.raises(LibraryError):
        made("Rei", aliases=[name])


def test_invalid_characters():
    for details in ({"limit": 0}, {"limit": 1.5}, {"counts": [1]}, {"counts": [0, 1]}):
        with pytest.raises(LibraryError):
            made("Rei", **details)
    for vectors in ([], np.zeros((1, 8)), np.full((1, 8), np.nan)):
        with pytest.raises(VectorsError):
            Character.of("Rei", vectors)
    with pytest.raises(LibraryError, match="two characters"):
        Library(ORIGIN, (made("\u30ac"), made("\u30ab\u3099", seed=1)))
    with pytest.raises(VectorsError):
        Library(ORIGIN, (made("a"), Character.of("b", np.ones((1, 9)))))


@pytest.mark.parametrize(
    "theirs, is_same",
    [
        (Origin("ccip-demo", "ab", 1), True),
        (Origin("ccip-demo", None), True),
        (Origin("ccip-demo", "cd"), False),
        (Origin("other", "ab"), False),
    ],
)
def test_models(theirs, is_same):
    if is_same:
        theirs.check(ORIGIN)
        return
    with pytest.raises(OtherModelError, match="Compute embeddings with"):
        theirs.check(ORIGIN)
