"""Charts: what plotly gets, what matplotlib draws, names in any script."""

import json
import sys
import warnings

import pytest
from PIL import Image

from ccip_plugin.reports import images
from ccip_plugin.reports.charts import COLORS, Chart, Heatmap, Line, line_colors
from ccip_plugin.reports.images import CJK_FONTS, NO_FONT, drawable, installed_fonts, save_chart, save_charts
from ccip_plugin.reports.plotly import layout, traces

NAMES = ("初音ミク", "洛天依", "아이유", "KAITO $x$ <b>", "ハク")
LINES = [Line("groups", [0, 0.1, 0.2], [0, 3, 2]), Line("share", [0, 0.1, 0.2], [100, 50, 25], is_right=True)]
CHARTS = {
    "lines": Chart("lines", "Lines", "x", "y", LINES[:1], [(0.02, "low"), (0.19, "high")], x_range=(0, 0.2)),
    "two axes": Chart("axes", "Axes", "x", "groups", LINES, right_title="%", right_range=(0, 100)),
    "band": Chart("band", "Band", "x", "y", LINES[:1], band=(0.05, 0.15, "stable")),
    "histogram": Chart("histogram", "Histogram", "x", "pairs", [Line("a", [0.1, 0.2], [10, 1])], bin_width=0.1),
    "logarithmic": Chart("log", "Log", "x", "pairs", [Line("a", [0.1, 0.2], [10, 1000])], log_y=True),
    "bars": Chart("bars", "キャラ", "pairs", "", bars=[(name, 1.0 + i) for i, name in enumerate(NAMES)]),
    "columns": Chart("columns", "Sizes", "images", "groups", columns=[("2", 10.0), ("3 to 4", 2.0)]),
    "heatmap": Heatmap(
        "matrix",
        "Differences",
        "difference",
        ["<b>絵</b>", "b"],
        [[0.0, 0.3], [0.3, 0.0]],
        [["a / a\n0", "a < b"], ["b / a", "b / b"]],
        limit=0.2,
        maximum=0.5,
        pictures=["data:image/jpeg;base64,AA", None],
    ),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_plotly_gets_plain_values(chart):
    plain = [traces(chart), layout(chart)]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert layout(chart)["height"] > 0


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_files(chart, tmp_path, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of glyphs that it does not find
        (path,) = save_charts([chart], tmp_path / "図 1", [kind])
    assert (path.name, path.stat().st_size > 5_000) == (f"{chart.name}.{kind}", True)
    if kind == "png":
        with Image.open(path) as image:
            assert image.width == 960


def test_each_chart_is_drawn_by_its_kind():
    drawn = {name: [trace["type"] for trace in traces(chart)] for name, chart in CHARTS.items()}
    assert drawn == {
        "lines": ["scatter"],
        "two axes": ["scatter", "scatter"],
        "band": ["scatter"],
        "histogram": ["bar"],
        "logarithmic": ["scatter"],
        "bars": ["bar"],
        "columns": ["bar"],
        "heatmap": ["heatmap"],
    }


def test_bars_begin_on_top_and_columns_on_the_left():
    (bars,), (columns,) = traces(CHARTS["bars"]), traces(CHARTS["columns"])
    assert (bars["x"], bars["orientation"]) == ([5.0, 4.0, 3.0, 2.0, 1.0], "h")
    assert (columns["x"], columns["y"]) == (["2", "3 to 4"], [10.0, 2.0])
    assert layout(CHARTS["columns"])["xaxis"]["type"] == "category", "sizes are names, not numbers"


def test_texts_of_marks_are_above_the_lines_in_rows_of_their_own():
    shown = layout(CHARTS["lines"])
    notes = shown["annotations"]
    assert all(note["y"] >= 1 and note["yanchor"] == "bottom" for note in notes)
    assert len({note["y"] for note in notes}) == 2
    assert [note["xanchor"] for note in notes] == ["left", "right"], "they stay on the chart"
    assert [shape["x0"] for shape in shown["shapes"]] == [0.02, 0.19]


def test_a_second_axis_has_its_own_range():
    shown = layout(CHARTS["two axes"])
    assert (shown["yaxis2"]["side"], shown["yaxis2"]["range"]) == ("right", [0, 100])
    assert [trace.get("yaxis") for trace in traces(CHARTS["two axes"])] == [None, "y2"]
    assert "yaxis2" not in layout(CHARTS["lines"])


def test_a_legend_is_there_for_several_lines():
    assert layout(CHARTS["two axes"])["showlegend"] and not layout(CHARTS["lines"])["showlegend"]


def test_a_band_is_behind_the_lines():
    (shape,) = layout(CHARTS["band"])["shapes"]
    assert (shape["x0"], shape["x1"], shape["layer"]) == (0.05, 0.15, "below")
    assert layout(CHARTS["band"])["annotations"][0]["text"] == "stable"


def test_the_colors_of_a_heatmap_change_at_its_limit():
    (trace,) = traces(CHARTS["heatmap"])
    assert [position for position, _ in trace["colorscale"]] == [0, 0.4, 0.4, 1]
    assert (trace["zmin"], trace["zmax"]) == (0, 0.5)
    for limit in (0.0, 0.5):
        extreme = Heatmap("m", "", "", ["a"], [[0.0]], [[""]], limit, 0.5)
        positions = [position for position, _ in extreme.color_stops]
        assert positions == sorted(positions) and 0 < positions[1] < 1


def test_pictures_are_beside_their_rows():
    (picture,) = layout(CHARTS["heatmap"])["images"]
    assert (picture["y"], picture["source"]) == (0, "data:image/jpeg;base64,AA")


def test_names_are_no_markup():
    assert traces(CHARTS["bars"])[0]["y"][1] == "KAITO $x$ &lt;b&gt;"
    assert layout(CHARTS["heatmap"])["yaxis"]["ticktext"] == ["&lt;b&gt;絵&lt;/b&gt;", "b"]
    assert traces(CHARTS["heatmap"])[0]["text"][0] == ["a / a<br>0", "a &lt; b"]


def test_there_are_colors_for_any_number_of_lines():
    assert line_colors(len(COLORS) + 1)[-1] == COLORS[0]


# -- fonts


def test_japanese_and_chinese_names_are_drawn(tmp_path):
    families, shown = installed_fonts()
    if len(families) == 1:
        pytest.skip("no font here shows Japanese: install one such as Noto Sans CJK")
    assert all(drawable(name, shown) == name for name in ("初音ミク", "洛天依", "ハク"))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, names in zip(paths, (NAMES, [name[::-1] for name in NAMES]), strict=True):
        save_chart(Chart("names", "キャラ", "pairs", "", bars=[(name, 1.0) for name in names]), path)
    assert paths[0].read_bytes() != paths[1].read_bytes(), "letters, not squares"


def test_a_missing_font_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(images, "CJK_FONTS", ())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_chart(CHARTS["bars"], tmp_path / "a.svg")
    assert NO_FONT in caplog.text
    assert drawable("ミ a", installed_fonts()[1]) == "□ a"


def test_dollar_signs_are_no_formula(tmp_path):
    chart = Chart("a", "$\\frac{$", "x", "y", bars=[("$\\broken{", 1.0)])
    assert save_charts([chart], tmp_path, ["png"])


def test_fonts_are_named_once():
    assert len(set(CJK_FONTS)) == len(CJK_FONTS)


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        save_charts([CHARTS["lines"]], tmp_path / "new", ["png"])
    assert not (tmp_path / "new").exists()
