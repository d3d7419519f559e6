"""Charts of evaluations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.tuning.model_card import CURVE_STEPS, CardRow
from ..core.tuning.sweep import Sweep
from ..reports.charts import Chart, Line

_N_BARS = 20
_NAME_LENGTH = 24


def model_charts(rows: Sequence[CardRow]) -> list[Chart]:
    """The charts of an evaluation of models: some for each model, some for all of them."""
    charts: list[Chart] = []
    for row in rows:
        name, title = (f"_{row.model_name}", f" of {row.model_name}") if len(rows) > 1 else ("", "")
        own = [_scores(row), _histogram(row), *_ari(row), *_confused(row)]
        charts += [replace(chart, name=chart.name + name, title=chart.title + title) for chart in own]
    lines = [(row.model_name, *_curves(row)) for row in rows]
    pr = [Line(name, *thinned(recall, precision)) for name, _, precision, recall, _ in lines]
    roc = [Line(name, *thinned(fpr, recall)) for name, _, _, recall, fpr in lines]
    return [
        *charts,
        Chart("precision_recall", "Precision and recall", "recall", "precision", pr, x_range=(0, 1)),
        Chart("roc", "Receiver operating characteristic", "false positive rate", "recall", roc, x_range=(0, 1)),
    ]


def sweep_chart(sweep: Sweep, marks: Mapping[str, float], plateau: tuple[float, float] | None) -> Chart:
    """The groups of DBSCAN against eps: their number on the left axis, shares of the images on the right.

    Args:
        sweep: the numbers
        marks: known values of eps by name
        plateau: the stable range of eps, None without one
    """
    eps = sweep.eps.tolist()
    end = float(eps[-1])
    shares = (("unassigned, %", sweep.unassigned), ("largest group, %", sweep.largest))
    return Chart(
        "eps",
        "DBSCAN with min_samples=2",
        "eps",
        "groups",
        lines=[
            Line("groups", eps, sweep.n_groups.tolist()),
            *(Line(name, eps, (100 * share).round(2).tolist(), is_right=True) for name, share in shares),
        ],
        marks=sorted((value, name) for name, value in marks.items() if value <= end),
        band=None if plateau is None else (*plateau, "stable"),
        x_range=(0, end),
        right_title="% of the images",
        right_range=(0, 100),
    )


def _curves(row: CardRow) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """F1, precision, recall and false positive rate, at each step of the threshold."""
    tp, fp = np.cumsum(row.same).astype(float), np.cumsum(row.different).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * tp / (tp + fp + tp[-1]), tp / (tp + fp), tp / tp[-1], fp / fp[-1]


def _scores(row: CardRow) -> Chart:
    f1, precision, recall, _ = _curves(row)
    x = np.arange(CURVE_STEPS + 1) / CURVE_STEPS
    lines = [Line(name, *thinned(x, y)) for name, y in (("F1", f1), ("precision", precision), ("recall", recall))]
    title = "F1, precision and recall"
    return Chart("scores", title, "threshold", "score", lines, _thresholds(row), x_range=(0, _end(row)))


def _histogram(row: CardRow) -> Chart:
    wide = 8
    x = (np.arange(CURVE_STEPS // wide) + 0.5) * wide / CURVE_STEPS
    lines = []
    for name, counts in (("one character", row.same), ("different characters", row.different)):
        summed = np.array(counts[1:]).reshape(-1, wide).sum(axis=1)
        summed[0] += counts[0]
        is_drawn = summed > 0  # zero has no logarithm
        lines.append(Line(name, x[is_drawn].tolist(), summed[is_drawn].tolist()))
    title, marks = "Differences of pairs of images", _thresholds(row)
    width = wide / CURVE_STEPS
    return Chart("differences", title, "difference", "pairs", lines, marks, log_y=True, bin_width=width)


def _ari(row: CardRow) -> list[Chart]:
    if not row.ari:
        return []
    eps, scores = zip(*row.ari, strict=True)
    marks = [(row.parameters["cluster_2"][0], "best")]
    line = Line("adjusted Rand index", list(eps), list(scores))
    x_range = (0, min(_end(row), max(eps)))
    title = "DBSCAN with min_samples=2"
    return [Chart("ari", title, "eps", "adjusted Rand index", [line], [*marks, *_thresholds(row)[1:]], x_range=x_range)]


def _confused(row: CardRow) -> list[Chart]:
    if not row.confused:
        return []
    bars = [(f"{_cut(each.first)} / {_cut(each.second)}", float(each.n_pairs)) for each in row.confused[:_N_BARS]]
    title = "Most confused characters"
    return [Chart("confused", title, "pairs of different characters below the threshold", "", bars=bars)]


def _thresholds(row: CardRow) -> list[tuple[float, str]]:
    marks = ((row.scores["threshold"], "best threshold"), (row.published["threshold"], "published threshold"))
    return [(x, text) for x, text in marks if x is not None and np.isfinite(x)]


def _end(row: CardRow) -> float:
    """The end of the x axis: no pair of one character is beyond."""
    same = np.flatnonzero(np.array(row.same))
    last = int(same[-1]) / CURVE_STEPS if len(same) else 0.0
    return min(1.0, max(last, *(1.5 * x for x, _ in _thresholds(row)), 0.1))


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """The finite points of a line, without those inside runs of equal points."""
    is_finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_finite], y[is_finite]
    if len(x) > 2:
        is_new = (np.diff(x) != 0) | (np.diff(y) != 0)
        is_kept = np.concatenate([[True], is_new[:-1] | is_new[1:], [True]])
        x, y = x[is_kept], y[is_kept]
    return np.round(x, 6).tolist(), np.round(y, 6).tolist()


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
