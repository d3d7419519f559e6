"""Colours by lightness, chroma and hue (OKLCH), so that palettes and shadows stay pleasant."""

import math

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (44, 34, 46)


def oklch(lightness: float, chroma: float, hue: float) -> Colour:
    """The sRGB colour of ``lightness`` (0..1), ``chroma`` (0..0.3) and ``hue`` (degrees), less colourful if need be."""
    for _ in range(12):
        rgb = _linear_rgb(lightness, chroma, hue)
        if all(-0.002 <= channel <= 1.002 for channel in rgb):
            break
        chroma *= 0.9
    red, green, blue = (_encode(min(max(channel, 0.0), 1.0)) for channel in rgb)
    return red, green, blue


def to_oklch(colour: Colour) -> tuple[float, float, float]:
    """The inverse of :func:`oklch`."""
    r, g, b = (_decode(channel) for channel in colour)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    middle = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    lightness = 0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short
    return lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def change(colour: Colour, *, light: float = 1.0, chroma: float = 1.0, hue: float = 0.0) -> Colour:
    """``colour`` with its lightness and chroma multiplied and its hue turned by ``hue`` degrees."""
    lightness, old_chroma, old_hue = to_oklch(colour)
    return oklch(min(lightness * light, 0.995), min(old_chroma * chroma, 0.32), old_hue + hue)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``share`` of ``b`` in ``a``."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def shadow(colour: Colour, depth: float = 1.0) -> Colour:
    """How ``colour`` looks in the shade: darker, a little cooler, not greyer."""
    lightness, chroma, _ = to_oklch(colour)
    cool = oklch(0.42, 0.10, 300)
    dark = change(colour, light=1 - 0.15 * depth, chroma=1.10 if chroma > 0.03 else 1.0)
    return mix(dark, cool, (0.10 + 0.06 * lightness) * depth)


def shine(colour: Colour, strength: float = 1.0) -> Colour:
    """How ``colour`` looks where light falls on it."""
    return mix(change(colour, light=1 + 0.1 * strength), WHITE, 0.35 * strength)


def outline(colour: Colour) -> Colour:
    """A line colour that goes with ``colour``: dark, of its hue."""
    lightness, chroma, hue = to_oklch(colour)
    return oklch(0.22 + 0.16 * lightness, min(0.4 * chroma + 0.02, 0.09), hue if chroma > 0.02 else 330)


def _linear_rgb(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )


def _encode(value: float) -> int:
    return round(255 * (12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055))


def _decode(value: int) -> float:
    share = value / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
