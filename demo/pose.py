"""What changes from picture to picture: pose, look, and the hand of the artist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .canvas import Style
from .character import Random, pick
from .geometry import Path, rotate

NECK = (0.0, 1.15)  # the head turns around this point

ARMS = ("down", "down", "hip", "up", "wave", "peace", "chest", "behind", "akimbo", "reach", "chin")
EXPRESSIONS = {"open": 0.8, "half": 0.08, "wink": 0.08, "happy": 0.04}
MOUTHS = (
    "smile",
    "smile",
    "smile",
    "open",
    "open",
    "grin",
    "grin",
    "neutral",
    "cat",
    "small",
    "frown",
    "smirk",
    "tongue",
)


@dataclass(frozen=True)
class Pose:
    """The pose of a character.

    Attributes:
        yaw: turn of the head to the right of the picture, radians
        pitch: nod, positive is down
        tilt: lean of the head
        lean: lean of the body
        arms: what the right and the left arm of the picture do
        stride: how far the legs stand apart
        eyes: "open", "happy" (closed), "wink" or "half"
        mouth: one of :data:`MOUTHS`
        brows: -1 worried .. 1 stern
        gaze: where the irises are, (x, y) in -1..1
    """

    yaw: float = 0.0
    pitch: float = 0.0
    tilt: float = 0.0
    lean: float = 0.0
    arms: tuple[str, str] = ("down", "down")
    stride: float = 0.3
    eyes: str = "open"
    mouth: str = "smile"
    brows: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)
    outfit: int = 0

    def turned(self, depth: float) -> Callable[[Path], Path]:
        """How points of the head move when it turns; ``depth`` 1 = the face, 0 = its outline, -1 = the back."""

        def warp(points: Path) -> Path:
            x, y = points[:, 0], points[:, 1]
            fall = np.where(y < 0, 0.62, 0.30)
            z = 0.78 * depth * np.sqrt(np.maximum(1.34 - x**2 - fall * y**2, 0.0))
            moved = np.column_stack([x * np.cos(self.yaw) + z * np.sin(self.yaw), y + z * np.sin(self.pitch) * 0.8])
            return rotate(moved, self.tilt, NECK)

        return warp


def make_pose(random: Random) -> Pose:
    """A pose."""
    yaw = float(np.clip(random.normal(0, 0.2), -0.42, 0.42))
    return Pose(
        yaw=yaw,
        pitch=float(np.clip(random.normal(0.0, 0.09), -0.2, 0.2)),
        tilt=float(np.clip(random.normal(0, 0.1), -0.26, 0.26)),
        lean=float(random.normal(0, 0.035)),
        arms=(pick(random, ARMS), pick(random, ARMS)),
        stride=float(random.uniform(0.1, 0.7)),
        eyes=pick(random, tuple(EXPRESSIONS), tuple(EXPRESSIONS.values())),
        mouth=pick(random, MOUTHS),
        brows=float(random.uniform(-1, 1)),
        gaze=(float(np.clip(yaw * 2 + random.normal(0, 0.3), -1, 1)), float(random.uniform(-0.5, 0.5))),
        outfit=int(random.choice(3, p=(0.6, 0.25, 0.15))),
    )


def close_together(random: Random, pose: Pose) -> Pose:
    """The same pose without arms that reach into a neighbour."""
    near = tuple(kind for kind in ARMS if kind not in ("reach", "up", "akimbo"))
    left, right = (kind if kind in near else pick(random, near) for kind in pose.arms)
    return replace(pose, arms=(left, right))


def make_style(random: Random) -> Style:
    """The hand of an artist."""
    angle = float(random.uniform(-2.5, -0.65))
    return Style(
        line=float(random.uniform(0.016, 0.034)),
        line_tint=float(random.choice([0.0, 0.6, 0.85, 1.0], p=(0.15, 0.3, 0.3, 0.25))),
        shading=pick(random, ("hard", "soft", "double", "flat"), (0.46, 0.26, 0.2, 0.08)),
        depth=float(random.uniform(0.7, 1.15)),
        light=(float(np.cos(angle)), float(np.sin(angle))),
        highlights=float(random.uniform(0.35, 1.0)),
        eye_size=float(random.uniform(0.94, 1.1)),
        blush=float(random.uniform(0.15, 0.8)),
        iris=pick(random, ("gradient", "gradient", "ring", "plain")),
        ink=pick(random, ((46, 36, 50), (38, 34, 46), (62, 40, 44), (34, 38, 58))),
    )
