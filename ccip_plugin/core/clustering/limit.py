"""Up to which mean difference two large groups are rather one character than two."""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Vectors

_FROM, _TO = 1.065, 1.4  # where nearly all pairs of groups are of different characters, in thresholds
_WINDOW = 0.112  # width over which pairs are counted
_STEP = 0.014
_ENOUGH = 20  # pairs from which a density can be fitted
_SLACK = 2.0  # standard deviations by which numbers of pairs may differ before a limit that is known changes
_BLOCK = 2048


def tail_limit(means: Vectors, threshold: float, *, floor: float = 0.868, previous: float | None = None) -> float:
    """Finds the limit below the threshold where pairs of different characters begin to be expected.

    Beyond the threshold nearly all pairs of groups are different characters. How fast these become fewer towards
    smaller differences is fitted there, as an exponential, and continued below the threshold. The limit is where it
    first gives more pairs than there are. The more groups there are, the more pairs of different characters are near by
    chance, and the lower it gets; with few groups it is the threshold.

    Where few pairs are near, one more or less may move it far. So ``previous``, the limit of an earlier run, stays as
    long as these numbers of pairs allow it: within two standard deviations of what is expected, of which one part is
    chance and the other that of the fit.

    Args:
        means: ``(n, dim)`` mean vectors of large groups
        threshold: the limit where there are too few pairs for anything better
        floor: the least limit, in thresholds
        previous (None): the limit of an earlier run

    Returns:
        a mean difference
    """
    values = _differences_up_to(means, _TO * threshold) / threshold
    beyond = values[(values >= _FROM) & (values < _TO)]
    if len(beyond) < _ENOUGH:
        return threshold if previous is None else float(np.clip(previous, floor * threshold, threshold))
    distances = _TO - beyond
    rate = _rate(distances, _TO - _FROM)
    scale = len(beyond) * rate / -np.expm1(-rate * (_TO - _FROM))

    def limit(slack: float) -> float:
        """The first place where more pairs are expected than there are, by so many standard deviations."""
        found = floor
        for step in range(round((1 - floor) / _STEP) + 1):
            at = min(floor + step * _STEP, 1.0)
            seen = np.count_nonzero((values > at - _WINDOW / 2) & (values <= at + _WINDOW / 2))
            expected = scale * np.exp(-rate * (_TO - at)) * _WINDOW
            if expected - slack * _deviation(expected, distances, _TO - at) > seen:
                break
            found = at
        return float(found * threshold)

    if previous is None:
        return limit(0)
    return float(np.clip(previous, limit(-_SLACK), limit(_SLACK)))


def _deviation(expected: float, distances: NDArray[np.float64], at: float) -> float:
    """Standard deviation of a number of pairs from what the density gives that was fitted to some distances."""
    spread = max(float(distances.var()), 1e-12)
    of_fit = (1 + (float(distances.mean()) - at) ** 2 / spread) / len(distances)  # of its logarithm, squared
    return float((expected + of_fit * expected**2) ** 0.5)


def _rate(distances: NDArray[np.float64], width: float) -> float:
    """Rate of an exponential density on ``[0, width]``, by maximum likelihood."""
    mean = float(distances.mean())
    rate = 1 / mean
    for _ in range(50):
        if rate * width > 1e-6:
            rate = 1 / (mean + width / float(np.expm1(rate * width)))
    return rate


def _differences_up_to(means: Vectors, limit: float) -> NDArray[np.float64]:
    """Mean differences of all pairs of groups up to ``limit``."""
    found = [np.empty(0)]
    for i in range(0, len(means), _BLOCK):
        for j in range(i, len(means), _BLOCK):
            block = 0.5 - 0.5 * (means[i : i + _BLOCK] @ means[j : j + _BLOCK].T)
            is_near = block <= limit
            if i == j:
                is_near &= np.triu(np.ones(block.shape, np.bool_), 1)
            found.append(block[is_near].astype(np.float64))
    return np.concatenate(found)
