"""Plots of evaluations: what plotly gets, what matplotlib draws, names in any script."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.tuning.model_card import card_row
from ccip_plugin.evaluation import charts as evaluation_charts
from ccip_plugin.evaluation.charts import model_charts
from ccip_plugin.reports import charts as reports_charts
from ccip_plugin.reports.charts import CJK_FONTS, NO_FONT, Chart, Line, save_charts
from tests.support.named_vectors import people

NAMES = ("初音ミク", "洛天依", "아이유", "KAITO $x$ <b>", "ハク")


@pytest.fixture(scope="module")
def rows():
    return [
        card_row(*people(60), model_name=name) for name in ("ccip-caformer-24-randaug-pruned", "ccip-caformer_b36-24")
    ]


def test_one_model_has_every_plot(rows):
    charts = {chart.name: chart for chart in model_charts(rows[:1])}
    assert charts.keys() == {"scores", "differences", "ari", "confused", "precision_recall", "roc"}
    row = rows[0]
    assert [at for at, _ in charts["scores"].marks] == [row.scores["threshold"], row.published["threshold"]]
    f1 = charts["scores"].lines[0]
    assert max(f1.y) == pytest.approx(row.scores["f1"], abs=2e-3)
    counted = sum(sum(line.y) for line in charts["differences"].lines)
    assert counted == row.n_same + row.n_different
    assert charts["confused"].bars[0][1] == row.confused[0].n_pairs


def test_several_models_are_drawn_together_where_that_helps(rows):
    charts = model_charts(rows)
    names = [chart.name for chart in charts]
    assert len(set(names)) == len(names)
    assert [len(chart.lines) for chart in charts if chart.name in ("roc", "precision_recall")] == [2, 2]


def test_the_area_under_the_drawn_curve_is_the_score(rows):
    (roc,) = [chart for chart in model_charts(rows[:1]) if chart.name == "roc"]
    assert np.trapezoid(roc.lines[0].y, roc.lines[0].x) == pytest.approx(rows[0].scores["roc_auc"], abs=5e-3)


def test_plotly_gets_plain_values(rows):
    for chart in model_charts(rows):
        plain = [chart.traces(), chart.layout()]
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain, chart.name


def test_words_of_marks_stand_over_the_curves_in_rows_of_their_own(rows):
    for chart in model_charts(rows[:1]):
        notes = chart.layout()["annotations"]
        assert all(note["y"] >= 1 and note["yanchor"] == "bottom" for note in notes)
        assert len({note["y"] for note in notes}) == len(notes) == len(chart.marks)
    chart = Chart("a", "a", "x", "y", [Line("F1", [0, 1], [0, 1])], [(0.1, "left"), (0.9, "right")])
    assert [note["xanchor"] for note in chart.layout()["annotations"]] == ["left", "right"]


def test_names_are_no_markup():
    chart = Chart("confused", "a < b", "x", "y", bars=[("<b>ミク</b> & co", 2.0)])
    assert chart.traces()[0]["y"] == ["&lt;b&gt;ミク&lt;/b&gt; &amp; co"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_files(rows, tmp_path, kind):
    paths = save_charts(model_charts(rows[:1]), tmp_path / "図 1", [kind])
    assert len(paths) == 6 and all(path.stat().st_size > 5_000 for path in paths)
    if kind == "png":
        for path in paths:
            with Image.open(path) as image:
                assert image.width == 960


def bars():
    return Chart("names", "キャラ", "pairs", "", bars=[(name, 1.0 + i) for i, name in enumerate(NAMES)])


def has_font() -> bool:
    return len(reports_charts._fonts()[0]) > 1


def test_japanese_and_chinese_names_are_drawn(tmp_path):
    if not has_font():
        pytest.skip("no font here shows Japanese: install one such as Noto Sans CJK")
    shown = reports_charts._fonts()[1]
    assert all(reports_charts._fitting(name, shown) == name for name in ("初音ミク", "洛天依", "ハク"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that it does not find
        (path,) = save_charts([bars()], tmp_path, ["png"])
    other = Chart("others", "キャラ", "pairs", "", bars=[(name[::-1], 1.0 + i) for i, name in enumerate(NAMES)])
    (path_of_other,) = save_charts([other], tmp_path, ["png"])
    assert path.read_bytes() != path_of_other.read_bytes(), "letters, not squares"


def test_says_in_words_that_there_is_no_font(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(reports_charts, "CJK_FONTS", ())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (path,) = save_charts([bars()], tmp_path, ["svg"])
    assert NO_FONT in caplog.text
    assert path.exists()
    assert reports_charts._fitting("ミ a", reports_charts._fonts()[1]) == "□ a"


def test_dollars_are_no_formula(tmp_path):
    chart = Chart("a", "$\\frac{$", "x", "y", bars=[("$\\broken{", 1.0)])
    assert save_charts([chart], tmp_path, ["png"])


def test_fonts_are_named_once():
    assert len(set(CJK_FONTS)) == len(CJK_FONTS)


def test_lines_keep_their_corners():
    x, y = evaluation_charts._thinned(np.array([0, 0, 0, 0.5, 1, 1, 1]), np.array([0, 0, 0.5, np.nan, 1, 1, 1.0]))
    assert (x, y) == ([0, 0, 1, 1], [0, 0.5, 1, 1]) or (x[0], x[-1], y[0], y[-1]) == (0, 1, 0, 1)
    assert Line("a", x, y).name == "a"
