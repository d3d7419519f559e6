"""Characters: what stays the same about them in every picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .colours import Colour, change, oklch
from .names import name_of

Random = np.random.Generator

SKINS: tuple[Colour, ...] = (
    (255, 231, 216),
    (254, 224, 205),
    (252, 236, 228),
    (246, 208, 180),
    (222, 170, 134),
    (176, 122, 90),
)

# (lightness, chroma, hue), no two so near that light or shade turns one into the other.
HAIR_COLOURS = (
    (0.27, 0.020, 285),  # black
    (0.42, 0.070, 45),  # dark brown
    (0.60, 0.085, 60),  # light brown
    (0.88, 0.105, 95),  # blonde
    (0.72, 0.160, 55),  # orange
    (0.55, 0.190, 27),  # red
    (0.40, 0.130, 12),  # wine
    (0.83, 0.095, 5),  # pink
    (0.66, 0.190, 350),  # deep pink
    (0.76, 0.110, 308),  # lilac
    (0.50, 0.170, 302),  # violet
    (0.40, 0.120, 270),  # indigo
    (0.57, 0.155, 256),  # blue
    (0.78, 0.105, 235),  # sky
    (0.72, 0.115, 195),  # turquoise
    (0.52, 0.095, 175),  # deep teal
    (0.66, 0.150, 146),  # green
    (0.87, 0.095, 163),  # mint
    (0.80, 0.160, 118),  # lime
    (0.84, 0.020, 265),  # silver
    (0.97, 0.010, 80),  # white
    (0.62, 0.020, 265),  # grey
)

EYE_COLOURS = (
    (0.56, 0.200, 25),  # red
    (0.70, 0.160, 58),  # amber
    (0.84, 0.155, 98),  # gold
    (0.66, 0.165, 143),  # green
    (0.72, 0.125, 190),  # teal
    (0.55, 0.175, 258),  # blue
    (0.54, 0.190, 300),  # violet
    (0.70, 0.180, 350),  # pink
    (0.44, 0.075, 48),  # brown
    (0.74, 0.025, 260),  # grey
    (0.32, 0.030, 290),  # dark
)

CLOTH_COLOURS = (
    (0.34, 0.060, 268),
    (0.28, 0.015, 280),
    (0.97, 0.008, 90),
    (0.55, 0.170, 25),
    (0.80, 0.085, 5),
    (0.62, 0.110, 250),
    (0.52, 0.095, 160),
    (0.88, 0.090, 95),
    (0.50, 0.110, 300),
    (0.72, 0.070, 60),
    (0.76, 0.080, 195),
    (0.60, 0.015, 260),
    (0.44, 0.075, 50),
    (0.70, 0.150, 50),
)

BANGS = ("blunt", "spiky", "swept", "parted", "curtain", "one_eye", "choppy", "wispy")
GIRL_BACKS = (
    "bob",
    "medium",
    "long",
    "long_wavy",
    "twintails",
    "low_twintails",
    "ponytail",
    "side_ponytail",
    "buns",
    "braids",
    "drills",
    "flipped",
)
BOY_BACKS = ("short", "spiky", "short", "wolf", "low_ponytail")
SIDES = ("none", "short", "long", "curly", "straight")
EYE_SHAPES = ("round", "sharp", "gentle", "narrow")
GIRL_OUTFITS = (
    "sailor",
    "blazer",
    "hoodie",
    "kimono",
    "armour",
    "dress",
    "maid",
    "cardigan",
    "casual",
    "idol",
    "cape",
)
BOY_OUTFITS = ("gakuran", "suit", "hoodie", "yukata", "armour", "casual", "cape", "blazer")

# Things worn on the head, at most one of each line.
HEAD_PIECES = ("cat_ears", "fox_ears", "rabbit_ears", "horns", "halo", "antenna", "elf_ears")
HAIR_PIECES = ("big_ribbon", "side_ribbon", "hairband", "clips", "flower", "star_pin", "crown", "headphones", "feather")
HATS = ("beret", "witch_hat", "cap", "straw_hat", "sailor_hat")
VISIBLE = ("cat_ears", "fox_ears", "rabbit_ears", "horns", "halo", "big_ribbon", "side_ribbon", "flower", "crown")
VISIBLE += ("headphones", *HATS)  # what is seen from far away
FACE_PIECES = ("glasses", "round_glasses", "eyepatch", "mole", "scar", "freckles", "face_paint", "choker", "scarf")


@dataclass(frozen=True)
class Hair:
    """Hair: its colours and its cut; ``seed`` fixes every lock."""

    colour: Colour
    bangs: str
    back: str
    sides: str
    ahoge: int
    volume: float
    length: float
    seed: int
    tips: Colour | None = None
    streak: Colour | None = None


@dataclass(frozen=True)
class Eyes:
    """Eyes; ``other`` is the colour of the left one where the two differ."""

    colour: Colour
    shape: str
    lashes: float
    other: Colour | None = None


@dataclass(frozen=True)
class Outfit:
    """Clothes: a kind, three colours, and a seed for the details."""

    kind: str
    main: Colour
    second: Colour
    accent: Colour
    legs: str
    seed: int


@dataclass(frozen=True)
class Piece:
    """Something a character always wears."""

    kind: str
    colour: Colour
    side: int  # 1 or -1


@dataclass(frozen=True)
class Character:
    """A character: everything that makes it recognizable.

    Attributes:
        key: unique in a world, such as "c007"
        name: unique in a world, in any script
        build: "girl" or "boy"
        outfits: the first is worn most
        twin_of: key of the character this one is easily taken for
    """

    key: str
    name: str
    build: str
    skin: Colour
    hair: Hair
    eyes: Eyes
    pieces: tuple[Piece, ...]
    outfits: tuple[Outfit, ...]
    height: float
    twin_of: str | None = None
    brow: Colour = field(default=(60, 45, 50))


def make_character(seed: int, number: int) -> Character:
    """The ``number``-th character of the world ``seed``: always the same one."""
    random = np.random.default_rng([seed, number, 1])
    build = "boy" if random.random() < 0.27 else "girl"
    hair = _hair(random, build, _dealt(HAIR_COLOURS, seed, number, 3))
    eyes = _eyes(random, build, _dealt(EYE_COLOURS, seed, number, 4))
    return Character(
        key=f"c{number:03d}",
        name=name_of(seed, number),
        build=build,
        skin=SKINS[int(random.choice(len(SKINS), p=(0.3, 0.28, 0.16, 0.14, 0.08, 0.04)))],
        hair=hair,
        eyes=eyes,
        pieces=_pieces(random, hair, build),
        outfits=tuple(_outfit(random, build) for _ in range(3)),
        height=float(random.uniform(0.92, 1.08) + (0.06 if build == "boy" else 0)),
        brow=change(hair.colour, light=0.72),
    )


def make_twin(character: Character, seed: int, number: int) -> Character:
    """A character easily confused with ``character``: same hair and skin, other eyes and headwear."""
    random = np.random.default_rng([seed, number, 2])
    eyes = _eyes(random, character.build, pick(random, EYE_COLOURS))
    while _near(eyes.colour, character.eyes.colour, 150) or eyes.shape == character.eyes.shape:
        eyes = _eyes(random, character.build, pick(random, EYE_COLOURS))
    known = {piece.kind for piece in character.pieces}
    kinds: set[str] = set()
    while not kinds & set(VISIBLE) or kinds & known:
        pieces = _pieces(random, character.hair, character.build)
        kinds = {piece.kind for piece in pieces}
    return replace(
        character,
        key=f"c{number:03d}",
        name=name_of(seed, number),
        eyes=eyes,
        pieces=pieces,
        outfits=tuple(_outfit(random, character.build) for _ in range(3)),
        twin_of=character.key,
    )


def colour_near(random: Random, base: tuple[float, float, float], spread: float = 1.0) -> Colour:
    """A colour around ``base``, given as lightness, chroma and hue."""
    lightness, chroma, hue = base
    return oklch(
        float(np.clip(lightness + spread * random.normal(0, 0.02), 0.12, 0.98)),
        max(chroma * float(1 + spread * random.normal(0, 0.08)), 0.0),
        hue + spread * float(random.normal(0, 5)),
    )


def pick(random: Random, options: tuple, p: tuple[float, ...] | None = None):
    """One of ``options``."""
    return options[int(random.choice(len(options), p=p))]


def _dealt(options: tuple, seed: int, number: int, salt: int):
    """One of ``options``, dealt like cards: none is repeated before all are given."""
    times, place = divmod(number, len(options))
    return options[int(np.random.default_rng([seed, times, salt]).permutation(len(options))[place])]


def _hair(random: Random, build: str, base: tuple[float, float, float]) -> Hair:
    colour = colour_near(random, base, 0.5)
    other = colour_near(random, pick(random, HAIR_COLOURS))
    extra = random.random()
    boy = build == "boy"
    return Hair(
        colour=colour,
        bangs=pick(random, ("spiky", "swept", "parted", "one_eye", "choppy", "curtain") if boy else BANGS),
        back=pick(random, BOY_BACKS if boy else GIRL_BACKS),
        sides=pick(random, ("none", "short") if boy else SIDES),
        ahoge=int(random.choice(3, p=(0.62, 0.26, 0.12))),
        volume=float(random.uniform(0.96, 1.08)),
        length=float(random.uniform(0.85, 1.2)),
        seed=int(random.integers(2**31)),
        tips=other if extra < 0.12 else None,
        streak=other if 0.12 <= extra < 0.2 else None,
    )


def _eyes(random: Random, build: str, base: tuple[float, float, float]) -> Eyes:
    colour = colour_near(random, base, 0.5)
    shape = pick(random, EYE_SHAPES, (0.1, 0.4, 0.15, 0.35) if build == "boy" else (0.38, 0.24, 0.26, 0.12))
    other = colour_near(random, pick(random, EYE_COLOURS)) if random.random() < 0.05 else None
    return Eyes(colour, shape, float(random.uniform(0.5, 0.8) if build == "boy" else random.uniform(0.85, 1.2)), other)


def _pieces(random: Random, hair: Hair, build: str) -> tuple[Piece, ...]:
    chosen: list[str] = []
    hat = random.random() < 0.13
    if hat:
        chosen.append(pick(random, HATS))
    elif random.random() < 0.24:
        chosen.append(pick(random, HEAD_PIECES))
    if not hat and random.random() < (0.2 if build == "boy" else 0.55):
        options = tuple(
            p for p in HAIR_PIECES if build == "girl" or p in ("headphones", "clips", "hairband", "feather")
        )
        chosen.append(pick(random, options))
    if random.random() < 0.38:
        chosen.append(pick(random, FACE_PIECES))
    return tuple(
        Piece(kind, _piece_colour(random, kind, hair.colour), 1 if random.random() < 0.5 else -1) for kind in chosen
    )


def _piece_colour(random: Random, kind: str, hair: Colour) -> Colour:
    if kind in ("cat_ears", "fox_ears", "antenna"):
        return hair
    if kind == "rabbit_ears":
        return pick(random, (hair, (250, 246, 244), (70, 60, 72)))
    if kind == "halo":
        return pick(random, ((255, 214, 92), (120, 214, 255), (255, 140, 190), (160, 240, 170)))
    bright = [c for c in (*EYE_COLOURS[:9], (0.30, 0.02, 280), (0.96, 0.01, 90)) if not _near(oklch(*c), hair)]
    return colour_near(random, bright[int(random.integers(len(bright)))])


def _outfit(random: Random, build: str) -> Outfit:
    main, second, accent = (
        colour_near(random, CLOTH_COLOURS[int(i)]) for i in random.permutation(len(CLOTH_COLOURS))[:3]
    )
    legs = pick(random, ("bare", "socks", "thighhighs", "tights"))
    kind = pick(random, BOY_OUTFITS if build == "boy" else GIRL_OUTFITS)
    return Outfit(kind, main, second, accent, legs, int(random.integers(2**31)))


def _near(a: Colour, b: Colour, limit: float = 70) -> bool:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) < limit**2
