"""The plot of a comparison, for the App's output form: differences as colours, with the images beside them."""

import base64
import io
import logging
from typing import TYPE_CHECKING, Any

from ..core.errors import CCIPError
from ..core.preprocessing import crop, load_image

if TYPE_CHECKING:
    from .comparison import Comparison

logger = logging.getLogger(__name__)

THUMBNAIL = 64
"""Largest side of a thumbnail, in pixels."""
_NAME_LENGTH = 24
_SAME, _NEAR, _FAR = "#ff6d04", "#ffd9b8", "#30343c"
_MOST = 0.5  # two images that have nothing in common are about so different
_ROW, _FRAME = 34, 190  # pixels


def plotly_traces(comparison: "Comparison") -> list[dict[str, Any]]:
    """The differences, in an order in which alike images stand together; the colours change at the threshold."""
    order = comparison.order
    z = comparison.differences[order][:, order].astype(float).round(4).tolist()
    words = [[_words(comparison, a, b) for b in order] for a in order]
    return [
        {
            "type": "heatmap",
            "z": z,
            "text": words,
            "hovertemplate": "%{text}<extra></extra>",
            "zmin": 0,
            "zmax": max(_MOST, comparison.threshold),
            "colorscale": _colors(comparison.threshold),
            "xgap": 1,
            "ygap": 1,
            "colorbar": {"title": {"text": "difference"}, "thickness": 12},
        }
    ]


def plotly_layout(comparison: "Comparison", *, with_thumbnails: bool = True) -> dict[str, Any]:
    """Axes with the names, the first image on top, and a thumbnail beside each row.

    Args:
        comparison: of at most 50 images
        with_thumbnails (True): read the images; one that cannot be read has none
    """
    n, order = len(comparison.ids), comparison.order
    ticks = {
        "tickvals": list(range(n)),
        "ticktext": [_short(comparison.names[place]) for place in order],
        "range": [-0.5, n - 0.5],
        "showgrid": False,
        "zeroline": False,
    }
    pictures = [_picture(comparison, place, row) for row, place in enumerate(order)] if with_thumbnails else []
    return {
        "height": _FRAME + _ROW * n,
        "margin": {"t": 20, "b": 130, "l": 220, "r": 20},
        "xaxis": {**ticks, "tickangle": 45},
        "yaxis": {**ticks, "range": [n - 0.5, -0.5], "ticklabelstandoff": 52},
        "images": [picture for picture in pictures if picture is not None],
    }


def _words(comparison: "Comparison", a: int, b: int) -> str:
    names = " / ".join(_plain(comparison.names[place]) for place in (a, b))
    verdict = "same character" if comparison.same[a, b] else "different characters"
    return f"{names}<br>{comparison.differences[a, b]:.4f}: {verdict}"


def _colors(threshold: float) -> list[list[Any]]:
    """One range of colours up to the threshold, another one over it."""
    cut = min(max(threshold / max(_MOST, threshold), 1e-6), 1 - 1e-6)
    return [[0, _SAME], [cut, _NEAR], [cut, "#c9ccd3"], [1, _FAR]]


def _picture(comparison: "Comparison", place: int, row: int) -> dict[str, Any] | None:
    source = _thumbnail(comparison.filepaths[place], comparison.boxes[place])
    if source is None:
        return None
    where = {"xref": "paper", "yref": "y", "x": -0.01, "y": row, "xanchor": "right", "yanchor": "middle"}
    return {"source": source, **where, "sizex": 0.1, "sizey": 0.94, "sizing": "contain", "layer": "above"}


def _thumbnail(filepath: str, box: list[float] | None) -> str | None:
    """A small image as a data URI; None when the file cannot be read."""
    try:
        image = load_image(filepath)
        image = image if box is None else crop(image, box)
    except CCIPError as error:
        logger.debug("no thumbnail: %s", error)
        return None
    image = image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _short(name: str) -> str:
    """A name that fits beside the plot: its begin and its end."""
    half = _NAME_LENGTH // 2
    return _plain(name if len(name) <= _NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}")


def _plain(text: str) -> str:
    """Text in which Plotly finds no markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
