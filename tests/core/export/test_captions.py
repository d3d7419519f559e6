"""Captions: one line, never empty, each part once, and nothing in them that a trainer takes for something else."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.export.captions import (
    CaptionRules,
    caption_of,
    escaped_for_ai_toolkit,
    escaped_for_kohya,
    escaped_plainly,
)

ESCAPES = [escaped_plainly, escaped_for_kohya, escaped_for_ai_toolkit]
HOSTILE = st.sampled_from(
    ["", " ", "\n", "\ufeff", "a,b", ",", "a\r\nb", "a\u2028b", "[trigger]", "[Name]", "|||", ";;;", "a|||b", "a b",
     "rei (eva)", "\\", "\\(", "_", "^_^", "long_hair", "\udcff", "\u202e", "、", "\0", "||||||", "é", "e\u0301"]
)  # fmt: skip
TEXTS = st.one_of(HOSTILE, st.text(alphabet=st.characters(), max_size=12))


@settings(deadline=None, max_examples=300)
@given(
    TEXTS,
    st.lists(TEXTS, max_size=4),
    st.lists(TEXTS, max_size=8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(ESCAPES),
)
def test_captions_are_one_line_and_never_empty(character, companions, tags, underscores, weights, escape):
    rules = CaptionRules(underscores=underscores, escape_weights=weights)
    caption = caption_of(character, companions=companions, tags=tags, rules=rules, escape=escape)
    assert caption.strip() == caption != ""
    assert len(caption.splitlines()) == 1
    assert caption.encode("utf-8").decode("utf-8-sig") == caption
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in caption)
    parts = caption.split(", ")
    assert all(part.strip() == part != "" and "," not in part for part in parts)
    assert len({part.casefold() for part in parts}) == len(parts)
    if escape is escaped_for_kohya:
        assert "|||" not in caption and ";;;" not in caption
    if escape is escaped_for_ai_toolkit:
        assert "[trigger]" not in caption and "[name]" not in caption.lower()


@pytest.mark.parametrize(
    "rules, expected",
    [
        pytest.param({}, "rei ayanami, asuka, 1girl, long hair, ^_^, plugsuit", id="by default"),
        pytest.param({"trigger": "ohwx"}, "ohwx, asuka, 1girl, long hair, ^_^, plugsuit", id="a trigger word"),
        pytest.param({"trigger": " \n"}, "rei ayanami, asuka, 1girl, long hair, ^_^, plugsuit", id="an empty one"),
        pytest.param({"with_companions": False}, "rei ayanami, 1girl, long hair, ^_^, plugsuit", id="no companions"),
        pytest.param({"keep": {"1girl", "plugsuit"}}, "rei ayanami, asuka, 1girl, plugsuit", id="tags to keep"),
        pytest.param({"drop": {"*_hair", "1GIRL"}}, "rei ayanami, asuka, ^_^, plugsuit", id="tags to drop"),
        pytest.param({"keep": {"*"}, "drop": {"*"}}, "rei ayanami, asuka", id="dropped though kept"),
        pytest.param({"max_tags": 1}, "rei ayanami, asuka, 1girl", id="the first tag"),
        pytest.param({"underscores": True}, "rei_ayanami, asuka, 1girl, long_hair, ^_^, plugsuit", id="underscores"),
    ],
)
def test_what_a_caption_is_made_of(rules, expected):
    tags = ["1girl", "long_hair", "Long Hair", "rei ayanami", "^_^", "plugsuit"]
    sets = {key: frozenset(value) if isinstance(value, set) else value for key, value in rules.items()}
    assert caption_of("rei_ayanami", companions=["asuka"], tags=tags, rules=CaptionRules(**sets)) == expected


@pytest.mark.parametrize(
    "text, weights, escape, expected",
    [
        pytest.param("rei (eva)", False, escaped_for_kohya, "rei (eva)", id="kohya reads brackets as they are"),
        pytest.param("rei (eva)", True, escaped_for_kohya, r"rei \(eva\)", id="kohya with weights"),
        pytest.param("a|||b", False, escaped_for_kohya, "a b", id="kohya's separator of kept tokens"),
        pytest.param("|||", False, escaped_for_kohya, "character", id="nothing is left"),
        pytest.param("[trigger]", False, escaped_for_ai_toolkit, "(trigger)", id="ai-toolkit's placeholder"),
        pytest.param("rei (eva)", True, escaped_plainly, "rei (eva)", id="a trainer without weights"),
        pytest.param("Smith, John", False, escaped_plainly, "Smith John", id="a comma in a name"),
        pytest.param("\ufeff", False, escaped_plainly, "character", id="a byte order mark"),
    ],
)
def test_escapes(text, weights, escape, expected):
    assert caption_of(text, rules=CaptionRules(escape_weights=weights), escape=escape) == expected


def test_refuses_a_negative_number_of_tags():
    with pytest.raises(ParameterError):
        CaptionRules(max_tags=-1)
