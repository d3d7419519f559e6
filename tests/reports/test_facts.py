"""Facts of a report: what is shown of a value, and the text."""

import pytest

from ccip_plugin.reports.facts import Facts, counted


@pytest.mark.parametrize(
    "value, text",
    [
        pytest.param(1234, "1,234", id="a count"),
        pytest.param(0, "0", id="zero is a value"),
        pytest.param(1234.56, "1,234.6", id="a number"),
        pytest.param(True, "True", id="yes"),
        pytest.param("char_0001", "char_0001", id="text"),
    ],
)
def test_values_are_text(value, text):
    assert Facts.of("done", [("Label", value)])["Label"] == text


@pytest.mark.parametrize("value", [None, ""])
def test_a_pair_without_value_is_left_out(value):
    facts = Facts.of("done", [("First", value), ("Second", 2)])
    assert facts.pairs == (("Second", "2"),)
    assert ("First" in facts, "Second" in facts) == (False, True)


def test_the_text_is_aligned_and_warnings_come_last():
    facts = Facts.of("2 groups", [("Groups", 2), ("Labels written", 10)], ["check the largest group"])
    assert str(facts).splitlines() == [
        "2 groups",
        "Groups          2",
        "Labels written  10",
        "warning: check the largest group",
    ]


def test_a_file_name_cannot_break_a_line():
    facts = Facts.of("1 failed\n", [("Failed", "壊\x1b[31m\n.png")], ["壊\r"])
    assert str(facts).splitlines() == ["1 failed\\n", "Failed  壊\\x1b[31m\\n.png", "warning: 壊\\r"]


def test_plain_values_for_exports():
    facts = Facts.of("2 groups", [("Groups", 2)], ["look"])
    assert facts.as_dict() == {"headline": "2 groups", "Groups": "2", "warnings": ["look"]}


@pytest.mark.parametrize("n, text", [(0, "0 images"), (1, "1 image"), (2000, "2,000 images")])
def test_counts_have_their_noun(n, text):
    assert counted(n, "image") == text
