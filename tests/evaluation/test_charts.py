"""Charts of evaluations: which there are, what they contain."""

import numpy as np
import pytest

from ccip_plugin.core.tuning.model_card import card_row
from ccip_plugin.core.tuning.sweep import Sweep
from ccip_plugin.evaluation.charts import model_charts, sweep_chart, thinned
from ccip_plugin.reports.images import save_charts
from tests.support.named_vectors import people


@pytest.fixture(scope="module")
def rows():
    return [
        card_row(*people(60), model_name=name) for name in ("ccip-caformer-24-randaug-pruned", "ccip-caformer_b36-24")
    ]


def test_one_model_has_every_chart(rows):
    charts = {chart.name: chart for chart in model_charts(rows[:1])}
    assert charts.keys() == {"scores", "differences", "ari", "confused", "precision_recall", "roc"}
    row = rows[0]
    assert [x for x, _ in charts["scores"].marks] == [row.scores["threshold"], row.published["threshold"]]
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


def test_all_are_drawn_into_files(rows, tmp_path):
    paths = save_charts(model_charts(rows[:1]), tmp_path / "図 1", ["png"])
    assert len(paths) == 6 and all(path.stat().st_size > 5_000 for path in paths)


@pytest.mark.parametrize("plateau, band", [(None, None), ((0.1, 0.2), (0.1, 0.2, "stable"))])
def test_groups_against_eps(plateau, band):
    eps, shares = np.array([0.0, 0.1, 0.2]), np.array([0.5, 0.25, 0.1])
    sweep = Sweep(10, eps, np.array([0, 3, 2]), shares, shares[::-1], np.zeros(3), np.zeros(3))
    chart = sweep_chart(sweep, {"threshold": 0.18, "far": 0.3, "dbscan_2": 0.12}, plateau)
    assert {line.name: list(line.y) for line in chart.lines} == {
        "groups": [0, 3, 2],
        "unassigned, %": [50, 25, 10],
        "largest group, %": [10, 25, 50],
    }
    assert [line.is_right for line in chart.lines] == [False, True, True]
    assert chart.marks == [(0.12, "dbscan_2"), (0.18, "threshold")], "one beyond the end is not drawn"
    assert (chart.band, chart.x_range, chart.right_range) == (band, (0, 0.2), (0, 100))


def test_lines_keep_their_corners():
    x, y = thinned(np.array([0, 0, 0, 0.5, 1, 1, 1]), np.array([0, 0, 0.5, np.nan, 1, 1, 1.0]))
    assert (x[0], x[-1], y[0], y[-1]) == (0, 1, 0, 1) and 0.5 in y and not np.isnan(y).any()
