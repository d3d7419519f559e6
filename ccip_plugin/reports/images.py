"""Charts as image files, drawn by matplotlib, which FiftyOne brings."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import CCIPError
from .charts import BAND_COLOR, BAND_OPACITY, COLORS, MARK_COLOR, OPACITY, Chart, Heatmap, line_colors

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
"""Fonts that show Japanese and Chinese, the preferred ones first."""

NO_FONT = "no installed font shows some of these names; install one such as Noto Sans CJK (fonts-noto-cjk)"

_PLAIN_FONT = "DejaVu Sans"  # comes with matplotlib
_MISSING = "\N{WHITE SQUARE}"
_DPI = 120


class NoMatplotlibError(CCIPError, ImportError):
    """An image of a chart needs matplotlib, which is not installed."""

    def __init__(self) -> None:
        super().__init__("an image of the plot needs matplotlib, which FiftyOne brings: pip install matplotlib")


def save_charts(charts: Sequence[Chart | Heatmap], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draws charts into files ``<folder>/<name>.<format>``; creates the folder.

    Names that no installed font can show have squares in them, and the image says so.

    Raises:
        NoMatplotlibError: matplotlib is not installed
    """
    paths = []
    with _fonts() as shown:
        folder.mkdir(parents=True, exist_ok=True)
        for chart in charts:
            figure = _figure(chart, shown)
            for kind in formats:
                paths.append(folder / f"{chart.name}.{kind}")
                figure.savefig(paths[-1], dpi=_DPI)
    return paths


def save_chart(chart: Chart | Heatmap, path: Path) -> Path:
    """Draws a chart into a file; gives its path.

    Raises:
        NoMatplotlibError: matplotlib is not installed
    """
    with _fonts() as shown:
        _figure(chart, shown).savefig(path, dpi=_DPI)
    return path


@contextmanager
def _fonts() -> Iterator[frozenset[int]]:
    """Uses the installed fonts; gives the characters that they have."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise NoMatplotlibError from error
    families, shown = installed_fonts()
    with matplotlib.rc_context({"font.family": families}):
        yield shown


def installed_fonts() -> tuple[list[str], frozenset[int]]:
    """The fonts to draw with, and the characters that they have."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    families = [_PLAIN_FONT, *(name for name in CJK_FONTS if name in installed)]
    shown: set[int] = set()
    for name in families:
        path = font_manager.findfont(font_manager.FontProperties(family=name))
        shown |= font_manager.get_font(path).get_charmap().keys()
    return families, frozenset(shown)


def drawable(text: str, shown: frozenset[int]) -> str:
    """Text with squares for the characters that no font has; dollar signs do not begin formulas."""
    drawn = "".join(each if ord(each) in shown or each == "\n" else _MISSING for each in text)
    return drawn.replace("$", r"\$")


def _figure(chart: Chart | Heatmap, shown: frozenset[int]) -> Any:
    from matplotlib.figure import Figure

    height = 1.5 + 0.28 * len(chart.bars) if isinstance(chart, Chart) and chart.bars else 4.5
    if isinstance(chart, Heatmap):
        height = 3 + 0.3 * len(chart.labels)
    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    if isinstance(chart, Heatmap):
        labels = _draw_heatmap(chart, figure, axes, shown)
    else:
        labels = _draw_bars(chart, axes, shown)
        _draw_lines(chart, figure, axes)
        _draw_marks(chart, axes)
        axes.set(xlabel=chart.x_title, ylabel=chart.y_title)
    pad = 6 + 13 * len(chart.marks) if isinstance(chart, Chart) else 6
    axes.set_title(drawable(chart.title, shown), pad=pad)
    if any(_MISSING in label for label in labels):
        logger.warning("%s", NO_FONT)
        figure.supxlabel(NO_FONT, fontsize=7)
    return figure


def _draw_bars(chart: Chart, axes: Any, shown: frozenset[int]) -> list[str]:
    """Draws bars or columns; gives their labels as drawn."""
    values = [value for _, value in chart.bars or chart.columns]
    labels = [drawable(label, shown) for label, _ in chart.bars or chart.columns]
    if chart.bars:
        axes.barh(range(len(labels)), values, color=COLORS[0])
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
    elif chart.columns:
        axes.bar(range(len(labels)), values, color=COLORS[0])
        axes.set_xticks(range(len(labels)), labels)
    return labels


def _draw_lines(chart: Chart, figure: Any, axes: Any) -> None:
    right = axes.twinx() if chart.has_right_axis else None
    for line, color in zip(chart.lines, line_colors(len(chart.lines)), strict=True):
        own = right if line.is_right and right is not None else axes
        if chart.bin_width is None:
            own.plot(line.x, line.y, color=color, label=line.name)
        else:
            own.bar(line.x, line.y, chart.bin_width, color=color, alpha=OPACITY, label=line.name)
    if right is not None:
        right.set_ylabel(chart.right_title)
        right.set_ylim(chart.right_range)
    if chart.log_y:
        axes.set_yscale("log")
    elif chart.has_right_axis:
        axes.set_ylim(bottom=0)
    if chart.x_range is not None:
        axes.set_xlim(*chart.x_range)
    if chart.lines:
        figure.legend(loc="outside lower center", ncols=min(3, len(chart.lines)))


def _draw_marks(chart: Chart, axes: Any) -> None:
    """Vertical lines with their texts above the chart, each in a row of its own; the band behind."""
    for level, (x, text) in enumerate(chart.marks):
        top = 1 + 0.045 * level
        axes.axvline(x, ymax=top, clip_on=False, color=MARK_COLOR, linestyle=":", linewidth=1)
        axes.annotate(text, (x, top + 0.01), xycoords=("data", "axes fraction"), fontsize=8, ha=chart.side(x))
    if chart.band is not None:
        start, end, text = chart.band
        axes.axvspan(start, end, color=BAND_COLOR, alpha=BAND_OPACITY)
        middle = ((start + end) / 2, 0.01)
        axes.annotate(text, middle, xycoords=("data", "axes fraction"), fontsize=8, ha="center")


def _draw_heatmap(chart: Heatmap, figure: Any, axes: Any, shown: frozenset[int]) -> list[str]:
    """Draws the values; gives the labels as drawn."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list(chart.name, chart.color_stops, N=1024)
    image = axes.imshow(chart.values, cmap=colors, vmin=0, vmax=chart.maximum)
    figure.colorbar(image, ax=axes, label=chart.value_title)
    labels = [drawable(label, shown) for label in chart.labels]
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    return labels
