"""Small sets of embeddings with known characters."""

import numpy as np
from numpy.typing import NDArray

from ccip_plugin.core.review.board import Board

THRESHOLD = 0.1784
DIM = 32


def vectors_of(characters: str, *, spread: float = 0.35, seed: int = 0) -> NDArray[np.float32]:
    """An embedding of unit length per letter; images of one letter are alike, in the order of the letters."""
    random = np.random.default_rng((11, seed))
    directions = {letter: _unit(random.standard_normal(DIM)) for letter in sorted(set(characters))}
    rows = [_unit(directions[each] + spread * _unit(random.standard_normal(DIM))) for each in characters]
    return np.array(rows, np.float32)


def board_of(characters: str, groups: str, **options: object) -> Board:
    """A board: a letter per image for its character, a digit for its group, 0 for none."""
    return Board(vectors_of(characters), [int(each) for each in groups], threshold=THRESHOLD, **options)


def _unit(vector: NDArray[np.floating]) -> NDArray[np.floating]:
    return vector / np.linalg.norm(vector)
