"""A row of the model card: how good a model is on images of which it is known who is who."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import calibration
from ..arrays import Labels, Vectors
from ..clustering.methods import DBSCAN, METHODS, OPTICS
from ..errors import ParameterError, VectorsError
from ..evaluation.jackknife import Interval, ari_without, folds_of, interval
from ..evaluation.labels import Names, codes_of
from ..evaluation.pairs import PairMetrics, pair_metrics
from ..neighbors.pairs import Pairs
from ..neighbors.vectors import unit_array
from ..progress import ProgressCallback
from ..registry import DEFAULT_MODEL, ModelSpec, get_spec
from .dbscan import ALL_PAIRS, merges, tune_dbscan_2
from .optics import MAX_FREE, tune_optics
from .scores import Tuned

COLUMNS = ("f1", "precision", "recall", "threshold", "cluster_2", "cluster_free")
"""The columns of the published table."""

CURVE_STEPS = 1024
"""Into how many bins of differences the curves are divided."""

FEW_CHARACTERS = 10
"""With fewer, intervals are rough."""

N_CONFUSED = 50


_REACH = 1.5  # times the larger threshold: how far DBSCAN is tuned among many images


@dataclass(frozen=True)
class Confusion:
    """Two characters that a model takes for one.

    Attributes:
        first: the name of the one
        second: the name of the other
        n_pairs: pairs of their images with a difference up to the best threshold
        share: of all pairs of their images
    """

    first: str
    second: str
    n_pairs: int
    share: float


@dataclass(frozen=True, eq=False)
class CardRow:
    """What a model scores on images of known characters. Plain numbers, NaN where there is none.

    Attributes:
        model_name: the model
        n_images: images that were compared
        n_characters: of how many characters
        n_left_out: images whose character is not known
        n_same: pairs of one character
        n_different: other pairs
        scores: the :data:`COLUMNS`, ``roc_auc``, ``average_precision``, and ``at_f1``, ``at_precision`` and
            ``at_recall`` at the published threshold
        errors: by how much ``roc_auc`` and ``average_precision`` can be off
        intervals: of the scores, by leaving out one character at a time
        published: the :data:`COLUMNS` as published, None for what is not
        with_selves: ``f1``, ``precision``, ``recall`` and ``threshold`` counted as the published ones were, where each
            image also makes a pair with itself
        parameters: ``(eps, min_samples)`` of ``cluster_2`` and ``cluster_free``
        same: ``(CURVE_STEPS + 1,)`` pairs of one character by difference
        different: ``(CURVE_STEPS + 1,)`` the others
        ari: eps and the adjusted Rand index of DBSCAN with ``min_samples=2``
        confused: characters taken for one, the most pairs first
        notes: what to keep in mind
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
        """Plain values, as JSON has them: None for what is no number."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "CardRow":
        """What :meth:`as_dict` gave."""
        numbers = ("scores", "errors", "with_selves")
        values = {name: {key: _number(value) for key, value in plain[name].items()} for name in numbers}
        return cls(
            **{
                **plain,
                **values,
                "intervals": {key: Interval(*map(_number, each.values())) for key, each in plain["intervals"].items()},
                "parameters": {key: tuple(each) for key, each in plain["parameters"].items()},
                "ari": [tuple(each) for each in plain["ari"]],
                "confused": [Confusion(**each) for each in plain["confused"]],
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
    """Measures a model as the published ones were measured, with intervals.

    Pairs are counted over all images, in blocks. Cluster_2 is exact up to a radius: all differences for up to
    :data:`~ccip_plugin.core.tuning.dbscan.ALL_PAIRS` images, 1.5 times the larger of the published and the best
    threshold for more. Cluster_Free is a search of some 170 settings that always goes the same way, for up to
    :data:`~ccip_plugin.core.tuning.optics.MAX_FREE` images. Both include the published parameters.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length
        labels_true: ``(n,)`` the character of each, as a name or number; None, NaN, "" and negative for not known
        model_name: the model that the embeddings are of
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        clusters (True): whether to tune DBSCAN and OPTICS
        progress (None): told where the work is

    Raises:
        VectorsError: an embedding is zero or not finite, or there is another number of labels
        ParameterError: fewer than two images have a known character
    """
    codes, names = codes_of(labels_true)
    vectors = np.asarray(embeddings, np.float32)
    if len(vectors) != len(codes):
        raise VectorsError(f"want one label for each embedding, not {len(codes)} for {len(vectors)}")
    known = np.flatnonzero(codes >= 0)
    if len(known) < 2:
        raise ParameterError("labels_true", f"{len(known)} images of known characters", "at least two")
    unit, codes = unit_array(vectors[known]), codes[known]
    spec, presets = get_spec(model_name), calibration.load(model_name, model_dir=model_dir)
    pairs = pair_metrics(unit, codes, by_character=True, progress=progress)
    tuning = _Tuning(unit, codes, pairs, presets, progress)
    if clusters:
        tuning.run()
    at = pairs.at(presets.threshold)
    names_of_pairs = ("f1", "precision", "recall", "threshold", "roc_auc", "average_precision")
    scores = {name: getattr(pairs, name) for name in names_of_pairs}
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
        intervals={**pairs.intervals(presets.threshold), **tuning.intervals},
        published=published(spec, presets.threshold),
        with_selves={name: getattr(as_published, name) for name in ("f1", "precision", "recall", "threshold")},
        parameters=tuning.parameters,
        same=same.tolist(),
        different=different.tolist(),
        ari=tuning.ari,
        confused=tuning.confused(names),
        notes=_notes(pairs, len(known), clusters),
    )


def published(spec: ModelSpec, threshold: float) -> dict[str, float | None]:
    """The row of the published table; the threshold is the one that is in use."""
    return {name: getattr(spec, name) for name in COLUMNS} | {"threshold": threshold}


class _Tuning:
    """Cluster_2 and Cluster_Free, and who is confused with whom on the way."""

    def __init__(
        self,
        unit: Vectors,
        codes: Labels,
        pairs: PairMetrics,
        presets: calibration.PublishedParameters,
        progress: ProgressCallback | None,
    ) -> None:
        self.unit, self.codes, self.pairs, self.presets, self.progress = unit, codes, pairs, presets, progress
        self.scores = dict.fromkeys(("cluster_2", "cluster_free"), math.nan)
        self.intervals = dict.fromkeys(self.scores, Interval(math.nan, math.nan))
        self.parameters: dict[str, tuple[float, int]] = {}
        self.ari: list[tuple[float, float]] = []
        self._confusions = _Confusions(codes, pairs.threshold)

    def run(self) -> None:
        largest = np.nanmax([self.presets.threshold, self.pairs.threshold])
        radius = 1.0 if len(self.unit) <= ALL_PAIRS else min(1.0, _REACH * float(largest))
        found = merges(self.unit, radius, on_pairs=self._confusions.add, progress=self.progress)
        also = tuple(eps for eps, _ in self._presets_of(DBSCAN))
        best = tune_dbscan_2(found, self.codes, also=also)
        self._take("cluster_2", best)
        self.ari = [(float(eps), float(score)) for eps, score in best.curve]
        if len(self.unit) <= MAX_FREE:
            presets = self._presets_of(OPTICS)
            self._take("cluster_free", tune_optics(self.unit, self.codes, also=presets, progress=self.progress))

    def _presets_of(self, family: str) -> tuple[tuple[float, int], ...]:
        return tuple(preset for name, preset in self.presets.presets.items() if METHODS[name].family == family)

    def confused(self, names: Sequence[object]) -> list[Confusion]:
        sizes = np.bincount(self.codes)
        return [
            Confusion(str(names[a]), str(names[b]), n, n / int(sizes[a] * sizes[b]))
            for a, b, n in self._confusions.most(N_CONFUSED)
        ]

    def _take(self, name: str, best: Tuned) -> None:
        groups = best.labels.copy()
        is_alone = groups < 0
        groups[is_alone] = groups.max(initial=-1) + 1 + np.arange(int(is_alone.sum()))
        without = ari_without(groups, self.codes, folds_of(self.codes))
        self.scores[name], self.parameters[name] = best.score, (best.eps, best.min_samples)
        self.intervals[name] = interval(best.score, without)


class _Confusions:
    """Counts near pairs of different characters."""

    def __init__(self, codes: Labels, threshold: float) -> None:
        self._codes, self._n = codes, int(codes.max(initial=-1)) + 1
        self._threshold = np.float32(threshold)
        self._keys, self._counts = np.empty((2, 0), np.int64)

    def add(self, pairs: Pairs) -> None:
        near = pairs.differences <= self._threshold
        first, second = self._codes[pairs.rows[near]], self._codes[pairs.cols[near]]
        low, high = np.minimum(first, second), np.maximum(first, second)
        keys, counts = np.unique((low * self._n + high)[low != high], return_counts=True)
        self._keys, where = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate([self._counts, counts]), minlength=len(self._keys))
        self._counts = np.rint(counts).astype(np.int64)

    def most(self, n: int) -> list[tuple[int, int, int]]:
        order = np.lexsort((self._keys, -self._counts))[:n]
        return [(*divmod(int(self._keys[i]), self._n), int(self._counts[i])) for i in order]


def _notes(pairs: PairMetrics, n: int, clusters: bool) -> list[str]:
    notes = []
    if not pairs.n_same or not pairs.n_different:
        kind = "one character" if not pairs.n_same else "different characters"
        notes.append(f"there are no two images of {kind}: scores that need them are missing")
    if pairs.n_characters < FEW_CHARACTERS:
        notes.append(f"{pairs.n_characters} characters are few: other ones may give quite other scores")
    if clusters and n > MAX_FREE:
        notes.append(f"Cluster_Free is tuned for up to {MAX_FREE:,} images, these are {n:,}: evaluate a sample for it")
    return notes


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
