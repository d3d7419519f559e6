"""Drawing on a Pillow image with shapes, cel shading and tapered lines."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .colours import Colour, mix, outline, shadow
from .geometry import Path, band, moved

GRADIENT_STEP = 6  # pixels of one colour

Shapes = Path | Sequence[Path]
Mapping = Callable[[Path], Path]


@dataclass(frozen=True)
class Style:
    """How one picture is drawn: the hand of its artist.

    Attributes:
        line: width of outlines in units (one unit is half the width of a face)
        line_tint: 0 = ink, 1 = every line in a dark tone of what it surrounds
        shading: "hard", "soft", "double" or "flat"
        depth: how dark the shade is
        light: direction towards the light, (x, y) on the screen
        highlights: how strong highlights on hair are, 0..1
        eye_size: factor on the size of eyes
        blush: strength of the blush, 0..1
        iris: how irises are filled: "gradient", "ring" or "plain"
    """

    line: float = 0.026
    line_tint: float = 0.7
    shading: str = "hard"
    depth: float = 1.0
    light: tuple[float, float] = (-0.6, -0.8)
    highlights: float = 0.8
    eye_size: float = 1.0
    blush: float = 0.5
    iris: str = "gradient"
    ink: Colour = (46, 36, 50)


@dataclass
class Canvas:
    """An image that is drawn on, larger than the result; remembers how far drawing went.

    Attributes:
        image: what is drawn on
        style: how it is drawn
        thinnest: the least width of a line in pixels of ``image``
        extent: ``[left, top, right, bottom]`` of everything drawn since it was last None, in pixels
    """

    image: Image.Image
    style: Style = field(default_factory=Style)
    thinnest: float = 2.0
    extent: list[float] | None = None

    def reach(self, left: float, top: float, right: float, bottom: float) -> None:
        """Notes that something is drawn in this part of the image."""
        if self.extent is None:
            self.extent = [left, top, right, bottom]
        else:
            a, b, c, d = self.extent
            self.extent = [min(a, left), min(b, top), max(c, right), max(d, bottom)]


@dataclass(frozen=True)
class Pen:
    """Draws in units of its own on a canvas.

    Attributes:
        canvas: where to
        to_pixels: turns points in units into pixels
        unit: how many pixels a unit is long
    """

    canvas: Canvas
    to_pixels: Mapping
    unit: float

    @property
    def style(self) -> Style:
        return self.canvas.style

    def through(self, warp: Mapping) -> Pen:
        """The same pen, with points passing ``warp`` first."""
        to_pixels = self.to_pixels
        return replace(self, to_pixels=lambda points: to_pixels(warp(points)))

    def lowest(self) -> float:
        """The y, in units, of the lower edge of the image."""
        top = float(self.to_pixels(np.array([[0.0, 0.0]]))[0, 1])
        return (self.canvas.image.height - top) / self.unit

    def shape(
        self,
        paths: Shapes,
        fill: Colour,
        *,
        end: Colour | None = None,
        axis: tuple[tuple[float, float], tuple[float, float]] | None = None,
        shade: float = 0.0,
        line: float = 1.0,
        ink: Colour | None = None,
        soft: float = 0.0,
    ) -> None:
        """Fills the union of ``paths`` and draws its outline.

        Args:
            paths: one closed path or several
            fill: the colour
            end (None): the colour at the other end of a gradient along ``axis``
            axis (None): where the gradient begins and ends, in units
            shade (0): how far the shade reaches in from the side away from the light, in units
            line (1): width of the outline as a share of the style's; 0 for none
            ink (None): colour of the outline; None for one that goes with ``fill``
            soft (0): how blurred the edge between light and shade is, in units
        """
        polygons = [self.to_pixels(path) for path in _listed(paths)]
        width = self.line_width(line) if line else 0.0
        if line:
            self._outline(polygons, self.line_colour(fill) if ink is None else ink, width)
        area = self._area(polygons)
        if area is None:
            return
        shaded = bool(shade) and self.style.shading != "flat"
        ramp = axis if end is not None else None
        mask = _mask(polygons, area) if shaded or ramp or not self._whole(polygons) else None
        self._note(polygons, mask, area, width)
        if ramp is None or end is None or mask is None:
            draw = ImageDraw.Draw(self.canvas.image)
            for polygon in polygons:
                draw.polygon(_flat(polygon), fill=fill)
        else:
            self.canvas.image.paste(self._gradient(fill, end, ramp, area), area, mask)
        if shaded and mask is not None:
            self._shade(polygons, mask, area, fill, end, ramp, shade, soft)

    def inside(self, clip: Shapes, paths: Shapes, colour: Colour, *, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Paints ``paths`` where they are inside ``clip``; ``blur`` in units."""
        limits = [self.to_pixels(path) for path in _listed(clip)]
        area = self._area([self.to_pixels(path) for path in _listed(paths)] if not blur else limits)
        if area is None:
            return
        painted = _mask([self.to_pixels(path) for path in _listed(paths)], area)
        if blur:
            painted = painted.filter(ImageFilter.BoxBlur(max(blur * self.unit, 1)))
        self.canvas.image.paste(colour, area, _faint(ImageChops.multiply(painted, _mask(limits, area)), opacity))

    def glow(self, paths: Shapes, colour: Colour, *, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Paints ``paths`` with an edge blurred by ``blur`` units."""
        polygons = [self.to_pixels(path) for path in _listed(paths)]
        radius = blur * self.unit
        area = self._area(polygons, margin=2 * radius)
        if area is None:
            return
        mask = _mask(polygons, area)
        if radius >= 1:
            mask = mask.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius / 2))
        self.canvas.image.paste(colour, area, _faint(mask, opacity))

    def line(
        self,
        points: Path,
        colour: Colour | None = None,
        *,
        width: float = 1.0,
        taper: tuple[float, float] = (0.15, 0.15),
    ) -> None:
        """Draws a line that swells and ends thin.

        Args:
            points: along the line
            colour (None): None for the style's ink
            width (1): as a share of the style's line
            taper (0.15, 0.15): width at the beginning and at the end as a share of the full width
        """
        middle = self.to_pixels(points)
        t = np.linspace(0, 1, len(middle))
        swell = np.sin(np.pi * t) ** 0.6
        ends = taper[0] * (1 - t) + taper[1] * t
        half = self.line_width(width) * (ends + (1 - ends) * swell) / 2
        polygon = band(middle, np.maximum(half, 0.4))
        inside = np.clip(middle, 0, self.canvas.image.size)
        seen = middle[(inside == middle).all(axis=1)]
        if len(seen):
            self.canvas.reach(*(seen.min(axis=0) - half.max()), *(seen.max(axis=0) + half.max()))
        ImageDraw.Draw(self.canvas.image).polygon(_flat(polygon), fill=self.style.ink if colour is None else colour)

    def line_colour(self, fill: Colour) -> Colour:
        """The colour of lines around ``fill``."""
        return mix(self.style.ink, outline(fill), self.style.line_tint)

    def line_width(self, share: float = 1.0) -> float:
        """Pixels that a line of ``share`` of the style's width has."""
        return share * max(self.style.line * self.unit, self.canvas.thinnest)

    def _outline(self, polygons: list[Path], colour: Colour, width: float) -> None:
        draw = ImageDraw.Draw(self.canvas.image)
        for polygon in polygons:
            if self._area([polygon], margin=width) is None:
                continue
            ring = np.vstack([polygon, polygon[:2]])
            draw.line(_flat(ring), fill=colour, width=max(round(2 * width), 1))
            for x, y in _bends(ring, width):
                draw.ellipse((x - width, y - width, x + width, y + width), fill=colour)

    def _shade(
        self,
        polygons: list[Path],
        mask: Image.Image,
        area: tuple[int, int, int, int],
        fill: Colour,
        end: Colour | None,
        axis: tuple[tuple[float, float], tuple[float, float]] | None,
        reach: float,
        soft: float,
    ) -> None:
        style = self.style
        soft = max(soft, 0.12 if style.shading == "soft" else 0.0)
        steps = ((1.0, 1.0), (0.45, 1.7)) if style.shading == "double" else ((1.0, 1.0),)
        for share, depth in steps:
            far = share * reach * (1.25 if style.shading == "soft" else 1.0) * self.unit
            lit = _mask([moved(p, style.light[0] * far, style.light[1] * far) for p in polygons], area)
            if soft * self.unit >= 1:
                lit = lit.filter(ImageFilter.BoxBlur(soft * self.unit))
            dark: Image.Image | Colour = shadow(fill, depth * style.depth)
            if end is not None and axis is not None:
                dark = self._gradient(shadow(fill, depth * style.depth), shadow(end, depth * style.depth), axis, area)
            self.canvas.image.paste(dark, area, ImageChops.multiply(mask, ImageChops.invert(lit)))

    def _gradient(
        self,
        start: Colour,
        end: Colour,
        axis: tuple[tuple[float, float], tuple[float, float]],
        area: tuple[int, int, int, int],
    ) -> Image.Image:
        a, b = self.to_pixels(np.array(axis, dtype=float))
        left, top, right, bottom = area
        width, height = right - left, bottom - top
        x = np.linspace(left, right, max(width // GRADIENT_STEP, 2))[None, :]
        y = np.linspace(top, bottom, max(height // GRADIENT_STEP, 2))[:, None]
        along = b - a
        share = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(float(along @ along), 1e-9)
        share = np.clip(share, 0, 1)[..., None]
        colours = (np.array(start) * (1 - share) + np.array(end) * share + 0.5).astype(np.uint8)
        return Image.fromarray(colours).resize((width, height), Image.Resampling.NEAREST)

    def _area(self, polygons: list[Path], margin: float = 0.0) -> tuple[int, int, int, int] | None:
        """The part of the image that ``polygons`` can touch; None when they are all outside."""
        every = polygons[0] if len(polygons) == 1 else np.concatenate(polygons)
        low, high = every.min(axis=0) - margin, every.max(axis=0) + margin
        width, height = self.canvas.image.size
        left, top = max(int(low[0]), 0), max(int(low[1]), 0)
        right, bottom = min(int(high[0]) + 2, width), min(int(high[1]) + 2, height)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _whole(self, polygons: list[Path]) -> bool:
        """Whether all of ``polygons`` is inside the image."""
        size = self.canvas.image.size
        return all(p.min() >= 0 and p[:, 0].max() < size[0] and p[:, 1].max() < size[1] for p in polygons)

    def _note(
        self, polygons: list[Path], mask: Image.Image | None, area: tuple[int, int, int, int], margin: float
    ) -> None:
        """Remembers how far ``polygons`` reach inside the image."""
        if mask is None:
            low = np.min([p.min(axis=0) for p in polygons], axis=0) - margin
            high = np.max([p.max(axis=0) for p in polygons], axis=0) + 1 + margin
            self.canvas.reach(*low, *high)
            return
        bounds = mask.getbbox()
        if bounds:
            left, top = area[0] - margin, area[1] - margin
            right, bottom = area[0] + margin, area[1] + margin
            self.canvas.reach(left + bounds[0], top + bounds[1], right + bounds[2], bottom + bounds[3])


def _listed(paths: Shapes) -> list[Path]:
    return [paths] if isinstance(paths, np.ndarray) else list(paths)


def _flat(points: Path) -> list[float]:
    return np.round(points).ravel().tolist()


def _mask(polygons: list[Path], area: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", (area[2] - area[0], area[3] - area[1]), 0)
    draw = ImageDraw.Draw(mask)
    for polygon in polygons:
        draw.polygon(_flat(polygon - (area[0], area[1])), fill=255)
    return mask


def _faint(mask: Image.Image, opacity: float) -> Image.Image:
    return mask if opacity >= 1 else mask.point(_table(round(opacity, 3)))


@functools.lru_cache(maxsize=256)
def _table(opacity: float) -> list[int]:
    return [round(value * opacity) for value in range(256)]


def _bends(ring: Path, width: float) -> Path:
    """The points of a closed line at which straight pieces of ``2 * width`` would leave a gap on the outside."""
    steps = np.diff(ring, axis=0)
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turns = np.abs((np.diff(angles) + np.pi) % (2 * np.pi) - np.pi)
    return ring[1:-1][turns * width > 0.6]
