"""Which threshold, eps and min_samples fit the user's own images, and how sure that is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Labels, Vectors
from ..clustering.dbscan import dbscan
from ..clustering.linkage import LinkageOptions, linkage
from ..clustering.methods import DBSCAN, LINKAGE
from ..errors import ParameterError
from ..evaluation.jackknife import STEPS, Interval, ari_without, folds_of, interval_of_best, possible_loss
from ..evaluation.pairs import PairMetrics, f1_curve, interval_of_threshold, pair_metrics
from ..neighbors.graph import radius_graph
from ..neighbors.pairs import GRID, exact_differences
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback, report
from .dbscan import merges, scores_by_level, tune_dbscan_2
from .questions import ENOUGH, Fit
from .scores import rand_index

MOST_IMAGES = 5_000
"""From more images so many are drawn, first those of known characters: clustering is tuned on these."""

MOST_COMPARED = 20_000
"""Of more images, so many are drawn to see how many pairs have which difference."""

ENOUGH_CHARACTERS, ENOUGH_PAIRS = 8, 50
"""Below, evidence is too thin: characters with two images, pairs of each kind."""

MOST_LOST, WIDEST = 0.05, 0.1
"""It is as well when the best threshold may have an F1 that is better by more than this; that of answers when the
interval of the threshold is wider than this. Unless it is sure at least that the published threshold is not the best.
"""


_FACTORS = (0.7, 0.78, 0.85, 0.92, 1.0, 1.08, 1.16, 1.25, 1.35)  # of the published threshold, for linkage
_EPS_FACTORS = np.linspace(0.4, 1.25, 24)  # of it, for DBSCAN
_MIN_SAMPLES = (3, 4, 5)
_WORTH = 0.005  # by how much another min_samples than 2 must be better
_EQUAL = 1e-9  # scores that differ by less are equal


@dataclass(frozen=True)
class Parameters:
    """Recommended parameters of a method.

    Attributes:
        eps: the eps, for ``linkage`` the largest mean difference
        min_samples: the min_samples
        interval: of eps, by leaving out one character at a time
        score: the adjusted Rand index with these of the images of known characters, which were clustered among the
            others; NaN where no character is known
        published: the same with the published threshold as eps
    """

    eps: float
    min_samples: int
    interval: Interval
    score: float
    published: float


@dataclass(frozen=True)
class Recommendation:
    """What fits the images, and what that rests on.

    Attributes:
        threshold: the difference up to which two images are one character, where F1 is the best
        interval: of it
        f1: F1 there; where not everybody is known, the one that is to be expected over all pairs
        published_f1: F1 at the published threshold, likewise
        methods: recommended parameters by family of methods, :data:`~ccip_plugin.core.clustering.methods.LINKAGE` and
            :data:`~ccip_plugin.core.clustering.methods.DBSCAN`; only the former when they come from answers
        n_images: images of known characters
        n_characters: their characters
        n_same: pairs of one character
        n_different: pairs of two, rejections included
        n_rejected: pairs that are known from rejections alone
        thin: why the evidence is too thin, empty when it is not
        n_answers: answers about pairs
        is_from_answers: whether the threshold is from these answers, not from known characters
    """

    threshold: float
    interval: Interval
    f1: float
    published_f1: float
    methods: Mapping[str, Parameters]
    n_images: int
    n_characters: int
    n_same: int
    n_different: int
    n_rejected: int
    thin: tuple[str, ...]
    n_answers: int = 0
    is_from_answers: bool = False


def recommend(
    embeddings: ArrayLike,
    characters: ArrayLike,
    *,
    threshold: float,
    rejected: Sequence[tuple[int, int]] = (),
    answers: Fit | None = None,
    progress: ProgressCallback | None = None,
) -> Recommendation:
    """Recommends parameters from what is known of images.

    Where some characters are known and others are not, F1 over all pairs is what counts. It cannot be counted, and
    F1 over the known images is another one, with far fewer pairs of two characters. But three things tell what it is
    to be: which share of the pairs of one character has a difference up to a threshold, from the known characters; how
    many pairs of any kind have, which needs no names; and how many pairs of one character there are, from the two at
    small differences, where nearly all pairs are of one character. Where everybody is known it is the F1 that there is.

    Of known characters and answers the one counts that is surer of the threshold.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        characters: ``(n,)`` numbers of characters, negative for not known
        threshold: the published threshold of their model
        rejected: pairs of images of which it is known that they show different characters, beside those that follow
            from ``characters``
        answers (None): what :func:`~ccip_plugin.core.tuning.questions.fit` made of answers about pairs of these images
        progress (None): told where the work is

    Raises:
        ParameterError: nothing is known of any pair
        VectorsError: an embedding is zero or not finite
    """
    unit, known = unit_array(embeddings), np.asarray(characters, np.int64)
    pairs = pair_metrics(unit, known, by_character=True, progress=progress)
    extra = np.array(rejected, np.int32).reshape(-1, 2)
    if len(extra):
        pairs = pairs.with_different(exact_differences(unit, extra[:, 0], extra[:, 1]))
    n_answers = 0 if answers is None else answers.n_answers
    if not pairs.n_same + pairs.n_different + n_answers:
        raise ParameterError("characters", "nothing known", "characters, rejections or answers of at least two images")
    best = best_threshold(unit, known, pairs, threshold, progress)
    thin = _thin(pairs, known, best, threshold)
    methods: dict[str, Parameters] = {}
    is_from_answers = answers is not None and _is_surer(answers, best, thin, threshold)
    if is_from_answers and answers is not None:
        found = Interval(answers.low, answers.high)
        best, thin = BestThreshold(answers.threshold, found, answers.f1, answers.published_f1, math.nan), ()
        methods[LINKAGE] = Parameters(answers.threshold, 2, found, float("nan"), float("nan"))
    elif pairs.n_same and len(np.unique(known[known >= 0])) > 1:
        chosen = _drawn(known)
        codes = _codes(known[chosen])
        methods[LINKAGE] = _tuned_linkage(unit[chosen], codes, threshold, progress)
        methods[DBSCAN] = _tuned_dbscan(unit[chosen], codes, threshold, progress)
    if thin and answers is not None and (problem := _thin_answers(answers)):
        thin = (*thin, problem)
    return Recommendation(
        best.threshold,
        best.interval,
        best.f1,
        best.published_f1,
        methods,
        n_images=pairs.n_images,
        n_characters=pairs.n_characters,
        n_same=pairs.n_same,
        n_different=pairs.n_different,
        n_rejected=len(extra),
        thin=thin,
        n_answers=n_answers,
        is_from_answers=is_from_answers,
    )


@dataclass(frozen=True)
class BestThreshold:
    """Where F1 over all pairs is the best.

    Attributes:
        threshold: there; of equally good ones the nearest to the published
        interval: of it
        f1: the F1 there
        published_f1: the F1 at the published threshold
        possible_loss: by how much F1 may be better elsewhere, as far as is known
    """

    threshold: float
    interval: Interval
    f1: float
    published_f1: float
    possible_loss: float


def best_threshold(
    unit: Vectors, known: Labels, pairs: PairMetrics, published: float, progress: ProgressCallback | None = None
) -> BestThreshold:
    """Finds the threshold with the best F1 over all pairs of images, whether all of them are known or some.

    Args:
        unit: ``(n, dim)`` unit vectors
        known: ``(n,)`` numbers of characters, negative for not known
        pairs: what :func:`~ccip_plugin.core.evaluation.pairs.pair_metrics` counted of these ``by_character``
        published: the published threshold
        progress (None): told how many pairs were compared
    """
    same, different = pairs.coarse(STEPS)
    if not pairs.n_same or pairs.folds is None:
        unknown = Interval(math.nan, math.nan)
        return BestThreshold(pairs.threshold, unknown, pairs.f1, pairs.at(published).f1, math.nan)
    every = (same + different).astype(np.float64) if (known >= 0).all() else _every_pair(unit, progress)
    scores = expected_f1(every, same, different)
    without = []
    for fold in range(len(pairs.folds)):
        left = pairs.folds.without(fold, same, different)
        without.append(expected_f1(every - pairs.folds.touching[fold], *left))
    folds, best = np.array(without), _nearest_best(scores, published)
    f1, published_f1, threshold = float(scores[best]), float(scores[int(published * STEPS)]), best / STEPS
    if (known >= 0).all():  # then it can be counted exactly
        exact = f1_curve(pairs.same, pairs.different)
        threshold = _nearest_best(exact, published) / (len(exact) - 1)
        f1, published_f1 = pairs.f1, pairs.at(published).f1
    found = interval_of_threshold(scores, folds, threshold)
    return BestThreshold(threshold, found, f1, published_f1, possible_loss(scores, folds, best))


def _nearest_best(scores: NDArray[np.float64], published: float) -> int:
    """Where the best score is; of equally good ones the nearest to the published threshold."""
    best = np.flatnonzero(scores >= scores.max() - _EQUAL)
    return int(best[np.argmin(np.abs(best - published * (len(scores) - 1)))])


def expected_f1(
    every: NDArray[np.float64], same: NDArray[np.integer], different: NDArray[np.integer]
) -> NDArray[np.float64]:
    """F1 over all pairs of images, some of which are known, with each bin of differences as the threshold.

    Half of the known pairs of one character are closer than the others. Up to there, all pairs that are not known to be
    of two characters are taken for pairs of one: that tells how many of these there are.

    Args:
        every: ``(bins,)`` how many pairs there are
        same: ``(bins,)`` those that are known to be of one character
        different: ``(bins,)`` those that are known to be of two

    Returns:
        ``(bins,)`` scores, NaN where no pair is known to be of one character
    """
    hits = np.cumsum(same, dtype=np.float64)
    if not hits[-1]:
        return np.full(len(hits), np.nan)
    recall, up_to = hits / hits[-1], np.cumsum(every)
    half = int(np.searchsorted(recall, 0.5))
    n_same = max((up_to[half] - np.cumsum(different)[half]) / recall[half], hits[-1])
    return 2 * recall * n_same / (up_to + n_same)


def _every_pair(unit: Vectors, progress: ProgressCallback | None) -> NDArray[np.float64]:
    """``(STEPS + 1,)`` how many pairs of images there are by difference."""
    n = len(unit)
    drawn = unit if n <= MOST_COMPARED else unit[np.random.default_rng(0).permutation(n)[:MOST_COMPARED]]
    counts = pair_metrics(drawn, np.zeros(len(drawn), np.int64), bins=STEPS, progress=progress).same
    return counts.astype(np.float64) * (n * (n - 1) / (len(drawn) * (len(drawn) - 1)))


def _is_surer(answers: Fit, best: BestThreshold, thin: tuple[str, ...], published: float) -> bool:
    """Whether answers tell more than known characters."""
    found = Interval(answers.low, answers.high)
    if _thin_answers(answers) or (found.width > WIDEST and not _leaves_out(found, published)):
        return False
    return bool(thin) or not found.width >= best.interval.width


def _drawn(known: Labels) -> Labels:
    """Images of whole known characters, and others; at most :data:`MOST_IMAGES` unless one character has more."""
    random, there = np.random.default_rng(0), np.flatnonzero(known >= 0)
    if len(there) > MOST_IMAGES:
        names, codes, sizes = np.unique(known[there], return_inverse=True, return_counts=True)
        order = random.permutation(len(names))
        is_taken = np.zeros(len(names), np.bool_)
        is_taken[order[np.cumsum(sizes[order]) <= MOST_IMAGES]] = True
        if not is_taken.any():
            is_taken[order[0]] = True
        there = there[is_taken[codes]]
    others = np.flatnonzero(known < 0)
    n_others = max(0, MOST_IMAGES - len(there))
    return np.sort(np.concatenate([there, random.permutation(others)[:n_others]]))


def _codes(known: Labels) -> Labels:
    """Numbers 0, 1, ... of the characters, -1 for not known."""
    codes = np.full(len(known), -1, np.int64)
    codes[known >= 0] = np.unique(known[known >= 0], return_inverse=True)[1]
    return codes


def _tuned_linkage(unit: Vectors, codes: Labels, threshold: float, progress: ProgressCallback | None) -> Parameters:
    values = np.minimum(np.array(_FACTORS) * threshold, 1.0)
    near_duplicate = LinkageOptions.near_duplicate * threshold  # as in a run with the tuned eps
    labels = []
    for number, eps in enumerate(values):
        report(progress, "tuning linkage", number, len(values))
        labels.append(linkage(unit, threshold=float(eps), near_duplicate=near_duplicate).labels)
    scores, without = _scored(labels, codes)
    nearest = np.abs(np.array(_FACTORS) - 1)  # of equally good values, the one that is nearest to the published
    best = int(np.lexsort((nearest, -np.round(scores, 6)))[0])
    published = float(scores[_FACTORS.index(1.0)])
    found = interval_of_best(scores, without, _between(values), best)
    return Parameters(float(values[best]), 2, found, float(scores[best]), published)


def _tuned_dbscan(unit: Vectors, codes: Labels, threshold: float, progress: ProgressCallback | None) -> Parameters:
    """``min_samples=2`` exactly, 3 to 5 on a grid; these are taken where they are clearly better."""
    best = _tuned_dbscan_2(unit, codes, threshold, progress)
    values = np.minimum(_EPS_FACTORS * threshold, 1.0)
    graph = radius_graph(unit, float(values[-1]), progress=progress)
    for number, min_samples in enumerate(_MIN_SAMPLES):
        report(progress, "tuning DBSCAN", number, len(_MIN_SAMPLES))
        labels = [dbscan(graph, eps=float(eps), min_samples=min_samples) for eps in values]
        scores, without = _scored(labels, codes)
        top = int(np.argmax(scores))
        if scores[top] > best.score + _WORTH:
            found = interval_of_best(scores, without, _between(values), top)
            best = Parameters(float(values[top]), min_samples, found, float(scores[top]), best.published)
    return best


def _tuned_dbscan_2(unit: Vectors, codes: Labels, threshold: float, progress: ProgressCallback | None) -> Parameters:
    found = merges(unit, min(1.0, 1.5 * threshold), progress=progress)
    best = tune_dbscan_2(found, codes)
    levels, scores = scores_by_level(found, codes)
    folds = _folds(codes)
    left = (np.where(folds == fold, -1, codes) for fold in range(int(folds.max()) + 1))
    without = np.array([scores_by_level(found, each)[1] for each in left])
    ends = np.clip(np.append((levels - 0.5) * GRID, found.radius), 0, found.radius)
    place = interval_of_best(scores, without, ends, int(np.argmax(scores)))
    published = float(_scored([found.labels(threshold)], codes)[0][0])
    return Parameters(best.eps, 2, place, best.score, published)


def _between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middles between values, the first and the last."""
    return np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:]])


def _folds(codes: Labels) -> Labels:
    """The folds of images of known characters, -1 for the others."""
    folds = np.full(len(codes), -1, np.int64)
    folds[codes >= 0] = folds_of(codes[codes >= 0])
    return folds


def _scored(labels: Sequence[Labels], codes: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The adjusted Rand index of the known images: of each grouping, and ``(folds, groupings)`` without each fold."""
    there = codes >= 0
    codes = codes[there]
    folds = folds_of(codes)
    scores, without = [], []
    for each in labels:
        pred = each[there]
        is_alone = pred < 0
        pred[is_alone] = pred.max(initial=-1) + 1 + np.arange(int(is_alone.sum()))
        scores.append(rand_index(pred, codes))
        without.append(ari_without(pred, codes, folds))
    return np.array(scores), np.array(without).T


def _thin(pairs: PairMetrics, known: Labels, best: BestThreshold, published: float) -> tuple[str, ...]:
    sizes = np.unique(known[known >= 0], return_counts=True)[1]
    n_usable = int((sizes > 1).sum())
    problems = []
    if n_usable < ENOUGH_CHARACTERS:
        problems.append(f"{n_usable} characters with two images or more, {ENOUGH_CHARACTERS} are needed")
    for n, kind in ((pairs.n_same, "one character"), (pairs.n_different, "different characters")):
        if n < ENOUGH_PAIRS:
            problems.append(f"{n} pairs of {kind}, {ENOUGH_PAIRS} are needed")
    if not problems and not best.possible_loss <= MOST_LOST and not _leaves_out(best.interval, published):
        problems.append(
            f"the best threshold may be anywhere from {best.interval.low:.3f} to {best.interval.high:.3f}, with an F1 "
            f"better by up to {best.possible_loss:.2f}; so it may be the published {published:.3f} as well"
        )
    return tuple(problems)


def _leaves_out(found: Interval, published: float) -> bool:
    return published < found.low or published > found.high


def _thin_answers(answers: Fit) -> str:
    """Why answers are not enough, empty when they are."""
    return "" if answers.is_enough else f"{answers.n_answers} answers about pairs, {ENOUGH} of both kinds are needed"
