"""The figures of the documentation are those that were printed, its pictures are there and small."""

import pytest

from benchmarks import common
from docs import animation, figures
from tests.docs.pages import PAGES, ROOT

MOST_BYTES = 300_000
TABLE = {
    "title": "s18, 5 rounds",
    "machine": "2 cores",
    "header": ["", "images/s", "of limit", "MiB"],
    "rows": [["ours", "5.0 [4-6]", "0.95", "300"], ["a|b", "4.0", "", "1"]],
}


@pytest.mark.parametrize(
    "before, after",
    [
        pytest.param(
            "a\n<!-- figures: speed -->\nold\n<!-- /figures -->\nb\n",
            "a\n<!-- figures: speed -->\n\n|  | images/s | of limit | MiB |\n|---|--:|--:|--:|\n"
            "| ours | 5.0 [4-6] | 0.95 | 300 |\n| a\\|b | 4.0 |  | 1 |\n\ns18, 5 rounds; 2 cores.\n\n"
            "<!-- /figures -->\nb\n",
            id="a table",
        ),
        pytest.param(
            "<!-- figures: speed columns: 0 2 -->\n<!-- /figures -->",
            "<!-- figures: speed columns: 0 2 -->\n\n|  | of limit |\n|---|--:|\n| ours | 0.95 |\n| a\\|b |  |\n\n"
            "s18, 5 rounds; 2 cores.\n\n<!-- /figures -->",
            id="some columns, nothing there before",
        ),
        pytest.param(
            "<!-- figures: demo -->\n<!-- /figures -->\n<!-- figures: demo -->\nx\n<!-- /figures -->",
            "<!-- figures: demo -->\n\n```text\n群  1\n```\n\n<!-- /figures -->\n"
            "<!-- figures: demo -->\n\n```text\n群  1\n```\n\n<!-- /figures -->",
            id="text, twice",
        ),
        pytest.param(
            "<!-- figures: memory -->\nolder figures\n<!-- /figures -->",
            "<!-- figures: memory -->\nolder figures\n<!-- /figures -->",
            id="not measured here",
        ),
        pytest.param("no figures", "no figures", id="none"),
    ],
)
def test_figures_go_between_their_markers(before, after):
    found = {"speed": TABLE, "demo": "群  1\n"}
    filled, said = figures.fill(before, found)
    assert filled == after
    assert figures.fill(filled, found)[0] == after
    assert len(said) == before.count("<!-- figures")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- figures: speed -->\nold\n",
        "old\n<!-- /figures -->\n",
        "text <!-- figures: speed -->\n<!-- /figures -->",
        "<!-- figures: speed -->\n<!-- figures: demo -->\n<!-- /figures -->",
        "<!-- figures: two words -->\n<!-- /figures -->",
    ],
)
def test_a_marker_without_its_other_half_is_an_error(text):
    with pytest.raises(figures.MarkerError, match="on lines of their own"):
        figures.fill(text, {"speed": TABLE})


def test_figures_are_those_that_were_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "WORK", tmp_path / "bench")
    common.table("What", ["", "速さ"], [("ours", 5), ("theirs", 4)], save_as="speed")
    common.table("In a hurry", ["", "n"], [("ours", 6)])
    (tmp_path / "readme").mkdir()
    (tmp_path / "readme" / "table.txt").write_text(f"failures  {tmp_path}/readme/images/絵 1.png: no image\n")
    assert figures.sources(tmp_path) == {
        "demo": "failures  絵 1.png: no image\n",
        "speed": {"title": "What", "header": ["", "速さ"], "rows": [["ours", "5"], ["theirs", "4"]]}
        | {"machine": common.hardware()},
    }
    assert "theirs   4\n" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_markers_belong_together(page):
    text = page.read_text(encoding="utf-8")
    assert figures.fill(text, {})[0] == text


def test_pictures_are_small():
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()}
    assert sizes.pop("review.webp") <= animation.MOST_BYTES
    assert {name for name, size in sizes.items() if size > MOST_BYTES} == set()


def test_every_picture_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {path.name for path in (ROOT / "docs" / "images").iterdir() if f"images/{path.name}" not in text} == set()


PAGE = """
<!-- figures: speed -->

|  | images/s [range] | MiB peak |
|---|--:|--:|
| this plugin | 5.00 [4.00-6.00] | 300 |
| others | 4.00 | 1 |

s18, 5 rounds; 2 cores.

<!-- /figures -->
<!-- figures: demo -->

```text
agreement with the truth  images  people
compared                     273      47
adjusted Rand index        0.952   0.931
```

<!-- /figures -->
"""


@pytest.mark.parametrize(
    "measure, expected",
    [
        pytest.param(
            ("speed", ("this plugin",), "images/s", " images/s"), "5.00 images/s", id="of a table, without range"
        ),
        pytest.param(("speed", ("others",), "MiB peak", " MiB"), "1 MiB", id="another row and column"),
        pytest.param(("demo", ("adjusted Rand index",), "images", ""), "0.952", id="of aligned text"),
    ],
)
def test_the_short_table_takes_values_of_others(monkeypatch, measure, expected):
    source, row, column, unit = measure
    monkeypatch.setattr(figures, "MEASURES", (figures.Measure("speed", source, row, column, unit, "make bench"),))
    found = figures.glance(PAGE)
    assert found["rows"] == [["speed", expected, "`make bench`"]]
    assert found["machine"] == "2 cores"


@pytest.mark.parametrize(
    "source, row, column",
    [
        pytest.param("memory", ("this plugin",), "MiB peak", id="no such table"),
        pytest.param("speed", ("nobody",), "MiB peak", id="no such row"),
        pytest.param("speed", ("this plugin",), "seconds", id="no such column"),
    ],
)
def test_a_value_that_is_missing_is_an_error(monkeypatch, source, row, column):
    monkeypatch.setattr(figures, "MEASURES", (figures.Measure("", source, row, column, "", ""),))
    with pytest.raises(figures.MarkerError, match=source):
        figures.glance(PAGE)
