"""Plots of evaluations: described once, shown in the App by plotly and drawn into files by matplotlib."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.tuning.model_card import CURVE_STEPS, CardRow
from ..reports.charts import Chart, Line

_N_BARS = 20
_NAME_LENGTH = 24


def model_charts(rows: Sequence[CardRow]) -> list[Chart]:
    """The plots of an evaluation of models: some for each model, some with all of them."""
    several = len(rows) > 1
    charts: list[Chart] = []
    for row in rows:
        of = f" of {row.model_name}" if several else ""
        mine = [_scores(row), _histogram(row), *_ari(row), *_confused(row)]
        suffix = f"_{row.model_name}" if several else ""
        charts += [replace(each, name=each.name + suffix, title=each.title + of) for each in mine]
    lines = [(row.model_name, *_curves(row)) for row in rows]
    pr = [Line(name, *_thinned(recall, precision)) for name, _, precision, recall, _ in lines]
    roc = [Line(name, *_thinned(fpr, recall)) for name, _, _, recall, fpr in lines]
    return [
        *charts,
        Chart("precision_recall", "Precision and recall", "recall", "precision", pr, x_range=(0, 1)),
        Chart(
            "roc", "Receiver operating characteristic", "different pairs taken for one", "recall", roc, x_range=(0, 1)
        ),
    ]


def _curves(row: CardRow) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """F1, precision, recall and the share of different pairs taken for one, at each step of the threshold."""
    tp, fp = np.cumsum(row.same).astype(float), np.cumsum(row.different).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * tp / (tp + fp + tp[-1]), tp / (tp + fp), tp / tp[-1], fp / fp[-1]


def _scores(row: CardRow) -> Chart:
    f1, precision, recall, _ = _curves(row)
    x = np.arange(CURVE_STEPS + 1) / CURVE_STEPS
    lines = [Line(name, *_thinned(x, y)) for name, y in (("F1", f1), ("precision", precision), ("recall", recall))]
    title = "F1, precision and recall"
    return Chart("scores", title, "threshold", "score", lines, _thresholds(row), x_range=(0, _end(row)))


def _histogram(row: CardRow) -> Chart:
    wide = 8
    x = (np.arange(CURVE_STEPS // wide) + 0.5) * wide / CURVE_STEPS
    lines = []
    for name, counts in (("one character", row.same), ("different characters", row.different)):
        summed = np.array(counts[1:]).reshape(-1, wide).sum(axis=1)
        summed[0] += counts[0]
        there = summed > 0  # nothing has no logarithm
        lines.append(Line(name, x[there].tolist(), summed[there].tolist()))
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
    return [Chart("confused", title, "pairs taken for one character", "", bars=bars)]


def _thresholds(row: CardRow) -> list[tuple[float, str]]:
    known = ((row.scores["threshold"], "best threshold"), (row.published["threshold"], "published threshold"))
    return [(at, words) for at, words in known if at is not None and np.isfinite(at)]


def _end(row: CardRow) -> float:
    """Beyond, all pairs are different."""
    same = np.flatnonzero(np.array(row.same))
    last = int(same[-1]) / CURVE_STEPS if len(same) else 0.0
    return min(1.0, max(last, *(1.5 * at for at, _ in _thresholds(row)), 0.1))


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[list[float], list[float]]:
    """Points that can be drawn, without those in the middle of equal ones."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) > 2:
        is_new = (np.diff(x) != 0) | (np.diff(y) != 0)
        kept = np.append(True, is_new[:-1] | is_new[1:])
        kept = np.append(kept, True)
        x, y = x[kept], y[kept]
    return np.round(x, 6).tolist(), np.round(y, 6).tolist()


def _cut(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
