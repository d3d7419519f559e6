"""A whole character on a canvas, layer by layer from back to front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import body as limbs
from . import face, outfits, pieces
from .canvas import Canvas, Pen
from .character import Character
from .geometry import Path, rotate
from .hair import Locks
from .pose import Pose


@dataclass(frozen=True)
class Place:
    """Where a character is in a picture.

    Attributes:
        x: of the middle of the face, in pixels
        y: of the middle of the face
        unit: half the width of the face, in pixels
        flip: whether left and right are exchanged
    """

    x: float
    y: float
    unit: float
    flip: bool = False


def draw_figure(
    canvas: Canvas, character: Character, pose: Pose, place: Place, worn: tuple[str, ...] | None = None
) -> tuple[float, float, float, float]:
    """Draws a character.

    Args:
        canvas: what to draw on
        character: who
        pose: how
        place: where
        worn (None): kinds of the pieces that are worn this time; None for all

    Returns:
        the box around everything drawn, ``(left, top, right, bottom)`` in pixels, inside the image
    """
    canvas.extent = None
    kinds = tuple(piece.kind for piece in character.pieces) if worn is None else worn
    pen = Pen(canvas, _placing(place, pose), place.unit)
    outfit = character.outfits[pose.outfit]
    build = limbs.Body(character.build == "boy", pose)
    cut = outfits.cut_of(outfit, character.build)
    locks = Locks(character.hair)

    below = pen.through(_scaled(0.87 * character.height))
    still = pen.through(pose.turned(0.0))
    back = pen.through(pose.turned(-0.45))
    outfits.draw_behind(below, outfit, build)
    locks.behind(back)
    pieces.draw("behind", still, character, kinds)
    _draw_body(below, character, build, outfit, cut)
    pieces.draw("over", pen, character, kinds)
    locks.over(still)
    _draw_head(pen, character, pose, locks, kinds)
    for side in _sides(pose, limbs.RAISED):
        _draw_arm(below, character, build, outfit, cut, side)
    return _inside(canvas)


def face_of(pose: Pose, place: Place) -> tuple[float, float]:
    """Where the middle of the face is once head and body lean, in pixels."""
    x, y = _placing(place, pose)(pose.turned(0.8)(np.array([[0.0, 0.2]])))[0]
    return float(x), float(y)


def _draw_body(pen: Pen, character: Character, build: limbs.Body, outfit, cut: outfits.Cut) -> None:
    pose = build.pose
    for side in _sides(pose, limbs.HIDDEN):
        _draw_arm(pen, character, build, outfit, cut, side)
    trousers = cut.below == "trousers"
    colour = cut.below_colour if trousers else cut.legs
    low = pen.lowest() > 3.6  # otherwise nothing below the waist is in the picture
    if low:
        limbs.draw_legs(pen, character, build, wear=outfit.legs, colour=colour, shoes=cut.shoes, trousers=trousers)
    if trousers and low:
        hips = build.torso(bottom=5.55, wider=0.04)
        pen.shape(hips, cut.below_colour, line=0)
    limbs.draw_neck(pen, character, build)
    before = outfit.kind in ("maid",)
    if not before:
        outfits.draw_top(pen, outfit, cut, build)
    if low:
        outfits.draw_below(pen, outfit, cut, build)
    if before or cut.below in ("robe",) or outfit.kind in ("cardigan", "hoodie", "casual", "armour"):
        outfits.draw_top(pen, outfit, cut, build)
    for side in (1, -1):
        if pose.arms[0 if side > 0 else 1] not in (*limbs.RAISED, *limbs.HIDDEN):
            _draw_arm(pen, character, build, outfit, cut, side)
    outfits.draw_over_arms(pen, outfit, build)


def _draw_arm(pen: Pen, character: Character, build: limbs.Body, outfit, cut: outfits.Cut, side: int) -> None:
    limbs.draw_arm(pen, character, build, side)
    limbs.draw_hand(pen, character, build, side, glove=cut.glove)
    outfits.draw_sleeve(pen, outfit, cut, build, side)


def _draw_head(pen: Pen, character: Character, pose: Pose, locks: Locks, kinds: tuple[str, ...]) -> None:
    front, surface = pen.through(pose.turned(1.12)), pen.through(pose.turned(1.0))
    face.draw_ears(pen.through(pose.turned(-0.3)), character)
    face.draw_face(surface, character, pose, locks.fringe())
    face.draw_eyes(surface, character, pose)
    pieces.draw("face", surface, character, kinds)
    locks.front(front)
    face.draw_brows(surface, character, pose)
    pieces.draw("front", pen.through(pose.turned(0.6)), character, kinds)


def _sides(pose: Pose, kinds: tuple[str, ...]) -> list[int]:
    return [side for side, kind in zip((1, -1), pose.arms, strict=True) if kind in kinds]


def _scaled(size: float):
    """Makes the body smaller or larger, the neck staying where it is."""
    return lambda points: (points - (0.0, 1.3)) * size + (0.0, 1.16)


def _placing(place: Place, pose: Pose):
    mirror = -1.0 if place.flip else 1.0

    def to_pixels(points: Path) -> Path:
        leaned = rotate(points, pose.lean, (0.0, 2.0)) if pose.lean else points
        return np.column_stack([place.x + mirror * place.unit * leaned[:, 0], place.y + place.unit * leaned[:, 1]])

    return to_pixels


def _inside(canvas: Canvas) -> tuple[float, float, float, float]:
    width, height = canvas.image.size
    left, top, right, bottom = canvas.extent or [0.0, 0.0, 0.0, 0.0]
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
