"""Backgrounds and pictures without a character. Coordinates: y from 0 to 1, x from 0 to the width over the height."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from .canvas import Canvas, Pen, Style
from .character import Random, pick
from .colours import WHITE, Colour, change, mix, oklch, shadow
from .geometry import band, box, curve, ellipse, heart, lock, loop, petals, rounded, star

Scene = Callable[[Pen, float, Random], None]


def background(size: tuple[int, int], random: Random, *, plain: bool = False) -> Image.Image:
    """A background for figures, a little out of focus.

    Args:
        size: width and height in pixels
        random: decides what it shows
        plain (False): only gradients and patterns
    """
    kind = pick(random, tuple(_PLAIN) if plain or random.random() < 0.45 else tuple(_SCENES))
    image = scene(kind, size, random)
    if kind in _SCENES:
        image = image.filter(ImageFilter.BoxBlur(size[1] * float(random.uniform(0.001, 0.006))))
        if random.random() < 0.5:
            image = Image.blend(image, Image.new("RGB", size, _pastel(random)), float(random.uniform(0.1, 0.35)))
    return image


def nobody(size: tuple[int, int], random: Random) -> Image.Image:
    """A picture without a character: a place or a thing."""
    if random.random() < 0.5:
        return scene(pick(random, tuple(_SCENES)), size, random)
    image = scene(pick(random, ("gradient", "dots", "checks", "room")), size, random)
    pen, wide = _pen(image, Style(line=0.004, line_tint=0.7))
    pick(random, _THINGS)(pen, wide, random)
    return image


def scene(kind: str, size: tuple[int, int], random: Random) -> Image.Image:
    """The scene of this kind."""
    image = Image.new("RGB", size, WHITE)
    pen, wide = _pen(image, Style(line=0.003, line_tint=0.8, shading="hard"))
    {**_PLAIN, **_SCENES}[kind](pen, wide, random)
    return image


def floating(image: Image.Image, random: Random) -> None:
    """Petals, snow, sparkles or bubbles in front of everything."""
    pen, wide = _pen(image, Style(line=0.002))
    kind = int(random.integers(4))
    for _ in range(int(random.integers(8, 26))):
        x, y, size = float(random.uniform(0, wide)), float(random.uniform(0, 1)), float(random.uniform(0.006, 0.018))
        if kind == 0:
            petal = lock(
                [(x, y), (x + size, y + size), (x + 1.2 * size, y + 2.2 * size)], 1.4 * size, root=0.3, tip=0.2
            )
            pen.glow(petal, (255, 196, 208), opacity=0.9)
        elif kind == 1:
            pen.glow(ellipse(x, y, 0.7 * size), WHITE, opacity=0.85, blur=0.2 * size)
        elif kind == 2:
            pen.glow(star(x, y, 1.5 * size, 0.25 * size, points=4), (255, 250, 220), opacity=0.9)
        else:
            pen.glow(ellipse(x, y, 1.3 * size), (226, 244, 255), opacity=0.3)
            pen.glow(ellipse(x - 0.4 * size, y - 0.4 * size, 0.3 * size), WHITE, opacity=0.8)


def _pen(image: Image.Image, style: Style) -> tuple[Pen, float]:
    width, height = image.size
    return Pen(Canvas(image, style, thinnest=1.0), lambda points: points * height, height), width / height


def _pastel(random: Random) -> Colour:
    return oklch(float(random.uniform(0.84, 0.96)), float(random.uniform(0.01, 0.06)), float(random.uniform(0, 360)))


def _tone(random: Random) -> Colour:
    return oklch(float(random.uniform(0.35, 0.9)), float(random.uniform(0.02, 0.12)), float(random.uniform(0, 360)))


def _wash(pen: Pen, wide: float, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0) -> None:
    pen.shape(box(-0.1, start - 0.01, wide + 0.1, end + 0.01), top, end=bottom, axis=((0, start), (0, end)), line=0)


def _flat(pen: Pen, wide: float, random: Random) -> None:
    colour = WHITE if random.random() < 0.3 else (_pastel(random) if random.random() < 0.7 else _tone(random))
    _wash(pen, wide, colour, colour)


def _gradient(pen: Pen, wide: float, random: Random) -> None:
    a = _pastel(random) if random.random() < 0.7 else _tone(random)
    b = change(a, light=float(random.uniform(0.75, 1.1)), hue=float(random.uniform(-60, 60)), chroma=1.4)
    end = (wide, 1.0) if random.random() < 0.5 else (0.0, 1.0)
    pen.shape(box(-0.1, -0.1, wide + 0.1, 1.1), a, end=b, axis=((0, 0), end), line=0)


def _dots(pen: Pen, wide: float, random: Random) -> None:
    base = _pastel(random)
    _wash(pen, wide, base, base)
    other, step = mix(base, _pastel(random) if random.random() < 0.5 else WHITE, 0.7), float(random.uniform(0.07, 0.15))
    kind = int(random.integers(3))
    for row, y in enumerate(np.arange(0, 1.1, step)):
        for x in np.arange((row % 2) * step / 2, wide + step, step):
            if kind == 0:
                path = ellipse(x, y, 0.22 * step, n=18)
            else:
                path = heart(x, y, 0.24 * step) if kind == 1 else star(x, y, 0.3 * step, 0.14 * step)
            pen.shape(path, other, line=0)


def _checks(pen: Pen, wide: float, random: Random) -> None:
    base = _pastel(random)
    _wash(pen, wide, base, base)
    other, step = change(base, light=0.94, chroma=1.5), float(random.uniform(0.08, 0.2))
    if random.random() < 0.5:
        for row, y in enumerate(np.arange(0, 1.1, step)):
            for x in np.arange((row % 2) * step, wide + step, 2 * step):
                pen.shape(box(x, y, x + step, y + step), other, line=0)
        return
    slope = float(random.choice([0.0, 0.5, -0.5]))
    for x in np.arange(-1.0, wide + 1, 1.2 * step):
        pen.shape(np.array([(x, 0), (x + 0.6 * step, 0), (x + 0.6 * step + slope, 1), (x + slope, 1)]), other, line=0)


def _rays(pen: Pen, wide: float, random: Random) -> None:
    base = _pastel(random) if random.random() < 0.6 else _tone(random)
    other = mix(base, WHITE, 0.55)
    _wash(pen, wide, base, base)
    x, y, n = wide * float(random.uniform(0.3, 0.7)), float(random.uniform(0.3, 0.7)), int(random.integers(10, 26))
    for i in range(n):
        a, b = 2 * np.pi * i / n, 2 * np.pi * (i + 0.5) / n
        far = [(x + 3 * np.cos(t), y + 3 * np.sin(t)) for t in (a, b)]
        pen.shape(np.array([(x, y), *far]), other, line=0)


def _bokeh(pen: Pen, wide: float, random: Random) -> None:
    base = oklch(float(random.uniform(0.25, 0.75)), 0.08, float(random.uniform(0, 360)))
    _wash(pen, wide, base, change(base, light=0.75, hue=40))
    for _ in range(26):
        colour = change(base, light=float(random.uniform(1.2, 1.8)), hue=float(random.uniform(-70, 70)), chroma=1.3)
        x, y, size = float(random.uniform(0, wide)), float(random.uniform(0, 1)), float(random.uniform(0.02, 0.11))
        pen.glow(ellipse(x, y, size), colour, opacity=float(random.uniform(0.15, 0.5)), blur=0.006)


def _frame(pen: Pen, wide: float, random: Random) -> None:
    """A plain ground with a large shape, as on a card."""
    base = _pastel(random)
    _wash(pen, wide, base, mix(base, WHITE, 0.4))
    accent = change(base, light=0.86, chroma=2.2, hue=float(random.uniform(-40, 40)))
    if random.random() < 0.5:
        pen.shape(ellipse(wide / 2, 0.48, 0.42), accent, line=0)
        pen.shape(ellipse(wide / 2, 0.48, 0.38), mix(accent, WHITE, 0.4), line=0)
    else:
        pen.shape(box(0.12 * wide, -0.1, 0.42 * wide, 1.1), accent, line=0)
        pen.shape(box(0.46 * wide, -0.1, 0.5 * wide, 1.1), accent, line=0)


_SKIES = (
    ((96, 168, 232), (214, 238, 252)),
    ((126, 196, 240), (250, 250, 240)),
    ((246, 150, 110), (254, 226, 170)),
    ((104, 90, 168), (250, 176, 168)),
    ((22, 30, 70), (70, 84, 150)),
    ((150, 170, 190), (222, 228, 232)),
)


def _sky(pen: Pen, wide: float, random: Random) -> None:
    number = int(random.choice(6, p=(0.3, 0.22, 0.14, 0.12, 0.12, 0.1)))
    top, bottom = _SKIES[number]
    _wash(pen, wide, top, bottom)
    if number == 4:
        for _ in range(70):
            x, y = float(random.uniform(0, wide)), float(random.uniform(0, 0.9))
            pen.shape(ellipse(x, y, float(random.uniform(0.0012, 0.004)), n=8), (250, 248, 226), line=0)
        pen.glow(ellipse(0.8 * wide, 0.16, 0.07), (252, 246, 214), opacity=1.0, blur=0.004)
        return
    for _ in range(int(random.integers(2, 6))):
        _cloud(
            pen,
            float(random.uniform(0, wide)),
            float(random.uniform(0.05, 0.75)),
            float(random.uniform(0.08, 0.2)),
            mix(WHITE, bottom, 0.25),
            random,
        )


def _cloud(pen: Pen, x: float, y: float, size: float, colour: Colour, random: Random) -> None:
    puffs = []
    for dx in np.linspace(-1, 1, 6):
        r = size * (0.45 - 0.22 * abs(dx)) * float(random.uniform(0.85, 1.2))
        puffs.append(ellipse(x + dx * size, y - 0.25 * r, r * 1.15, r))
    puffs.append(rounded(x - 1.2 * size, y - 0.02 * size, x + 1.2 * size, y + 0.3 * size, 0.14 * size))
    pen.shape(puffs, colour, shade=0.12 * size, line=0, soft=0.004)


def _hills(pen: Pen, wide: float, random: Random) -> None:
    _sky(pen, wide, random)
    hue = float(random.uniform(120, 160))
    for i, base in enumerate((0.58, 0.7, 0.84)):
        x = np.linspace(-0.1, wide + 0.1, 8)
        y = base + random.uniform(-0.06, 0.06, 8)
        colour = oklch(0.78 - 0.1 * i, 0.06 + 0.03 * i, hue + 40 * (2 - i) / 2)
        pen.shape(np.vstack([curve(np.column_stack([x, y])), [(wide + 0.1, 1.1), (-0.1, 1.1)]]), colour, line=0)
    for _ in range(6):
        _tree(
            pen,
            float(random.uniform(0, wide)),
            float(random.uniform(0.86, 0.98)),
            float(random.uniform(0.1, 0.24)),
            random,
        )


def _tree(pen: Pen, x: float, y: float, size: float, random: Random) -> None:
    leaf = pick(random, ((110, 168, 96), (146, 190, 104), (248, 184, 202), (236, 150, 82), (84, 140, 110)))
    pen.shape(box(x - 0.06 * size, y - 0.5 * size, x + 0.06 * size, y), (120, 88, 70), line=0)
    crowns = [
        ellipse(x + dx * size, y - dy * size, r * size)
        for dx, dy, r in ((0, 0.85, 0.4), (-0.28, 0.62, 0.3), (0.28, 0.62, 0.3))
    ]
    pen.shape(crowns, leaf, shade=0.1 * size, line=0.0)


def _park(pen: Pen, wide: float, random: Random) -> None:
    _sky(pen, wide, random)
    grass: Colour = pick(random, ((150, 196, 110), (120, 176, 104), (190, 204, 120)))
    for x in np.arange(0, wide + 0.2, 0.22):
        _tree(pen, float(x + random.uniform(-0.05, 0.05)), 0.72, float(random.uniform(0.35, 0.6)), random)
    _wash(pen, wide, change(grass, light=1.05), change(grass, light=0.86), 0.68, 1.0)
    path = loop((0.42 * wide, 0.68, 1), (0.55 * wide, 0.68, 1), (0.9 * wide, 1.05, 1), (0.15 * wide, 1.05, 1))
    pen.shape(path, (228, 210, 178), line=0)


def _sea(pen: Pen, wide: float, random: Random) -> None:
    _sky(pen, wide, random)
    _wash(pen, wide, (70, 150, 200), (130, 206, 220), 0.55, 0.84)
    for _ in range(14):
        x, y = float(random.uniform(0, wide)), float(random.uniform(0.57, 0.8))
        pen.line(np.array([(x, y), (x + 0.04, y + 0.002), (x + 0.09, y)]), (222, 244, 250), width=1.4)
    shore = curve([(-0.1, 0.86), (0.3 * wide, 0.82), (0.6 * wide, 0.87), (wide + 0.1, 0.82)])
    pen.shape(np.vstack([shore, [(wide + 0.1, 1.1), (-0.1, 1.1)]]), (246, 226, 184), line=0)
    pen.shape(band(shore, 0.008), WHITE, line=0)


def _city(pen: Pen, wide: float, random: Random) -> None:
    night = random.random() < 0.45
    top, bottom = _SKIES[4] if night else _SKIES[int(random.choice([0, 2, 3, 5]))]
    _wash(pen, wide, top, bottom)
    for depth in range(3):
        base = mix(bottom, (54, 60, 96) if night else (120, 132, 160), 0.35 + 0.3 * depth)
        x = -0.05
        while x < wide + 0.05:
            w, h = float(random.uniform(0.07, 0.18)), float(random.uniform(0.25, 0.6)) - 0.1 * depth
            pen.shape(box(x, 1 - h, x + w, 1.05), base, line=0)
            lit: Colour = (255, 226, 150) if night else mix(base, WHITE, 0.35)
            for wy in np.arange(1 - h + 0.02, 1.0, 0.04):
                for wx in np.arange(x + 0.012, x + w - 0.02, 0.03):
                    if random.random() < (0.4 if night else 0.85):
                        pen.shape(box(wx, wy, wx + 0.014, wy + 0.02), lit, line=0)
            x += w + float(random.uniform(0.0, 0.02))


def _room(pen: Pen, wide: float, random: Random) -> None:
    wall, floor = _pastel(random), oklch(0.72, 0.06, 65)
    _wash(pen, wide, wall, change(wall, light=0.95))
    _wash(pen, wide, floor, change(floor, light=0.88), 0.8, 1.0)
    pen.shape(box(-0.1, 0.775, wide + 0.1, 0.8), mix(wall, WHITE, 0.6), line=0.5)
    x = wide * float(random.uniform(0.08, 0.3))
    top, bottom = _SKIES[int(random.integers(6))]
    pen.shape(box(x, 0.12, x + 0.42, 0.56), top, end=bottom, axis=((0, 0.12), (0, 0.56)), line=1.0)
    for bar in (box(x + 0.2, 0.12, x + 0.22, 0.56), box(x, 0.33, x + 0.42, 0.345)):
        pen.shape(bar, (250, 248, 244), line=0.5)
    curtain = mix(_tone(random), WHITE, 0.4)
    for a, b in ((x - 0.06, x + 0.05), (x + 0.37, x + 0.48)):
        pen.shape(
            loop(
                (a, 0.08, 1), (b, 0.08, 1), (b - 0.02, 0.4), (b + 0.01, 0.64, 1), (a - 0.01, 0.64, 1), (a + 0.01, 0.4)
            ),
            curtain,
            shade=0.02,
        )
    _shelf(pen, wide * float(random.uniform(0.66, 0.82)), random)


def _shelf(pen: Pen, x: float, random: Random) -> None:
    wood: Colour = (176, 132, 96)
    pen.shape(box(x, 0.2, x + 0.36, 0.8), wood, line=0.7)
    for y in (0.22, 0.41, 0.6):
        pen.shape(box(x + 0.02, y, x + 0.34, y + 0.17), shadow(wood, 1.4), line=0)
        place = x + 0.025
        while place < x + 0.31:
            w, h = float(random.uniform(0.012, 0.032)), float(random.uniform(0.1, 0.155))
            pen.shape(box(place, y + 0.17 - h, place + w, y + 0.17), _tone(random), line=0.3)
            place += w + 0.002


def _classroom(pen: Pen, wide: float, random: Random) -> None:
    _wash(pen, wide, (244, 236, 220), (232, 220, 200))
    _wash(pen, wide, (206, 164, 120), (180, 138, 98), 0.82, 1.0)
    pen.shape(box(0.08 * wide, 0.1, 0.66 * wide, 0.52), (58, 104, 84), line=1.2, ink=(150, 110, 76))
    for _ in range(7):
        x, y = float(random.uniform(0.12, 0.5)) * wide, float(random.uniform(0.15, 0.46))
        pen.line(curve([(x, y), (x + 0.04, y - 0.01), (x + 0.1, y + 0.004)]), (226, 236, 228), width=1.2)
    for x in np.arange(0.72 * wide, wide + 0.1, 0.16):
        pen.shape(
            box(x, 0.08, x + 0.13, 0.56), (176, 216, 244), end=(236, 248, 252), axis=((0, 0.08), (0, 0.56)), line=0.8
        )
    for x in np.arange(0.05, wide, 0.34):
        pen.shape(box(x, 0.76, x + 0.24, 0.79), (214, 172, 120), line=0.6)
        for leg in (x + 0.02, x + 0.21):
            pen.shape(box(leg, 0.79, leg + 0.01, 1.0), (130, 130, 136), line=0)


def _shrine(pen: Pen, wide: float, random: Random) -> None:
    _hills(pen, wide, random)
    red: Colour = (206, 70, 52)
    middle = wide * float(random.uniform(0.35, 0.65))
    for x in (middle - 0.3, middle + 0.3):
        pen.shape(box(x - 0.025, 0.25, x + 0.025, 0.92), red, shade=0.012)
    pen.shape(
        loop(
            (middle - 0.46, 0.14, 1),
            (middle, 0.18),
            (middle + 0.46, 0.14, 1),
            (middle + 0.44, 0.21, 1),
            (middle, 0.235),
            (middle - 0.44, 0.21, 1),
        ),
        red,
        shade=0.015,
    )
    pen.shape(box(middle - 0.36, 0.31, middle + 0.36, 0.355), red, shade=0.01)


def _stage(pen: Pen, wide: float, random: Random) -> None:
    hue = float(random.uniform(0, 360))
    _wash(pen, wide, oklch(0.22, 0.08, hue), oklch(0.42, 0.12, hue + 40))
    for i in range(5):
        x = wide * (i + 0.5) / 5
        colour = oklch(0.8, 0.12, hue + 60 * i)
        spread = float(random.uniform(-0.3, 0.3))
        pen.glow(
            np.array([(x - 0.01, -0.05), (x + 0.01, -0.05), (x + spread + 0.12, 1.0), (x + spread - 0.12, 1.0)]),
            colour,
            opacity=0.28,
            blur=0.015,
        )
    pen.shape(box(-0.1, 0.88, wide + 0.1, 1.1), oklch(0.3, 0.06, hue), line=0)
    for _ in range(40):
        x, y = float(random.uniform(0, wide)), float(random.uniform(0.8, 1.0))
        pen.glow(ellipse(x, y, 0.006, 0.018), oklch(0.85, 0.14, float(random.uniform(0, 360))), opacity=0.9)


def _table(pen: Pen, wide: float, random: Random) -> None:
    wood = oklch(float(random.uniform(0.55, 0.85)), 0.06, 60)
    pen.shape(box(-0.1, 0.62, wide + 0.1, 1.1), wood, end=change(wood, light=0.85), axis=((0, 0.62), (0, 1)), line=0)


def _cake(pen: Pen, wide: float, random: Random) -> None:
    _table(pen, wide, random)
    x, cream = wide / 2, (255, 244, 232)
    pen.shape(ellipse(x, 0.8, 0.36, 0.09), (236, 240, 246), shade=0.02)
    side = loop((x - 0.24, 0.5, 1), (x + 0.24, 0.5, 1), (x + 0.24, 0.78, 1), (x, 0.84), (x - 0.24, 0.78, 1))
    pen.shape(side, (250, 214, 160), shade=0.05)
    pen.inside(side, box(x - 0.3, 0.6, x + 0.3, 0.66), _tone(random))
    drips = [ellipse(x + dx, 0.53, 0.045, 0.05 + 0.02 * float(random.random())) for dx in np.linspace(-0.21, 0.21, 7)]
    pen.shape([ellipse(x, 0.49, 0.25, 0.07), *drips], cream, shade=0.02)
    for dx in np.linspace(-0.16, 0.16, 5):
        berry = loop((x + dx, 0.47), (x + dx - 0.035, 0.42), (x + dx, 0.38), (x + dx + 0.035, 0.42))
        pen.shape(berry, (222, 58, 66), shade=0.01)


def _cup(pen: Pen, wide: float, random: Random) -> None:
    _table(pen, wide, random)
    x, colour = wide / 2, mix(_tone(random), WHITE, 0.4)
    pen.shape(ellipse(x, 0.84, 0.3, 0.06), mix(colour, WHITE, 0.5), shade=0.02)
    handle = curve([(x + 0.16, 0.6), (x + 0.3, 0.58), (x + 0.28, 0.72), (x + 0.13, 0.76)])
    pen.shape(band(handle, 0.022), colour)
    pen.shape(
        loop(
            (x - 0.2, 0.54, 1),
            (x + 0.2, 0.54, 1),
            (x + 0.17, 0.74),
            (x + 0.09, 0.84),
            (x - 0.09, 0.84),
            (x - 0.17, 0.74),
        ),
        colour,
        shade=0.05,
    )
    pen.shape(ellipse(x, 0.54, 0.2, 0.045), mix(colour, WHITE, 0.4))
    pen.shape(ellipse(x, 0.546, 0.175, 0.034), (120, 74, 48), line=0.4)
    for dx in (-0.07, 0.02, 0.1):
        steam = curve([(x + dx, 0.46), (x + dx + 0.03, 0.4), (x + dx - 0.02, 0.33), (x + dx + 0.02, 0.26)])
        pen.glow(band(steam, 0.006), WHITE, opacity=0.7, blur=0.004)


def _bouquet(pen: Pen, wide: float, random: Random) -> None:
    _table(pen, wide, random)
    x = wide / 2
    for dx in np.linspace(-0.24, 0.24, 7):
        top = 0.24 + 0.9 * dx**2 + 0.05 * float(random.normal())
        pen.shape(
            band(curve([(x + 0.2 * dx, 0.62), (x + 0.7 * dx, 0.45), (x + dx, top)]), 0.008), (96, 150, 92), line=0.5
        )
        colour = oklch(0.75, 0.14, float(random.uniform(0, 360)))
        pen.shape(petals(x + dx, top, 0.085, n=int(random.integers(5, 8))), colour, shade=0.01)
        pen.shape(ellipse(x + dx, top, 0.022), (250, 212, 100), line=0.5)
    vase = loop(
        (x - 0.07, 0.54, 1),
        (x + 0.07, 0.54, 1),
        (x + 0.06, 0.6),
        (x + 0.14, 0.74),
        (x + 0.08, 0.88),
        (x - 0.08, 0.88),
        (x - 0.14, 0.74),
        (x - 0.06, 0.6),
    )
    pen.shape(vase, _pastel(random), shade=0.04)


def _books(pen: Pen, wide: float, random: Random) -> None:
    _table(pen, wide, random)
    y, x = 0.86, wide / 2
    for _ in range(int(random.integers(3, 6))):
        w, h = float(random.uniform(0.2, 0.3)), float(random.uniform(0.05, 0.09))
        shift = float(random.uniform(-0.05, 0.05))
        pen.shape(rounded(x - w + shift, y - h, x + w + shift, y, 0.01), _tone(random), shade=0.01)
        pen.shape(
            box(x - w + shift + 0.03, y - 0.75 * h, x + w + shift + 0.004, y - 0.25 * h), (250, 244, 230), line=0.5
        )
        y -= h


def _cat(pen: Pen, wide: float, random: Random) -> None:
    _table(pen, wide, random)
    x = wide / 2
    fur = pick(random, ((84, 76, 84), (240, 226, 206), (224, 158, 90), (150, 150, 160)))
    tail = curve([(x + 0.16, 0.82), (x + 0.34, 0.78), (x + 0.33, 0.6), (x + 0.42, 0.52)])
    pen.shape(band(tail, 0.032), fur)
    pen.shape(
        loop(
            (x, 0.46),
            (x - 0.13, 0.56),
            (x - 0.2, 0.8),
            (x - 0.12, 0.88),
            (x + 0.12, 0.88),
            (x + 0.2, 0.8),
            (x + 0.13, 0.56),
        ),
        fur,
        shade=0.04,
    )
    ears = [loop((x + s * 0.04, 0.3, 1), (x + s * 0.15, 0.17, 1), (x + s * 0.17, 0.38, 1)) for s in (-1, 1)]
    pen.shape([ellipse(x, 0.41, 0.18, 0.145), *ears], fur, shade=0.03)
    for s in (-1, 1):
        pen.shape(ellipse(x + s * 0.075, 0.41, 0.026, 0.034), (250, 214, 90), line=0.5)
        pen.shape(ellipse(x + s * 0.075, 0.41, 0.009, 0.028), (40, 34, 40), line=0)
        for dy in (-0.01, 0.015):
            pen.line(np.array([(x + s * 0.08, 0.47 + dy), (x + s * 0.24, 0.46 + 2 * dy)]), (110, 100, 104), width=0.7)
    pen.shape(loop((x - 0.016, 0.455), (x + 0.016, 0.455), (x, 0.472)), (240, 140, 150), line=0)
    pen.line(
        curve([(x - 0.05, 0.49), (x - 0.025, 0.5), (x, 0.475, 1), (x + 0.025, 0.5), (x + 0.05, 0.49)]),
        (90, 70, 76),
        width=0.9,
    )


def _sword(pen: Pen, wide: float, random: Random) -> None:
    x = wide / 2
    blade = loop((x - 0.035, 0.12, 1), (x, 0.05, 1), (x + 0.035, 0.12, 1), (x + 0.035, 0.66, 1), (x - 0.035, 0.66, 1))
    pen.shape(blade, (206, 214, 226), shade=0.02)
    pen.inside(blade, box(x - 0.004, 0.1, x + 0.004, 0.66), (150, 160, 178))
    pen.shape(rounded(x - 0.14, 0.66, x + 0.14, 0.7, 0.015), (226, 182, 84), shade=0.01)
    pen.shape(box(x - 0.02, 0.7, x + 0.02, 0.88), _tone(random), shade=0.01)
    pen.shape(ellipse(x, 0.9, 0.035), _tone(random), shade=0.012)


_PLAIN: dict[str, Scene] = {
    "flat": _flat,
    "gradient": _gradient,
    "dots": _dots,
    "checks": _checks,
    "rays": _rays,
    "bokeh": _bokeh,
    "frame": _frame,
}

_SCENES: dict[str, Scene] = {
    "sky": _sky,
    "hills": _hills,
    "park": _park,
    "sea": _sea,
    "city": _city,
    "room": _room,
    "classroom": _classroom,
    "shrine": _shrine,
    "stage": _stage,
}

_THINGS: tuple[Scene, ...] = (_cake, _cup, _bouquet, _books, _cat, _sword)
