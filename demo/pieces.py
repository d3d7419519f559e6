"""Things that a character always wears on head and face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .canvas import Pen
from .character import Character, Piece
from .colours import WHITE, Colour, change, mix, shadow, shine
from .face import EYE_WIDTH, EYE_X, EYE_Y
from .geometry import Path, arc, band, both_sides, box, curve, ellipse, lock, loop, petals, star
from .outfits import GOLD, bow

Draw = Callable[[Pen, Character, Piece], None]


def draw(layer: str, pen: Pen, character: Character, worn: tuple[str, ...]) -> None:
    """Draws the pieces of one layer.

    Args:
        layer: "behind" (the head), "over" (the shoulders), "face" (below the bangs) or "front"
        pen: in units of the head
        character: who wears them
        worn: kinds that are worn in this picture
    """
    for piece in character.pieces:
        paint = _LAYERS[layer].get(piece.kind)
        if paint is not None and piece.kind in worn:
            paint(pen, character, piece)


def _sided(points: list, side: int) -> Path:
    return loop(*[(side * p[0], *p[1:]) for p in points])


def _cat_ears(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        pen.shape(
            _sided([(0.28, -1.25, 1), (0.5, -1.75), (0.98, -2.12, 1), (1.16, -1.55), (1.12, -0.8, 1)], side),
            piece.colour,
            shade=0.12,
        )
        inner = _sided([(0.48, -1.3, 1), (0.64, -1.65), (0.93, -1.9, 1), (1.02, -1.5), (0.98, -1.0, 1)], side)
        pen.shape(inner, (250, 190, 196), line=0, shade=0.05)
        pen.shape(
            lock([(side * 0.6, -1.1), (side * 0.72, -1.35), (side * 0.82, -1.62)], 0.22),
            mix(piece.colour, WHITE, 0.5),
            line=0,
        )


def _fox_ears(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        outer = _sided([(0.2, -1.3, 1), (0.42, -2.0), (0.8, -2.5, 1), (1.14, -1.9), (1.16, -0.9, 1)], side)
        pen.shape(outer, piece.colour, shade=0.12)
        pen.inside(
            outer,
            _sided([(0.4, -2.9), (1.3, -2.9), (1.2, -2.12), (0.8, -2.22), (0.4, -2.05)], side),
            shadow(piece.colour, 2.2),
        )
        inner = _sided([(0.46, -1.3, 1), (0.6, -1.8), (0.82, -2.14, 1), (0.98, -1.7), (0.98, -1.0, 1)], side)
        pen.shape(inner, mix(piece.colour, WHITE, 0.75), line=0)


def _rabbit_ears(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        bend = 0.5 if side == piece.side else 0.05
        outer = _sided(
            [
                (0.18, -1.2, 1),
                (0.2, -2.1),
                (0.4, -2.9),
                (0.66 + bend, -3.1),
                (0.86 + bend, -2.8),
                (0.8, -2.0),
                (0.74, -1.15, 1),
            ],
            side,
        )
        pen.shape(outer, piece.colour, shade=0.12)
        inner = _sided(
            [(0.34, -1.35), (0.36, -2.1), (0.52, -2.7), (0.68 + 0.8 * bend, -2.85), (0.68, -2.1), (0.6, -1.35)], side
        )
        pen.shape(inner, (250, 196, 200), line=0)


def _horns(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        spine = [(side * 0.62, -1.12), (side * 0.95, -1.5), (side * 1.02, -1.9), (side * 0.82, -2.3)]
        horn = lock(spine, 0.42, root=1.0, belly=0.1)
        pen.shape(horn, piece.colour, end=mix(piece.colour, WHITE, 0.45), axis=((0, -1.2), (0, -2.2)), shade=0.1)
        middle = curve(spine)
        for t in (8, 13, 18):
            x, y = middle[t]
            pen.inside(
                horn, band(np.array([(x - 0.3, y + 0.08), (x + 0.3, y - 0.06)]), 0.02), shadow(piece.colour, 2.2)
            )


def _halo(pen: Pen, character: Character, piece: Piece) -> None:
    outer, inner = ellipse(0, -2.02, 0.82, 0.24), ellipse(0, -2.02, 0.66, 0.14)
    pen.glow(np.vstack([outer, outer[:1], inner[::-1], inner[-1:]]), shine(piece.colour, 0.6), opacity=0.8, blur=0.12)
    ring = np.vstack([outer, outer[:1], inner[::-1], inner[-1:]])
    pen.shape(ring, mix(piece.colour, WHITE, 0.25), line=0.6, ink=change(piece.colour, light=0.8))


def _antenna(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        spine = curve([(side * 0.4, -1.3), (side * 0.5, -1.85), (side * 0.95, -2.1)])
        pen.shape(band(spine, 0.05), shadow(piece.colour, 1.6), line=0.8)
        pen.shape(ellipse(side * 0.98, -2.12, 0.16), piece.colour, shade=0.06)


def _big_ribbon(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        wing = _sided([(0.05, -1.42, 1), (0.5, -2.1), (1.15, -2.42), (1.42, -1.9), (1.28, -1.28), (0.7, -1.3)], side)
        pen.shape(wing, piece.colour, shade=0.14)
        pen.line(
            curve([(side * 0.2, -1.5), (side * 0.6, -1.75), (side * 0.95, -1.95)]),
            shadow(piece.colour, 2.2),
            width=0.8,
            taper=(0.8, 0),
        )
        pen.line(
            curve([(side * 0.2, -1.42), (side * 0.6, -1.5), (side * 0.98, -1.55)]),
            shadow(piece.colour, 2.2),
            width=0.8,
            taper=(0.8, 0),
        )
    pen.shape(loop((-0.22, -1.72), (0.22, -1.72), (0.25, -1.3), (-0.25, -1.3)), piece.colour, shade=0.06)


def _side_ribbon(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1) if character.hair.back in ("twintails", "drills", "buns", "low_twintails") else (piece.side,):
        bow(pen, side * 0.98, -0.86, 0.42, piece.colour, tails=0.9, turn=0.5 * side)


def _hairband(pen: Pen, character: Character, piece: Piece) -> None:
    line = curve(
        [(-1.17, -0.28), (-1.06, -0.8), (-0.62, -1.18), (0, -1.31), (0.62, -1.18), (1.06, -0.8), (1.17, -0.28)]
    )
    pen.shape(band(line, 0.085), piece.colour, shade=0.05)
    if piece.side > 0:
        bow(pen, 0.78, -1.1, 0.34, piece.colour, tails=0, turn=0.6)


def _clips(pen: Pen, character: Character, piece: Piece) -> None:
    x, y = piece.side * 0.78, -0.42
    for dx, turn in ((0.0, 0.75), (0.0, -0.75)):
        c, s = np.cos(turn) * 0.24, np.sin(turn) * 0.24
        pen.shape(band(np.array([(x + dx - c, y - s), (x + dx + c, y + s)]), 0.065), piece.colour, line=0.85)
    pen.shape(band(np.array([(x - 0.24, y + 0.34), (x + 0.2, y + 0.28)]), 0.06), piece.colour, line=0.85)


def _flower(pen: Pen, character: Character, piece: Piece) -> None:
    x, y = piece.side * 0.88, -0.72
    for dx, dy in ((0.24, 0.22), (-0.2, 0.26)):
        pen.shape(ellipse(x + dx, y + dy, 0.22, 0.1, turn=0.8 if dx > 0 else 2.4), (112, 164, 96), line=0.8)
    pen.shape(petals(x, y, 0.42), piece.colour, shade=0.05)
    pen.shape(ellipse(x, y, 0.11), GOLD, line=0.6)


def _star_pin(pen: Pen, character: Character, piece: Piece) -> None:
    pen.shape(star(piece.side * 0.76, -0.5, 0.3, 0.14, turn=-1.3), piece.colour, shade=0.05)
    pen.shape(star(piece.side * 0.98, -0.16, 0.17, 0.08, turn=-1.8), mix(piece.colour, WHITE, 0.35), line=0.85)


def _crown(pen: Pen, character: Character, piece: Piece) -> None:
    points = [
        (-0.5, -1.35, 1),
        (-0.62, -1.95, 1),
        (-0.3, -1.66, 1),
        (0, -2.1, 1),
        (0.3, -1.66, 1),
        (0.62, -1.95, 1),
        (0.5, -1.35, 1),
        (0, -1.28),
    ]
    pen.shape(loop(*points), GOLD, shade=0.1)
    for x, y in ((-0.62, -1.97), (0.0, -2.12), (0.62, -1.97)):
        pen.shape(ellipse(x, y, 0.085), piece.colour, line=0.8)
    pen.shape(loop((0, -1.72, 1), (0.13, -1.55, 1), (0, -1.4, 1), (-0.13, -1.55, 1)), piece.colour, line=0.6)


def _headphones(pen: Pen, character: Character, piece: Piece) -> None:
    pen.shape(band(arc(0, -0.1, 1.27, 1.44, 188, 352), 0.09), mix(piece.colour, (60, 56, 66), 0.65), shade=0.04)
    for side in (-1, 1):
        pen.shape(ellipse(side * 1.2, 0.12, 0.24, 0.4), piece.colour, shade=0.09)
        pen.shape(ellipse(side * 1.25, 0.12, 0.12, 0.24), mix(piece.colour, WHITE, 0.55), line=0.6)


def _feather(pen: Pen, character: Character, piece: Piece) -> None:
    side = piece.side
    for turn, colour in ((0.0, piece.colour), (0.4, mix(piece.colour, WHITE, 0.5))):
        spine = [(side * 0.86, -0.55), (side * (1.2 + turn), -0.85 - turn), (side * (1.4 + turn), -1.6 + turn)]
        pen.shape(lock(spine, 0.34, root=0.2, belly=0.5), colour, shade=0.06)
        pen.line(curve(spine), shadow(colour, 2), width=0.7)
    pen.shape(ellipse(side * 0.86, -0.55, 0.11), GOLD, line=0.8)


def _beret(pen: Pen, character: Character, piece: Piece) -> None:
    side = piece.side
    points = [
        (-1.0, -0.88),
        (-1.2, -1.3),
        (-0.6, -1.86),
        (0.4, -1.98),
        (1.3, -1.62),
        (1.62, -1.0),
        (1.3, -0.72),
        (0.7, -0.98),
        (0, -1.08),
    ]
    pen.shape(_sided(points, side), piece.colour, shade=0.16)
    pen.shape(
        lock([(side * 0.28, -1.9), (side * 0.3, -2.02), (side * 0.38, -2.14)], 0.13, tip=0.6), piece.colour, line=0.8
    )


def _witch_hat(pen: Pen, character: Character, piece: Piece) -> None:
    side = piece.side
    cone = _sided(
        [
            (-0.98, -0.98, 1),
            (-0.7, -1.7),
            (-0.3, -2.3),
            (0.2, -2.75),
            (0.95, -2.9, 1),
            (0.6, -2.4),
            (0.72, -1.8),
            (0.98, -0.98, 1),
        ],
        side,
    )
    pen.shape(cone, piece.colour, shade=0.16)
    ribbon = mix(change(piece.colour, hue=140, light=1.25), WHITE, 0.2)
    pen.inside(cone, band(curve([(-1.1, -1.1), (0, -1.24), (1.1, -1.1)]), 0.17), ribbon)
    brim = curve(
        [
            (-1.95, -0.66),
            (-1.0, -1.02),
            (0, -1.1),
            (1.0, -1.02),
            (1.95, -0.66),
            (1.1, -0.72),
            (0, -0.82),
            (-1.1, -0.72),
        ],
        closed=True,
    )
    pen.shape(brim, piece.colour, shade=0.07)


def _cap(pen: Pen, character: Character, piece: Piece) -> None:
    right = [(0, -1.78), (0.7, -1.62), (1.2, -1.1), (1.26, -0.62, 1), (0.6, -0.82), (0, -0.88)]
    pen.shape(curve(both_sides(right), closed=True), piece.colour, shade=0.14)
    pen.line(curve([(0.0, -1.76), (0.06, -1.3), (0.0, -0.9)]), shadow(piece.colour, 2), width=0.8)
    side = piece.side
    peak = _sided(
        [(-0.95, -0.8, 1), (0, -0.98), (0.95, -0.8, 1), (1.15, -0.5), (0.5, -0.58), (-0.4, -0.6), (-1.1, -0.5)], side
    )
    pen.shape(peak, shadow(piece.colour, 1.2), shade=0.04)
    pen.shape(star(0, -1.24, 0.22, 0.1), mix(piece.colour, WHITE, 0.8), line=0.6)
    pen.shape(ellipse(0, -1.8, 0.08, 0.05), piece.colour, line=0.8)


def _straw_hat(pen: Pen, character: Character, piece: Piece) -> None:
    straw: Colour = (240, 212, 146)
    right = [(0, -1.96), (0.62, -1.86), (0.98, -1.4), (1.06, -0.9, 1), (0.5, -1.02), (0, -1.06)]
    crown = curve(both_sides(right), closed=True)
    pen.shape(crown, straw, shade=0.14)
    pen.inside(crown, band(curve([(-1.1, -1.02), (0, -1.2), (1.1, -1.02)]), 0.13), piece.colour)
    pen.shape(
        curve(
            [
                (-1.95, -0.62),
                (-1.05, -0.98),
                (0, -1.08),
                (1.05, -0.98),
                (1.95, -0.62),
                (1.1, -0.66),
                (0, -0.78),
                (-1.1, -0.66),
            ],
            closed=True,
        ),
        straw,
        shade=0.07,
    )
    for shift in (0.06, 0.14):
        pen.line(
            curve([(-1.6, -0.72 + 0.3 * shift), (0, -0.98 + shift), (1.6, -0.72 + 0.3 * shift)]),
            shadow(straw, 1.2),
            width=0.6,
        )


def _sailor_hat(pen: Pen, character: Character, piece: Piece) -> None:
    white: Colour = (250, 250, 252)
    shift = 0.2 * piece.side
    top = loop(
        (-0.8 + shift, -1.2),
        (-1.0 + shift, -1.72),
        (0 + shift, -1.98),
        (1.0 + shift, -1.72),
        (0.8 + shift, -1.2),
        (0 + shift, -1.3),
    )
    pen.shape(top, white, shade=0.14)
    pen.shape(
        loop(
            (-0.82 + shift, -1.34),
            (shift, -1.46),
            (0.82 + shift, -1.34),
            (0.8 + shift, -1.04),
            (shift, -1.16),
            (-0.8 + shift, -1.04),
        ),
        piece.colour,
        shade=0.05,
    )


def _glasses(pen: Pen, character: Character, piece: Piece) -> None:
    _frames(pen, piece, round_=False)


def _round_glasses(pen: Pen, character: Character, piece: Piece) -> None:
    _frames(pen, piece, round_=True)


def _frames(pen: Pen, piece: Piece, *, round_: bool) -> None:
    colour = change(piece.colour, light=0.7)
    for side in (-1, 1):
        x, y = side * EYE_X, EYE_Y + 0.06
        if round_:
            lens = ellipse(x, y, 0.37, 0.38)
        else:
            lens = loop(
                (x - 0.36, y - 0.2),
                (x, y - 0.25),
                (x + 0.36, y - 0.2),
                (x + 0.33, y + 0.24),
                (x, y + 0.32),
                (x - 0.33, y + 0.24),
            )
        pen.inside(
            lens,
            loop((x - 0.3, y + 0.3), (x - 0.1, y + 0.35), (x + 0.26, y - 0.25), (x + 0.06, y - 0.3)),
            WHITE,
            opacity=0.28,
        )
        ring = np.vstack([lens, lens[:1]])
        pen.shape(np.vstack([band(ring, 0.032)]), colour, line=0)
        pen.line(np.array([(side * 0.82, y - 0.08), (side * 1.06, y - 0.14)]), colour, width=2.0, taper=(1, 0.8))
    pen.line(curve([(-0.12, EYE_Y + 0.04), (0, EYE_Y - 0.02), (0.12, EYE_Y + 0.04)]), colour, width=2.0, taper=(1, 1))


def _eyepatch(pen: Pen, character: Character, piece: Piece) -> None:
    side = piece.side
    colour = mix(piece.colour, (40, 36, 44), 0.55) if piece.colour[0] < 200 else piece.colour
    x, y = side * EYE_X, EYE_Y + 0.04
    strap = curve([(-side * 0.9, -0.5), (side * 0.1, -0.18), (side * 1.02, 0.06)])
    pen.shape(band(strap, 0.03), colour, line=0.4)
    wide = 1.3 * EYE_WIDTH
    pen.shape(
        loop(
            (x - wide, y - 0.28),
            (x, y - 0.38),
            (x + wide, y - 0.28),
            (x + 0.9 * wide, y + 0.2),
            (x, y + 0.4),
            (x - 0.9 * wide, y + 0.2),
        ),
        colour,
        shade=0.07,
    )


def _mole(pen: Pen, character: Character, piece: Piece) -> None:
    pen.shape(ellipse(piece.side * 0.52, 0.66, 0.034), (70, 44, 50), line=0)


def _scar(pen: Pen, character: Character, piece: Piece) -> None:
    x = piece.side * 0.62
    dark = mix(shadow(character.skin, 2.4), (170, 60, 60), 0.4)
    pen.line(curve([(x - 0.14, -0.12), (x, 0.3), (x + 0.06, 0.84)]), dark, width=1.9, taper=(0.1, 0.1))
    for y in (0.5, 0.66):
        pen.line(np.array([(x - 0.07, y + 0.03), (x + 0.13, y - 0.03)]), dark, width=1.1)


def _freckles(pen: Pen, character: Character, piece: Piece) -> None:
    dark = mix(shadow(character.skin, 2.0), (170, 90, 60), 0.4)
    for side in (-1, 1):
        for dx, dy in ((0.0, 0.0), (0.12, 0.05), (-0.11, 0.06), (0.05, 0.11), (-0.05, 0.12), (0.2, 0.0)):
            pen.shape(ellipse(side * (0.52 + dx), 0.58 + dy, 0.021, n=10), dark, line=0)


def _face_paint(pen: Pen, character: Character, piece: Piece) -> None:
    for side in (-1, 1):
        for dy in (0.0, 0.11):
            pen.line(
                np.array([(side * 0.46, 0.64 + dy), (side * 0.8, 0.58 + dy)]), piece.colour, width=2.2, taper=(0.5, 0.3)
            )
    pen.shape(loop((0, -0.52, 1), (0.09, -0.36, 1), (0, -0.2, 1), (-0.09, -0.36, 1)), piece.colour, line=0)


def _choker(pen: Pen, character: Character, piece: Piece) -> None:
    wide = 0.39 if character.build == "boy" else 0.3
    pen.shape(band(curve([(-wide, 1.34), (0, 1.46), (wide, 1.34)]), 0.075), piece.colour, line=0.8)
    pen.shape(ellipse(0, 1.54, 0.09), GOLD, line=0.8)


def _scarf(pen: Pen, character: Character, piece: Piece) -> None:
    side = piece.side
    tail = loop(
        (side * 0.35, 1.8, 1),
        (side * 0.85, 1.9),
        (side * 1.02, 3.4),
        (side * 0.98, 3.9, 1),
        (side * 0.5, 3.85, 1),
        (side * 0.42, 3.0),
    )
    pen.shape(tail, piece.colour, shade=0.12)
    for y in (3.3, 3.55):
        pen.inside(tail, box(-2, y, 2, y + 0.1), mix(piece.colour, WHITE, 0.7))
    pen.shape(
        loop((-0.98, 1.62), (-0.75, 1.22), (0, 1.3), (0.75, 1.22), (0.98, 1.62), (0.7, 2.1), (0, 2.26), (-0.7, 2.1)),
        piece.colour,
        shade=0.14,
    )
    for y in (1.55, 1.85):
        pen.line(curve([(-0.75, y - 0.04), (0.1, y + 0.16), (0.8, y - 0.06)]), shadow(piece.colour, 2.0), width=0.9)


_LAYERS: dict[str, dict[str, Draw]] = {
    "behind": {
        "cat_ears": _cat_ears,
        "fox_ears": _fox_ears,
        "rabbit_ears": _rabbit_ears,
        "big_ribbon": _big_ribbon,
    },
    "over": {"choker": _choker, "scarf": _scarf},
    "face": {
        "mole": _mole,
        "scar": _scar,
        "freckles": _freckles,
        "face_paint": _face_paint,
        "eyepatch": _eyepatch,
        "glasses": _glasses,
        "round_glasses": _round_glasses,
    },
    "front": {
        "horns": _horns,
        "halo": _halo,
        "antenna": _antenna,
        "side_ribbon": _side_ribbon,
        "hairband": _hairband,
        "clips": _clips,
        "flower": _flower,
        "star_pin": _star_pin,
        "crown": _crown,
        "headphones": _headphones,
        "feather": _feather,
        "beret": _beret,
        "witch_hat": _witch_hat,
        "cap": _cap,
        "straw_hat": _straw_hat,
        "sailor_hat": _sailor_hat,
    },
}
