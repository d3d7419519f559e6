"""Probability that two groups, or an image and a group, are one character: a logistic function per kind of question."""

from collections.abc import Mapping

import numpy as np

from ..arrays import FloatArray

SAME, HALVES, BELONGS, STAYS = "same", "halves", "belongs", "stays"
"""What is judged: two groups; two halves of one; an image and a group that it is not in; and its own group."""

START: Mapping[str, tuple[float, float]] = {
    SAME: (0.172, 0.011),
    HALVES: (0.185, 0.012),
    BELONGS: (0.172, 0.011),
    STAYS: (0.215, 0.02),
}
"""Mean difference at which "one character" has probability 1/2, and the width of the transition, before any answer."""


class Probabilities:
    """Probabilities of "one character" by mean difference, per kind."""

    def __init__(self) -> None:
        self._weights = {kind: np.array([middle / width, -1 / width]) for kind, (middle, width) in START.items()}

    def same(self, kind: str, differences: FloatArray) -> FloatArray:
        """Probability of "one character" for each mean difference."""
        weights = self._weights[kind]
        odds = np.clip(weights[0] + weights[1] * np.asarray(differences, np.float64), -30, 30)
        return np.asarray(1 / (1 + np.exp(-odds)))
