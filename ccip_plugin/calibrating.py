"""Thresholds and parameters that fit the user's own images, kept with the dataset."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .asking import answers_among, load_answers
from .core.calibration import load as load_calibration
from .core.errors import CCIPError
from .core.evaluation.jackknife import Interval
from .core.progress import ProgressCallback, report
from .core.tuning.questions import Fit, PairPool, fit
from .core.tuning.recommendation import Parameters, Recommendation, recommend
from .embeddings import Embeddings, load_embeddings
from .evaluation_report import write_json
from .ground_truth import read_names
from .identity import load_registry
from .label_store import LabelStore
from .provenance import read_provenance
from .storage.fields import CALIBRATION_KEY, EMBEDDINGS_FIELD, GROUP_FIELD
from .storage.runs import RunKind, key_of, read_config, register
from .storage.targets import Target, resolve

_MOST_REJECTED = 200  # members that a rejected item is compared with


class NothingToCalibrateError(CCIPError):
    """There is no evidence."""


@dataclass(frozen=True)
class Calibrated:
    """What :func:`calibrate` recommends.

    Attributes:
        recommendation: threshold, parameters, intervals, and what they rest on
        model_name: the model that they are for
        published_threshold: of that model
        embeddings_field: the field with the embeddings
        evidence: where the evidence is from, in words
        run_key: the run that keeps it, None when it is not kept
        at: when it was made, in UTC
    """

    recommendation: Recommendation
    model_name: str
    published_threshold: float
    embeddings_field: str
    evidence: str
    run_key: str | None
    at: str

    @property
    def is_enough(self) -> bool:
        """Whether the evidence is enough to rely on it."""
        return not self.recommendation.thin

    def parameters(self, method: str) -> Parameters | None:
        """The parameters of a method; None where there are none, or the evidence is too thin."""
        return self.recommendation.methods.get(method) if self.is_enough else None

    def __str__(self) -> str:
        found = self.recommendation
        lines = [
            f"threshold {found.threshold:.4f} {_range(found.interval)}, F1 {found.f1:.4f}; the published "
            f"{self.published_threshold:.4f} gives {found.published_f1:.4f}",
            *(
                f"{name}: eps {each.eps:.4f} {_range(each.interval)}, min_samples {each.min_samples}{_scores(each)}"
                for name, each in found.methods.items()
            ),
            f"from {self.learned_from}",
            *(f"evidence is too thin: {problem}" for problem in found.thin),
            *(["keep the published threshold until there is more"] if found.thin else []),
        ]
        return "\n".join(lines)

    def to_json(self, path: str | Path) -> Path:
        """Writes everything into a file."""
        return write_json(path, _plain(self))

    @property
    def learned_from(self) -> str:
        """What it rests on, in words."""
        found = self.recommendation
        if found.is_from_answers:
            return f"{found.n_answers:,} answers about pairs"
        words = f"{found.n_images:,} images of {found.n_characters:,} characters ({self.evidence})"
        for n, more in ((found.n_rejected, "pairs from rejections"), (found.n_answers, "answers about pairs")):
            words += f", {n:,} {more}" if n else ""
        return words


def calibrate(
    samples: Any,
    *,
    ground_truth_field: str | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    model_dir: Any = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> Calibrated:
    """Recommends threshold, eps and min_samples from what is known of these images, with intervals.

    Evidence is who is who in ``ground_truth_field`` or, without one, the groups that people confirmed, and either way
    the images that they rejected from groups, and their answers about pairs (:mod:`~ccip_plugin.asking`). Images of
    which nothing is known count, too: they tell how many pairs have which difference. So the threshold is for these
    samples as they are, not for the known characters alone. See
    :func:`~ccip_plugin.core.tuning.recommendation.recommend`.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        ground_truth_field (None): who is who; a field of samples with a ``Classification`` or names, on detections an
            attribute. Confirmed groups by default
        group_field ("character_group"): the field (on detections: the attribute) with the groups
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        keep (True): whether to keep it with the dataset, as the run ``ccip_calibration_<field>``
        progress (None): called with the stage and how far it is

    Returns:
        a :class:`Calibrated`; it says when the evidence is too thin, and why

    Raises:
        NothingToCalibrateError: there are no embeddings, or nothing is known of any pair
        TargetError: there is no such field
    """
    target = resolve(samples, patches_field)
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    if embeddings.provenance is None:
        raise NothingToCalibrateError(f"no image has an embedding in {embeddings_field!r}: compute embeddings first")
    store = LabelStore(target, group_field)
    names = _names(store, ground_truth_field)
    codes, rejected = _evidence(store, embeddings, names)
    model_name = embeddings.provenance.model_name
    threshold = load_calibration(model_name, model_dir=model_dir).threshold
    answers = _fitted(target, embeddings, threshold, progress)
    if len(np.flatnonzero(codes >= 0)) < 2 and not rejected and answers is None:
        where = f"in {ground_truth_field!r}" if ground_truth_field else "in confirmed groups"
        raise NothingToCalibrateError(
            f"fewer than two images with an embedding are of a known character {where}, and no pair was answered"
        )
    found = recommend(
        embeddings.vectors, codes, threshold=threshold, rejected=rejected, answers=answers, progress=progress
    )
    key = key_of(CALIBRATION_KEY, target.path(embeddings_field)) if keep else None
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    evidence = ground_truth_field or "confirmed groups"
    made = Calibrated(found, model_name, threshold, embeddings_field, evidence, key, at)
    if key is not None:
        register(target.dataset, key, RunKind.CALIBRATION, **_plain(made), provenance=embeddings.provenance.as_dict())
    return made


def load_calibrated(
    samples: Any, *, embeddings_field: str = EMBEDDINGS_FIELD, patches_field: str | None = None
) -> Calibrated | None:
    """Reads what is kept with a dataset for a field; None when there is nothing, or it is for another model.

    Args:
        samples: the dataset, or any view of it
        embeddings_field ("ccip_embedding"): the field with the embeddings
        patches_field (None): the field with the detections, None for whole samples
    """
    return calibrated_for(resolve(samples, patches_field), embeddings_field)


def calibrated_for(target: Target, embeddings_field: str) -> Calibrated | None:
    """As :func:`load_calibrated`."""
    path = target.path(embeddings_field)
    key = key_of(CALIBRATION_KEY, path)
    config = read_config(target.dataset, key)
    provenance = read_provenance(target.dataset, path)
    if config is None or provenance is None or config["model_name"] != provenance.model_name:
        return None
    return _loaded(config, key)


def calibrated_parameters(target: Target, embeddings_field: str, method: str) -> tuple[float, int] | None:
    """``(eps, min_samples)`` of a method for a field; None when nothing is kept or the evidence is too thin.

    The methods of DBSCAN share theirs.
    """
    found = calibrated_for(target, embeddings_field)
    chosen = None if found is None else found.parameters("dbscan" if method.startswith("dbscan") else method)
    return None if chosen is None else (chosen.eps, chosen.min_samples)


def _names(store: LabelStore, ground_truth_field: str | None) -> dict[str, str]:
    """Names of items by their ids: who is who, or the groups that people confirmed."""
    if ground_truth_field is not None:
        ids, _, names = read_names(store.target, ground_truth_field)
        return {key: name for key, name in zip(ids, names, strict=True) if name is not None}
    if not store.is_declared():
        return {}
    ids, _, labels = store.read()
    human = ((key, label) for key, label in zip(ids, labels, strict=True) if label is not None and label.is_human)
    return {key: label.group_name for key, label in human if label.group_name is not None}


def _evidence(
    store: LabelStore, embeddings: Embeddings, names: Mapping[str, str]
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The number of the character of each embedding, -1 for not known; pairs that rejections tell apart."""
    numbers: dict[str, int] = {}
    codes = np.array(
        [numbers.setdefault(names[key], len(numbers)) if key in names else -1 for key in embeddings.ids], np.int64
    )
    places = {key: place for place, key in enumerate(embeddings.ids)}
    registry = load_registry(store.target.dataset, store.path)
    members = _members(store, registry.rejections, places) if registry.rejections else {}
    rejected = []
    for group_id, ids in sorted(registry.rejections.items()):
        for key in sorted(ids & places.keys()):
            others = [place for place in members.get(group_id, ()) if place != places[key]]
            if codes[places[key]] >= 0:  # what follows from who is who is counted already
                others = [place for place in others if codes[place] < 0]
            rejected += [(places[key], place) for place in others[:_MOST_REJECTED]]
    return codes, rejected


def _fitted(target: Target, embeddings: Embeddings, threshold: float, progress: ProgressCallback | None) -> Fit | None:
    """What follows from the answers of people about pairs, None without any."""
    answers = [answer for answer in answers_among(load_answers(target), embeddings) if answer.is_same is not None]
    if not answers:
        return None
    return fit(PairPool(embeddings.vectors, threshold, progress=progress), embeddings.vectors, answers)


def _members(store: LabelStore, wanted: Mapping[int, object], places: Mapping[str, int]) -> dict[int, list[int]]:
    """The places of the items that people put into groups."""
    ids, _, labels = store.read()
    found: dict[int, list[int]] = {}
    for key, label in zip(ids, labels, strict=True):
        if label is not None and label.is_human and label.group_id in wanted and key in places:
            found.setdefault(int(label.group_id or 0), []).append(places[key])
    return found


def _range(found: Interval) -> str:
    return f"[{found.low:.4f}-{found.high:.4f}]" if np.isfinite(found.width) else "[interval not known]"


def _scores(found: Parameters) -> str:
    if not np.isfinite(found.score):
        return ""
    return f", ARI {found.score:.4f}; with the published threshold {found.published:.4f}"


def _plain(made: Calibrated) -> dict[str, Any]:
    """As a run has it: None for what is no number."""
    values = asdict(made)
    values.pop("run_key")
    return _finite(values)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _loaded(config: Mapping[str, Any], key: str) -> Calibrated:
    plain = config["recommendation"]
    methods = {
        name: Parameters(**{**_numbers(each, "score", "published"), "interval": _interval(each["interval"])})
        for name, each in plain["methods"].items()
    }
    values = _numbers(plain, "threshold", "f1", "published_f1")
    values |= {"interval": _interval(plain["interval"]), "methods": methods, "thin": tuple(plain["thin"])}
    names: Sequence[str] = ("model_name", "published_threshold", "embeddings_field", "evidence", "at")
    return Calibrated(Recommendation(**values), run_key=key, **{name: config[name] for name in names})


def _numbers(plain: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The values, with NaN for None where numbers are."""
    return {**plain, **{name: float("nan") if plain[name] is None else plain[name] for name in names}}


def _interval(plain: Mapping[str, float | None]) -> Interval:
    return Interval(*(float("nan") if plain[name] is None else float(plain[name] or 0) for name in ("low", "high")))
