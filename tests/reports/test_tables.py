"""Tables as aligned text, of names in any script, with and without the package wcwidth."""

import re
import subprocess
import sys

import pytest

from ccip_plugin.reports.tables import records_text, table_text
from ccip_plugin.reports.words import columns

NAMES = [["初音ミク", "3", "はい"], ["miku", "1,000", ""], ["か\u3099くぽ", "12", "no"], ["洛天依 lty", "7", "否"]]
ALIGNED = [
    "name            n  cached",
    "初音ミク        3  はい",
    "miku        1,000",
    "か\u3099くぽ         12  no",
    "洛天依 lty      7  否",
]


def test_names_in_japanese_and_chinese_are_aligned():
    lines = table_text(NAMES, ["name", "n", "cached"], right=[1]).splitlines()
    assert lines == ALIGNED
    assert len({columns(re.match(r".*\d", line)[0]) for line in lines[1:]}) == 1, "where the numbers end"


@pytest.mark.parametrize("has_wcwidth", [True, False], ids=["with wcwidth", "without wcwidth"])
def test_the_alignment_does_not_depend_on_another_package(has_wcwidth):
    if has_wcwidth:
        pytest.importorskip("wcwidth")
    code = f"""if True:
        import sys
        if not {has_wcwidth}:
            sys.modules["wcwidth"] = None  # what import does where it is not installed
        import tabulate
        assert tabulate.WIDE_CHARS_MODE is {has_wcwidth}
        from ccip_plugin.reports.tables import table_text
        sys.stdout.reconfigure(encoding="utf-8")
        print(table_text({NAMES!r}, ["name", "n", "cached"], right=[1]))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ALIGNED


@pytest.mark.parametrize(
    "rows, headers, expected",
    [
        pytest.param([], [], "", id="nothing"),
        pytest.param([], ["a", "b"], "a  b", id="only titles"),
        pytest.param([["a", ""], ["", "b"]], [], "a\n   b", id="empty cells"),
        pytest.param([["xx", "x"]], ["x", "xxx"], "x   xxx\nxx  x", id="cells like what stands for them"),
        pytest.param([["a\nb", "\x1b[1mc"]], [], r"a\nb  \x1b[1mc", id="cells that would break the line"),
        pytest.param([["  a", "b  c"], ["1e3", "007"]], [], "  a  b  c\n1e3  007", id="text is left as it is"),
        pytest.param([["a"], ["b", "c"]], [], "a\nb  c", id="rows of several lengths"),
        pytest.param([["\u0301", "b"]], [], "\u0301  b", id="a combining mark alone"),
    ],
)
def test_table_text(rows, headers, expected):
    assert table_text(rows, headers) == expected


def test_records_text():
    assert records_text([{"Metric": "F1", "All": "0.9"}, {"Metric": "purity", "All": "1"}], right=[1]) == (
        "Metric  All\nF1      0.9\npurity    1"
    )
    assert records_text([]) == ""
