"""The face: its outline, eyes, brows, nose and mouth, in units of the head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .canvas import Pen
from .character import Character, Eyes
from .colours import WHITE, Colour, change, mix, shadow, shine
from .geometry import Path, arc, both_sides, curve, ellipse, loop, moved
from .pose import Pose

At = Callable[[Sequence[tuple[float, ...]]], list[tuple[float, ...]]]

EYE_X, EYE_Y = 0.47, 0.24
EYE_WIDTH, EYE_HEIGHT = 0.285, 0.30

# outer corner, height of the upper lid at the outer side, height of the opening, tilt of the brow
_SHAPES = {
    "round": (-0.18, -0.84, 1.0, 0.0),
    "sharp": (-0.52, -0.98, 0.9, 0.10),
    "gentle": (0.14, -0.66, 0.96, -0.08),
    "narrow": (-0.28, -0.70, 0.72, 0.07),
}


def outline(build: str) -> Path:
    """The face from the forehead to the chin."""
    jaw = 0.05 if build == "boy" else 0.0
    right = [(0, -1.15), (0.62, -1.0), (0.97, -0.45), (0.985, 0.1), (0.90 + jaw / 2, 0.47)]
    right += [(0.62 + jaw, 0.80 + jaw), (0.28, 1.03 + jaw), (0.0, 1.11 + jaw)]
    return curve(both_sides(right), closed=True)


def draw_ears(pen: Pen, character: Character) -> None:
    """Ears, mostly hidden by hair."""
    pointed = any(piece.kind == "elf_ears" for piece in character.pieces)
    for side in (-1, 1):
        if pointed:
            points = [(0.88, 0.02), (1.25, -0.16), (1.72, -0.42, 1), (1.38, 0.18), (0.92, 0.5)]
        else:
            points = [(0.9, 0.02), (1.08, -0.04), (1.13, 0.16), (1.03, 0.42), (0.9, 0.46)]
        path = loop(*[(side * p[0], *p[1:]) for p in points])
        pen.shape(path, character.skin, shade=0.06)
        inner = curve([(side * 0.98, 0.1), (side * (1.3 if pointed else 1.06), 0.06), (side * 0.99, 0.32)])
        pen.line(inner, shadow(character.skin, 1.4), width=0.7)


def draw_face(pen: Pen, character: Character, pose: Pose, fringe: Path) -> Path:
    """Skin, the shade of the hair on it, blush, nose and mouth; returns the outline of the face."""
    skin, path = character.skin, outline(character.build)
    pen.shape(path, skin, shade=0.1, soft=0.04)
    dark = shadow(skin, 0.85 * pen.style.depth)
    if pen.style.shading != "flat":
        light = np.array(pen.style.light)
        pen.inside(path, fringe * (0.985, 1.0) + (-0.07 * light[0], 0.12), dark)
    _blush(pen, character)
    _nose(pen, skin, pose)
    _mouth(pen, skin, pose)
    return path


def draw_eyes(pen: Pen, character: Character, pose: Pose) -> None:
    """Both eyes with lashes."""
    for side in (-1, 1):
        colour = character.eyes.colour
        if side < 0 and character.eyes.other is not None:
            colour = character.eyes.other
        closed = pose.eyes == "happy" or (pose.eyes == "wink" and side > 0)
        if closed:
            _closed_eye(pen, character, side)
        else:
            _open_eye(pen, character, pose, side, colour)


def draw_brows(pen: Pen, character: Character, pose: Pose) -> None:
    """Brows; they show through the bangs."""
    slope = _SHAPES[character.eyes.shape][3] + 0.07 * pose.brows
    high = -0.22 - (0.05 if pose.eyes == "happy" else 0)
    thick = 1.9 if character.build == "boy" else 1.25
    for side in (-1, 1):
        points = [(side * 0.2, high + 0.6 * slope), (side * 0.46, high - 0.07), (side * 0.74, high + 0.03 - slope)]
        pen.line(curve(points), character.brow, width=thick, taper=(0.5, 0.1))


def _open_eye(pen: Pen, character: Character, pose: Pose, side: int, colour: Colour) -> None:
    eyes, style = character.eyes, pen.style
    outer, upper, opening, _ = _SHAPES[eyes.shape]
    opening *= 0.66 if pose.eyes == "half" else 1.0
    wide = EYE_WIDTH * (0.92 if character.build == "boy" else 1.0) * style.eye_size
    tall = EYE_HEIGHT * (0.84 if character.build == "boy" else 1.0) * style.eye_size

    def at(points: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
        return [(side * EYE_X + side * wide * p[0], EYE_Y + tall * p[1], *p[2:]) for p in points]

    lid = [(-0.98, 0.02), (-0.62, -0.72 * opening), (0.0, -1.02 * opening), (0.6, upper * opening), (1.0, outer)]
    under = [(0.86, 0.5), (0.42, 0.94), (-0.25, 0.97), (-0.74, 0.6)]
    white = loop(*at([(*lid[0], 1), *lid[1:-1], (*lid[-1], 1), *under]))
    pen.shape(white, mix(WHITE, character.skin, 0.06), line=0)
    gaze = (0.16 * pose.gaze[0] * side, 0.06 * pose.gaze[1])
    _iris(pen, white, at, (gaze[0] - 0.02, gaze[1] + 0.02), colour, (wide, tall))
    top = curve(at(lid))
    pen.inside(white, np.vstack([moved(top, 0, 0.075), top[::-1] - (0, 0.3)]), (70, 50, 90), opacity=0.28)
    _shines(pen, at, gaze, (wide, tall), colour)
    _lashes(pen, eyes, at, lid, under, top)
    crease = curve(at([(-0.7, -0.98 * opening), (0.0, -1.32 * opening), (0.72, upper * opening - 0.36)]))
    pen.line(crease, shadow(character.skin, 2.2), width=0.65, taper=(0, 0))


def _iris(pen: Pen, white: Path, at: At, gaze: tuple[float, float], colour: Colour, size: tuple[float, float]) -> None:
    x, y = at([gaze])[0]
    rx, ry = 0.66 * size[0], 0.93 * size[1]
    whole = ellipse(x, y, rx, ry)
    rim, deep = change(colour, light=0.5), change(colour, light=0.62, chroma=1.1)
    pen.inside(white, whole, rim)
    pen.inside(white, ellipse(x, y, 0.88 * rx, 0.92 * ry), colour)
    if pen.style.iris != "plain":
        pen.inside(white, ellipse(x, y - 0.42 * ry, 0.95 * rx, 0.62 * ry), deep, blur=0.035)
        glow = change(shine(colour, 0.75), chroma=1.5)
        pen.inside(
            ellipse(x, y, 0.84 * rx, 0.88 * ry), ellipse(x, y + 0.62 * ry, 0.62 * rx, 0.34 * ry), glow, blur=0.02
        )
    else:
        pen.inside(white, ellipse(x, y - 0.5 * ry, 0.9 * rx, 0.55 * ry), deep)
    if pen.style.iris == "ring":
        ring = arc(x, y + 0.1 * ry, 0.62 * rx, 0.62 * ry, 20, 160)
        pen.line(ring, shine(colour, 1.0), width=0.7)
    pen.inside(white, ellipse(x, y - 0.02 * ry, 0.36 * rx, 0.42 * ry), change(colour, light=0.28))


def _shines(pen: Pen, at: At, gaze: tuple[float, float], size: tuple[float, float], colour: Colour) -> None:
    x, y = at([gaze])[0]
    left = -1 if pen.style.light[0] < 0.2 else 1
    pen.shape(ellipse(x + 0.28 * left * size[0], y - 0.42 * size[1], 0.25 * size[0], 0.27 * size[1]), WHITE, line=0)
    pen.shape(ellipse(x - 0.3 * left * size[0], y + 0.42 * size[1], 0.12 * size[0], 0.13 * size[1]), WHITE, line=0)


def _lashes(pen: Pen, eyes: Eyes, at: At, lid: list, under: list, top: Path) -> None:
    dark = mix(pen.style.ink, (20, 14, 24), 0.5)
    weight = 0.062 * eyes.lashes
    t = np.linspace(0, 1, len(top))
    thick = weight * (0.35 + 0.65 * np.sin(np.pi * np.clip(t * 0.62 + 0.12, 0, 1)))
    pen.shape(np.vstack([moved(top, 0, 0.012), (top - np.column_stack([0 * t, 1.5 * thick]))[::-1]]), dark, line=0)
    x, y = lid[-1]
    wing = [(x - 0.35, y - 0.3), (x + 0.05, y - 0.06), (x + 0.34 * eyes.lashes, y - 0.22, 1), (x - 0.02, y + 0.16)]
    pen.shape(loop(*at(wing)), dark, line=0)
    if eyes.lashes > 0.9:
        pen.shape(loop(*at([(x - 0.2, y - 0.4), (x + 0.3, y - 0.62, 1), (x - 0.02, y - 0.1)])), dark, line=0)
    pen.line(
        curve(at([(0.9, 0.42), *under[1:3], (-0.5, 0.86)])), mix(dark, (150, 90, 90), 0.35), width=0.8, taper=(0.3, 0)
    )


def _closed_eye(pen: Pen, character: Character, side: int) -> None:
    dark = mix(pen.style.ink, (20, 14, 24), 0.5)
    x, y, w = side * EYE_X, EYE_Y + 0.12, EYE_WIDTH
    pen.line(curve([(x - w, y + 0.06), (x, y - 0.15), (x + w, y + 0.06)]), dark, width=2.5, taper=(0.25, 0.25))
    for out in (0.72, 0.98):
        tip = (x + side * w * (out + 0.32), y + 0.1 * out - 0.02)
        pen.line(np.array([(x + side * w * out, y + 0.02 + 0.03 * out), tip]), dark, width=1.1, taper=(1, 0.1))


def _blush(pen: Pen, character: Character) -> None:
    strength = pen.style.blush
    colour = mix(character.skin, (240, 96, 96), 0.55)
    for side in (-1, 1):
        pen.glow(ellipse(side * 0.60, 0.60, 0.22, 0.10), colour, opacity=0.55 * strength, blur=0.09)
        if strength > 0.62:
            for shift in (-0.09, 0.0, 0.09):
                x = side * 0.60 + shift
                pen.line(np.array([(x + 0.025, 0.56), (x - 0.025, 0.65)]), mix(colour, (200, 50, 60), 0.5), width=0.6)


def _nose(pen: Pen, skin: Colour, pose: Pose) -> None:
    dark = shadow(skin, 2.6)
    if pen.style.shading == "flat":
        pen.shape(ellipse(0.0, 0.60, 0.018, 0.014), dark, line=0)
    else:
        way = 1 if pose.yaw >= 0 else -1
        pen.line(curve([(0.0, 0.55), (0.035 * way, 0.605), (-0.01 * way, 0.625)]), dark, width=0.8, taper=(0, 0.3))


def _mouth(pen: Pen, skin: Colour, pose: Pose) -> None:
    y, dark = 0.80, mix(shadow(skin, 2.4), (120, 40, 50), 0.5)
    inside, tongue = (150, 52, 62), (236, 128, 128)
    if pose.mouth in ("open", "grin", "tongue"):
        w, h = {"open": (0.17, 0.17), "grin": (0.24, 0.19), "tongue": (0.16, 0.13)}[pose.mouth]
        path = loop(
            (-w, y - 0.05, 1),
            (0, y - 0.025),
            (w, y - 0.05, 1),
            (0.62 * w, y + 0.6 * h),
            (0, y + h),
            (-0.62 * w, y + 0.6 * h),
        )
        pen.shape(path, inside, line=0.7, ink=dark)
        pen.inside(path, ellipse(0, y + h, 0.7 * w, 0.5 * h), tongue)
        if pose.mouth == "grin":
            pen.inside(path, np.array([(-w, y - 0.08), (w, y - 0.08), (w, y + 0.0), (-w, y + 0.0)]), WHITE)
        return
    lines: dict[str, list[tuple[float, ...]]] = {
        "smile": [(-0.17, y - 0.03), (0.0, y + 0.035), (0.17, y - 0.03)],
        "neutral": [(-0.1, y), (0.0, y + 0.006), (0.1, y)],
        "small": [(-0.06, y + 0.012), (0.0, y - 0.012), (0.06, y + 0.012)],
        "frown": [(-0.13, y + 0.035), (0.0, y - 0.02), (0.13, y + 0.035)],
        "smirk": [(-0.13, y + 0.012), (0.02, y + 0.02), (0.16, y - 0.05)],
        "cat": [(-0.16, y - 0.03), (-0.08, y + 0.03), (0.0, y - 0.02, 1), (0.08, y + 0.03), (0.16, y - 0.03)],
    }
    pen.line(curve(lines[pose.mouth]), dark, width=1.1, taper=(0.4, 0.4))
