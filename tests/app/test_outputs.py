"""The output builder: values and views made in one place."""

import json

import fiftyone as fo
import pytest

from ccip_plugin.app.outputs import Output, as_property, file_paths
from ccip_plugin.reports.charts import Chart, Heatmap, Line
from ccip_plugin.reports.facts import Facts

pytestmark = pytest.mark.mongo


def shown(out):
    """The parts that the App shows, by key, as it gets them."""
    results = json.loads(json.dumps(out.results(), allow_nan=False))
    return as_property(results).to_json()["type"]["properties"], results


def test_facts_are_a_table_a_message_and_warnings():
    out = Output(None, "Title")
    out.facts(Facts.of("2 groups", [("Groups", 2), ("Ignored", None)], ["check the largest"]), "Groups found")
    parts, results = shown(out)
    assert list(parts) == ["warning_0", "facts"]
    assert parts["warning_0"]["view"]["label"] == "check the largest"
    assert parts["facts"]["view"]["label"] == "Groups found"
    assert results["facts"] == [{"fact": "Groups", "value": "2"}]
    assert (out.message, out.is_clean) == ("CCIP: 2 groups", False)


def test_facts_without_warnings_are_clean():
    out = Output(None, "Title")
    out.facts(Facts.of("done"), "Done")
    assert out.is_clean and out.message == "CCIP: done"
    assert shown(out)[0] == {}, "no empty table"


def test_a_sentence():
    out = Output(None, "Title")
    out.text("there was nothing", "Done")
    assert (out.message, out.results()["facts"]) == (
        "CCIP: there was nothing",
        [{"fact": "Result", "value": "there was nothing"}],
    )


def test_tables_have_the_titles_of_their_columns():
    out = Output(None, "Title")
    out.table("named", "Named", [{"Group": "a", "Images": 2}])
    out.table("titled", "Titled", iter([{"n": 1, "m": 2}]), {"n": "Images"})
    out.table("empty", "Empty", [], {"n": "Images"})
    parts, results = shown(out)
    columns = {key: [column["label"] for column in part["view"]["columns"]] for key, part in parts.items()}
    assert columns == {"named": ["Group", "Images"], "titled": ["Images"]}
    assert "empty" not in results


def test_charts_are_numbered():
    out = Output(None, "Title")
    out.chart(Chart("a.b", "Lines", "x", "y", [Line("l", [0, 1], [1, 2])]))
    out.chart(Heatmap("m", "Matrix", "difference", ["a"], [[0.0]], [["a / a"]], 0.2, 0.5))
    parts, results = shown(out)
    assert list(parts) == ["plot_0", "plot_1"]
    assert [parts[key]["view"]["label"] for key in parts] == ["Lines", "Matrix"]
    assert (results["plot_0"][0]["type"], results["plot_1"][0]["type"]) == ("scatter", "heatmap")
    assert parts["plot_0"]["view"]["height"] == parts["plot_0"]["view"]["layout"]["height"]


def test_files_of_samples_and_detections(dataset):
    data = dataset("/絵/a.png", "/絵/b.png")
    for sample in data:
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="f", bounding_box=[0, 0, 1, 1])])
        sample.save()
    ids, labels = data.values("id"), data.values("faces.detections.id", unwind=True)
    assert file_paths(data, ids[1:], None) == {ids[1]: "/絵/b.png"}
    assert file_paths(data, labels[:1], "faces") == {labels[0]: "/絵/a.png"}
    assert file_paths(data, [], None) == {}
