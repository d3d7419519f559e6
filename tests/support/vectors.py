"""Embeddings for tests of the core: random characters, exact letters, and their differences."""

import numpy as np

from ccip_plugin.core.differences import normalize


def embeddings(n: int, dim: int = 64, n_characters: int = 6, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    """Images of a few characters, in any order, some near two of them; lengths as a model gives them."""
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, dim))
    spread = noise * random.lognormal(-0.5, 0.5, (n, 1))
    rows = characters[random.integers(0, n_characters, n)] + spread * random.normal(size=(n, dim))
    return (rows * random.uniform(1, 9, (n, 1))).astype(np.float32)


def of_characters(text: str) -> np.ndarray:
    """One axis for each letter: the same letter is the same image, other letters are at a difference of 0.5."""
    return np.eye(26, dtype=np.float32)[[ord(letter) - ord("a") for letter in text]]


def exact_differences(vectors: np.ndarray) -> np.ndarray:
    unit = normalize(vectors).astype(np.float64)
    return ((unit[:, None] - unit[None]) ** 2).sum(axis=-1) / 4
