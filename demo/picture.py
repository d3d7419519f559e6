"""One picture: characters, background, crop, light, and how the file is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageEnhance

from . import scenery
from .canvas import Canvas, Style
from .character import Character, Random, pick
from .figure import Place, draw_figure
from .pose import Pose, close_together, make_pose, make_style

SUPERSAMPLE = 2
Box = tuple[float, float, float, float]

# How much of a figure is seen: units from the top of the picture to the bottom, and where the face is, 0..1.
CROPS = {
    "face": ((3.6, 4.5), (0.52, 0.60)),
    "bust": ((4.8, 6.4), (0.36, 0.46)),
    "half": ((7.4, 9.2), (0.27, 0.34)),
    "full": ((14.2, 16.0), (0.19, 0.23)),
}
CROP_SHARES = {"face": 0.2, "bust": 0.42, "half": 0.26, "full": 0.12}


@dataclass(frozen=True)
class Figure:
    """A character in a picture: who, in which pose, where (in pixels of the picture), wearing which pieces."""

    character: Character
    pose: Pose
    place: Place
    worn: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """Everything that decides how a picture looks.

    Attributes:
        size: width and height in pixels
        seed: of the background and of what floats in the air
        figures: from back to front
        style: the hand of the artist
        crop: how much of the figures is seen
        plain: whether the background is only a gradient or a pattern
        light: gains of red, green and blue
        saturation: 1 = as drawn
        floating: whether something floats in front
        noise: strength of grain, 0..255
    """

    size: tuple[int, int]
    seed: int
    figures: tuple[Figure, ...] = ()
    style: Style = field(default_factory=Style)
    crop: str = "bust"
    plain: bool = False
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    floating: bool = False
    noise: float = 0.0


def make_single(random: Random, character: Character, *, short_side: tuple[int, int]) -> Picture:
    """A picture of one character."""
    size = _size(random, short_side, (0.75, 0.7, 0.8, 1.0, 1.0, 0.67, 1.33))
    crop = pick(random, tuple(CROP_SHARES), tuple(CROP_SHARES.values()))
    aside = float(random.normal(0, 0.07 if crop == "face" else 0.05))
    figure = _figure(random, character, size, crop, 0.5 + aside)
    return _picture(random, size, (figure,), crop)


def make_group(random: Random, characters: tuple[Character, ...], *, short_side: tuple[int, int]) -> Picture:
    """A picture of two or three characters side by side."""
    n = len(characters)
    size = _size(random, short_side, (1.0, 1.2, 1.33) if n == 2 else (1.4, 1.6, 1.78))
    crop = pick(random, ("bust", "half", "full"), (0.4, 0.35, 0.25))
    slots = (np.arange(n) + 0.5) / n + random.normal(0, 0.015, n)
    share = float(random.uniform(0.9, 1.0))
    zoom = share * _fit(size, crop, n)
    figures = [_figure(random, c, size, crop, float(x), zoom) for c, x in zip(characters, slots, strict=True)]
    figures = [replace(figure, pose=close_together(random, figure.pose)) for figure in figures]
    order = random.permutation(n)
    return _picture(random, size, tuple(figures[int(i)] for i in order), crop)


def make_nobody(random: Random, *, short_side: tuple[int, int]) -> Picture:
    """A picture without anybody."""
    size = _size(random, short_side, (0.75, 1.0, 1.33, 1.5, 1.78))
    return _picture(random, size, (), "none")


def render(picture: Picture, *, scale: float = 1.0) -> tuple[Image.Image, list[Box]]:
    """Draws a picture.

    Args:
        picture: what to draw
        scale (1): draws it smaller than ``picture.size``, otherwise the same

    Returns:
        the image, and for each figure its box as relative ``(x, y, width, height)``
    """
    random = np.random.default_rng([picture.seed, 9])
    width, height = (max(round(side * scale), 8) for side in picture.size)
    large = (SUPERSAMPLE * width, SUPERSAMPLE * height)
    if not picture.figures:
        image = scenery.nobody(large, random).reduce(SUPERSAMPLE)
        return _finish(image, picture, random), []
    behind = scenery.background((width, height), random, plain=picture.plain)
    canvas = Canvas(behind.resize(large, Image.Resampling.NEAREST), picture.style, thinnest=0.85 * SUPERSAMPLE * scale)
    boxes = []
    for figure in picture.figures:
        place = replace(
            figure.place,
            x=figure.place.x * large[0] / picture.size[0],
            y=figure.place.y * large[1] / picture.size[1],
            unit=figure.place.unit * SUPERSAMPLE * scale,
        )
        left, top, right, bottom = draw_figure(canvas, figure.character, figure.pose, place, figure.worn)
        boxes.append((left / large[0], top / large[1], (right - left) / large[0], (bottom - top) / large[1]))
    return _finish(canvas.image.reduce(SUPERSAMPLE), picture, random), boxes


def _finish(image: Image.Image, picture: Picture, random: Random) -> Image.Image:
    """Light, colour and grain."""
    if picture.floating:
        scenery.floating(image, random)
    if picture.saturation != 1:
        image = ImageEnhance.Color(image).enhance(picture.saturation)
    if picture.light != (1.0, 1.0, 1.0):
        image = image.point([min(round(value * gain), 255) for gain in picture.light for value in range(256)])
    if picture.noise:
        width, height = image.size
        tile = random.normal(0, picture.noise, (256, 256)).astype(np.float32)
        grain = np.tile(tile, (height // 256 + 1, width // 256 + 1))[:height, :width, None]
        image = Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    return image


def _figure(
    random: Random, character: Character, size: tuple[int, int], crop: str, x: float, zoom: float = 1.0
) -> Figure:
    (low, high), (top, bottom) = CROPS[crop]
    seen = float(random.uniform(low, high)) / zoom
    unit = size[1] / seen
    if size[0] < 3.0 * unit:  # a narrow picture of a face
        unit = size[0] / 3.0
    y = float(random.uniform(top, bottom)) if zoom == 1 else 1 - (1 - (top + bottom) / 2) * zoom
    tall = any(piece.kind in ("rabbit_ears", "witch_hat", "fox_ears") for piece in character.pieces)
    if crop != "face":
        y = max(y, ((3.0 if tall else 2.35) * unit) / size[1])
    pose = make_pose(random)
    worn = tuple(piece.kind for piece in character.pieces if random.random() < 0.98)
    return Figure(character, pose, Place(x * size[0], y * size[1], unit, bool(random.random() < 0.5)), worn)


def _fit(size: tuple[int, int], crop: str, n: int) -> float:
    """How much smaller figures are drawn so that ``n`` of them fit side by side."""
    unit = size[1] / CROPS[crop][0][0]
    return min(size[0] / n / (3.1 * unit), 1.0)


def _picture(random: Random, size: tuple[int, int], figures: tuple[Figure, ...], crop: str) -> Picture:
    style = make_style(random)
    if crop in ("half", "full"):
        style = replace(style, line=style.line * 1.25)
    gains = np.ones(3)
    if random.random() < 0.5:
        warm = float(random.normal(0, 0.025))
        gains = np.array([1 + warm, 1 + 0.2 * warm, 1 - warm]) * float(random.uniform(0.92, 1.03))
    return Picture(
        size=size,
        seed=int(random.integers(2**31)),
        figures=figures,
        style=style,
        crop=crop,
        plain=bool(random.random() < 0.15),
        light=tuple(float(g) for g in gains),  # type: ignore[arg-type]
        saturation=float(random.uniform(0.92, 1.08)) if random.random() < 0.6 else 1.0,
        floating=bool(random.random() < 0.16),
        noise=float(random.uniform(1.5, 6.0)) if random.random() < 0.3 else 0.0,
    )


def _size(random: Random, short_side: tuple[int, int], aspects: tuple[float, ...]) -> tuple[int, int]:
    """A size whose short side is mostly in the lower part of ``short_side``."""
    low, high = short_side
    short = int(low + (high - low) * float(random.beta(1.2, 2.9)))
    aspect = pick(random, aspects)
    return (short, int(short / aspect)) if aspect <= 1 else (int(short * aspect), short)
