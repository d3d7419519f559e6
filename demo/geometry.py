"""Curves through points, as arrays of points: everything that is drawn is one of these."""

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Path = NDArray[np.float64]
Point = Sequence[float] | Path
Points = Sequence[Point] | Path

STEPS = 9  # straight pieces between two given points


def curve(points: Points, *, closed: bool = False, steps: int = STEPS) -> Path:
    """A smooth line through ``points``; a point with a third number is a corner.

    Args:
        points: ``(x, y)`` or ``(x, y, 1)``, the latter for a corner
        closed (False): whether the line returns to its first point
        steps (9): straight pieces between two points

    Returns:
        an ``(m, 2)`` array of points
    """
    places = np.array([[p[0], p[1]] for p in points], dtype=float)
    corners = [i for i, p in enumerate(points) if len(p) > 2]
    if not closed:
        ends = sorted({0, len(places) - 1, *corners})
        runs = [places[a : b + 1] for a, b in itertools.pairwise(ends)]
    elif not corners:
        return _through(np.vstack([places[-1:], places, places[:2]]), steps)[:-1]
    else:
        turned = np.vstack([places[corners[0] :], places[: corners[0] + 1]])
        ends = sorted({(i - corners[0]) % len(places) for i in corners} | {len(places)})
        runs = [turned[a : b + 1] for a, b in itertools.pairwise(ends)]
    return np.vstack([_run(run, steps) for run in runs])


def loop(*points: Point, steps: int = STEPS) -> Path:
    """A closed :func:`curve`."""
    return curve(points, closed=True, steps=steps)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, *, turn: float = 0.0, n: int = 40) -> Path:
    """An ellipse around ``(x, y)``, turned by ``turn`` radians."""
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    points = np.column_stack([rx * np.cos(angles), (rx if ry is None else ry) * np.sin(angles)])
    return moved(rotate(points, turn), x, y)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, *, n: int = 24) -> Path:
    """A part of an ellipse from ``start`` to ``end`` degrees, clockwise on the screen from the right."""
    angles = np.radians(np.linspace(start, end, n))
    return np.column_stack([x + rx * np.cos(angles), y + ry * np.sin(angles)])


def lock(spine: Points, width: float, *, root: float = 1.0, tip: float = 0.0, belly: float = 0.35) -> Path:
    """A strand of hair: a band around ``spine``, as wide as ``width`` at its belly.

    Args:
        spine: points along the middle, from root to tip
        width: full width at the widest place
        root (1.0): width at the root as a share of ``width``
        tip (0.0): width at the tip as a share of ``width``
        belly (0.35): where along the spine it is widest, 0..1
    """
    middle = curve(spine)
    t = _shares(middle)
    rising = root + (1 - root) * np.sin(np.pi / 2 * np.clip(t / belly, 0, 1))
    falling = tip + (1 - tip) * np.cos(np.pi / 2 * np.clip((t - belly) / (1 - belly), 0, 1)) ** 0.8
    return band(middle, np.where(t < belly, rising, falling) * width / 2)


def band(middle: Path, half_widths: NDArray[np.float64] | float) -> Path:
    """The outline of a line that is ``2 * half_widths`` wide."""
    sideways = normals(middle) * np.broadcast_to(np.asarray(half_widths, dtype=float), (len(middle),))[:, None]
    return np.vstack([middle + sideways, (middle - sideways)[::-1]])


def normals(line: Path) -> Path:
    """Unit vectors at right angles to ``line`` at each of its points."""
    along = np.gradient(line, axis=0) if len(line) > 1 else np.array([[1.0, 0.0]])
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    return np.column_stack([-along[:, 1], along[:, 0]]) / length[:, None]


def rotate(points: Points, angle: float, around: Point = (0.0, 0.0)) -> Path:
    """``points`` turned clockwise on the screen by ``angle`` radians."""
    c, s = math.cos(angle), math.sin(angle)
    return (np.asarray(points, dtype=float) - around) @ np.array([[c, s], [-s, c]]) + around


def moved(points: Path, dx: float, dy: float) -> Path:
    """``points`` further right by ``dx`` and down by ``dy``."""
    return points + np.array([dx, dy])


def mirror(points: Points) -> Path:
    """``points`` with left and right exchanged; corners stay corners."""
    return np.asarray([[-p[0], *p[1:]] for p in points], dtype=float) if _has_corners(points) else _mirrored(points)


def both_sides(points: Points) -> list[list[float]]:
    """The right half of a closed outline and its mirror image: from top to bottom on the right, back on the left."""
    right = [list(p) for p in points]
    return right + [[-p[0], *p[1:]] for p in reversed(right) if p[0] != 0]


def star(x: float, y: float, outer: float, inner: float, *, points: int = 5, turn: float = -np.pi / 2) -> Path:
    """A star with straight edges."""
    angles = turn + np.arange(2 * points) * np.pi / points
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])


def heart(x: float, y: float, size: float) -> Path:
    """A heart about ``2 * size`` wide."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across = 16 * np.sin(t) ** 3
    down = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.column_stack([x + across * size / 16, y + down * size / 16])


def petals(x: float, y: float, radius: float, *, n: int = 5, turn: float = 0.0) -> list[Path]:
    """The petals of a flower."""
    angles = turn + np.arange(n) * 2 * np.pi / n
    return [
        ellipse(x + 0.55 * radius * np.cos(a), y + 0.55 * radius * np.sin(a), 0.5 * radius, 0.36 * radius, turn=a)
        for a in angles
    ]


def box(x0: float, y0: float, x1: float, y1: float) -> Path:
    """A rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Path:
    """A rectangle with round corners."""
    corners = [(x1 - radius, y0 + radius, -90), (x1 - radius, y1 - radius, 0)]
    corners += [(x0 + radius, y1 - radius, 90), (x0 + radius, y0 + radius, 180)]
    return np.vstack([arc(x, y, radius, radius, a, a + 90, n=7) for x, y, a in corners])


def join(paths: Iterable[Path]) -> Path:
    """One path after the other."""
    return np.vstack(list(paths))


def _through(points: Path, steps: int) -> Path:
    """Catmull-Rom through ``points[1:-1]``."""
    a, b, c, d = points[:-3], points[1:-2], points[2:-1], points[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (a, b, c, d))
    pieces = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([pieces.reshape(-1, 2), points[-2:-1]])


def _run(points: Path, steps: int) -> Path:
    if len(points) == 2:
        return points
    first, last = 2 * points[0] - points[1], 2 * points[-1] - points[-2]
    return _through(np.vstack([first, points, last]), steps)


def _shares(line: Path) -> NDArray[np.float64]:
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    return lengths / max(float(lengths[-1]), 1e-9)


def _has_corners(points: Points) -> bool:
    return not isinstance(points, np.ndarray) and any(len(p) > 2 for p in points)


def _mirrored(points: Points) -> Path:
    return np.asarray(points, dtype=float)[:, :2] * (-1, 1)
