"""Made-up embeddings of known characters that are harder to group than those of ``simulation.py``.

A direction that all drawings share, a look such as a color of hair, the character, its outfits, and the image itself.
Over all pairs of 100 characters with 20 images each, the best threshold is about 0.178, with precision 0.93 and recall
0.90, and images of different characters differ by about 0.41, as published for the default model; the rest is a guess.
"""

import numpy as np
from numpy.typing import NDArray

DIM = 768
LENGTH = 11.0  # of a raw embedding, about
FALL = -0.35  # the first dimensions are used more than the last

ALL_DRAWINGS = 0.40  # cosine to the direction that all drawings share
LOOK, LOOKS = 0.65, 150  # cosine to that of the look; number of looks
OUTFIT = 0.075  # share of the energy that is the outfit
IMAGE, IMAGE_SPREAD = 0.165, 0.50  # share that is the image itself, log-normal
HARD = 0.05  # share of images that are drawn very differently
TWINS = 0.08  # share of characters that resemble another one
SINGLE, NOBODY = 0.12, 0.05  # share of images whose character appears once; that show no character
_BLOCK = 20_000

Random = np.random.Generator


def make_characters(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Makes up embeddings.

    Args:
        n: how many images
        seed (0): another one gives other characters

    Returns:
        ``(n, 768)`` embeddings, not of unit length, in random order, and the ``(n,)`` number of the character; who
        appears once, and each image without a character, has a number of its own
    """
    random = np.random.default_rng((1234, seed))
    n_single, n_nobody = int(n * SINGLE), int(n * NOBODY)
    sizes = np.concatenate([_sizes(random, n - n_single - n_nobody, n), np.ones(n_single, int)])
    looks = _directions(random, LOOKS)
    everybody = _directions(random, 1)
    characters = _characters(random, len(sizes), looks, everybody)
    vectors, truth = _images(random, characters, sizes, everybody, n_nobody)
    if n_nobody:
        nobody = 0.6 * everybody + 0.8 * _directions(random, n_nobody)
        vectors[len(truth) :] = nobody / np.linalg.norm(nobody, axis=1, keepdims=True)
        truth = np.concatenate([truth, len(sizes) + np.arange(n_nobody)])
    vectors *= (LENGTH * np.exp(0.05 * random.standard_normal(len(vectors))))[:, None].astype(np.float32)
    order = random.permutation(len(truth))
    return vectors[order], truth[order]


def _sizes(random: Random, n_members: int, n: int) -> NDArray[np.int64]:
    sizes: list[int] = []
    left = n_members
    while left > 0:
        size = int(min(3 * (1 + random.pareto(1.15)), max(10, n / 25)))
        sizes.append(min(size, left))
        left -= sizes[-1]
    return np.array(sizes)


def _characters(random: Random, n: int, looks: NDArray, everybody: NDArray) -> NDArray:
    """A direction per character; twins lean towards another character."""
    popularity = 1 / np.arange(1, LOOKS + 1) ** 0.7
    look = random.choice(LOOKS, n, p=popularity / popularity.sum())
    share = np.minimum(LOOK * random.uniform(0.4, 1.4, (n, 1)), 0.9).astype(np.float32)
    own = np.sqrt(np.maximum(0.03, 1 - ALL_DRAWINGS**2 - share**2))
    characters = ALL_DRAWINGS * everybody + share * looks[look] + own * _directions(random, n)
    characters /= np.linalg.norm(characters, axis=1, keepdims=True)
    twins = np.flatnonzero(random.random(n) < TWINS)
    likeness = random.uniform(0.5, 0.95, (len(twins), 1)).astype(np.float32)
    others = characters[random.integers(0, n, len(twins))]
    characters[twins] = likeness * others + np.sqrt(1 - likeness**2) * _directions(random, len(twins))
    return characters / np.linalg.norm(characters, axis=1, keepdims=True)


def _images(
    random: Random, characters: NDArray, sizes: NDArray, everybody: NDArray, n_nobody: int
) -> tuple[NDArray, NDArray]:
    truth = np.repeat(np.arange(len(sizes)), sizes)
    n_outfits = np.maximum(1, np.log2(sizes + 1).astype(int))
    first = np.concatenate([[0], np.cumsum(n_outfits)])
    outfits = _directions(random, int(first[-1]))
    vectors = np.empty((len(truth) + n_nobody, DIM), np.float32)
    dressed = OUTFIT * random.uniform(0.2, 1.8, len(sizes))
    for start in range(0, len(truth), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(truth)))
        who = truth[block]
        itself = IMAGE * np.exp(IMAGE_SPREAD * random.standard_normal(len(who)))
        itself = np.minimum(np.where(random.random(len(who)) < HARD, itself * 2.5, itself), 0.8)
        worn = first[who] + (random.random(len(who)) ** 1.7 * n_outfits[who]).astype(int)  # the first ones more often
        image = np.sqrt(np.maximum(0.05, 1 - itself - dressed[who]))[:, None] * characters[who]
        image = image + np.sqrt(dressed[who])[:, None] * outfits[worn]
        detail = 0.25 * everybody + 0.97 * _directions(random, len(who))
        image = image + np.sqrt(itself)[:, None] * detail
        vectors[block] = image / np.linalg.norm(image, axis=1, keepdims=True)
    return vectors, truth


def _directions(random: Random, n: int) -> NDArray[np.float32]:
    vectors = random.standard_normal((n, DIM), dtype=np.float32) * np.arange(1, DIM + 1, dtype=np.float32) ** FALL
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
