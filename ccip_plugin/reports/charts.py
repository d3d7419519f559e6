"""Charts, described once; drawn by plotly in the App and by matplotlib in files."""

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import CCIPError

logger = logging.getLogger(__name__)

CJK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Source Han Sans",
    "Hiragino Sans",
    "PingFang SC",
    "Yu Gothic",
    "Meiryo",
    "Microsoft YaHei",
    "MS Gothic",
    "SimHei",
    "IPAexGothic",
    "IPAGothic",
    "TakaoPGothic",
    "VL Gothic",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


"""Fonts that show Japanese and Chinese, the ones to be preferred first."""


NO_FONT = "no installed font shows some of these names; install one such as Noto Sans CJK (fonts-noto-cjk)"


_COLORS = ("#3366cc", "#cc3333", "#33aa55", "#996699", "#ff9900", "#0099c6", "#666666", "#dd4477", "#66aa00", "#b82e2e")


_PLAIN_FONT = "DejaVu Sans"  # comes with matplotlib


_MISSING = "\N{WHITE SQUARE}"


_MARK_PIXELS, _TOP_PIXELS, _BOTTOM_PIXELS, _LEGEND_PIXELS = 16, 30, 50, 30


_OPACITY = 0.6


class NoMatplotlibError(CCIPError, ImportError):
    """An image was asked for, and matplotlib is not there."""

    def __init__(self) -> None:
        super().__init__("an image of the plot needs matplotlib, which FiftyOne brings: pip install matplotlib")


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """A plot: lines with values of x that are marked, or bars.

    Attributes:
        name: short, for the name of a file
        title: over it
        x_title: of the axis
        y_title: of the axis
        lines: to draw
        marks: ``(x, words)`` to mark
        bars: ``(words, value)``, the first on top; instead of lines
        x_range: ends of the axis, None for those of the data
        log_y: whether the axis of y is logarithmic
        bin_width: of histograms, which are drawn as bars over each other; None for lines
    """

    name: str
    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line] = ()
    marks: Sequence[tuple[float, str]] = ()
    bars: Sequence[tuple[str, float]] = ()
    x_range: tuple[float, float] | None = None
    log_y: bool = False
    bin_width: float | None = None

    def traces(self) -> list[dict[str, Any]]:
        """What plotly draws, as plain values."""
        if self.bars:
            words, values = zip(*reversed(self.bars), strict=True)
            names = [html.escape(each, quote=False) for each in words]
            return [{"type": "bar", "orientation": "h", "x": list(values), "y": names, "marker": {"color": _COLORS[0]}}]
        found: list[dict[str, Any]] = []
        for line, color in zip(self.lines, _colors(len(self.lines)), strict=True):
            drawn = {"name": line.name, "x": list(line.x), "y": list(line.y)}
            if self.bin_width is None:
                found.append({"type": "scatter", "mode": "lines", "line": {"color": color}, **drawn})
            else:
                look = {"width": self.bin_width, "opacity": _OPACITY, "marker": {"color": color}}
                found.append({"type": "bar", **look, **drawn})
        return found

    def layout(self) -> dict[str, Any]:
        """How plotly draws it, as plain values; without the title, which forms have over it."""
        x: dict[str, Any] = {"title": {"text": self.x_title}}
        if self.x_range is not None:
            x["range"] = list(self.x_range)
        y: dict[str, Any] = {"title": {"text": self.y_title}, "automargin": True}
        y |= {"type": "category"} if self.bars else {"type": "log"} if self.log_y else {"rangemode": "tozero"}
        above = _TOP_PIXELS + _MARK_PIXELS * len(self.marks)
        inside = 22 * len(self.bars) if self.bars else 250
        below = _BOTTOM_PIXELS + (_LEGEND_PIXELS if len(self.lines) > 1 else 0)
        return {
            "height": above + inside + below,
            "margin": {"t": above, "b": below, "l": 60, "r": 20},
            "xaxis": x,
            "yaxis": y,
            "barmode": "overlay",
            "showlegend": len(self.lines) > 1,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "top", "y": -_BOTTOM_PIXELS / inside},
            **self._marks(_MARK_PIXELS / inside),
        }

    def side(self, at: float) -> str:
        """Which end of the words a mark is at, so that they stay on the plot: "left" or "right"."""
        values = [x for line in self.lines for x in line.x]
        low, high = self.x_range or (min(values, default=0), max(values, default=1))
        return "left" if at <= (low + high) / 2 else "right"

    def _marks(self, row: float) -> dict[str, Any]:
        """Lines, and their words over the curves: each in a row of its own, so high as a share of the plot."""
        line = {"type": "line", "yref": "paper", "y0": 0, "line": {"color": "#666666", "dash": "dot", "width": 1}}
        note = {"yref": "paper", "yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
        tops = [(at, words, 1 + level * row) for level, (at, words) in enumerate(self.marks)]
        return {
            "shapes": [{**line, "x0": at, "x1": at, "y1": top} for at, _, top in tops],
            "annotations": [
                {**note, "x": at, "y": top, "text": words, "xanchor": self.side(at)} for at, words, top in tops
            ],
        }


def save_charts(charts: Sequence[Chart], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draws charts into files ``<folder>/<name>.<format>``; the folder is made.

    Names that no installed font can show have squares in them, and the plot says so.

    Raises:
        NoMatplotlibError: matplotlib is not there
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoMatplotlibError from error
    folder.mkdir(parents=True, exist_ok=True)
    families, shown = _fonts()
    paths = []
    with matplotlib.rc_context({"font.family": families}):
        for chart in charts:
            figure = Figure(figsize=(8, 4.5 if not chart.bars else 1.5 + 0.28 * len(chart.bars)), layout="constrained")
            _draw(chart, figure, shown)
            for kind in formats:
                paths.append(folder / f"{chart.name}.{kind}")
                figure.savefig(paths[-1], dpi=120)
    return paths


def _draw(chart: Chart, figure: Any, shown: frozenset[int]) -> None:
    axes = figure.add_subplot()
    words = [_fitting(name, shown) for name, _ in chart.bars]
    if chart.bars:
        axes.barh(range(len(words)), [value for _, value in chart.bars], color=_COLORS[0])
        axes.set_yticks(range(len(words)), words)
        axes.invert_yaxis()
    for line, color in zip(chart.lines, _colors(len(chart.lines)), strict=True):
        if chart.bin_width is None:
            axes.plot(line.x, line.y, color=color, label=line.name)
        else:
            axes.bar(line.x, line.y, chart.bin_width, color=color, alpha=_OPACITY, label=line.name)
    if chart.log_y:
        axes.set_yscale("log")
    for level, (at, label) in enumerate(chart.marks):
        top = 1 + 0.045 * level
        axes.axvline(at, ymax=top, clip_on=False, color="#666666", linestyle=":", linewidth=1)
        axes.annotate(label, (at, top + 0.01), xycoords=("data", "axes fraction"), fontsize=8, ha=chart.side(at))
    if chart.x_range is not None:
        axes.set_xlim(*chart.x_range)
    axes.set_title(_fitting(chart.title, shown), pad=6 + 13 * len(chart.marks))
    axes.set(xlabel=chart.x_title, ylabel=chart.y_title)
    if chart.lines:
        figure.legend(loc="outside lower center", ncols=min(3, len(chart.lines)))
    if any(_MISSING in word for word in words):
        logger.warning("%s", NO_FONT)
        figure.supxlabel(NO_FONT, fontsize=7)


def _fonts() -> tuple[list[str], frozenset[int]]:
    """The fonts to draw with, and the characters that they have."""
    from matplotlib import font_manager

    there = {entry.name: entry for entry in reversed(font_manager.fontManager.ttflist)}
    families = [_PLAIN_FONT, *(name for name in CJK_FONTS if name in there)]
    shown: set[int] = set()
    for name in families:
        path = font_manager.findfont(font_manager.FontProperties(family=name))
        shown |= font_manager.get_font(path).get_charmap().keys()
    return families, frozenset(shown)


def _fitting(text: str, shown: frozenset[int]) -> str:
    """Text with squares for what no font has; dollars do not begin formulas."""
    drawn = "".join(each if ord(each) in shown or each == "\n" else _MISSING for each in text)
    return drawn.replace("$", r"\$")


def _colors(n: int) -> list[str]:
    return [_COLORS[i % len(_COLORS)] for i in range(n)]
