"""Probability that two groups, or an image and a group, are one character: a logistic function per kind of matter."""

from collections.abc import Mapping

import numpy as np

from ..arrays import BoolArray, FloatArray

SAME, HALVES, BELONGS, STAYS = "same", "halves", "belongs", "stays"
"""What is judged: two groups; two halves of one; an image and a group that it is not in; an image and its own group."""

START: Mapping[str, tuple[float, ...]] = {
    SAME: (10.3, -117.0, 67.0),
    HALVES: (15.3, -156.0, 87.5),
    BELONGS: (-5.7, -3.3, 52.0, 0.8),
    STAYS: (4.5, -21.5, 42.0, -28.0, 0.5),
}
"""Constant and weights of the features (:mod:`.features`) before any answer: fitted on simulated embeddings."""

_SPREADS: Mapping[str, tuple[float, ...]] = {
    SAME: (1.0, 20.0, 20.0),
    HALVES: (1.0, 20.0, 20.0),
    BELONGS: (1.0, 5.0, 10.0, 0.3),
    STAYS: (1.0, 5.0, 10.0, 10.0, 0.3),
}  # standard deviations of the prior around the start values
_STEPS, _SMALLEST_STEP = 25, 1e-6


class Probabilities:
    """Probabilities of "one character", per kind; learns from answers.

    The weights are the most probable ones given the answers, with a normal prior around :data:`START`. Some answers are
    slips: the probability of "yes" never reaches 0 or 1, so that a few wrong or contradictory ones have little weight.

    Args:
        slip_rate (0.02): share of the answers that are assumed to be slips
    """

    def __init__(self, *, slip_rate: float = 0.02) -> None:
        self._weights = {kind: np.array(start) for kind, start in START.items()}
        self._answers: dict[str, list[tuple[FloatArray, bool]]] = {kind: [] for kind in START}
        self._slips = slip_rate

    def same(self, kind: str, features: FloatArray) -> FloatArray:
        """Probability of "one character" for each row of features."""
        return _logistic(self._weights[kind], _with_constant(features))

    def add(self, kind: str, features: FloatArray, is_same: bool) -> None:
        """Records an answer; :meth:`fit` learns from it."""
        self._answers[kind].append((features, is_same))

    def fit(self) -> None:
        """Fits the weights of each kind to the answers."""
        for kind, answers in self._answers.items():
            if answers:
                features = _with_constant(np.array([each for each, _ in answers]))
                is_same = np.array([each for _, each in answers])
                self._weights[kind] = self._most_probable(kind, features, is_same)

    def expected_and_said(self, kind: str) -> tuple[float, int]:
        """Over the answers of a kind, the expected number of "different", and how many were given."""
        answers = self._answers[kind]
        if not answers:
            return 0.0, 0
        p = self.same(kind, np.array([each for each, _ in answers]))
        return float((1 - p).sum()), sum(not is_same for _, is_same in answers)

    def n_answers(self, kind: str) -> int:
        """How many answers of a kind it learned from."""
        return len(self._answers[kind])

    def _most_probable(self, kind: str, x: FloatArray, is_same: BoolArray) -> FloatArray:
        start, precision = np.array(START[kind]), np.array(_SPREADS[kind]) ** -2.0
        weights = self._weights[kind].copy()
        for _ in range(_STEPS):
            p = _logistic(weights, x)
            said = self._slips + (1 - 2 * self._slips) * p  # probability that the answer is yes
            # Each answer counts as far as it is not a slip: an expectation step, then one step of Newton's method.
            honest = np.where(is_same, (1 - self._slips) * p / said, self._slips * p / (1 - said))
            slope = x.T @ (honest - p) - precision * (weights - start)
            curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(precision)
            step = np.linalg.solve(curvature, slope)
            weights += step * min(1.0, 3.0 / max(float(np.abs(x @ step).max()), 1e-12))
            if np.abs(x @ step).max() < _SMALLEST_STEP:
                break
        return weights


def _with_constant(features: FloatArray) -> FloatArray:
    return np.concatenate([np.ones((len(features), 1)), features], axis=1)


def _logistic(weights: FloatArray, x: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x @ weights, -30, 30))))
