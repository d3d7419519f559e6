"""Hair: what hangs behind the body, what falls over the shoulders, and what frames the face.

Everything is in units of the head: the face is 2 wide, its middle at (0, 0), the chin at (0, 1.1).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from .canvas import Pen
from .character import Hair, Random
from .colours import Colour, change, mix, oklch, shadow, shine, to_oklch
from .geometry import Path, band, curve, ellipse, lock, loop, mirror, moved

TOP = -1.46


@dataclass(frozen=True)
class Locks:
    """The hair of a character, ready to be drawn layer by layer with the same locks each time."""

    hair: Hair

    @property
    def dark(self) -> Colour:
        """The colour of lines inside the hair."""
        lightness, chroma, hue = to_oklch(self.hair.colour)
        return oklch(max(lightness * 0.66 - 0.02, 0.12), min(chroma * 1.1 + 0.01, 0.2), hue)

    def behind(self, pen: Pen) -> None:
        """What is behind the body."""
        random = np.random.default_rng([self.hair.seed, 1])
        _BEHIND[self.hair.back](self, pen, random)

    def over(self, pen: Pen) -> None:
        """What falls over the shoulders, in front of the body and behind the face."""
        draw = _OVER.get(self.hair.back)
        if draw is not None:
            draw(self, pen, np.random.default_rng([self.hair.seed, 2]))

    def fringe(self) -> Path:
        """The outline of the hair on the skull: dome and bangs."""
        random = np.random.default_rng([self.hair.seed, 3])
        edge = _fringe(self.hair.bangs, random)
        volume = self.hair.volume
        dome = [(1.12, 0.28, 1), (1.2 * volume, -0.3), (1.06 * volume, -0.92), (0.6 * volume, -1.34)]
        dome += [(0.0, TOP * volume)] + [(-p[0], *p[1:]) for p in reversed(dome)]
        return curve([*dome, *edge[1:]], closed=True, steps=7)

    def front(self, pen: Pen) -> None:
        """Bangs, side locks, highlights and whatever stands up."""
        hair, fringe = self.hair, self.fringe()
        random = np.random.default_rng([hair.seed, 4])
        self._sides(pen, random)
        self._ahoge(pen, np.random.default_rng([hair.seed, 6]))
        self.fill(pen, fringe, bottom=1.0, shade=0.13)
        self._streak(pen, fringe)
        self._highlight(pen, fringe)
        self._strands(pen, random)

    def fill(
        self, pen: Pen, paths: Path | list[Path], *, bottom: float, shade: float, top: float = -1.2, line: float = 1.0
    ) -> None:
        """Fills locks: the colour of the hair, running into that of the tips towards ``bottom``."""
        hair = self.hair
        tips = hair.tips if hair.tips is not None else shine(hair.colour, 0.22)
        start = top if hair.tips is None else top + 0.45 * (bottom - top)
        pen.shape(paths, hair.colour, end=tips, axis=((0, start), (0, bottom)), shade=shade, line=line)

    def dark_fill(self, pen: Pen, paths: Path | list[Path], *, bottom: float, top: float = -0.4) -> None:
        """Fills hair that is in the shade of the head."""
        hair = self.hair
        depth = 0.75 * pen.style.depth
        base = shadow(hair.colour, depth)
        tips = shadow(hair.tips, 0.4 * depth) if hair.tips is not None else mix(base, hair.colour, 0.75)
        pen.shape(paths, base, end=tips, axis=((0, top), (0, bottom)), shade=0.1)

    def _sides(self, pen: Pen, random: Random) -> None:
        kind = self.hair.sides
        if kind == "none":
            return
        long = {"short": 0.75, "long": 1.75, "curly": 1.45, "straight": 1.15}[kind] * self.hair.length
        for side in (-1, 1):
            sway = 0.08 * float(random.normal())
            x = 1.03 * side
            if kind == "straight":
                points = [(x - 0.2 * side, -0.5), (x + 0.09 * side, -0.2), (x + 0.1 * side, long, 1)]
                points += [(x - 0.24 * side, long - 0.04, 1), (x - 0.2 * side, 0.2)]
                paths = [loop(*points)]
            elif kind == "curly":
                spine = [(x - 0.1 * side, -0.5), (x + 0.06 * side, 0.2), (x - 0.12 * side, 0.75)]
                spine += [(x + 0.14 * side, long * 0.82), (x - 0.02 * side, long)]
                paths = [lock(spine, 0.34, root=0.8, belly=0.5)]
            else:
                spine = [
                    (x - 0.12 * side, -0.5),
                    (x + 0.05 * side, 0.15),
                    (x + sway, long * 0.7),
                    (x - 0.16 * side, long),
                ]
                thin = [(x - 0.1 * side, -0.3), (x - 0.04 * side, 0.2), (x - 0.14 * side, long * 0.66)]
                paths = [lock(spine, 0.36, root=0.9, belly=0.45), lock(thin, 0.2, root=0.9, belly=0.4)]
            self.fill(pen, paths, bottom=long, shade=0.09)
            pen.line(curve([(x - 0.02 * side, 0.3), (x + 0.02 * side, 0.55 * long)]), self.dark, width=0.7)

    def _streak(self, pen: Pen, fringe: Path) -> None:
        if self.hair.streak is None:
            return
        side = 1 if self.hair.seed % 2 else -1
        spine = [(0.18 * side, -1.5), (0.5 * side, -0.9), (0.62 * side, -0.3), (0.6 * side, 0.4)]
        pen.inside(fringe, lock(spine, 0.34, root=0.7, tip=0.5), self.hair.streak)

    def _highlight(self, pen: Pen, fringe: Path) -> None:
        """The ring of light that hair shows."""
        random = np.random.default_rng([self.hair.seed, 5])
        strength = pen.style.highlights
        soft = 0.03 if pen.style.shading == "soft" else 0.0
        glare = shine(self.hair.colour, 0.9)
        x = np.linspace(-0.95, 0.95, 25)
        upper = -0.95 + 0.30 * x**2
        teeth = np.where(np.arange(25) % 2 == 0, 0.04, 0.21) * (1 - 0.7 * np.abs(x)) * random.uniform(0.65, 1.35, 25)
        ring = np.vstack([np.column_stack([x, upper - 0.3 * teeth]), np.column_stack([x, upper + teeth])[::-1]])
        pen.inside(fringe, ring, glare, opacity=0.72 * strength, blur=soft)
        thin = np.vstack([np.column_stack([x, upper - 0.12]), np.column_stack([x, upper - 0.07 - 0.4 * teeth])[::-1]])
        pen.inside(fringe, thin[6:-6], glare, opacity=0.4 * strength, blur=soft)

    def _strands(self, pen: Pen, random: Random) -> None:
        """Lines that run from between the locks up to the crown."""
        edge = _fringe(self.hair.bangs, np.random.default_rng([self.hair.seed, 3]))
        corners = [p for p in edge[1:-1] if len(p) > 2]
        for x, y, _ in corners[1::2]:
            crown = (0.16 * x + 0.05, -1.3)
            share = float(random.uniform(0.45, 0.75))
            end = (x + (crown[0] - x) * share, y + (crown[1] - y) * share)
            middle = (x * 1.02 + (end[0] - x) * 0.45, y + (end[1] - y) * 0.5)
            pen.line(curve([(x, y), middle, end]), self.dark, width=0.75, taper=(0.9, 0.0))
        for side in (-1, 1):
            pen.line(curve([(side * 1.0, 0.0), (side * 0.98, -0.5), (side * 0.74, -0.95)]), self.dark, width=0.6)

    def _ahoge(self, pen: Pen, random: Random) -> None:
        for n in range(self.hair.ahoge):
            side = (1 if self.hair.seed % 2 else -1) * (1 - 2 * n)
            high, out = float(random.uniform(0.34, 0.6)), float(random.uniform(0.35, 0.75))
            spine = [(0.0, TOP + 0.16), (-0.06 * side, TOP - 0.45 * high), (0.16 * side, TOP - high)]
            spine += [(out * side, TOP - 0.72 * high)]
            self.fill(pen, lock(spine, 0.19, root=1.0, belly=0.3), bottom=0.5, shade=0.03)


def _fringe(kind: str, random: Random) -> list[tuple[float, ...]]:
    """The lower edge of the bangs from the left to the right, as points of a curve."""
    side = 1 if random.random() < 0.5 else -1

    def wobble(scale: float = 0.04) -> float:
        return float(random.normal(0, scale))

    # (x, y) of each tip, how high the gaps between them are, how far locks bulge to the sides, and to the left
    tips, gap, bulge, sweep = {
        "blunt": (
            [(-0.86, 0.08), (-0.5, 0.0), (-0.16, -0.02), (0.2, -0.02), (0.54, 0.0), (0.88, 0.08)],
            -0.2,
            0.07,
            0.0,
        ),
        "spiky": ([(-0.84, 0.24), (-0.46, 0.04), (-0.06, 0.26), (0.36, 0.02), (0.8, 0.22)], -0.42, 0.07, 0.03),
        "swept": ([(-0.88, 0.36), (-0.62, 0.14), (-0.26, 0.0), (0.12, -0.12), (0.84, 0.26)], -0.46, 0.04, 0.13),
        "parted": ([(-0.92, 0.4), (-0.6, 0.06), (0.6, 0.06), (0.92, 0.4)], -0.5, 0.05, 0.0),
        "curtain": ([(-0.86, 0.6), (-0.56, 0.2), (0.1, -0.26), (0.62, 0.2), (0.88, 0.55)], -0.5, 0.06, 0.0),
        "one_eye": ([(-0.9, 0.6), (-0.58, 0.7), (-0.2, 0.22), (0.3, -0.1), (0.88, 0.25)], -0.4, 0.05, 0.1),
        "choppy": (
            [(-0.88, 0.16), (-0.62, -0.08), (-0.38, 0.04), (-0.1, -0.14), (0.16, 0.02), (0.46, -0.1), (0.82, 0.14)],
            -0.36,
            0.05,
            0.02,
        ),
        "wispy": (
            [(-0.9, 0.3), (-0.5, -0.16), (-0.12, 0.06), (0.14, -0.06), (0.52, -0.16), (0.9, 0.3)],
            -0.62,
            0.03,
            0.0,
        ),
    }[kind]
    points: list[tuple[float, ...]] = [(-1.12, 0.28, 1)]
    tips = [(x + wobble(), y + wobble()) for x, y in tips]
    starts = [-1.12] + [(a[0] + b[0]) / 2 for a, b in itertools.pairwise(tips)] + [1.12]
    for i, (x, y) in enumerate(tips):
        left, right = starts[i], starts[i + 1]
        gap_left = 0.28 if i == 0 else gap + wobble()
        gap_right = 0.28 if i == len(tips) - 1 else gap
        if kind in ("parted", "curtain") and i == len(tips) // 2 - (kind == "parted"):
            right, gap_right = 0.02, -0.98
        out = bulge if abs(x) < 0.8 else 0.02
        points.append((left + 0.45 * (x - left) - out - sweep, gap_left + 0.6 * (y - gap_left)))
        points.append((x, y, 1))
        points.append((right + 0.45 * (x - right) + out - sweep, gap_right + 0.6 * (y - gap_right)))
        points.append((right, gap_right, 1))
        starts[i + 1] = right
    points[-1] = (1.12, 0.28, 1)
    if side < 0:
        points = [(-p[0], *p[1:]) for p in reversed(points)]
    return points


def _fall(
    random: Random, *, middle: float, width: float, bottom: float, tips: int, depth: float = 0.35, flare: float = 0.0
) -> Path:
    """Hair that falls from the top of the head to ``bottom`` and ends in ``tips`` points."""
    right: list[tuple[float, ...]] = [(0, TOP), (0.72, -1.3), (1.18, -0.62), (middle, 0.35)]
    if bottom > 1.9:
        right.append(((middle + width) / 2 + 0.05, 0.35 + 0.5 * (bottom - 0.35)))
    right.append((width, bottom - depth))
    left = [(-p[0], *p[1:]) for p in reversed(right[1:])]
    edge: list[tuple[float, ...]] = []
    places = np.linspace(width, -width, tips + 1)
    for i in range(tips):
        x = float((places[i] + places[i + 1]) / 2)
        low = bottom + float(random.normal(0, 0.07)) - 0.12 * (x / width) ** 2
        edge.append((x + flare * x / width + 0.05 * float(random.normal()), low, 1))
        if i < tips - 1:
            edge.append((float(places[i + 1]), low - depth * float(random.uniform(0.6, 1.1)), 1))
    return curve([*right, *edge, *left], closed=True, steps=8)


def _lines(locks: Locks, pen: Pen, random: Random, *, width: float, top: float, bottom: float, n: int) -> None:
    """Lines along falling hair."""
    for x in np.linspace(-width, width, n):
        start, end = top + float(random.uniform(0, 0.4)), bottom - float(random.uniform(0.1, 0.7))
        drift = 0.1 * float(random.normal())
        pen.line(
            curve([(0.9 * x, start), (x + drift, (start + end) / 2), (1.02 * x, end)]),
            locks.dark,
            width=0.7,
            taper=(0, 0),
        )


def _bob(locks: Locks, pen: Pen, random: Random) -> None:
    low = 0.75 + 0.4 * locks.hair.length
    locks.dark_fill(pen, _fall(random, middle=1.3, width=1.12, bottom=low, tips=6, depth=0.14), bottom=low)


def _flipped(locks: Locks, pen: Pen, random: Random) -> None:
    low = 0.85 + 0.4 * locks.hair.length
    base = _fall(random, middle=1.2, width=0.95, bottom=low, tips=5, depth=0.2)
    flips = [lock([(1.02, 0.1), (1.08, low - 0.5), (1.25, low - 0.1), (1.72, low - 0.12)], 0.5, root=0.6, belly=0.45)]
    flips.append(lock([(0.9, 0.4), (0.95, low - 0.2), (1.15, low + 0.15), (1.5, low + 0.2)], 0.4, root=0.6, belly=0.4))
    locks.dark_fill(pen, [base, *flips, *(mirror(f) for f in flips)], bottom=low)


def _medium(locks: Locks, pen: Pen, random: Random) -> None:
    low = 1.95 * locks.hair.length
    locks.dark_fill(pen, _fall(random, middle=1.24, width=1.22, bottom=low, tips=7, depth=0.4), bottom=low)
    _lines(locks, pen, random, width=1.0, top=0.6, bottom=low, n=6)


def _long(locks: Locks, pen: Pen, random: Random) -> None:
    low = 4.1 * locks.hair.length
    locks.dark_fill(pen, _fall(random, middle=1.26, width=1.62, bottom=low, tips=7, depth=0.8), bottom=low)
    _lines(locks, pen, random, width=1.3, top=0.8, bottom=low, n=8)


def _long_wavy(locks: Locks, pen: Pen, random: Random) -> None:
    low = 3.7 * locks.hair.length
    paths = [_fall(random, middle=1.3, width=1.3, bottom=low - 0.2, tips=5, depth=0.6)]
    for side in (-1, 1):
        for x, down in ((1.05, 0.0), (0.75, 0.3)):
            spine = [(side * x, 0.0), (side * (x + 0.42), 0.9), (side * (x + 0.22), 1.7), (side * (x + 0.72), 2.6)]
            spine += [(side * (x + 0.4), low - 0.4 + down), (side * (x + 0.75), low + down)]
            paths.append(lock(spine, 0.8, root=0.7, belly=0.55))
    locks.dark_fill(pen, paths, bottom=low)
    _lines(locks, pen, random, width=1.2, top=0.8, bottom=low, n=6)


def _short(locks: Locks, pen: Pen, random: Random) -> None:
    locks.dark_fill(pen, _fall(random, middle=1.16, width=0.8, bottom=1.1, tips=5, depth=0.22), bottom=1.2)


def _spiky(locks: Locks, pen: Pen, random: Random) -> None:
    angles = np.radians(np.linspace(30, -210, 11))
    paths = []
    for angle in angles:
        out = 1.72 + 0.14 * float(random.normal())
        bend = 0.2 * (1 if np.cos(angle) > 0 else -1)
        spine = [(0.6 * np.cos(angle), 0.62 * np.sin(angle) - 0.2)]
        spine += [(1.1 * np.cos(angle), 1.12 * np.sin(angle) - 0.22)]
        spine += [(out * np.cos(angle + bend), out * 1.08 * np.sin(angle + bend) - 0.22)]
        paths.append(lock(spine, 0.82, root=0.9, belly=0.35))
    paths.append(_fall(random, middle=1.15, width=0.78, bottom=1.05, tips=4, depth=0.25))
    locks.fill(pen, paths, bottom=1.2, shade=0.1)


def _wolf(locks: Locks, pen: Pen, random: Random) -> None:
    low = 1.75 * locks.hair.length
    paths = [_fall(random, middle=1.2, width=0.85, bottom=low, tips=5, depth=0.5)]
    for side in (-1, 1):
        for y, out in ((-0.1, 1.5), (0.35, 1.55), (0.75, 1.35)):
            paths.append(lock([(side * 0.9, y - 0.4), (side * 1.2, y), (side * out, y + 0.42)], 0.5, root=0.8))
    locks.dark_fill(pen, paths, bottom=low)


def _tail(
    locks: Locks, pen: Pen, spine: list[tuple[float, float]], width: float, random: Random, bottom: float
) -> None:
    """A bundle of hair along ``spine``."""
    points = np.array(spine)
    paths = [lock(spine, width, root=0.35, belly=0.42)]
    for shift in (-0.3, 0.3):
        drifted = points + np.linspace(0, 1, len(points))[:, None] * (shift * width, float(random.uniform(-0.6, -0.2)))
        paths.append(lock(drifted, 0.6 * width, root=0.4, belly=0.45))
    locks.fill(pen, paths, bottom=bottom, shade=0.16, top=min(p[1] for p in spine))
    middle = curve(spine)
    sideways = np.linspace(-0.18, 0.18, 3) * width
    for shift in sideways:
        pen.line(moved(middle[4:-6], shift, 0), locks.dark, width=0.7, taper=(0.1, 0.0))


def _twintails(locks: Locks, pen: Pen, random: Random) -> None:
    _short(locks, pen, random)
    low = 3.3 * locks.hair.length
    for side in (-1, 1):
        spine = [(side * 0.98, -0.86), (side * 1.62, -0.98), (side * 2.0, 0.2), (side * 1.98, 1.7), (side * 1.62, low)]
        _tail(locks, pen, spine, 0.86, random, low)


def _drills(locks: Locks, pen: Pen, random: Random) -> None:
    _short(locks, pen, random)
    for side in (-1, 1):
        spine = curve(
            [(side * 1.1, -0.5), (side * 1.55, 0.3), (side * 1.6, 1.5), (side * 1.5, 2.3 * locks.hair.length)]
        )
        for t in np.linspace(0.97, 0.06, 7):
            x, y = spine[int(t * (len(spine) - 1))]
            size = 0.2 + 0.3 * np.sin(np.pi * (0.2 + 0.75 * (1 - t)))
            locks.fill(pen, ellipse(x, y, size, 0.27, turn=0.42 * side), bottom=2.6, shade=0.12)
            pen.line(ellipse(x, y, size * 0.75, 0.18, turn=0.42 * side)[2:16], locks.dark, width=0.6)


def _ponytail(locks: Locks, pen: Pen, random: Random) -> None:
    side = 1 if locks.hair.seed % 2 else -1
    low = 2.7 * locks.hair.length
    spine = [(side * 0.3, -1.28), (side * 1.05, -1.75), (side * 1.72, -0.9), (side * 1.75, 0.9), (side * 1.4, low)]
    _tail(locks, pen, spine, 0.95, random, low)
    _short(locks, pen, random)


def _low_ponytail(locks: Locks, pen: Pen, random: Random) -> None:
    side = 1 if locks.hair.seed % 2 else -1
    low = 3.0 * locks.hair.length
    spine = [(side * 0.4, 0.7), (side * 1.2, 1.25), (side * 1.55, 2.0), (side * 1.3, low)]
    _tail(locks, pen, spine, 0.5, random, low)
    _short(locks, pen, random)


def _buns(locks: Locks, pen: Pen, random: Random) -> None:
    _short(locks, pen, random)
    for side in (-1, 1):
        x, y = side * 0.92, -1.2
        locks.fill(pen, ellipse(x, y, 0.46, 0.44), bottom=0.6, shade=0.14)
        for turn in (0.3, 1.4, 2.6):
            swirl = ellipse(x, y, 0.3 - 0.04 * turn, 0.26, turn=turn * side)[4:18]
            pen.line(swirl, locks.dark, width=0.8, taper=(0, 0.2))


def _plain_back(locks: Locks, pen: Pen, random: Random) -> None:
    _short(locks, pen, random)


def _over_low_twintails(locks: Locks, pen: Pen, random: Random) -> None:
    low = 3.0 * locks.hair.length
    for side in (-1, 1):
        spine = [(side * 0.88, 0.72), (side * 1.3, 1.25), (side * 1.28, 2.1), (side * 0.98, low)]
        _tail(locks, pen, spine, 0.56, random, low)
        pen.shape(ellipse(side * 0.96, 0.86, 0.13, 0.2, turn=-0.7 * side), shadow(locks.hair.colour, 1.6))


def _over_side_ponytail(locks: Locks, pen: Pen, random: Random) -> None:
    side = 1 if locks.hair.seed % 2 else -1
    low = 2.9 * locks.hair.length
    spine = [(side * 0.92, 0.3), (side * 1.55, 0.55), (side * 1.62, 1.7), (side * 1.2, low)]
    _tail(locks, pen, spine, 0.74, random, low)


def _over_braids(locks: Locks, pen: Pen, random: Random) -> None:
    low = 2.9 * locks.hair.length
    for side in (-1, 1):
        spine = curve([(side * 0.86, 0.72), (side * 1.16, 1.3), (side * 1.14, 2.2), (side * 1.0, low)])
        end = spine[-1]
        tuft = lock([(end[0], end[1] - 0.1), (end[0] - 0.03, end[1] + 0.25), (end[0] + 0.02, end[1] + 0.55)], 0.36)
        locks.fill(pen, tuft, bottom=low, shade=0.06)
        for i, t in enumerate(np.linspace(1, 0.02, 9)):
            x, y = spine[int(t * (len(spine) - 1))]
            odd = 1 if i % 2 else -1
            locks.fill(pen, ellipse(x + 0.05 * odd, y, 0.24, 0.18, turn=0.6 * odd), bottom=low, shade=0.07)
        pen.shape(band(spine[-3:], 0.16), shadow(change(locks.hair.colour, hue=150), 1.0))


_BEHIND = {
    "bob": _bob,
    "flipped": _flipped,
    "medium": _medium,
    "long": _long,
    "long_wavy": _long_wavy,
    "short": _short,
    "spiky": _spiky,
    "wolf": _wolf,
    "twintails": _twintails,
    "drills": _drills,
    "ponytail": _ponytail,
    "low_ponytail": _low_ponytail,
    "buns": _buns,
    "low_twintails": _plain_back,
    "side_ponytail": _plain_back,
    "braids": _plain_back,
}

_OVER = {
    "low_twintails": _over_low_twintails,
    "side_ponytail": _over_side_ponytail,
    "braids": _over_braids,
}
