"""Vectors like those of CCIP with known characters: archetypes, outfits, siblings, images of many qualities."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

DIM = 768


@dataclass(frozen=True)
class Setting:
    """How hard it is to tell characters apart.

    Attributes:
        common: what all images have in common
        archetype: what characters of one archetype have in common, at most about 1.4 times this
        n_archetypes: how many archetypes there are; a few are frequent
        image: typical share of an image's energy that is its own
        hard: share of the images with 2.5 times that
        outfit: typical share that belongs to the outfit
        siblings: share of the characters that are variants of another
        alone: share of the images that are the only one of a character
        noise: share of the images that are like nothing else
    """

    common: float = 0.40
    archetype: float = 0.65
    n_archetypes: int = 150
    image: float = 0.165
    hard: float = 0.05
    outfit: float = 0.075
    siblings: float = 0.08
    alone: float = 0.12
    noise: float = 0.05


SETTINGS = {
    "plain": Setting(),
    "outfits": Setting(outfit=0.11),
    "siblings": Setting(siblings=0.16),
    "noisy": Setting(image=0.20),
    "crowded": Setting(archetype=0.75, n_archetypes=60),
    "hard": Setting(hard=0.15),
    "clean": Setting(image=0.13, outfit=0.05),
    "loners": Setting(alone=0.25, noise=0.10),
}


def characters(n: int, seed: int, setting: Setting | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """``(n, 768)`` unit vectors in random order and the character of each."""
    s = setting or Setting()
    random = np.random.default_rng((4242, seed))
    n_alone, n_noise = int(n * s.alone), int(n * s.noise)
    sizes = np.concatenate([_sizes(random, n - n_alone - n_noise, n), np.ones(n_alone, np.int64)])
    centre = _directions(random, 1)
    means = _means(random, len(sizes), centre, s)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    n_outfits = np.maximum(1, np.log2(sizes + 1).astype(int))
    first_outfit = np.concatenate([[0], np.cumsum(n_outfits)])
    outfits = _directions(random, int(first_outfit[-1]))
    energy = s.outfit * random.uniform(0.2, 1.8, len(sizes))
    vectors = np.empty((n, DIM), np.float32)
    for start in range(0, len(truth), 20_000):
        who = truth[start : start + 20_000]
        own = s.image * random.lognormal(0, 0.5, len(who)) * np.where(random.random(len(who)) < s.hard, 2.5, 1)
        own = np.minimum(own, 0.8)[:, None]
        outfit = first_outfit[who] + (random.random(len(who)) ** 1.7 * n_outfits[who]).astype(int)
        of_outfit = energy[who][:, None]
        rest = np.sqrt(np.maximum(0.05, 1 - own - of_outfit))
        image = 0.25 * centre + 0.97 * _directions(random, len(who))
        vectors[start : start + len(who)] = _unit(
            rest * means[who] + np.sqrt(of_outfit) * outfits[outfit] + np.sqrt(own) * image
        )
    vectors[len(truth) :] = _unit(0.6 * centre + 0.8 * _directions(random, n_noise))
    truth = np.concatenate([truth, len(sizes) + np.arange(n_noise)])
    order = random.permutation(n)
    return vectors[order], truth[order]


def with_(setting: Setting, **changes: float) -> Setting:
    """A setting with some other values."""
    return replace(setting, **changes)


def _means(random: np.random.Generator, n: int, centre: NDArray, s: Setting) -> NDArray:
    archetypes = _directions(random, s.n_archetypes)
    weights = np.arange(1, s.n_archetypes + 1) ** -0.7
    of = random.choice(s.n_archetypes, n, p=weights / weights.sum())
    share = np.minimum(s.archetype * random.uniform(0.4, 1.4, (n, 1)), 0.9)
    own = np.sqrt(np.maximum(0.03, 1 - s.common**2 - share**2))
    means = _unit(s.common * centre + share * archetypes[of] + own * _directions(random, n))
    siblings = np.flatnonzero(random.random(n) < s.siblings)
    likeness = random.uniform(0.5, 0.95, (len(siblings), 1))
    others = means[random.integers(0, n, len(siblings))]
    means[siblings] = _unit(likeness * others + np.sqrt(1 - likeness**2) * _directions(random, len(siblings)))
    return means


def _sizes(random: np.random.Generator, n_images: int, n: int) -> NDArray[np.int64]:
    """Sizes of characters: many small ones, a few with hundreds of images, none over a twenty-fifth."""
    sizes: list[int] = []
    left = n_images
    while left > 0:
        size = min(int(min(3 * (1 + random.pareto(1.15)), max(10, n / 25))), left)
        sizes.append(size)
        left -= size
    return np.array(sizes, np.int64)


def _directions(random: np.random.Generator, n: int) -> NDArray[np.float32]:
    decay = np.arange(1, DIM + 1, dtype=np.float32) ** -0.35
    return _unit(random.standard_normal((n, DIM), dtype=np.float32) * decay)


def _unit(x: NDArray) -> NDArray[np.float32]:
    x = np.asarray(x, np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)
