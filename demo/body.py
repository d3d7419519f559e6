"""The body below the head: where its joints are, and its limbs, in the units of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Pen
from .character import Character
from .colours import WHITE, Colour, change, mix, shadow
from .geometry import Path, band, both_sides, box, curve, ellipse, loop, moved
from .pose import Pose

Point = tuple[float, float]

# angle of the upper arm and of the forearm, from straight down, outwards; radians
_ARM_ANGLES = {
    "down": (0.20, 0.10),
    "hip": (0.72, -0.80),
    "akimbo": (0.80, -0.95),
    "up": (2.45, 2.95),
    "wave": (0.85, 2.70),
    "peace": (0.55, 2.55),
    "chest": (0.30, -1.95),
    "behind": (0.34, -0.45),
    "reach": (1.25, 1.5),
    "chin": (0.35, -2.62),
}
RAISED = ("up", "wave", "peace", "chin")  # these hands are in front of the head
HIDDEN = ("behind",)


@dataclass(frozen=True)
class Body:
    """Measures of a body. Positions are for the right side of the picture; the left is its mirror image."""

    boy: bool
    pose: Pose

    @property
    def shoulder(self) -> Point:
        return (1.34, 2.1) if self.boy else (1.06, 2.04)

    @property
    def waist(self) -> float:
        return 0.98 if self.boy else 0.76

    @property
    def hip(self) -> float:
        return 1.02 if self.boy else 1.06

    @property
    def feet(self) -> float:
        return 13.0 if self.boy else 12.2

    def torso(self, *, wider: float = 0.0, bottom: float = 5.2, loose: float = 0.0, neck: float = 1.84) -> Path:
        """The outline of the trunk from the neck line, at its lowest at ``neck``, to ``bottom``."""
        x = self.shoulder[0] + wider
        top = self.shoulder[1]
        start = [(0, neck), (0.2, neck - 0.07)] if neck < 2 else [(0, neck, 1)]
        right = [*start, (0.40, 1.58, 1), (x - 0.34, top - 0.25), (x - 0.04, top - 0.06), (x - 0.02, top + 0.4)]
        right += [(x - 0.1 + 0.5 * loose, 3.0), (self.waist + wider + loose, 4.0)]
        right += [
            (self.hip + wider + 0.7 * loose, min(4.9, bottom)),
            (self.hip + wider + 0.6 * loose, bottom, 1),
            (0, bottom + 0.05),
        ]
        return curve(_whole(right), closed=True)

    def arm(self, side: int) -> NDArray[np.float64]:
        """Shoulder, elbow and wrist of an arm."""
        kind = self.pose.arms[0 if side > 0 else 1]
        upper, fore = _ARM_ANGLES[kind]
        x, y = self.shoulder
        long = 1.12 if self.boy else 1.0
        elbow = (x + 1.95 * long * np.sin(upper), y + 0.1 + 1.95 * long * np.cos(upper))
        wrist = (elbow[0] + 1.8 * long * np.sin(fore), elbow[1] + 1.8 * long * np.cos(fore))
        return np.array([(x - 0.1, y + 0.14), elbow, wrist]) * (side, 1)

    def leg(self, side: int) -> NDArray[np.float64]:
        """Hip, knee and ankle of a leg."""
        apart = 0.16 + 0.34 * self.pose.stride
        feet = self.feet - 0.55
        knee = 5.3 + 0.49 * (feet - 5.3)
        return np.array([(0.52, 5.2), (0.5 + 0.5 * apart, knee), (0.42 + apart, feet)]) * (side, 1)


def limb(
    joints: NDArray[np.float64],
    widths: tuple[float, float, float],
    *,
    start: float = 0.0,
    end: float = 1.0,
    cap: float = 0.0,
) -> list[Path]:
    """A limb along three joints as shapes that overlap.

    Args:
        joints: the three points
        widths: half the width at each
        start (0): where along the limb it begins, 0..1, the middle joint being at 0.5
        end (1): where it ends
        cap (0): radius of a round beginning, as a share of the width there
    """
    paths = []
    for low, a, b in ((0.0, joints[0], joints[1]), (0.5, joints[1], joints[2])):
        first, last = max(start, low), min(end, low + 0.5)
        if first >= last:
            continue
        t = np.linspace(first, last, 9)
        middle = a + (b - a) * ((t - low) / 0.5)[:, None]
        swell = 0.05 * np.sin(np.pi * (t - low) / 0.5) * widths[0]
        paths.append(band(middle, np.interp(t, (0, 0.5, 1), widths) + swell))
    if start < 0.5 < end:
        paths.append(ellipse(joints[1][0], joints[1][1], widths[1], n=28))
    if cap:
        paths.append(ellipse(joints[0][0], joints[0][1], cap * widths[0], n=28))
    return paths


def draw_neck(pen: Pen, character: Character, body: Body) -> None:
    """Neck and the top of the chest, with the shade of the chin."""
    wide = 0.38 if body.boy else 0.29
    right = [(wide, 0.6, 1), (wide, 1.3), (wide + 0.1, 1.56), (body.shoulder[0] - 0.36, body.shoulder[1] - 0.2)]
    right += [(body.shoulder[0] - 0.4, 2.5), (0.4, 3.0), (0, 3.1)]
    path = curve(both_sides(right), closed=True)
    pen.shape(path, character.skin)
    pen.inside(path, loop((-0.6, 0.5), (0.6, 0.5), (0.5, 1.2), (0.1, 1.62), (-0.42, 1.25)), shadow(character.skin, 1.1))
    dark = shadow(character.skin, 2.0)
    for side in (-1, 1):
        pen.line(curve([(side * 0.14, 1.86), (side * 0.42, 1.82), (side * 0.72, 1.88)]), dark, width=0.7, taper=(0, 0))


def draw_arm(pen: Pen, character: Character, body: Body, side: int) -> None:
    """A bare arm and its hand."""
    joints = body.arm(side)
    wide = (0.33, 0.26, 0.19) if body.boy else (0.25, 0.21, 0.15)
    pen.shape(limb(joints, wide, cap=1.0), character.skin, shade=0.1)


def draw_hand(pen: Pen, character: Character, body: Body, side: int, *, glove: Colour | None = None) -> None:
    """A hand that goes with what the arm does."""
    joints = body.arm(side)
    kind = body.pose.arms[0 if side > 0 else 1]
    along = joints[2] - joints[1]
    along = along / np.hypot(*along)
    across = np.array([-along[1], along[0]]) * side
    size = 1.16 if body.boy else 1.0

    def at(x: float, y: float) -> NDArray[np.float64]:
        return joints[2] + size * (x * across + y * along)

    def finger(x0: float, y0: float, x1: float, y1: float, thick: float = 0.075) -> list[Path]:
        a, b = at(x0, y0), at(x1, y1)
        return [band(np.array([a, (a + b) / 2, b]), thick * size), ellipse(b[0], b[1], thick * size, n=14)]

    palm = loop(at(-0.15, -0.12), at(0.15, -0.12), at(0.2, 0.18), at(0.15, 0.36), at(-0.14, 0.36), at(-0.19, 0.16))
    paths: list[Path] = [palm]
    folds: list[Path] = []
    if kind in ("wave", "up", "reach"):
        for x, y in ((-0.17, 0.62), (-0.06, 0.72), (0.07, 0.70), (0.18, 0.58)):
            paths += finger(0.75 * x, 0.25, 1.25 * x, y)
        paths += finger(-0.1, 0.08, -0.36, 0.3, 0.08)
    elif kind == "peace":
        paths += finger(-0.07, 0.25, -0.2, 0.76) + finger(0.07, 0.25, 0.16, 0.76)
        paths += finger(-0.12, 0.1, 0.06, 0.24, 0.08)
        folds = [np.array([at(0.06, 0.38), at(0.1, 0.2)]), np.array([at(-0.13, 0.16), at(0.08, 0.3)])]
    else:
        for x, y in ((-0.12, 0.5), (-0.03, 0.56), (0.06, 0.54), (0.14, 0.47)):
            paths += finger(0.9 * x, 0.2, x, y)
        paths += finger(-0.12, 0.02, -0.22, 0.3, 0.075)
        folds = [np.array([at(x, 0.34), at(1.05 * x, 0.54)]) for x in (-0.075, 0.015, 0.1)]
    colour = glove or character.skin
    pen.shape(paths, colour, shade=0.05)
    for fold in folds:
        pen.line(fold, shadow(colour, 2.4), width=0.7, taper=(0.2, 0.6))


def draw_legs(
    pen: Pen, character: Character, body: Body, *, wear: str, colour: Colour, shoes: Colour, trousers: bool
) -> None:
    """Legs, what is worn on them, and shoes."""
    for side in (-1, 1):
        joints = body.leg(side)
        widths = (0.58, 0.4, 0.24) if body.boy else (0.54, 0.34, 0.2)
        if trousers:
            widths = (0.64, 0.5, 0.4)
        whole = limb(joints, widths)
        skin = colour if trousers or wear == "tights" else character.skin
        pen.shape(whole, skin, shade=0.16)
        if not trousers and wear in ("socks", "thighhighs"):
            start = 0.66 if wear == "socks" else 0.3
            pen.shape(limb(joints, tuple(w + 0.012 for w in widths), start=start), colour, shade=0.14)  # type: ignore[arg-type]
            top = limb(joints, tuple(w + 0.03 for w in widths), start=start, end=start + 0.03)  # type: ignore[arg-type]
            pen.shape(top, mix(colour, WHITE, 0.35), line=0.7)
        if trousers:
            knee = joints[1]
            fold = curve([moved(knee, -0.3, -0.1), moved(knee, 0.0, 0.06), moved(knee, 0.26, -0.04)])
            pen.line(fold, shadow(colour, 1.8), width=0.7)
        _shoe(pen, joints, side, shoes)


def _shoe(pen: Pen, joints: NDArray[np.float64], side: int, colour: Colour) -> None:
    x, y = joints[2]
    out = 0.13 * side
    points = [(x - 0.23, y - 0.14), (x + 0.23, y - 0.14), (x + 0.27 + out, y + 0.3), (x + 0.24 + out, y + 0.56)]
    points += [(x + out, y + 0.62), (x - 0.24 + out, y + 0.56), (x - 0.27 + out, y + 0.3)]
    path = loop(*points)
    pen.shape(path, colour, shade=0.1)
    pen.inside(path, box(x - 0.8, y + 0.5, x + 0.8, y + 0.8), change(colour, light=0.6))
    pen.inside(path, ellipse(x + out - 0.08, y + 0.26, 0.08, 0.05), mix(colour, WHITE, 0.6), opacity=0.8)


def _whole(right: list) -> list:
    """Both halves of an outline that begins and ends in the middle."""
    return [*right, *([-p[0], *p[1:]] for p in reversed(right) if p[0] != 0)]
