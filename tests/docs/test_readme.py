"""The README: its figures are those that were printed, its pictures are there and small."""

import re
from pathlib import Path

import pytest

from benchmarks import common
from docs import figures

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
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


def test_the_markers_of_the_readme_are_right():
    assert figures.fill(README, {})[0] == README


def test_the_pictures_of_the_readme_are_there_and_small():
    named = [path for path in re.findall(r"(?:!\[[^]]*\]\(|src=\")([^)\"]+)", README) if "://" not in path]
    assert [path for path in named if not (ROOT / path).is_file()] == []
    too_large = {path.name for path in (ROOT / "docs" / "images").iterdir() if path.stat().st_size > MOST_BYTES}
    assert too_large == set()
