"""Embeddings as CCIP gives them for drawings of known characters, made up.

What is known of the published default model holds for them: over the pairs of 100 characters with 20 images each, the
best threshold is about 0.18 with an F1 of about 0.92, and images of different characters differ by about 0.41.
"""

import numpy as np
from numpy.typing import NDArray

DIM = 768
LENGTH = 11.0  # of a raw embedding, about

ALL_DRAWINGS = 0.40  # cosine to the direction that every drawing shares
LOOK = 0.65  # to that of its look, such as a color of hair, of which there are few
LOOKS = 150
OUTFIT = 0.075  # share of an image's energy that is its outfit
IMAGE = 0.157  # share that is nothing but itself: pose, style, background
HARD = 0.05  # share of images that are drawn very differently
TWINS = 0.08  # share of characters that resemble another one
SINGLE, NOBODY = 0.12, 0.05  # share of images whose character appears once; that show no character


def simulate(n: int, seed: int = 0, *, sizes: NDArray[np.integer] | None = None) -> tuple[NDArray, NDArray]:
    """Makes up embeddings.

    Args:
        n: how many images
        seed (0): another one gives other characters
        sizes (None): how many images each character has; from 3 to a 25th of ``n``, few with many, by default

    Returns:
        ``(n, 768)`` float32, not of unit length, in random order, and the ``(n,)`` number of the character; who appears
        once, and each image without a character, has a number of its own
    """
    random = np.random.default_rng((2023, seed))
    n_nobody = 0 if sizes is not None else int(n * NOBODY)
    if sizes is None:
        sizes = _sizes(random, n - n_nobody, n)
    everybody = _directions(random, 1)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    images = _images(random, _characters(random, len(sizes), everybody), sizes, truth, everybody)
    nobody = _unit(0.6 * everybody + 0.8 * _directions(random, n_nobody))
    vectors = np.concatenate([images, nobody])
    vectors *= LENGTH * np.exp(0.05 * random.standard_normal((len(vectors), 1)))
    labels = np.concatenate([truth, len(sizes) + np.arange(n_nobody)])
    order = random.permutation(len(labels))
    return np.ascontiguousarray(vectors[order], np.float32), labels[order]


def _sizes(random: np.random.Generator, n: int, n_all: int) -> NDArray[np.integer]:
    n_single = int(n_all * SINGLE)
    found: list[int] = []
    while (left := n - n_single - sum(found)) > 0:
        found.append(min(left, int(min(3 * (1 + random.pareto(1.15)), max(10, n_all / 25)))))
    return np.array([*found, *[1] * min(n, n_single)], dtype=np.int64)


def _characters(random: np.random.Generator, n: int, everybody: NDArray) -> NDArray:
    """A direction per character; twins lean towards another character."""
    popularity = 1 / np.arange(1, LOOKS + 1) ** 0.7
    look = _directions(random, LOOKS)[random.choice(LOOKS, n, p=popularity / popularity.sum())]
    share = np.minimum(LOOK * random.uniform(0.4, 1.4, (n, 1)), 0.9)
    own = np.sqrt(np.maximum(0.03, 1 - ALL_DRAWINGS**2 - share**2))
    characters = _unit(ALL_DRAWINGS * everybody + share * look + own * _directions(random, n))
    twins = np.flatnonzero(random.random(n) < TWINS)
    likeness = random.uniform(0.5, 0.95, (len(twins), 1))
    other = characters[random.integers(0, max(n, 1), len(twins))]
    characters[twins] = likeness * other + np.sqrt(1 - likeness**2) * _directions(random, len(twins))
    return _unit(characters)


def _images(
    random: np.random.Generator, characters: NDArray, sizes: NDArray[np.integer], truth: NDArray, everybody: NDArray
) -> NDArray:
    n = len(truth)
    wardrobe = np.log2(sizes + 1).astype(np.int64).clip(min=1)
    first = np.concatenate([[0], np.cumsum(wardrobe)])
    outfits = _directions(random, int(first[-1]))
    worn = first[truth] + (random.random(n) ** 1.7 * wardrobe[truth]).astype(np.int64)  # the first ones more often
    dressed = (OUTFIT * random.uniform(0.2, 1.8, len(sizes)))[truth, None]
    itself = IMAGE * np.exp(0.5 * random.standard_normal((n, 1)))
    itself = np.minimum(np.where(random.random((n, 1)) < HARD, 2.5 * itself, itself), 0.8)
    of_character = np.sqrt(np.maximum(0.05, 1 - itself - dressed))
    detail = 0.25 * everybody + 0.97 * _directions(random, n)
    return _unit(of_character * characters[truth] + np.sqrt(dressed) * outfits[worn] + np.sqrt(itself) * detail)


def _directions(random: np.random.Generator, n: int) -> NDArray:
    """Random directions, the first dimensions more used than the last."""
    falling = np.arange(1, DIM + 1, dtype=np.float32) ** np.float32(-0.35)
    return _unit(random.standard_normal((n, DIM), dtype=np.float32) * falling)


def _unit(x: NDArray) -> NDArray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)
