"""A row of the model card: scores of a model on images of known characters, as published."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import calibration
from ..arrays import Labels, Vectors
from ..calibration import PublishedParameters
from ..clustering.methods import DBSCAN, METHODS, OPTICS
from ..errors import ParameterError, VectorsError
from ..evaluation.jackknife import Interval, folds_of, interval
from ..evaluation.labels import Names, encode_labels
from ..evaluation.pairs import PairMetrics, pair_metrics
from ..evaluation.rand_index import rand_index_without
from ..neighbors.pairs import Pairs
from ..neighbors.vectors import unit_array
from ..plain import number, plain
from ..progress import ProgressCallback
from ..registry import DEFAULT_MODEL, ModelSpec, get_spec
from .dbscan import ALL_PAIRS, dendrogram_of, tune_dbscan_2
from .optics import MAX_FREE, tune_optics
from .result import TuningResult

COLUMNS = ("f1", "precision", "recall", "threshold", "cluster_2", "cluster_free")
"""The columns of the published table."""

CURVE_STEPS = 1024
"""Number of bins of differences in the curves."""

FEW_CHARACTERS = 10
"""With fewer characters, scores may differ much for other characters."""

MAX_CONFUSED = 50
"""Number of confused pairs of characters listed."""

_REACH = 1.5  # times the larger threshold: maximum eps of DBSCAN for many images
_AT_BEST = ("f1", "precision", "recall", "threshold")


@dataclass(frozen=True)
class Confusion:
    """Two characters that a model confuses.

    Attributes:
        first: name of one character
        second: name of the other
        n_pairs: number of pairs of their images with a difference up to the best threshold
        share: the same as a share of all pairs of their images
    """

    first: str
    second: str
    n_pairs: int
    share: float


@dataclass(frozen=True, eq=False)
class CardRow:
    """Scores of a model on images of known characters. Undefined scores are NaN.

    Attributes:
        model_name: name of the model
        n_images: number of images compared
        n_characters: number of their characters
        n_left_out: number of images without a known character
        n_same: number of pairs of one character
        n_different: number of pairs of two characters
        scores: the :data:`COLUMNS`, ``roc_auc``, ``average_precision``, and ``at_f1``, ``at_precision`` and
            ``at_recall`` at the published threshold
        errors: maximum errors of ``roc_auc`` and ``average_precision``
        intervals: confidence intervals of the scores, by the jackknife over characters
        published: the published :data:`COLUMNS`, None if not published
        with_selves: ``f1``, ``precision``, ``recall`` and ``threshold`` counted as the published ones were, where each
            image also makes a pair with itself
        parameters: ``(eps, min_samples)`` of ``cluster_2`` and ``cluster_free``
        same: ``(CURVE_STEPS + 1,)`` pairs of one character by difference
        different: ``(CURVE_STEPS + 1,)`` pairs of two characters by difference
        ari: eps and the adjusted Rand index of DBSCAN with ``min_samples=2``
        confused: confused characters, the most pairs first
        notes: limitations of the scores
    """

    model_name: str
    n_images: int
    n_characters: int
    n_left_out: int
    n_same: int
    n_different: int
    scores: Mapping[str, float]
    errors: Mapping[str, float]
    intervals: Mapping[str, Interval]
    published: Mapping[str, float | None]
    with_selves: Mapping[str, float]
    parameters: Mapping[str, tuple[float, int]]
    same: Sequence[int] = field(repr=False)
    different: Sequence[int] = field(repr=False)
    ari: Sequence[tuple[float, float]] = field(repr=False)
    confused: Sequence[Confusion] = field(repr=False)
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON: None instead of NaN."""
        return dict(plain(asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "CardRow":
        """The inverse of :meth:`as_dict`."""
        names = ("scores", "errors", "with_selves")
        numbers = {name: {key: number(value) for key, value in values[name].items()} for name in names}
        intervals = {key: Interval(*map(number, ends.values())) for key, ends in values["intervals"].items()}
        return cls(
            **{
                **values,
                **numbers,
                "intervals": intervals,
                "parameters": {key: tuple(parameters) for key, parameters in values["parameters"].items()},
                "ari": [tuple(point) for point in values["ari"]],
                "confused": [Confusion(**confusion) for confusion in values["confused"]],
            }
        )


def card_row(
    embeddings: ArrayLike,
    labels_true: Names,
    *,
    model_name: str = DEFAULT_MODEL,
    model_dir: str | Path | None = None,
    clusters: bool = True,
    progress: ProgressCallback | None = None,
) -> CardRow:
    """Scores a model as the published ones were scored, with confidence intervals.

    Pairs are counted over all images, in blocks. Cluster_2 is exact up to a radius: all differences for up to
    :data:`~ccip_plugin.core.tuning.dbscan.ALL_PAIRS` images, 1.5 times the larger of the published and the best
    threshold for more. Cluster_Free is a deterministic search of about 170 settings, for up to
    :data:`~ccip_plugin.core.tuning.optics.MAX_FREE` images. Both include the published parameters.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels_true: ``(n,)`` character of each image, as a name or number; None, NaN, "" and negative for unknown
        model_name: model of the embeddings
        model_dir (None): a folder with model files, for thresholds that differ from the published ones
        clusters (True): whether to tune DBSCAN and OPTICS
        progress (None): called with the stage and the number of items done

    Raises:
        VectorsError: an embedding is zero or not finite, or the number of labels differs
        ParameterError: fewer than two images have a known character
    """
    codes, names = encode_labels(labels_true)
    vectors = np.asarray(embeddings, np.float32)
    if len(vectors) != len(codes):
        raise VectorsError(f"want one label for each embedding, not {len(codes)} for {len(vectors)}")
    known = np.flatnonzero(codes >= 0)
    if len(known) < 2:
        raise ParameterError("labels_true", f"{len(known)} images of known characters", "at least two")
    unit, codes = unit_array(vectors[known]), codes[known]
    spec, published = get_spec(model_name), calibration.load(model_name, model_dir=model_dir)
    pairs = pair_metrics(unit, codes, by_character=True, progress=progress)
    tuning = _Tuning(unit, codes, pairs, published, progress)
    if clusters:
        tuning.run()
    at = pairs.at(published.threshold)
    scores = {name: getattr(pairs, name) for name in (*_AT_BEST, "roc_auc", "average_precision")}
    scores |= {"at_f1": at.f1, "at_precision": at.precision, "at_recall": at.recall, **tuning.scores}
    as_published = pairs.counting_selves()
    same, different = pairs.coarse(CURVE_STEPS)
    return CardRow(
        spec.name,
        n_images=len(known),
        n_characters=len(names),
        n_left_out=len(vectors) - len(known),
        n_same=pairs.n_same,
        n_different=pairs.n_different,
        scores=scores,
        errors={"roc_auc": pairs.roc_auc_error, "average_precision": pairs.average_precision_error},
        intervals={**pairs.intervals(published.threshold), **tuning.intervals},
        published=published_scores(spec, published.threshold),
        with_selves={name: getattr(as_published, name) for name in _AT_BEST},
        parameters=tuning.parameters,
        same=same.tolist(),
        different=different.tolist(),
        ari=tuning.ari,
        confused=tuning.confused(names),
        notes=_notes(pairs, len(known), clusters),
    )


def published_scores(spec: ModelSpec, threshold: float) -> dict[str, float | None]:
    """The row of the published table, with the threshold in use."""
    return {name: getattr(spec, name) for name in COLUMNS} | {"threshold": threshold}


class _Tuning:
    """Cluster_2 and Cluster_Free, and confused characters on the way."""

    def __init__(
        self,
        unit: Vectors,
        codes: Labels,
        pairs: PairMetrics,
        published: PublishedParameters,
        progress: ProgressCallback | None,
    ) -> None:
        self.unit, self.codes, self.pairs, self.published, self.progress = unit, codes, pairs, published, progress
        self.scores = dict.fromkeys(("cluster_2", "cluster_free"), math.nan)
        self.intervals = dict.fromkeys(self.scores, Interval(math.nan, math.nan))
        self.parameters: dict[str, tuple[float, int]] = {}
        self.ari: list[tuple[float, float]] = []
        self._confusions = _Confusions(codes, pairs.threshold)

    def run(self) -> None:
        largest = np.nanmax([self.published.threshold, self.pairs.threshold])
        radius = 1.0 if len(self.unit) <= ALL_PAIRS else min(1.0, _REACH * float(largest))
        dendrogram = dendrogram_of(self.unit, radius, on_pairs=self._confusions.add, progress=self.progress)
        best = tune_dbscan_2(dendrogram, self.codes, also=tuple(eps for eps, _ in self._presets_of(DBSCAN)))
        self._keep("cluster_2", best)
        self.ari = [(float(eps), float(score)) for eps, score in best.curve]
        if len(self.unit) <= MAX_FREE:
            presets = self._presets_of(OPTICS)
            self._keep("cluster_free", tune_optics(self.unit, self.codes, also=presets, progress=self.progress))

    def _presets_of(self, family: str) -> tuple[tuple[float, int], ...]:
        return tuple(preset for name, preset in self.published.presets.items() if METHODS[name].family == family)

    def confused(self, names: Sequence[object]) -> list[Confusion]:
        sizes = np.bincount(self.codes)
        return [
            Confusion(str(names[a]), str(names[b]), n, n / int(sizes[a] * sizes[b]))
            for a, b, n in self._confusions.most_frequent(MAX_CONFUSED)
        ]

    def _keep(self, name: str, best: TuningResult) -> None:
        without = rand_index_without(best.labels, self.codes, folds_of(self.codes))
        self.scores[name], self.parameters[name] = best.score, (best.eps, best.min_samples)
        self.intervals[name] = interval(best.score, without)


class _Confusions:
    """Counts of pairs of different characters within the threshold."""

    def __init__(self, codes: Labels, threshold: float) -> None:
        self._codes, self._n = codes, int(codes.max(initial=-1)) + 1
        self._threshold = np.float32(threshold)
        self._keys, self._counts = np.empty((2, 0), np.int64)

    def add(self, pairs: Pairs) -> None:
        is_near = pairs.differences <= self._threshold
        first, second = self._codes[pairs.rows[is_near]], self._codes[pairs.cols[is_near]]
        low, high = np.minimum(first, second), np.maximum(first, second)
        keys, counts = np.unique((low * self._n + high)[low != high], return_counts=True)
        self._keys, where = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        sums = np.bincount(where, weights=np.concatenate([self._counts, counts]), minlength=len(self._keys))
        self._counts = np.rint(sums).astype(np.int64)

    def most_frequent(self, n: int) -> list[tuple[int, int, int]]:
        order = np.lexsort((self._keys, -self._counts))[:n]
        return [(*divmod(int(self._keys[i]), self._n), int(self._counts[i])) for i in order]


def _notes(pairs: PairMetrics, n: int, clusters: bool) -> list[str]:
    notes = []
    if not pairs.n_same or not pairs.n_different:
        kind = "one character" if not pairs.n_same else "different characters"
        notes.append(f"no two images show {kind}: scores that need such pairs are missing")
    if pairs.n_characters < FEW_CHARACTERS:
        notes.append(f"{pairs.n_characters} characters are few: scores may differ much for others")
    if clusters and n > MAX_FREE:
        notes.append(f"Cluster_Free is tuned for at most {MAX_FREE:,} images, not {n:,}: evaluate a sample to get it")
    return notes
