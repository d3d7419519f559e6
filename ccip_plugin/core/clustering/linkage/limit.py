"""The limit: mean difference up to which two large groups are more likely one character than two."""

import numpy as np

from ...arrays import FloatArray, Vectors

_FROM, _TO = 1.065, 1.4  # thresholds between which nearly all pairs of groups are of different characters
_WINDOW = 0.112  # width of the window in which pairs are counted
_STEP = 0.014
_MIN_PAIRS = 20  # to fit a density
_SLACK = 2.0  # standard deviations by which counts may differ before an earlier limit changes
_BLOCK = 2048


def tail_limit(means: Vectors, threshold: float, *, floor: float = 0.868, previous: float | None = None) -> float:
    """Finds the limit: the difference below the threshold where pairs of different characters become expected.

    Nearly all pairs of groups beyond the threshold are of different characters. Their density is fitted there by an
    exponential and extrapolated below the threshold. The limit is where it first predicts more pairs than there are.
    The more groups there are, the more pairs of different characters are close by chance, and the lower the limit; with
    few groups it is the threshold.

    Where few pairs are close, a single one may change the limit a lot. Therefore ``previous``, the limit of an earlier
    run, is kept as long as the counts are within two standard deviations of the prediction (Poisson noise and the error
    of the fit).

    Args:
        means: ``(n, dim)`` mean vectors of large groups
        threshold: the limit if there are too few pairs to estimate it
        floor: lower bound of the limit, in thresholds
        previous (None): limit of an earlier run

    Returns:
        a mean difference
    """
    values = _differences_up_to(means, _TO * threshold) / threshold
    beyond = values[(values >= _FROM) & (values < _TO)]
    if len(beyond) < _MIN_PAIRS:
        return threshold if previous is None else float(np.clip(previous, floor * threshold, threshold))
    distances = _TO - beyond
    rate = _exponential_rate(distances, _TO - _FROM)
    scale = len(beyond) * rate / -np.expm1(-rate * (_TO - _FROM))

    def limit(slack: float) -> float:
        """The first place where the prediction, less ``slack`` standard deviations, exceeds the count."""
        last = floor
        for step in range(round((1 - floor) / _STEP) + 1):
            at = min(floor + step * _STEP, 1.0)
            count = np.count_nonzero((values > at - _WINDOW / 2) & (values <= at + _WINDOW / 2))
            expected = scale * np.exp(-rate * (_TO - at)) * _WINDOW
            if expected - slack * _deviation(expected, distances, _TO - at) > count:
                break
            last = at
        return float(last * threshold)

    if previous is None:
        return limit(0)
    return float(np.clip(previous, limit(-_SLACK), limit(_SLACK)))


def _deviation(expected: float, distances: FloatArray, at: float) -> float:
    """Standard deviation of a count around the prediction of a density fitted to ``distances``."""
    spread = max(float(distances.var()), 1e-12)
    of_fit = (1 + (float(distances.mean()) - at) ** 2 / spread) / len(distances)  # of its logarithm, squared
    return float((expected + of_fit * expected**2) ** 0.5)


def _exponential_rate(distances: FloatArray, width: float) -> float:
    """Rate of an exponential density on ``[0, width]``, by maximum likelihood."""
    mean = float(distances.mean())
    rate = 1 / mean
    for _ in range(50):
        if rate * width > 1e-6:
            rate = 1 / (mean + width / float(np.expm1(rate * width)))
    return rate


def _differences_up_to(means: Vectors, limit: float) -> FloatArray:
    """Mean differences up to ``limit`` of all pairs of groups."""
    parts = [np.empty(0)]
    for i in range(0, len(means), _BLOCK):
        for j in range(i, len(means), _BLOCK):
            block = 0.5 - 0.5 * (means[i : i + _BLOCK] @ means[j : j + _BLOCK].T)
            is_near = block <= limit
            if i == j:
                is_near &= np.triu(np.ones(block.shape, np.bool_), 1)
            parts.append(block[is_near].astype(np.float64))
    return np.concatenate(parts)
