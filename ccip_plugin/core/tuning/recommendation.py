"""Recommends threshold and clustering parameters for the user's own images, with confidence intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Labels
from ..clustering.methods import DBSCAN, LINKAGE
from ..errors import ParameterError
from ..evaluation.jackknife import Interval
from ..evaluation.pairs import PairMetrics, pair_metrics
from ..neighbors.pairs import exact_differences
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback
from .parameters import RecommendedParameters, tuned_dbscan, tuned_linkage
from .questions import MIN_ANSWERS, Fit
from .threshold import BestThreshold, best_threshold

MAX_TUNED = 5_000
"""Of more images, a sample of this size is used to tune clustering, with images of known characters first."""

MIN_CHARACTERS, MIN_PAIRS = 8, 50
"""Minimum evidence: characters with two images or more, and pairs of each kind."""

MAX_LOSS, MAX_WIDTH = 0.05, 0.1
"""The evidence is insufficient if another threshold may have an F1 that is better by more than the first; that of
answers if the interval of the threshold is wider than the second. Unless the interval excludes the published threshold.
"""


@dataclass(frozen=True)
class Recommendation:
    """Recommended threshold and parameters, and the evidence for them.

    Attributes:
        threshold: difference up to which two images show one character, with the best F1
        interval: its confidence interval
        f1: F1 there; if some characters are unknown, the expected F1 over all pairs
        published_f1: F1 at the published threshold, likewise
        methods: recommended parameters by family of methods, :data:`~ccip_plugin.core.clustering.methods.LINKAGE` and
            :data:`~ccip_plugin.core.clustering.methods.DBSCAN`; only the former when they come from answers
        n_images: number of images of known characters
        n_characters: number of known characters
        n_same: number of pairs of one character
        n_different: number of pairs of two characters, rejections included
        n_rejected: number of pairs known from rejections only
        thin: why the evidence is insufficient, empty if it is sufficient
        n_answers: number of answers about pairs
        is_from_answers: whether the threshold comes from answers instead of known characters
    """

    threshold: float
    interval: Interval
    f1: float
    published_f1: float
    methods: Mapping[str, RecommendedParameters]
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
    """Recommends parameters from known characters, rejections and answers about pairs.

    The objective is F1 over all pairs. If some characters are unknown it cannot be counted, and F1 over the known
    images differs from it, with far fewer pairs of two characters. But it can be estimated: recall at a threshold from
    the known characters; the number of pairs of any kind up to the threshold, which needs no labels; and the number of
    pairs of one character from both at small differences, where nearly all pairs are of one character. If all
    characters are known it is counted.

    Of known characters and answers, the evidence with the narrower interval of the threshold is used.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        characters: ``(n,)`` numbers of characters, negative for unknown
        threshold: the published threshold of the model
        rejected: pairs of images known to show different characters, besides those that follow from ``characters``
        answers (None): what :func:`~ccip_plugin.core.tuning.questions.fit` estimated from answers about these images
        progress (None): called with the stage and the number of items done

    Raises:
        ParameterError: no pair is known
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
    thin = _missing_evidence(pairs, known, best, threshold)
    methods: dict[str, RecommendedParameters] = {}
    is_from_answers = answers is not None and _is_narrower(answers, best, thin, threshold)
    if is_from_answers and answers is not None:
        confidence = Interval(answers.low, answers.high)
        best, thin = BestThreshold(answers.threshold, confidence, answers.f1, answers.published_f1, math.nan), ()
        methods[LINKAGE] = RecommendedParameters(answers.threshold, 2, confidence, math.nan, math.nan)
    elif pairs.n_same and len(np.unique(known[known >= 0])) > 1:
        sample = _sample(known)
        codes = _encode(known[sample])
        methods[LINKAGE] = tuned_linkage(unit[sample], codes, threshold, progress)
        methods[DBSCAN] = tuned_dbscan(unit[sample], codes, threshold, progress)
    if thin and answers is not None and (problem := _missing_answers(answers)):
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


def _is_narrower(answers: Fit, best: BestThreshold, thin: tuple[str, ...], published: float) -> bool:
    """Whether answers determine the threshold better than known characters."""
    confidence = Interval(answers.low, answers.high)
    if _missing_answers(answers) or (confidence.width > MAX_WIDTH and not _excludes(confidence, published)):
        return False
    return bool(thin) or not confidence.width >= best.interval.width


def _sample(known: Labels) -> Labels:
    """Images of whole known characters, and others; at most :data:`MAX_TUNED` unless one character has more."""
    random, labeled = np.random.default_rng(0), np.flatnonzero(known >= 0)
    if len(labeled) > MAX_TUNED:
        names, codes, sizes = np.unique(known[labeled], return_inverse=True, return_counts=True)
        order = random.permutation(len(names))
        is_selected = np.zeros(len(names), np.bool_)
        is_selected[order[np.cumsum(sizes[order]) <= MAX_TUNED]] = True
        if not is_selected.any():
            is_selected[order[0]] = True
        labeled = labeled[is_selected[codes]]
    unlabeled = np.flatnonzero(known < 0)
    n_unlabeled = max(0, MAX_TUNED - len(labeled))
    return np.sort(np.concatenate([labeled, random.permutation(unlabeled)[:n_unlabeled]]))


def _encode(known: Labels) -> Labels:
    """Numbers 0, 1, ... of the characters, -1 for unknown."""
    codes = np.full(len(known), -1, np.int64)
    codes[known >= 0] = np.unique(known[known >= 0], return_inverse=True)[1]
    return codes


def _missing_evidence(pairs: PairMetrics, known: Labels, best: BestThreshold, published: float) -> tuple[str, ...]:
    sizes = np.unique(known[known >= 0], return_counts=True)[1]
    n_usable = int((sizes > 1).sum())
    problems = []
    if n_usable < MIN_CHARACTERS:
        problems.append(f"{n_usable} characters with two images or more, {MIN_CHARACTERS} are needed")
    for n, kind in ((pairs.n_same, "one character"), (pairs.n_different, "different characters")):
        if n < MIN_PAIRS:
            problems.append(f"{n} pairs of {kind}, {MIN_PAIRS} are needed")
    if not problems and not best.possible_loss <= MAX_LOSS and not _excludes(best.interval, published):
        problems.append(
            f"the best threshold may be anywhere from {best.interval.low:.3f} to {best.interval.high:.3f}, with an F1 "
            f"better by up to {best.possible_loss:.2f}; the published {published:.3f} may be as good"
        )
    return tuple(problems)


def _excludes(confidence: Interval, published: float) -> bool:
    return published < confidence.low or published > confidence.high


def _missing_answers(answers: Fit) -> str:
    """Why answers are insufficient, empty if they are sufficient."""
    if answers.is_enough:
        return ""
    return f"{answers.n_answers} answers about pairs, {MIN_ANSWERS} of both kinds are needed"
