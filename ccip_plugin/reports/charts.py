"""Charts, described once: :mod:`.plotly` draws them in the App, :mod:`.images` into files."""

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

COLORS = ("#3366cc", "#cc3333", "#33aa55", "#996699", "#ff9900", "#0099c6", "#666666", "#dd4477", "#66aa00", "#b82e2e")
MARK_COLOR, BAND_COLOR = "#666666", "#33aa55"
OPACITY, BAND_OPACITY = 0.6, 0.15


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: for the legend
        x: the ``n`` abscissas
        y: the ``n`` ordinates
        is_right: whether the axis on the right is its own
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    is_right: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart of lines, of a histogram, of horizontal bars, or of columns.

    Attributes:
        name: short, for the name of a file
        title: above it
        x_title: of the x axis
        y_title: of the y axis
        lines: the lines
        marks: ``(x, text)`` of vertical lines
        bars: ``(label, value)`` of horizontal bars, the first on top; instead of lines
        columns: ``(label, value)`` of vertical bars; instead of lines
        band: ``(start, end, text)`` of a highlighted range of x
        x_range: the ends of the x axis, None for those of the data
        log_y: whether the y axis is logarithmic
        bin_width: of histograms, which are drawn as overlaid bars; None for lines
        right_title: of the axis on the right
        right_range: the ends of the axis on the right
    """

    name: str
    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line] = ()
    marks: Sequence[tuple[float, str]] = ()
    bars: Sequence[tuple[str, float]] = ()
    columns: Sequence[tuple[str, float]] = ()
    band: tuple[float, float, str] | None = None
    x_range: Point | None = None
    log_y: bool = False
    bin_width: float | None = None
    right_title: str = ""
    right_range: Point | None = None

    @property
    def has_right_axis(self) -> bool:
        """Whether a line needs the axis on the right."""
        return any(line.is_right for line in self.lines)

    def side(self, x: float) -> str:
        """The end of its text that a mark is at, so that the text stays on the chart: "left" or "right"."""
        values = [value for line in self.lines for value in line.x]
        low, high = self.x_range or (min(values, default=0), max(values, default=1))
        return "left" if x <= (low + high) / 2 else "right"


@dataclass(frozen=True)
class Heatmap:
    """A square matrix of values as colors, which change at a limit.

    Attributes:
        name: short, for the name of a file
        title: above it
        value_title: what the values are
        labels: the ``n`` labels of rows and columns
        values: ``n`` rows of ``n`` values
        texts: ``n`` rows of ``n`` texts for single values; lines are separated by a line break
        limit: the value at which the colors change
        maximum: the value of the last color
        pictures: ``n`` data URIs of images beside the rows, None for no image; in the App only
    """

    name: str
    title: str
    value_title: str
    labels: Sequence[str]
    values: Sequence[Sequence[float]]
    texts: Sequence[Sequence[str]]
    limit: float
    maximum: float
    pictures: Sequence[str | None] = ()

    @property
    def color_stops(self) -> list[tuple[float, str]]:
        """One range of colors up to the limit, another one beyond; the positions are from 0 to 1."""
        position = min(max(self.limit / self.maximum, 1e-6), 1 - 1e-6)
        return [(0, "#ff6d04"), (position, "#ffd9b8"), (position, "#c9ccd3"), (1, "#30343c")]


def line_colors(n: int) -> list[str]:
    """The colors of ``n`` lines."""
    return [COLORS[i % len(COLORS)] for i in range(n)]
