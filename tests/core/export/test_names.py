"""Names of folders and files: valid on every system, different on every system, the same each time."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.export.names import (
    MASK_SUFFIXES,
    MAX_FOLDER_BYTES,
    MAX_STEM_BYTES,
    file_stems,
    folded,
    folder_names,
    safe_name,
    safe_stem,
)

HOSTILE = [
    "..", ".", "", " ", "...", "../../etc/passwd", "/", "\\", "C:\\x", "con", "CON.txt", "Aux ", "nul.tar.gz", "com¹",
    "lpt9.", "a/b", "a:b?*", "rei.", " rei ", "rei", "Rei", "REI", "ＲＥＩ", "é", "e\u0301", "\u202ecod", "\ufeff",
    "a\nb", "\0", "\udcff", "x-masklabel", "X-CondLabel", "-rf", "~root", "__pycache__", "_controls", ".git", "a" * 300,
    "綾波" * 90, "e" + "\u0301" * 200, "ß", "SS", "ﬁ", "fi", "İ", "i̇", "[a]*", "1_2_3_4_5_6", "a.b.png", "%s", "$(id)",
    "`id`", "\u3000", "👩‍👩‍👧", "a\u200d", "\U000e0001", "con\u200d", "con .x",
    "．．", "\u0378", "com0", "CONIN$",
    "a -masklabel",    "char_0007-masklabel-masklabel", "metadata.jsonl", "concepts.json", "Datasets.YAML",
    "dataset.toml", "Dr. Stone",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(alphabet=st.characters(), max_size=40))
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³")}


def check(name, max_bytes):
    """What every system and every trainer asks of a name."""
    assert 0 < len(name.encode("utf-8")) <= max_bytes
    assert name == unicodedata.normalize("NFC", name)
    assert not set(name) & set('<>:"/\\|?*[]')
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp") for each in name)
    assert name[0] not in " .-_~" and name[-1] not in " ."
    assert name.split(".")[0].rstrip().lower() not in RESERVED | {"conin$", "conout$", "clock$"}


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_names_are_valid_everywhere(text):
    name = safe_name(text)
    check(name, MAX_FOLDER_BYTES)
    assert safe_name(name) == name


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_stems_have_no_dot_and_are_no_masks(text):
    stem = safe_stem(text)
    check(stem, MAX_STEM_BYTES)
    assert not set(stem) & set("._")
    assert not folded(stem).endswith(MASK_SUFFIXES)
    assert safe_stem(stem) == stem


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=12), st.randoms())
def test_folders_are_different_whatever_the_order(characters, random):
    names = folder_names(characters)
    different = {unicodedata.normalize("NFC", text.strip()) for text in characters}
    assert len({folded(name) for name in names.values()}) == len(different)
    for name in names.values():
        check(name, MAX_FOLDER_BYTES)
    random.shuffle(characters)
    assert folder_names(characters) == names


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(TEXTS, TEXTS, max_size=12))
def test_an_export_has_each_stem_once(images):
    stems = file_stems(images)
    assert len({folded(stem) for stem in stems.values()}) == len(images)
    for stem in stems.values():
        check(stem, MAX_STEM_BYTES)
        assert "." not in stem and len(stem.split("_")) < 5
        assert not folded(stem).endswith(MASK_SUFFIXES)
    assert file_stems(dict(reversed(images.items()))) == stems


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("Rei Ayanami", "Rei Ayanami", id="nothing to change"),
        pytest.param("綾波レイ", "綾波レイ", id="Japanese"),
        pytest.param("rei_ayanami_(evangelion)", "rei_ayanami_(evangelion)", id="a tag"),
        pytest.param("..", "character", id="the parent folder"),
        pytest.param("../../x", "x", id="a path upwards"),
        pytest.param("Rei/Ayanami", "Rei-Ayanami", id="a separator"),
        pytest.param("A:B?*", "A-B--", id="forbidden on Windows"),
        pytest.param("con. x", "con-. x", id="a device with an ending"),
        pytest.param("metadata.jsonl", "metadata-jsonl", id="a file of a trainer"),
        pytest.param("e\u0301", "é", id="decomposed"),
        pytest.param("_controls", "controls", id="a folder that ai-toolkit leaves out"),
        pytest.param("a\n b", "a b", id="a line break"),
    ],
)
def test_names(text, expected):
    assert safe_name(text) == expected


@pytest.mark.parametrize(
    "characters, expected",
    [
        pytest.param(["Rei", "Asuka"], {"Rei": "Rei", "Asuka": "Asuka"}, id="different"),
        pytest.param(["é", "e\u0301"], {"é": "é", "e\u0301": "é"}, id="one name in two forms"),
        pytest.param(["a-b", "a/b"], {"a-b": "a-b", "a/b": r"a-b-\w{8}"}, id="the one that is its folder keeps it"),
        pytest.param(["Rei", "rei"], {"Rei": r"Rei-\w{8}", "rei": r"rei-\w{8}"}, id="case"),
    ],
)
def test_folder_names(characters, expected):
    names = folder_names(characters)
    assert names.keys() == expected.keys()
    assert all(re.fullmatch(expected[text], name) for text, name in names.items()), names


def test_files_of_one_character_are_named_by_character_and_key():
    assert file_stems({"64f0": "rei_ayanami", "64f1": "Rei"}) == {"64f0": "rei-ayanami_64f0", "64f1": "Rei_64f1"}


def test_the_file_system_takes_them(tmp_path):
    for name in {*folder_names(HOSTILE).values()}:
        (tmp_path / name).mkdir()
    assert len([*tmp_path.iterdir()]) == len({unicodedata.normalize("NFC", text.strip()) for text in HOSTILE})


def test_refuses_a_limit_that_leaves_no_room():
    with pytest.raises(ParameterError):
        safe_name("a", max_bytes=3)
