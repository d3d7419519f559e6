"""Charts as plotly draws them, in plain values. The title is not among them: forms of the App have it above."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from .charts import BAND_COLOR, BAND_OPACITY, COLORS, MARK_COLOR, OPACITY, Chart, Heatmap, line_colors

Plain = dict[str, Any]

_MARK_PIXELS, _TOP_PIXELS, _BOTTOM_PIXELS, _LEGEND_PIXELS = 16, 30, 50, 30
_INSIDE_PIXELS, _COLUMNS_PIXELS, _BAR_PIXELS = 250, 190, 22
_ROW_PIXELS, _FRAME_PIXELS = 34, 190  # of a heatmap


def traces(chart: Chart | Heatmap) -> list[Plain]:
    """What plotly draws."""
    if isinstance(chart, Heatmap):
        return [_heatmap(chart)]
    if chart.bars:
        labels, values = zip(*reversed(chart.bars), strict=True)
        return [_bars(x=list(values), y=[_escaped(label) for label in labels], orientation="h")]
    if chart.columns:
        labels, values = zip(*chart.columns, strict=True)
        return [_bars(x=[_escaped(label) for label in labels], y=list(values))]
    drawn = []
    for line, color in zip(chart.lines, line_colors(len(chart.lines)), strict=True):
        trace: Plain = {"name": line.name, "x": list(line.x), "y": list(line.y)}
        if chart.bin_width is None:
            trace |= {"type": "scatter", "mode": "lines", "line": {"color": color}}
        else:
            trace |= {"type": "bar", "width": chart.bin_width, "opacity": OPACITY, "marker": {"color": color}}
        drawn.append(trace | ({"yaxis": "y2"} if line.is_right else {}))
    return drawn


def layout(chart: Chart | Heatmap) -> Plain:
    """How plotly draws it: axes, size, legend, marks."""
    if isinstance(chart, Heatmap):
        return _heatmap_layout(chart)
    above = _TOP_PIXELS + _MARK_PIXELS * len(chart.marks)
    inside = _BAR_PIXELS * len(chart.bars) or (_COLUMNS_PIXELS if chart.columns else _INSIDE_PIXELS)
    below = _BOTTOM_PIXELS + (_LEGEND_PIXELS if len(chart.lines) > 1 else 0)
    return {
        "height": above + inside + below,
        "margin": {"t": above, "b": below, "l": 60, "r": 60 if chart.has_right_axis else 20},
        **_axes(chart),
        "barmode": "overlay",
        "bargap": 0.15,
        "showlegend": len(chart.lines) > 1,
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "top", "y": -_BOTTOM_PIXELS / inside},
        **_marks(chart, _MARK_PIXELS / inside),
    }


def _bars(**values: Any) -> Plain:
    return {"type": "bar", "marker": {"color": COLORS[0]}, **values}


def _axes(chart: Chart) -> Plain:
    x: Plain = {"title": {"text": chart.x_title}}
    if chart.columns:
        x["type"] = "category"
    if chart.x_range is not None:
        x["range"] = list(chart.x_range)
    y: Plain = {"title": {"text": chart.y_title}, "automargin": True}
    y |= {"type": "category"} if chart.bars else {"type": "log"} if chart.log_y else {"rangemode": "tozero"}
    axes = {"xaxis": x, "yaxis": y}
    if chart.has_right_axis:
        right: Plain = {"title": {"text": chart.right_title, "font": {"size": 12}}, "tickfont": {"size": 12}}
        right |= {"overlaying": "y", "side": "right", "showgrid": False}
        axes["yaxis2"] = right | ({} if chart.right_range is None else {"range": list(chart.right_range)})
    return axes


def _marks(chart: Chart, row: float) -> Plain:
    """Vertical lines, with their texts above the chart, each in a row of its own; the band behind."""
    line = {"type": "line", "yref": "paper", "y0": 0, "line": {"color": MARK_COLOR, "dash": "dot", "width": 1}}
    note = {"yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
    tops = [(x, text, 1 + level * row) for level, (x, text) in enumerate(chart.marks)]
    shapes: list[Plain] = [{**line, "x0": x, "x1": x, "y1": top} for x, _, top in tops]
    notes = [{**note, "x": x, "y": top, "text": text, "xanchor": chart.side(x)} for x, text, top in tops]
    if chart.band is not None:
        start, end, text = chart.band
        look = {"fillcolor": BAND_COLOR, "opacity": BAND_OPACITY, "line": {"width": 0}, "layer": "below"}
        shapes.append({"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": start, "x1": end, **look})
        notes.append({**note, "x": (start + end) / 2, "y": 0, "text": text, "xanchor": "center"})
    return {"shapes": shapes, "annotations": notes}


def _heatmap(chart: Heatmap) -> Plain:
    return {
        "type": "heatmap",
        "z": [list(row) for row in chart.values],
        "text": [[_escaped(text).replace("\n", "<br>") for text in row] for row in chart.texts],
        "hovertemplate": "%{text}<extra></extra>",
        "zmin": 0,
        "zmax": chart.maximum,
        "colorscale": [list(stop) for stop in chart.color_stops],
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": {"text": chart.value_title}, "thickness": 12},
    }


def _heatmap_layout(chart: Heatmap) -> Plain:
    n = len(chart.labels)
    ticks: Mapping[str, Any] = {
        "tickvals": list(range(n)),
        "ticktext": [_escaped(label) for label in chart.labels],
        "showgrid": False,
        "zeroline": False,
    }
    return {
        "height": _FRAME_PIXELS + _ROW_PIXELS * n,
        "margin": {"t": 20, "b": 130, "l": 220, "r": 20},
        "xaxis": {**ticks, "range": [-0.5, n - 0.5], "tickangle": 45},
        "yaxis": {**ticks, "range": [n - 0.5, -0.5], "ticklabelstandoff": 52},
        "images": _pictures(chart.pictures),
    }


def _pictures(sources: Sequence[str | None]) -> list[Plain]:
    place = {"xref": "paper", "yref": "y", "x": -0.01, "xanchor": "right", "yanchor": "middle"}
    size = {"sizex": 0.1, "sizey": 0.94, "sizing": "contain", "layer": "above"}
    return [{"source": source, "y": row, **place, **size} for row, source in enumerate(sources) if source is not None]


def _escaped(text: str) -> str:
    """Text in which plotly finds no markup."""
    return html.escape(text, quote=False)
