"""Which pairs of images to ask a person about, and the threshold that follows from the answers."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import FloatArray, Vectors
from ..errors import ParameterError
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback, report

MOST_IMAGES = 3_000
"""Of more images, so many are drawn: pairs among them are as pairs among all."""

ENOUGH = 40
"""With fewer answers a threshold is a guess."""


_BINS = 1024
_BLOCK = 1024
_MIDDLES = np.linspace(0.0, 0.5, 126)  # where an answer of "same" gets as likely as not
_WIDTHS = np.geomspace(0.004, 0.06, 13)  # how slowly that changes with the difference
_SPREAD = 0.08  # of the published thresholds around those of other images
_USUAL_WIDTH, _WIDTH_SPREAD = 0.02, 0.7  # a factor of e^0.7 is no surprise
_EQUAL = 1e-9  # scores that differ by less are equal
_SLIPS = 0.01  # share of the answers that are a slip


@dataclass(frozen=True)
class Answer:
    """What a person said of a pair.

    Attributes:
        first: number of the one image
        second: of the other
        is_same: whether they show one character; None for "cannot tell", which counts as asked only
    """

    first: int
    second: int
    is_same: bool | None


@dataclass(frozen=True)
class Fit:
    """The threshold that answers lead to.

    Attributes:
        threshold: where F1 over all pairs is expected to be the best
        low: with 95 % probability it is not below
        high: nor above
        f1: the F1 that is expected there
        published_f1: the F1 that is expected at the published threshold
        n_answers: answers that it rests on
        is_enough: whether these are enough to rely on it
    """

    threshold: float
    low: float
    high: float
    f1: float
    published_f1: float
    n_answers: int
    is_enough: bool


class PairPool:
    """Pairs of images, by difference.

    Takes 60 MiB for :data:`MOST_IMAGES` images.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        threshold: the published threshold of their model, which is where the search begins
        seed (0): of the draw of images
        progress (None): told how many images were compared
    """

    def __init__(
        self, embeddings: ArrayLike, threshold: float, *, seed: int = 0, progress: ProgressCallback | None = None
    ) -> None:
        unit = unit_array(embeddings)
        if len(unit) < 2:
            raise ParameterError("embeddings", f"{len(unit)} images", "at least 2 images")
        drawn = np.random.default_rng(seed).permutation(len(unit))[:MOST_IMAGES]
        self.threshold, self._images = threshold, np.sort(drawn)
        bins = _bins_of_pairs(unit[self._images], progress)
        self.counts = np.bincount(bins, minlength=_BINS + 1)
        self._order = np.argsort(bins, kind="stable").astype(np.int32)
        self._ends = np.cumsum(self.counts)

    def draw(self, bin_number: int, random: np.random.Generator) -> tuple[int, int]:
        """A pair at random, of those with a difference in a bin."""
        return self._pair(
            int(random.integers(self._ends[bin_number] - self.counts[bin_number], self._ends[bin_number]))
        )

    def pairs(self, bin_number: int) -> Iterator[tuple[int, int]]:
        """All pairs with a difference in a bin."""
        end = int(self._ends[bin_number])
        return map(self._pair, range(end - int(self.counts[bin_number]), end))

    def _pair(self, place: int) -> tuple[int, int]:
        row = int(np.searchsorted(self._starts, self._order[place], side="right")) - 1
        column = row + 1 + int(self._order[place] - self._starts[row])
        return int(self._images[row]), int(self._images[column])

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The number of the first pair of each image."""
        n = len(self._images)
        return np.append(0, np.cumsum(np.arange(n - 1, 0, -1)))

    def bins(self, answers: Sequence[Answer], embeddings: ArrayLike) -> NDArray[np.int64]:
        """In which bins the pairs of answers are."""
        chosen = np.array([(answer.first, answer.second) for answer in answers], np.int64).reshape(-1, 2)
        vectors = np.asarray(embeddings)
        first, second = unit_array(vectors[chosen[:, 0]]), unit_array(vectors[chosen[:, 1]])
        return _bins(np.einsum("ij,ij->i", first, second))


def choose_pairs(
    pool: PairPool, embeddings: ArrayLike, answers: Sequence[Answer] = (), *, n: int = 10, seed: int = 0
) -> list[tuple[int, int]]:
    """Chooses the pairs whose answers tell most about the threshold.

    These are the pairs with differences at which it is not known how likely "same" is, though a person would know: the
    answer is expected to tell most about the middle and width of the change from "same" to "different" (Houlsby et
    al., 2011). Of the pairs with such a difference each is as likely to be taken.

    Args:
        pool: the pairs
        embeddings: those that the pool was made of
        answers: those that are there already; no pair of them is chosen again
        n (10): how many
        seed (0): of the draw; the same questions follow from the same answers

    Returns:
        ``n`` pairs of numbers of images, fewer where there are no more
    """
    usable = [answer for answer in answers if answer.is_same is not None]
    weights = _posterior(pool, usable, embeddings)
    worth = np.square(_information(weights)) * (pool.counts > 0)
    if not worth.any():
        worth = (pool.counts > 0).astype(np.float64)
    share = np.cumsum(worth) / worth.sum()
    random = np.random.default_rng((seed, len(answers)))
    asked = {frozenset((answer.first, answer.second)) for answer in answers}
    chosen: list[tuple[int, int]] = []
    for place in (np.arange(n) + 0.5) / n:
        for _ in range(20):
            pair = pool.draw(int(np.searchsorted(share, place)), random)
            if frozenset(pair) not in asked:
                asked.add(frozenset(pair))
                chosen.append(pair)
                break
    left = (pair for number in np.argsort(-worth, kind="stable") for pair in pool.pairs(int(number)))
    left = (pair for pair in left if frozenset(pair) not in asked)  # bins with few pairs are soon asked through
    return [*chosen, *itertools.islice(left, n - len(chosen))]


def fit(pool: PairPool, embeddings: ArrayLike, answers: Sequence[Answer]) -> Fit:
    """Finds the threshold with the best F1 over all pairs, as far as the answers tell.

    How likely "same" is falls with the difference as a logistic curve; how it lies follows from the answers and, the
    fewer they are, from the published threshold. Together with how many pairs have which difference, which needs no
    answers, it gives the F1 that is to be expected at each threshold.

    Args:
        pool: the pairs
        embeddings: those that the pool was made of
        answers: in any order; pairs may be chosen in any way that does not look at who they show
    """
    usable = [answer for answer in answers if answer.is_same is not None]
    weights = _posterior(pool, usable, embeddings)
    thresholds = _best_bins(_expected_f1(pool.counts, _CURVES), pool.threshold) / _BINS
    expected = _expected_f1(pool.counts, weights @ _CURVES)
    best = int(_best_bins(expected[None], pool.threshold)[0])
    order = np.argsort(thresholds, kind="stable")
    share = np.cumsum(weights[order])
    low, high = (float(thresholds[order][min(int(np.searchsorted(share, q)), len(order) - 1)]) for q in (0.025, 0.975))
    has_both = len({answer.is_same for answer in usable}) == 2
    is_enough = len(usable) >= ENOUGH and has_both
    return Fit(
        best / _BINS,
        min(low, best / _BINS),
        max(high, best / _BINS),
        float(expected[best]),
        float(expected[min(int(pool.threshold * _BINS), _BINS)]),
        len(usable),
        is_enough,
    )


def _curves() -> FloatArray:
    """``(middles * widths, bins)``: how likely "same" is."""
    middles, widths = (grid.reshape(-1, 1) for grid in np.meshgrid(_MIDDLES, _WIDTHS, indexing="ij"))
    return 1 / (1 + np.exp(np.clip((np.arange(_BINS + 1) / _BINS - middles) / widths, -60, 60)))


_CURVES = _curves()


def _posterior(pool: PairPool, answers: Sequence[Answer], embeddings: ArrayLike) -> FloatArray:
    """``(middles * widths,)`` how likely each curve is after the answers."""
    middles = -np.square((_MIDDLES - pool.threshold) / _SPREAD) / 2
    widths = -np.square(np.log(_WIDTHS / _USUAL_WIDTH) / _WIDTH_SPREAD) / 2
    logarithms = (middles[:, None] + widths).ravel()
    if answers:
        said = np.array([bool(answer.is_same) for answer in answers])
        likely = _SLIPS + (1 - 2 * _SLIPS) * _CURVES[:, pool.bins(answers, embeddings)]
        logarithms = logarithms + np.log(np.where(said, likely, 1 - likely)).sum(axis=1)
    weights = np.exp(logarithms - logarithms.max())
    return weights / weights.sum()


def _information(weights: FloatArray) -> FloatArray:
    """``(bins,)`` how much an answer is expected to tell about the curve."""
    return np.maximum(_entropy(weights @ _CURVES) - weights @ _ENTROPIES, 0)


def _entropy(share: FloatArray) -> FloatArray:
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    return -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))


_ENTROPIES = _entropy(_CURVES)


def _expected_f1(counts: NDArray[np.int64], curves: FloatArray) -> FloatArray:
    """F1 up to each bin, if pairs are of one character as often as curves say."""
    found = np.cumsum(counts * curves, axis=-1)
    chosen = np.cumsum(counts)
    return 2 * found / np.maximum(chosen + found[..., -1:], 1e-300)


def _best_bins(scores: FloatArray, threshold: float) -> NDArray[np.int64]:
    """The bin with the best score of each row; of equally good ones the nearest to the published threshold."""
    away = np.abs(np.arange(scores.shape[1]) - threshold * _BINS)
    return np.where(scores >= scores.max(axis=1, keepdims=True) - _EQUAL, away, np.inf).argmin(axis=1)


def _bins_of_pairs(unit: Vectors, progress: ProgressCallback | None) -> NDArray[np.int16]:
    """The bin of each pair, row by row."""
    n, parts = len(unit), []
    for start in range(0, n, _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit[start:].T
        above = np.arange(n - start) > np.arange(len(cosines))[:, None]
        parts.append(_bins(cosines[above]).astype(np.int16))
        report(progress, "comparing pairs", min(start + _BLOCK, n), n)
    return np.concatenate(parts)


def _bins(cosines: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.ceil(np.clip((1 - cosines) / 2, 0, 1) * _BINS).astype(np.int64)
