"""Reports as files: JSON and CSV."""

import csv
import json
import math

from ccip_plugin.reports.export import write_csv, write_json


def test_json_is_readable_and_has_no_nan(tmp_path):
    path = write_json(tmp_path / "結果.json", {"名": "初音ミク", "ari": math.nan, "rows": ({"f1": math.inf},)})
    text = path.read_text(encoding="utf-8")
    assert "初音ミク" in text, "not escaped"
    assert json.loads(text) == {"名": "初音ミク", "ari": None, "rows": [{"f1": None}]}


def test_spreadsheets_run_no_formula(tmp_path):
    """Names are from anywhere, as from a stranger's library."""
    names = ["=HYPERLINK(1)", "+1 more", "@a", "-b", "\t=c", "Rei", "-0.5", "+3e2"]
    path = write_csv(tmp_path / "a.csv", [{"name": name, "n": -1} for name in names])
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"'{name}" for name in names[:5]] + names[5:]
    assert {row["n"] for row in rows} == {"-1"}


def test_csv_has_the_columns_of_all_rows(tmp_path):
    path = write_csv(tmp_path / "表.csv", iter([{"名": "ミク", "f1": 0.5}, {"名": "リン", "f1": math.nan, "n": 2}]))
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "spreadsheets recognize UTF-8 by it"
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"名": "ミク", "f1": "0.5", "n": ""},
            {"名": "リン", "f1": "", "n": "2"},
        ]
