"""Clothes. Each outfit is a cut (sleeves, what is below the waist) and a way to draw the top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .body import Body, limb
from .canvas import Pen
from .character import Outfit, Random
from .colours import WHITE, Colour, change, mix, oklch, shadow, to_oklch
from .geometry import Path, band, both_sides, box, curve, ellipse, heart, loop, petals, rounded, star

GOLD: Colour = (236, 192, 92)
SILVER: Colour = (196, 204, 218)


@dataclass(frozen=True)
class Cut:
    """How an outfit is cut.

    Attributes:
        sleeve: "none", "short", "puff", "long", "loose", "wide" or "plate"
        sleeve_colour: of the sleeves
        cuff: colour of a cuff, None for none
        below: "skirt", "flared", "long", "robe", "trousers" or "shorts"
        below_colour: of what is below the waist
        hem: colour of a line or frill at the hem, None for none
        shoes: of the shoes
        legs: of stockings or trousers
    """

    sleeve: str
    sleeve_colour: Colour
    cuff: Colour | None
    below: str
    below_colour: Colour
    hem: Colour | None
    shoes: Colour
    legs: Colour
    glove: Colour | None = None


def cut_of(outfit: Outfit, build: str) -> Cut:
    """The cut of an outfit."""
    boy = build == "boy"
    main, second, accent = outfit.main, outfit.second, outfit.accent
    dark = change(second, light=0.5)
    white: Colour = (250, 248, 246)
    legs = pick_legs(outfit)
    shoes = mix(dark, (60, 40, 36), 0.5)
    below = "trousers" if boy else "skirt"
    trim = mix(second, WHITE, 0.75)
    cuts = {
        "sailor": Cut("long" if outfit.seed % 2 else "short", white_or(main), second, below, second, trim, shoes, legs),
        "blazer": Cut("long", main, None, below, second, None, shoes, legs),
        "hoodie": Cut("loose", main, shadow(main, 0.5), "trousers" if boy else "shorts", second, None, accent, legs),
        "kimono": Cut("wide", main, second, "robe", main, second, shoes, white),
        "yukata": Cut("wide", main, second, "robe", main, second, shoes, white),
        "armour": Cut(
            "plate",
            SILVER,
            second,
            "trousers" if boy else "flared",
            second,
            GOLD,
            change(SILVER, light=0.7),
            legs,
            mix(SILVER, dark, 0.5),
        ),
        "dress": Cut("puff", main, trim, "flared", main, trim, accent, legs),
        "maid": Cut("puff", darken(main), white, "flared", darken(main), white, shoes, white),
        "cardigan": Cut("long", main, shadow(main, 0.6), "skirt", accent, None, shoes, legs),
        "casual": Cut(
            "short", main, second, "trousers" if boy or outfit.seed % 3 == 0 else "shorts", second, None, accent, legs
        ),
        "idol": Cut("puff", main, GOLD, "flared", accent, GOLD, white, legs, white),
        "cape": Cut("long", second, accent, "trousers" if boy else "long", second, accent, shoes, legs),
        "gakuran": Cut("long", darken(main), None, "trousers", darken(main), None, shoes, darken(main)),
        "suit": Cut("long", main, white, "trousers", main, None, shoes, main),
    }
    return cuts[outfit.kind]


def pick_legs(outfit: Outfit) -> Colour:
    """The colour of stockings."""
    options: tuple[Colour, ...] = ((250, 248, 246), (52, 46, 58), (52, 46, 58), mix(outfit.accent, WHITE, 0.2))
    return options[outfit.seed % 4]


def white_or(colour: Colour) -> Colour:
    """``colour`` if it is light, a white of its hue otherwise."""
    lightness, chroma, hue = to_oklch(colour)
    return colour if lightness > 0.82 else oklch(0.97, min(chroma, 0.015), hue)


def darken(colour: Colour) -> Colour:
    """A dark tone of ``colour``."""
    lightness, chroma, hue = to_oklch(colour)
    return oklch(min(lightness, 0.34), min(chroma, 0.07), hue)


def draw_behind(pen: Pen, outfit: Outfit, body: Body) -> None:
    """What hangs behind the body."""
    if outfit.kind == "cape" or (outfit.kind == "armour" and outfit.seed % 2):
        sway = 0.3 * body.pose.stride
        right = [(0.6, 1.7), (1.4, 2.2), (1.9, 4.5), (2.3 + sway, 8.2), (2.5 + sway, 10.2, 1), (1.2, 9.9), (0, 10.3)]
        colour = outfit.main if outfit.kind == "cape" else outfit.accent
        path = curve(both_sides(right), closed=True)
        pen.shape(path, shadow(colour, 0.9), end=colour, axis=((0, 4), (0, 10)), shade=0.2)
        for x in (-1.2, -0.5, 0.6, 1.3):
            pen.line(curve([(x, 4.5), (1.15 * x, 7), (1.4 * x, 9.8)]), shadow(colour, 2.2), width=0.8, taper=(0, 0.2))
    if outfit.kind == "hoodie":
        pen.shape(loop((-1.0, 1.9), (-0.9, 1.15), (0, 0.95), (0.9, 1.15), (1.0, 1.9)), shadow(outfit.main, 1.1))


def draw_below(pen: Pen, outfit: Outfit, cut: Cut, body: Body) -> None:
    """What is worn below the waist, other than trousers."""
    random = np.random.default_rng([outfit.seed, 1])
    if cut.below == "shorts":
        for side in (-1, 1):
            pen.shape(limb(body.leg(side), (0.66, 0.62, 0.6), end=0.17), cut.below_colour, shade=0.12)
        pen.shape(box(-body.hip, 4.5, body.hip, 5.4), cut.below_colour, line=0)
        return
    if cut.below == "trousers":
        return
    top, low, wide = {
        "skirt": (4.05, 6.5, 1.75),
        "flared": (3.95, 7.2, 2.3),
        "long": (4.0, 9.6, 2.1),
        "robe": (4.2, 11.5, 1.25),
    }[cut.below]
    pleats = {"skirt": 9, "flared": 8, "long": 7, "robe": 2}[cut.below]
    path, folds = _skirt(body, top, low, wide, pleats)
    if cut.below == "flared":
        petticoat, _ = _skirt(body, top, low + 0.28, wide * 0.96, 14)
        pen.shape(petticoat, cut.hem or WHITE)
    pen.shape(path, cut.below_colour, shade=0.22)
    if cut.below == "robe":
        _pattern(pen, path, outfit, random, (-1.3, 4.2, 1.3, 11.5))
        pen.line(curve([(0.25, 4.4), (0.5, 7.5), (0.45, low)]), shadow(cut.below_colour, 2.2), width=1.0)
        return
    if outfit.seed % 5 == 1 and cut.below == "skirt":
        _plaid(pen, path, mix(cut.below_colour, outfit.accent, 0.55), low)
    for fold in folds:
        pen.line(fold, shadow(cut.below_colour, 2.0), width=0.8, taper=(0, 0.5))
    if cut.hem is not None:
        pen.inside(path, band(_hem(low - 0.32, wide), 0.05), cut.hem)
        if cut.below != "skirt":
            pen.inside(path, band(_hem(low - 0.5, wide), 0.02), cut.hem)


def draw_sleeve(pen: Pen, outfit: Outfit, cut: Cut, body: Body, side: int) -> None:
    """The sleeve over an arm."""
    joints, colour = body.arm(side), cut.sleeve_colour
    thick = 0.08 if body.boy else 0.0
    kind = cut.sleeve
    if kind == "none":
        return
    if kind == "wide":
        _wide_sleeve(pen, outfit, cut, body, side)
        return
    if kind == "plate":
        pen.shape(limb(joints, (0.3 + thick, 0.26 + thick, 0.2), cap=1.0), cut.cuff or colour, shade=0.1)
        pen.shape(limb(joints, (0.3, 0.3 + thick, 0.25 + thick), start=0.6, end=0.96), colour, shade=0.12)
        x, y = joints[0]
        for size in (0.52, 0.4):
            plate = ellipse(x + 0.04 * side, y + 0.55 * (0.52 - size) - 0.02, size + thick, size * 0.8, turn=0.5 * side)
            pen.shape(plate, colour, shade=0.14)
        pen.inside(plate, ellipse(x - 0.08, y - 0.1, 0.16, 0.06, turn=-0.3), WHITE, opacity=0.8)
        return
    widths, end = {
        "short": ((0.36 + thick, 0.36 + thick, 0.3), 0.34),
        "puff": ((0.34, 0.5, 0.3), 0.28),
        "long": ((0.31 + thick, 0.28 + thick, 0.25 + thick / 2), 0.95),
        "loose": ((0.40 + thick, 0.40 + thick, 0.34 + thick), 0.96),
    }[kind]
    if kind == "puff":
        x, y = joints[0] + 0.13 * (joints[1] - joints[0])
        pen.shape(ellipse(x, y, 0.47, 0.55, turn=0.2 * side), colour, shade=0.14)
        for shift in (-0.14, 0.1):
            pen.line(
                curve([(x + shift, y + 0.4), (x + shift * 1.4, y), (x + shift, y - 0.25)]), shadow(colour, 2), width=0.7
            )
    else:
        pen.shape(limb(joints, widths, end=end, cap=0.98), colour, shade=0.12)
        elbow = joints[1]
        if kind in ("long", "loose"):
            inner = joints[0] + joints[2] - 2 * elbow
            inner = inner / max(np.hypot(*inner), 1e-6)
            for shift in (-0.1, 0.12):
                a = elbow + inner * 0.24 + np.array([0, shift])
                pen.line(
                    np.array([a, a - inner * 0.22 + (0, shift * 0.6)]), shadow(colour, 2.0), width=0.8, taper=(0.8, 0)
                )
    if cut.cuff is not None:
        start = end - (0.06 if kind in ("short", "puff") else 0.07)
        fat = (0.42, 0.42, 0.3) if kind == "puff" else tuple(w + 0.03 for w in widths)
        pen.shape(limb(joints, fat, start=start, end=end), cut.cuff)  # type: ignore[arg-type]


def draw_top(pen: Pen, outfit: Outfit, cut: Cut, body: Body) -> None:
    """What is worn above the waist."""
    _TOPS[outfit.kind](pen, outfit, cut, body, np.random.default_rng([outfit.seed, 2]))


def bow(pen: Pen, x: float, y: float, size: float, colour: Colour, *, tails: float = 1.0, turn: float = 0.0) -> None:
    """A ribbon bow of about ``2 * size`` width."""

    def placed(path: Path) -> Path:
        c, s = np.cos(turn), np.sin(turn)
        return path @ np.array([[c, s], [-s, c]]) * size + (x, y)

    if tails:
        for side in (-1, 1):
            tail = loop(
                (0, 0, 1),
                (side * 0.55, 0.75 * tails),
                (side * 0.7, 1.3 * tails, 1),
                (side * 0.42, 1.12 * tails),
                (side * 0.25, 1.36 * tails, 1),
                (side * 0.1, 0.6 * tails),
            )
            pen.shape(placed(tail), shadow(colour, 0.6), line=0.85)
    for side in (-1, 1):
        wing = loop(
            (0, -0.08, 1),
            (side * 0.5, -0.5),
            (side * 1.0, -0.58),
            (side * 1.06, 0.1),
            (side * 0.96, 0.52),
            (side * 0.5, 0.36),
            (0, 0.1, 1),
        )
        pen.shape(placed(wing), colour, shade=0.13 * size, line=0.85)
        for y0 in (-0.12, 0.12):
            pen.line(
                placed(curve([(side * 0.15, y0 * 0.4), (side * 0.42, y0), (side * 0.66, y0 * 1.9)])),
                shadow(colour, 2.2),
                width=0.7,
                taper=(0.8, 0),
            )
    pen.shape(placed(loop((-0.18, -0.2), (0.18, -0.2), (0.2, 0.2), (-0.2, 0.2))), colour, shade=0.06 * size, line=0.85)


def _skirt(body: Body, top: float, low: float, wide: float, pleats: int) -> tuple[Path, list[Path]]:
    """The outline of a skirt and its folds."""
    waist = body.waist + 0.05
    hem: list[tuple[float, ...]] = []
    folds = []
    places = np.linspace(wide, -wide, pleats + 1)
    for i in range(pleats):
        a, b = places[i], places[i + 1]
        drop = 0.22 * (1 - (a / wide) ** 2)
        hem.append((a, low + drop - 0.1, 1))
        hem.append(((a + b) / 2, low + drop + 0.06))
        if i:
            share = a / wide
            folds.append(
                curve(
                    [
                        (share * wide, low + drop - 0.12),
                        (share * (0.62 * wide + 0.2), low - 0.55 * (low - top)),
                        (share * waist, top + 0.35),
                    ]
                )
            )
    hem.append((-wide, low - 0.1, 1))
    hip = max(body.hip + 0.1, waist + 0.38 * (wide - waist))
    start = [(-waist, top, 1), (waist, top, 1), (hip, top + 0.35 * (low - top))]
    end = [(-hip, top + 0.35 * (low - top))]
    return curve([*start, *hem, *end], closed=True, steps=6), folds


def _hem(low: float, wide: float) -> Path:
    x = np.linspace(-wide * 1.05, wide * 1.05, 24)
    return np.column_stack([x, low + 0.22 * (1 - (x / wide) ** 2)])


def _plaid(pen: Pen, path: Path, colour: Colour, low: float) -> None:
    for x in np.arange(-2.2, 2.3, 0.44):
        pen.inside(
            path,
            np.array([(0.45 * x - 0.03, 4), (0.45 * x + 0.03, 4), (x + 0.06, low + 0.5), (x - 0.06, low + 0.5)]),
            colour,
        )
    for y in np.arange(4.4, low, 0.5):
        pen.inside(path, band(_hem(y, 2.2), 0.04), colour)


def _pattern(pen: Pen, clip: Path, outfit: Outfit, random: Random, area: tuple[float, float, float, float]) -> None:
    """Flowers, dots, arrows or stripes on cloth."""
    left, top, right, bottom = area
    kind = outfit.seed % 4
    light = mix(outfit.accent, WHITE, 0.3)
    if kind == 3:
        for x in np.arange(left, right, 0.34):
            pen.inside(clip, box(x, top, x + 0.09, bottom), light)
        return
    for row, y in enumerate(np.arange(top + 0.3, bottom, 0.72)):
        for x in np.arange(left + (0.36 if row % 2 else 0.0), right, 0.74):
            px, py = x + 0.06 * random.normal(), y + 0.06 * random.normal()
            if kind == 0:
                pen.inside(clip, petals(px, py, 0.24, turn=float(random.uniform(0, 6))), light)
                pen.inside(clip, ellipse(px, py, 0.06, n=10), GOLD)
            elif kind == 1:
                pen.inside(clip, ellipse(px, py, 0.1, n=14), light)
            else:
                pen.inside(clip, loop((px, py - 0.2, 1), (px + 0.16, py), (px, py + 0.2, 1), (px - 0.16, py)), light)


def _wide_sleeve(pen: Pen, outfit: Outfit, cut: Cut, body: Body, side: int) -> None:
    joints = body.arm(side)
    wrist, elbow = joints[2], joints[1]
    along = (wrist - elbow) / np.hypot(*(wrist - elbow))
    hang = np.array([0.0, 1.0]) if abs(along[1]) < 0.75 else np.array([side * 0.55, 0.55])
    end = elbow + 0.8 * (wrist - elbow)
    drop = 1.25 if abs(along[1]) < 0.75 else 0.7
    bag = loop(
        tuple(elbow - 0.4 * (elbow - joints[0])),
        tuple(elbow + 0.02),
        (*(end - 0.24 * hang), 1),
        (*(end + drop * hang), 1),
        tuple(elbow + 0.8 * drop * hang - 0.1 * along),
    )
    whole = [*limb(joints, (0.40, 0.42, 0.36), end=0.82, cap=1.0), bag]
    pen.shape(whole, cut.sleeve_colour, shade=0.16)
    low, high = np.min(bag, axis=0), np.max(bag, axis=0)
    _pattern(pen, bag, outfit, np.random.default_rng([outfit.seed, 3]), (low[0], low[1], high[0], high[1]))
    edge = band(np.array([end - 0.24 * hang, end + drop * hang]), 0.07)
    pen.shape(edge, cut.cuff or WHITE, line=0.8)


def _buttons(pen: Pen, x: float, y0: float, y1: float, n: int, colour: Colour, size: float = 0.075) -> None:
    for y in np.linspace(y0, y1, n):
        pen.shape(ellipse(x, float(y), size, n=16), colour, line=0.7)


def _folds(pen: Pen, body: Body, colour: Colour) -> None:
    """A few lines at the waist and under the arms."""
    for side in (-1, 1):
        x = side * body.waist
        pen.line(
            curve([(x * 0.98, 3.9), (x * 0.72, 4.02), (x * 0.5, 4.0)]), shadow(colour, 2.0), width=0.8, taper=(0.8, 0)
        )
        x = side * (body.shoulder[0] - 0.1)
        pen.line(curve([(x, 2.75), (x * 0.86, 2.92), (x * 0.66, 2.96)]), shadow(colour, 2.0), width=0.8, taper=(0.8, 0))


def _opening(low: float, wide: float = 0.42) -> Path:
    """A V-shaped opening at the neck."""
    return curve([(-wide, 1.5, 1), (wide, 1.5, 1), (0.1, low - 0.1), (0, low, 1), (-0.1, low - 0.1)], closed=True)


def _sailor(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    blouse = white_or(outfit.main)
    pen.shape(body.torso(bottom=4.7, loose=0.08, neck=2.5), blouse, shade=0.16)
    _folds(pen, body, blouse)
    x, y = body.shoulder
    right = [
        (0.3, 1.58, 1),
        (0.7, 1.72),
        (x + 0.02, y + 0.02, 1),
        (x - 0.12, y + 0.42),
        (0.42, 2.75),
        (0.0, 3.05, 1),
        (0.0, 2.62, 1),
        (0.3, 2.2),
    ]
    for side in (-1, 1):
        half = right if side > 0 else [(-p[0], *p[1:]) for p in right]
        path = loop(*half)
        pen.shape(path, outfit.second, shade=0.06)
        stripe = curve(
            [(side * (x - 0.12), y + 0.06), (side * (x - 0.24), y + 0.42), (side * 0.38, 2.62), (side * 0.02, 2.9)]
        )
        pen.inside(path, band(stripe, 0.032), mix(outfit.second, WHITE, 0.85))
    bow(pen, 0, 3.0, 0.55, outfit.accent, tails=1.0 + 0.4 * (outfit.seed % 2))


def _blazer(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    jacket = body.torso(wider=0.04, bottom=5.0, loose=0.08)
    pen.shape(jacket, outfit.main, shade=0.16)
    _folds(pen, body, outfit.main)
    shirt = _opening(3.5, 0.5)
    pen.shape(shirt, (250, 248, 246), line=0.8)
    _collar(pen, (250, 248, 246))
    if outfit.seed % 2:
        _tie(pen, outfit.accent)
    else:
        bow(pen, 0, 2.05, 0.42, outfit.accent, tails=0.8)
    _lapels(pen, outfit.main, 3.5)
    pen.line(np.array([(0.02, 3.5), (0.04, 4.98)]), shadow(outfit.main, 2.2), width=0.9)
    _buttons(pen, 0.14, 3.75, 4.4, 2, GOLD)
    pen.shape(rounded(-0.82, 2.75, -0.5, 3.05, 0.06), outfit.accent, line=0.7)


def _collar(pen: Pen, colour: Colour) -> None:
    for side in (-1, 1):
        pen.shape(
            loop((side * 0.3, 1.42, 1), (side * 0.52, 1.66, 1), (side * 0.26, 2.02, 1), (0, 1.78, 1)), colour, line=0.85
        )


def _tie(pen: Pen, colour: Colour) -> None:
    pen.shape(
        loop((-0.1, 2.0, 1), (0.1, 2.0, 1), (0.19, 3.05, 1), (0, 3.3, 1), (-0.19, 3.05, 1)),
        colour,
        shade=0.05,
        line=0.85,
    )
    pen.shape(loop((-0.14, 1.78, 1), (0.14, 1.78, 1), (0.09, 2.02, 1), (-0.09, 2.02, 1)), colour, line=0.85)


def _lapels(pen: Pen, colour: Colour, low: float) -> None:
    for side in (-1, 1):
        points = [(side * 0.4, 1.56, 1), (side * 0.74, 1.95, 1), (side * 0.62, 2.2, 1), (side * 0.72, 2.34, 1)]
        pen.shape(loop(*points, (side * 0.05, low, 1), (side * 0.26, 2.4)), mix(colour, WHITE, 0.07), line=0.85)


def _hoodie(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    torso = body.torso(wider=0.1, bottom=5.25, loose=0.3)
    pen.shape(torso, outfit.main, shade=0.2)
    _folds(pen, body, outfit.main)
    if outfit.seed % 3 == 0:
        pen.inside(torso, box(-2, 2.9, 2, 3.4), outfit.accent)
    pen.inside(torso, box(-2, 5.02, 2, 5.5), shadow(outfit.main, 0.9))
    pen.shape(
        loop((-0.62, 3.95, 1), (0.62, 3.95, 1), (0.86, 4.8, 1), (-0.86, 4.8, 1)),
        mix(outfit.main, shadow(outfit.main), 0.3),
        line=0.8,
    )
    right = [(0, 2.2), (0.42, 2.02), (0.72, 1.6), (0.62, 1.22), (0.92, 1.4), (1.08, 1.85), (0.6, 2.4), (0, 2.62)]
    ring = curve(both_sides(right[:1] + right[1:]), closed=True)
    pen.shape(ring, outfit.main, shade=0.1)
    for side in (-1, 1):
        pen.line(
            curve([(side * 0.26, 2.4), (side * 0.3, 2.8), (side * 0.27, 3.2)]),
            mix(outfit.accent, WHITE, 0.4),
            width=2.2,
            taper=(1, 0.9),
        )
    if outfit.seed % 3 == 1:
        pen.shape(star(0.0, 3.3, 0.34, 0.15), outfit.accent, line=0.6)


def _kimono(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    torso = body.torso(wider=0.06, bottom=5.0, loose=0.12, neck=2.5)
    pen.shape(torso, outfit.main, shade=0.16)
    _pattern(pen, torso, outfit, random, (-1.4, 1.9, 1.4, 5.0))
    for side in (1, -1):
        strip = curve([(side * 0.4, 1.5), (side * 0.2, 2.2), (-side * 0.32, 3.5)])
        pen.shape(band(strip, 0.13), outfit.second, line=0.85)
    obi = loop(
        (-body.waist - 0.2, 3.35, 1),
        (body.waist + 0.2, 3.35, 1),
        (body.waist + 0.14, 4.1),
        (body.waist + 0.24, 4.7, 1),
        (-body.waist - 0.24, 4.7, 1),
        (-body.waist - 0.14, 4.1),
    )
    pen.shape(obi, outfit.accent, shade=0.16)
    pen.inside(obi, box(-2, 3.9, 2, 4.08), mix(outfit.accent, WHITE, 0.6))
    pen.shape(ellipse(0, 3.99, 0.14, 0.12), outfit.second, line=0.7)


def _armour(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    pen.shape(body.torso(bottom=4.9), outfit.second, shade=0.14)
    x, y = body.shoulder
    right = [
        (0, 1.95),
        (0.5, 1.82),
        (x - 0.1, y + 0.02),
        (x - 0.08, 2.75),
        (body.waist + 0.06, 3.85),
        (0.4, 4.15),
        (0, 4.32),
    ]
    plate = curve(both_sides(right), closed=True)
    pen.shape(plate, SILVER, end=change(SILVER, light=0.84), axis=((0, 2), (0, 4.3)), shade=0.2)
    pen.inside(plate, loop((-0.75, 2.2), (-0.4, 2.1), (-0.5, 3.3), (-0.7, 3.2)), WHITE, opacity=0.75)
    pen.line(np.array([(0, 2.0), (0, 4.3)]), shadow(SILVER, 2), width=0.9)
    trim = curve([(-x + 0.14, 2.12), (-0.5, 1.9), (0, 2.05), (0.5, 1.9), (x - 0.14, 2.12)])
    pen.shape(band(trim, 0.07), GOLD, line=0.7)
    pen.shape(loop((0, 2.7, 1), (0.16, 2.95, 1), (0, 3.25, 1), (-0.16, 2.95, 1)), outfit.accent, line=0.8)
    pen.shape(box(-body.waist - 0.1, 4.3, body.waist + 0.1, 4.62), mix((110, 74, 52), outfit.accent, 0.2), shade=0.06)
    pen.shape(rounded(-0.2, 4.26, 0.2, 4.66, 0.06), GOLD, line=0.8)
    for side in (-1, 1):
        pen.shape(
            loop(
                (side * 0.3, 4.6, 1),
                (side * (body.hip + 0.02), 4.55, 1),
                (side * (body.hip + 0.35), 5.6),
                (side * 0.75, 5.95, 1),
            ),
            SILVER,
            shade=0.14,
        )


def _dress(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    pen.shape(body.torso(bottom=4.3, neck=1.98), outfit.main, shade=0.15)
    _folds(pen, body, outfit.main)
    trim = mix(outfit.second, WHITE, 0.75)
    for x in np.linspace(-0.78, 0.78, 7):
        pen.shape(ellipse(float(x), 1.86 + 0.34 * (1 - (x / 0.8) ** 2), 0.19, 0.16), trim, line=0.7)
    bow(pen, 0, 2.35, 0.36, outfit.accent, tails=0.8)
    _buttons(pen, 0, 2.9, 3.7, 3, trim)
    sash = loop(
        (-body.waist - 0.08, 3.88, 1),
        (body.waist + 0.08, 3.88, 1),
        (body.waist + 0.12, 4.25, 1),
        (-body.waist - 0.12, 4.25, 1),
    )
    pen.shape(sash, outfit.accent, shade=0.06)


def _maid(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    dark, white = darken(outfit.main), (252, 250, 250)
    pen.shape(body.torso(bottom=4.3), dark, shade=0.14)
    apron = loop(
        (-0.62, 2.5, 1),
        (0.62, 2.5, 1),
        (body.waist - 0.02, 4.1),
        (1.3, 6.4),
        (0, 6.75),
        (-1.3, 6.4),
        (-body.waist + 0.02, 4.1),
    )
    pen.shape(apron, white, shade=0.12)
    for x in np.linspace(-1.2, 1.2, 9):
        pen.shape(ellipse(float(x), 6.56 - 0.18 * x**2 + 0.02, 0.19, 0.17), white, line=0.75)
    for x in (-0.5, 0.0, 0.5):
        pen.line(curve([(x, 4.3), (1.3 * x, 5.2), (1.7 * x, 6.2)]), shadow(white, 1.6), width=0.8, taper=(0, 0.3))
    for side in (-1, 1):
        for y in np.linspace(1.95, 2.75, 4):
            pen.shape(ellipse(side * (0.82 - 0.14 * (y - 1.95)), float(y), 0.22, 0.17), white, line=0.75)
    _collar(pen, white)
    bow(pen, 0, 2.05, 0.34, outfit.accent, tails=0.8)
    pen.shape(box(-body.waist - 0.06, 3.95, body.waist + 0.06, 4.2), white, line=0.85)


def _cardigan(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    shirt = mix(outfit.second, WHITE, 0.55)
    pen.shape(body.torso(bottom=4.8), shirt, shade=0.1)
    _collar(pen, WHITE)
    bow(pen, 0, 2.05, 0.36, outfit.accent, tails=1.1)
    x, y = body.shoulder
    for side in (-1, 1):
        points = [(side * 0.34, 1.6, 1), (side * (x - 0.3), y - 0.24), (side * (x + 0.1), y), (side * (x + 0.08), 2.7)]
        points += [
            (side * (body.waist + 0.2), 4.0),
            (side * (body.hip + 0.22), 5.1, 1),
            (side * 0.34, 5.15, 1),
            (side * 0.2, 3.6),
            (side * 0.42, 2.4),
        ]
        path = loop(*points)
        pen.shape(path, outfit.main, shade=0.16)
        pen.inside(path, box(-3, 4.9, 3, 5.3), shadow(outfit.main, 0.8))
        edge = curve([(side * 0.36, 1.62), (side * 0.46, 2.4), (side * 0.26, 3.6), (side * 0.4, 5.1)])
        pen.inside(path, band(edge, 0.09), shadow(outfit.main, 0.8))
    _buttons(pen, 0.3, 3.7, 4.7, 3, mix(outfit.main, WHITE, 0.6))


def _casual(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    torso = body.torso(wider=0.04, bottom=5.1, loose=0.16)
    pen.shape(torso, outfit.main, shade=0.18)
    kind = outfit.seed % 4
    if kind == 0:
        for y in np.arange(2.3, 5.2, 0.5):
            pen.inside(torso, box(-2, y, 2, y + 0.2), outfit.second)
    elif kind == 1:
        pen.shape(heart(0, 3.15, 0.38), outfit.accent, line=0.5)
    elif kind == 2:
        pen.shape(star(0, 3.2, 0.5, 0.22), outfit.accent, line=0.5)
    else:
        pen.inside(torso, box(-2, 3.2, 2, 6), outfit.second)
    _folds(pen, body, outfit.main)
    pen.shape(band(curve([(-0.46, 1.6), (0, 2.05), (0.46, 1.6)]), 0.07), outfit.second, line=0.8)


def _idol(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    white: Colour = (252, 250, 248)
    pen.shape(body.torso(bottom=4.4), white, shade=0.1)
    x, y = body.shoulder
    for side in (-1, 1):
        points = [(side * 0.34, 1.6, 1), (side * (x - 0.3), y - 0.24), (side * (x + 0.08), y), (side * (x + 0.02), 2.7)]
        points += [(side * (body.waist + 0.12), 3.7, 1), (side * 0.36, 3.55, 1), (side * 0.3, 2.4)]
        path = loop(*points)
        pen.shape(path, outfit.main, shade=0.12)
        edge = curve([(side * 0.36, 1.62), (side * 0.34, 2.4), (side * 0.4, 3.5), (side * (body.waist + 0.1), 3.66)])
        pen.inside(path, band(edge, 0.06), GOLD)
    _buttons(pen, 0.58, 2.5, 3.2, 2, GOLD)
    _buttons(pen, -0.58, 2.5, 3.2, 2, GOLD)
    bow(pen, 0, 2.1, 0.46, outfit.accent, tails=0.9)
    pen.shape(star(0, 2.1, 0.17, 0.08), GOLD, line=0.6)
    pen.shape(box(-body.waist - 0.08, 3.95, body.waist + 0.08, 4.25), outfit.main, shade=0.05)


def _cape_top(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    pen.shape(body.torso(bottom=5.0, loose=0.05), outfit.second, shade=0.15)
    _folds(pen, body, outfit.second)
    pen.shape(box(-body.waist - 0.1, 4.0, body.waist + 0.1, 4.3), (120, 82, 58), shade=0.06)
    pen.shape(rounded(-0.17, 3.96, 0.17, 4.34, 0.06), GOLD, line=0.8)


def _capelet(pen: Pen, outfit: Outfit, body: Body) -> None:
    x, y = body.shoulder
    right = [(0, 1.5), (0.5, 1.5), (x + 0.1, y - 0.1), (x + 0.5, 2.9), (x + 0.46, 3.3, 1), (0.7, 3.1), (0.05, 3.0, 1)]
    for side in (-1, 1):
        path = loop(*[(side * p[0], *p[1:]) for p in right])
        pen.shape(path, outfit.main, shade=0.16)
        hem = curve([(side * (x + 0.5), 3.12), (side * 0.7, 2.92), (side * 0.05, 2.82)])
        pen.inside(path, band(hem, 0.05), outfit.accent)
    for side in (-1, 1):
        pen.shape(
            loop((0, 1.95, 1), (side * 0.4, 1.4), (side * 0.75, 1.5, 1), (side * 0.5, 1.95)),
            mix(outfit.main, WHITE, 0.1),
            line=0.9,
        )
    pen.shape(ellipse(0, 2.02, 0.2), GOLD, line=0.8)
    pen.shape(ellipse(0, 2.02, 0.12), outfit.accent, line=0.5)


def _gakuran(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    dark = darken(outfit.main)
    pen.shape(body.torso(wider=0.05, bottom=5.3, loose=0.1), dark, shade=0.16)
    _folds(pen, body, dark)
    pen.line(np.array([(0, 1.7), (0.02, 5.3)]), shadow(dark, 2.2), width=0.9)
    pen.shape(
        loop((-0.42, 1.32, 1), (0, 1.5), (0.42, 1.32, 1), (0.5, 1.72, 1), (0, 1.92), (-0.5, 1.72, 1)), dark, shade=0.05
    )
    pen.line(curve([(-0.4, 1.34), (0, 1.52), (0.4, 1.34)]), mix(dark, WHITE, 0.8), width=1.3, taper=(1, 1))
    _buttons(pen, 0, 2.2, 4.9, 5, GOLD, 0.095)


def _suit(pen: Pen, outfit: Outfit, cut: Cut, body: Body, random: Random) -> None:
    pen.shape(body.torso(wider=0.05, bottom=5.4, loose=0.1), outfit.main, shade=0.16)
    _folds(pen, body, outfit.main)
    pen.shape(_opening(3.7, 0.5), (250, 248, 246), line=0.8)
    if outfit.seed % 2:
        pen.shape(curve([(-0.32, 2.3, 1), (0.32, 2.3, 1), (0, 3.7, 1)], closed=True), outfit.second, line=0.7)
    _collar(pen, (250, 248, 246))
    _tie(pen, outfit.accent)
    _lapels(pen, outfit.main, 3.7)
    _buttons(pen, 0.06, 3.95, 4.5, 2, shadow(outfit.main, 2.0))
    pen.shape(loop((-0.85, 2.75, 1), (-0.5, 2.7, 1), (-0.6, 2.95, 1), (-0.76, 2.95, 1)), outfit.accent, line=0.6)


def draw_over_arms(pen: Pen, outfit: Outfit, body: Body) -> None:
    """What lies over the shoulders."""
    if outfit.kind == "cape":
        _capelet(pen, outfit, body)


_TOPS: dict[str, Callable[[Pen, Outfit, Cut, Body, Random], None]] = {
    "sailor": _sailor,
    "blazer": _blazer,
    "hoodie": _hoodie,
    "kimono": _kimono,
    "yukata": _kimono,
    "armour": _armour,
    "dress": _dress,
    "maid": _maid,
    "cardigan": _cardigan,
    "casual": _casual,
    "idol": _idol,
    "cape": _cape_top,
    "gakuran": _gakuran,
    "suit": _suit,
}
