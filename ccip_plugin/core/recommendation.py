"""Which threshold, eps and min_samples fit the user's own images, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .clustering import dbscan_of_embeddings, linkage
from .differences import Vectors
from .errors import ParameterError
from .evaluation import PairMetrics, pair_metrics
from .jackknife import Interval, ari_without, folds_of, interval
from .pairs import exact_differences, unit_vectors
from .progress import ProgressCallback, report
from .tuning import Merges, merges, rand_index, tune_dbscan_2

MOST_IMAGES = 5_000
"""From more images, as many characters are drawn as fit: clustering is tuned on these."""

ENOUGH_CHARACTERS, ENOUGH_PAIRS, WIDEST = 5, 50, 0.1
"""Below, evidence is too thin: characters with two images, pairs of each kind; or a wider interval of the threshold."""

Labels = NDArray[np.int64]

_FACTORS = (0.7, 0.78, 0.85, 0.92, 1.0, 1.08, 1.16, 1.25, 1.35)  # of the published threshold, for linkage
_EPS_FACTORS = np.linspace(0.4, 1.25, 24)  # of it, for DBSCAN
_MIN_SAMPLES = (3, 4, 5)
_WORTH = 0.005  # by how much another min_samples than 2 must be better


@dataclass(frozen=True)
class Parameters:
    """Recommended parameters of a method.

    Attributes:
        eps: the eps, for ``linkage`` the largest mean difference
        min_samples: the min_samples
        interval: of eps, by leaving out one character at a time
        score: the adjusted Rand index with these on the evidence
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
        f1: F1 there
        published_f1: F1 at the published threshold
        methods: recommended parameters of ``linkage`` and ``dbscan``
        n_images: images of known characters
        n_characters: their characters
        n_same: pairs of one character
        n_different: pairs of two, rejections included
        n_rejected: pairs that are known from rejections alone
        thin: why the evidence is too thin, empty when it is not
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


def recommend(
    embeddings: ArrayLike,
    characters: ArrayLike,
    *,
    threshold: float,
    rejected: Sequence[tuple[int, int]] = (),
    progress: ProgressCallback | None = None,
) -> Recommendation:
    """Recommends parameters from what is known of images.

    F1 depends on how many of all pairs are of one character: evidence from a part of a dataset is best when it has
    whole characters, as they come.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        characters: ``(n,)`` numbers of characters, negative for not known
        threshold: the published threshold of their model
        rejected: pairs of images of which it is known that they show different characters, beside those that follow
            from ``characters``
        progress (None): told where the work is

    Raises:
        ParameterError: nothing is known of any pair
        VectorsError: an embedding is zero or not finite
    """
    unit, known = unit_vectors(embeddings), np.asarray(characters, np.int64)
    pairs = pair_metrics(unit, known, by_character=True, progress=progress)
    extra = np.array(rejected, np.int32).reshape(-1, 2)
    if len(extra):
        pairs = pairs.with_different(exact_differences(unit, extra[:, 0], extra[:, 1]))
    if not pairs.n_same + pairs.n_different:
        raise ParameterError("characters", "nothing known", "characters or rejections of at least two images")
    found = pairs.intervals()["threshold"]
    chosen = _drawn(known)
    _, codes = np.unique(known[chosen], return_inverse=True)
    methods: dict[str, Parameters] = {}
    if pairs.n_same and len(np.unique(codes)) > 1:
        vectors = unit[chosen]
        methods["linkage"] = _tuned_linkage(vectors, codes, threshold, progress)
        methods["dbscan"] = _tuned_dbscan(vectors, codes, threshold, progress)
    return Recommendation(
        pairs.threshold,
        found,
        pairs.f1,
        pairs.at(threshold).f1,
        methods,
        n_images=pairs.n_images,
        n_characters=pairs.n_characters,
        n_same=pairs.n_same,
        n_different=pairs.n_different,
        n_rejected=len(extra),
        thin=_thin(pairs, known, found),
    )


def _drawn(known: Labels) -> Labels:
    """Images of whole characters, at most :data:`MOST_IMAGES` unless one has more."""
    there = np.flatnonzero(known >= 0)
    if len(there) <= MOST_IMAGES:
        return there
    names, codes, sizes = np.unique(known[there], return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    is_taken = np.zeros(len(names), np.bool_)
    is_taken[order[np.cumsum(sizes[order]) <= MOST_IMAGES]] = True
    if not is_taken.any():
        is_taken[order[0]] = True
    return there[is_taken[codes]]


def _tuned_linkage(unit: Vectors, codes: Labels, threshold: float, progress: ProgressCallback | None) -> Parameters:
    values = np.minimum(np.array(_FACTORS) * threshold, 1.0)
    labels = []
    for number, eps in enumerate(values):
        report(progress, "tuning linkage", number, len(values))
        labels.append(linkage(unit, threshold=float(eps)).labels)
    scores, without = _scored(labels, codes)
    nearest = np.abs(np.array(_FACTORS) - 1)  # of equally good values, the one that is nearest to the published
    best = _best(scores, nearest)
    moved = [float(values[_best(column, nearest)]) for column in without.T]
    published = float(scores[_FACTORS.index(1.0)])
    return Parameters(float(values[best]), 2, interval(float(values[best]), moved), float(scores[best]), published)


def _tuned_dbscan(unit: Vectors, codes: Labels, threshold: float, progress: ProgressCallback | None) -> Parameters:
    """``min_samples=2`` exactly, 3 to 5 on a grid; these are taken where they are clearly better."""
    found = merges(unit, min(1.0, 1.5 * threshold), progress=progress)
    pairs = tune_dbscan_2(found, codes)
    published = float(_scored([found.labels(threshold)], codes)[0][0])
    moved = _moved(found, codes)
    best = Parameters(pairs.eps, 2, interval(pairs.eps, moved), pairs.score, published)
    values = np.minimum(_EPS_FACTORS * threshold, 1.0)
    for number, min_samples in enumerate(_MIN_SAMPLES):
        report(progress, "tuning DBSCAN", number, len(_MIN_SAMPLES))
        labels = [dbscan_of_embeddings(unit, eps=float(eps), min_samples=min_samples) for eps in values]
        scores, without = _scored(labels, codes)
        top = int(np.argmax(scores))
        if scores[top] > best.score + _WORTH:
            eps = float(values[top])
            of = interval(eps, [float(values[int(np.argmax(column))]) for column in without.T])
            best = Parameters(eps, min_samples, of, float(scores[top]), published)
    return best


def _moved(found: Merges, codes: Labels) -> list[float]:
    """The best eps without each character."""
    folds = folds_of(codes)
    return [tune_dbscan_2(found, np.where(folds == fold, -1, codes)).eps for fold in range(int(folds.max()) + 1)]


def _scored(labels: Sequence[Labels], codes: Labels) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The adjusted Rand index of each grouping, with all images, and ``(groupings, folds)`` without each fold."""
    folds = folds_of(codes)
    scores, without = [], []
    for each in labels:
        pred = each.copy()
        is_alone = pred < 0
        pred[is_alone] = pred.max(initial=-1) + 1 + np.arange(int(is_alone.sum()))
        scores.append(rand_index(pred, codes))
        without.append(ari_without(pred, codes, folds))
    return np.array(scores), np.array(without)


def _best(scores: NDArray[np.float64], tie: NDArray[np.float64]) -> int:
    return int(np.lexsort((tie, -np.round(scores, 6)))[0])


def _thin(pairs: PairMetrics, known: Labels, found: Interval) -> tuple[str, ...]:
    sizes = np.unique(known[known >= 0], return_counts=True)[1]
    n_usable = int((sizes > 1).sum())
    problems = []
    if n_usable < ENOUGH_CHARACTERS:
        problems.append(f"{n_usable} characters with two images or more, {ENOUGH_CHARACTERS} are needed")
    for n, kind in ((pairs.n_same, "one character"), (pairs.n_different, "different characters")):
        if n < ENOUGH_PAIRS:
            problems.append(f"{n} pairs of {kind}, {ENOUGH_PAIRS} are needed")
    if not problems and not found.width <= WIDEST:
        problems.append(f"the threshold may be anywhere from {found.low:.3f} to {found.high:.3f}")
    return tuple(problems)
