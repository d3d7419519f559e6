"""Active learning of the threshold: which pairs of images to ask about, and the estimate from the answers."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, IntArray, Vectors
from ..errors import ParameterError
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback, report

MAX_IMAGES = 3_000
"""Of more images, a random sample of this size is used."""

MIN_ANSWERS = 40
"""Minimum number of answers to rely on the estimate."""


_BINS = 1024
_BLOCK = 1024
_MIDDLES = np.linspace(0.0, 0.5, 126)  # difference at which "same" has probability 1/2
_WIDTHS = np.geomspace(0.004, 0.06, 13)  # width of the transition
_SPREAD = 0.08  # prior standard deviation of the middle around the published threshold
_USUAL_WIDTH, _WIDTH_SPREAD = 0.02, 0.7  # prior of the width: log-normal
_EQUAL = 1e-9  # scores that differ by less are equal
_MISTAKES = 0.01  # share of the answers that are mistakes


@dataclass(frozen=True)
class Answer:
    """An answer about a pair of images.

    Attributes:
        first: number of one image
        second: number of the other
        is_same: whether they show one character; None for "cannot tell": not asked again, not used
    """

    first: int
    second: int
    is_same: bool | None


@dataclass(frozen=True)
class Fit:
    """The threshold estimated from answers.

    Attributes:
        threshold: threshold with the best expected F1 over all pairs
        low: lower end of its 95 % credible interval
        high: upper end
        f1: expected F1 there
        published_f1: expected F1 at the published threshold
        n_answers: number of answers used
        is_enough: whether these are enough to rely on it
    """

    threshold: float
    low: float
    high: float
    f1: float
    published_f1: float
    n_answers: int
    is_enough: bool

    def __str__(self) -> str:
        interval = (
            f"95% interval {self.low:.4f} to {self.high:.4f}" if math.isfinite(self.high - self.low) else "no interval"
        )
        scores = f"expected F1 {self.f1:.4f}, {self.published_f1:.4f} at the published threshold"
        enough = "enough evidence" if self.is_enough else "not enough evidence yet"
        if not math.isfinite(self.threshold):
            return f"no threshold; {self.n_answers} answers about pairs, {enough}"
        return f"threshold {self.threshold:.4f}, {interval}; {scores}; {self.n_answers} answers about pairs, {enough}"


class PairPool:
    """The pairs of a sample of images, by difference.

    Needs 60 MiB for :data:`MAX_IMAGES` images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        threshold: the published threshold of the model, the prior of the estimate
        seed (0): seed of the sample
        progress (None): called with the number of images compared
    """

    def __init__(
        self, embeddings: ArrayLike, threshold: float, *, seed: int = 0, progress: ProgressCallback | None = None
    ) -> None:
        unit = unit_array(embeddings)
        if len(unit) < 2:
            raise ParameterError("embeddings", f"{len(unit)} images", "at least 2 images")
        sample = np.random.default_rng(seed).permutation(len(unit))[:MAX_IMAGES]
        self.threshold, self._images = threshold, np.sort(sample)
        bins = _bins_of_pairs(unit[self._images], progress)
        self.counts = np.bincount(bins, minlength=_BINS + 1)
        self._order = np.argsort(bins, kind="stable").astype(np.int32)
        self._ends = np.cumsum(self.counts)

    def draw(self, bin_number: int, random: np.random.Generator) -> tuple[int, int]:
        """A random pair with a difference in a bin."""
        end = self._ends[bin_number]
        return self._pair(int(random.integers(end - self.counts[bin_number], end)))

    def pairs(self, bin_number: int) -> Iterator[tuple[int, int]]:
        """All pairs with a difference in a bin."""
        end = int(self._ends[bin_number])
        return map(self._pair, range(end - int(self.counts[bin_number]), end))

    def _pair(self, place: int) -> tuple[int, int]:
        row = int(np.searchsorted(self._starts, self._order[place], side="right")) - 1
        column = row + 1 + int(self._order[place] - self._starts[row])
        return int(self._images[row]), int(self._images[column])

    @cached_property
    def _starts(self) -> IntArray:
        """Number of the first pair of each image."""
        n = len(self._images)
        return np.append(0, np.cumsum(np.arange(n - 1, 0, -1)))

    def bins(self, answers: Sequence[Answer], embeddings: ArrayLike) -> IntArray:
        """The bins of the pairs of answers."""
        pairs = np.array([(answer.first, answer.second) for answer in answers], np.int64).reshape(-1, 2)
        vectors = np.asarray(embeddings)
        first, second = unit_array(vectors[pairs[:, 0]]), unit_array(vectors[pairs[:, 1]])
        return _bins(np.einsum("ij,ij->i", first, second))


def choose_pairs(
    pool: PairPool, embeddings: ArrayLike, answers: Sequence[Answer] = (), *, n: int = 10, seed: int = 0
) -> list[tuple[int, int]]:
    """Selects the pairs whose answers are most informative about the threshold.

    These are pairs with differences at which the probability of "same" is uncertain although the answer is not: the
    expected information gain about the middle and width of the transition from "same" to "different" is maximal
    (Houlsby et al., 2011). Pairs with the same difference are equally likely.

    Args:
        pool: the pairs
        embeddings: the embeddings of the pool
        answers: the answers so far; none of their pairs is selected again
        n (10): number of pairs
        seed (0): seed of the selection; the same answers give the same questions

    Returns:
        ``n`` pairs of image numbers, fewer if there are no more
    """
    usable = [answer for answer in answers if answer.is_same is not None]
    weights = _posterior(pool, usable, embeddings)
    gain = np.square(_information_gain(weights)) * (pool.counts > 0)
    if not gain.any():
        gain = (pool.counts > 0).astype(np.float64)
    share = np.cumsum(gain) / gain.sum()
    random = np.random.default_rng((seed, len(answers)))
    asked = {frozenset((answer.first, answer.second)) for answer in answers}
    selected: list[tuple[int, int]] = []
    for quantile in (np.arange(n) + 0.5) / n:
        for _ in range(20):
            pair = pool.draw(int(np.searchsorted(share, quantile)), random)
            if frozenset(pair) not in asked:
                asked.add(frozenset(pair))
                selected.append(pair)
                break
    others = (pair for number in np.argsort(-gain, kind="stable") for pair in pool.pairs(int(number)))
    others = (pair for pair in others if frozenset(pair) not in asked)  # bins with few pairs are soon exhausted
    return [*selected, *itertools.islice(others, n - len(selected))]


def fit(pool: PairPool, embeddings: ArrayLike, answers: Sequence[Answer]) -> Fit:
    """Estimates the threshold with the best F1 over all pairs from answers.

    The probability of "same" is a logistic function of the difference, with a prior around the published threshold and
    a posterior from the answers. Together with the number of pairs by difference, which needs no answers, it gives the
    expected F1 at each threshold.

    Args:
        pool: the pairs
        embeddings: the embeddings of the pool
        answers: the answers in any order; pairs may be selected in any way that does not depend on the characters
    """
    usable = [answer for answer in answers if answer.is_same is not None]
    weights = _posterior(pool, usable, embeddings)
    thresholds = _best_bins(_expected_f1(pool.counts, _curves()), pool.threshold) / _BINS
    expected = _expected_f1(pool.counts, weights @ _curves())
    best = int(_best_bins(expected[None], pool.threshold)[0])
    order = np.argsort(thresholds, kind="stable")
    share = np.cumsum(weights[order])
    low, high = (float(thresholds[order][min(int(np.searchsorted(share, q)), len(order) - 1)]) for q in (0.025, 0.975))
    has_both = len({answer.is_same for answer in usable}) == 2
    is_enough = len(usable) >= MIN_ANSWERS and has_both
    return Fit(
        best / _BINS,
        min(low, best / _BINS),
        max(high, best / _BINS),
        float(expected[best]),
        float(expected[min(int(pool.threshold * _BINS), _BINS)]),
        len(usable),
        is_enough,
    )


@cache  # 70 ms, which would be a part of each import
def _curves() -> FloatArray:
    """``(middles * widths, bins)`` probability of "same"."""
    middles, widths = (grid.reshape(-1, 1) for grid in np.meshgrid(_MIDDLES, _WIDTHS, indexing="ij"))
    return 1 / (1 + np.exp(np.clip((np.arange(_BINS + 1) / _BINS - middles) / widths, -60, 60)))


def _posterior(pool: PairPool, answers: Sequence[Answer], embeddings: ArrayLike) -> FloatArray:
    """``(middles * widths,)`` posterior probability of each curve."""
    middles = -np.square((_MIDDLES - pool.threshold) / _SPREAD) / 2
    widths = -np.square(np.log(_WIDTHS / _USUAL_WIDTH) / _WIDTH_SPREAD) / 2
    logarithms = (middles[:, None] + widths).ravel()
    if answers:
        is_same = np.array([bool(answer.is_same) for answer in answers])
        probability = _MISTAKES + (1 - 2 * _MISTAKES) * _curves()[:, pool.bins(answers, embeddings)]
        logarithms = logarithms + np.log(np.where(is_same, probability, 1 - probability)).sum(axis=1)
    weights = np.exp(logarithms - logarithms.max())
    return np.asarray(weights / weights.sum())


def _information_gain(weights: FloatArray) -> FloatArray:
    """``(bins,)`` expected information gain of an answer about the curve."""
    return np.maximum(_entropy(weights @ _curves()) - weights @ _entropies(), 0)


@cache
def _entropies() -> FloatArray:
    """``(middles * widths, bins)`` entropies of :func:`_curves`."""
    return _entropy(_curves())


def _entropy(probability: FloatArray) -> FloatArray:
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    return -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))


def _expected_f1(counts: IntArray, curves: FloatArray) -> FloatArray:
    """Expected F1 with each bin as the threshold, for each curve."""
    true_positives = np.cumsum(counts * curves, axis=-1)
    positives = np.cumsum(counts)
    return np.asarray(2 * true_positives / np.maximum(positives + true_positives[..., -1:], 1e-300))


def _best_bins(scores: FloatArray, threshold: float) -> IntArray:
    """The bin with the best score of each row; of equally good ones the nearest to the published threshold."""
    distance = np.abs(np.arange(scores.shape[1]) - threshold * _BINS)
    is_best = scores >= scores.max(axis=1, keepdims=True) - _EQUAL
    return np.asarray(np.where(is_best, distance, np.inf).argmin(axis=1), np.int64)


def _bins_of_pairs(unit: Vectors, progress: ProgressCallback | None) -> NDArray[np.int16]:
    """The bin of each pair, row by row."""
    n, parts = len(unit), []
    for start in range(0, n, _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit[start:].T
        above = np.arange(n - start) > np.arange(len(cosines))[:, None]
        parts.append(_bins(cosines[above]).astype(np.int16))
        report(progress, "comparing pairs", min(start + _BLOCK, n), n)
    return np.concatenate(parts)


def _bins(cosines: NDArray[np.floating]) -> IntArray:
    return np.asarray(np.ceil(np.clip((1 - cosines) / 2, 0, 1) * _BINS), np.int64)
