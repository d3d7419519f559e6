"""The plot of an exploration: for the App's output form, and as an image file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..reports.charts import NoMatplotlibError

if TYPE_CHECKING:
    from .exploration import Exploration

_GROUPS, _UNASSIGNED, _LARGEST, _MARK, _PLATEAU = "#3366cc", "#999999", "#cc3333", "#666666", "rgba(51,170,85,0.15)"


def plotly_traces(exploration: "Exploration") -> list[dict[str, Any]]:
    """The lines, as plain values: groups on the left axis, shares of the images in percent on the right."""
    found = exploration.sweep
    eps = found.eps.tolist()
    lines = (
        ("groups", found.n_groups.tolist(), _GROUPS, "y"),
        ("unassigned, %", (100 * found.unassigned).round(2).tolist(), _UNASSIGNED, "y2"),
        ("largest group, %", (100 * found.largest).round(2).tolist(), _LARGEST, "y2"),
    )
    return [
        {"type": "scatter", "mode": "lines", "name": name, "x": eps, "y": y, "yaxis": axis, "line": {"color": color}}
        for name, y, color, axis in lines
    ]


def plotly_layout(exploration: "Exploration") -> dict[str, Any]:
    """Axes, the published values as lines, the plateau as a band; plain values."""
    shapes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    if exploration.plateau is not None:
        start, end = exploration.plateau
        shapes.append(_shape("rect", start, end, {"fillcolor": _PLATEAU, "line": {"width": 0}}))
        notes.append(_note((start + end) / 2, "stable", 0.02))
    for level, (name, eps) in enumerate(_drawn(exploration)):
        shapes.append(_shape("line", eps, eps, {"line": {"color": _MARK, "dash": "dot", "width": 1}}))
        notes.append(_note(eps, name, 1 - 0.08 * level))
    return {
        "height": 360,
        "margin": {"t": 20, "b": 45, "l": 55, "r": 55},
        "xaxis": {"title": {"text": "eps, the largest difference between neighbors"}, "range": [0, _end(exploration)]},
        "yaxis": {"title": {"text": "groups"}, "rangemode": "tozero"},
        "yaxis2": {"title": {"text": "% of the images"}, "overlaying": "y", "side": "right", "range": [0, 100]},
        "legend": {"orientation": "h", "y": -0.25},
        "shapes": shapes,
        "annotations": notes,
    }


def save_image(exploration: "Exploration", path: Path) -> Path:
    """Draws the plot with matplotlib; raises :class:`NoMatplotlibError` without it."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoMatplotlibError from error
    found = exploration.sweep
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    groups = figure.add_subplot()
    shares = groups.twinx()
    groups.plot(found.eps, found.n_groups, color=_GROUPS, label="groups")
    shares.plot(found.eps, 100 * found.unassigned, color=_UNASSIGNED, label="unassigned, %")
    shares.plot(found.eps, 100 * found.largest, color=_LARGEST, label="largest group, %")
    if exploration.plateau is not None:
        groups.axvspan(*exploration.plateau, color="#33aa55", alpha=0.15, label="stable")
    for level, (name, eps) in enumerate(_drawn(exploration)):
        groups.axvline(eps, color=_MARK, linestyle=":", linewidth=1)
        shares.annotate(name, (eps, 97 - 7 * level), ha="left", fontsize=8)
    groups.set_xlabel("eps, the largest difference between neighbors")
    groups.set_ylabel("groups")
    groups.set_ylim(bottom=0)
    shares.set_ylabel("% of the images")
    shares.set_ylim(0, 100)
    groups.set_xlim(0, _end(exploration))
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)
    return path


def _drawn(exploration: "Exploration") -> list[tuple[str, float]]:
    """The published values within the plot, by size."""
    inside = [(name, eps) for name, eps in exploration.marks.items() if eps <= _end(exploration)]
    return sorted(inside, key=lambda mark: mark[1])


def _end(exploration: "Exploration") -> float:
    return float(exploration.sweep.eps[-1])


def _shape(kind: str, start: float, end: float, look: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "x0": start, "x1": end, "yref": "paper", "y0": 0, "y1": 1, "layer": "below", **look}


def _note(x: float, text: str, y: float) -> dict[str, Any]:
    return {"x": x, "y": y, "yref": "paper", "text": text, "showarrow": False, "xanchor": "left", "font": {"size": 11}}
