"""Fits the threshold and the clustering parameters to the images of a dataset."""

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError
from ..core.progress import ProgressCallback, report
from ..core.tuning.questions import Fit, PairPool, fit
from ..core.tuning.recommendation import recommend
from ..embeddings.load import Embeddings, load_embeddings
from ..grouping.calibrated import Calibrated, calibrated_for, plain_values
from ..labels.answers import answers_among, load_answers
from ..labels.identities import load_registry
from ..labels.store import LabelStore
from ..storage.connection import with_database_errors
from ..storage.fields import CALIBRATION_KEY, EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.runs import RunKind, key_of, register
from ..storage.targets import Target, resolve
from .ground_truth import read_names

_MOST_REJECTED = 200  # members that a rejected item is compared with


class NothingToCalibrateError(CCIPError):
    """There are no embeddings, or no evidence about any pair."""


@with_database_errors
def calibrate(
    samples: SampleCollection,
    *,
    ground_truth_field: str | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    model_dir: str | Path | None = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> Calibrated:
    """Recommends threshold, eps and min_samples for these images, with confidence intervals.

    The evidence is the names in ``ground_truth_field`` or, without one, the groups with user labels; and in either case
    the rejections and the answers about pairs (:mod:`~ccip_plugin.labels.answers`). Images without evidence are used as
    well: they give the distribution of differences over all pairs. So the threshold is for these samples as they are,
    not for the named characters alone. See :func:`~ccip_plugin.core.tuning.recommendation.recommend`.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        ground_truth_field (None): a field of samples with a ``Classification`` or names, on detections an attribute;
            groups with user labels by default
        group_field ("character_group"): the field (on detections: the attribute) with the groups
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        keep (True): whether to store the result with the dataset, as the run ``ccip_calibration_<field>``; a result
            with insufficient evidence does not replace a stored one with sufficient evidence
        progress (None): progress callable

    Returns:
        a :class:`~ccip_plugin.grouping.calibrated.Calibrated`; it says whether the evidence is sufficient

    Raises:
        NothingToCalibrateError: there are no embeddings, or no evidence about any pair
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
    answers = _fit_answers(target, embeddings, threshold, progress)
    if np.count_nonzero(codes >= 0) < 2 and not rejected and answers is None:
        source = f"a name in {ground_truth_field!r}" if ground_truth_field else "a user label (confirmed groups)"
        raise NothingToCalibrateError(
            f"fewer than two images with an embedding have {source}, and no pair was answered"
        )
    recommendation = recommend(
        embeddings.vectors, codes, threshold=threshold, rejected=rejected, answers=answers, progress=progress
    )
    key = key_of(CALIBRATION_KEY, target.path(embeddings_field)) if keep else None
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    evidence = ground_truth_field or "confirmed groups"
    calibrated = Calibrated(recommendation, model_name, threshold, embeddings_field, evidence, key, at)
    if key is None:
        return calibrated
    earlier = None if calibrated.is_enough else calibrated_for(target, embeddings_field)
    if earlier is not None and earlier.is_enough:
        return replace(calibrated, run_key=None, earlier_at=earlier.at)
    record = {**plain_values(calibrated), "provenance": embeddings.provenance.as_dict()}
    register(target.dataset, key, RunKind.CALIBRATION, **record)
    return calibrated


def _names(store: LabelStore, ground_truth_field: str | None) -> dict[str, str]:
    """Names of items by their ids: of the ground truth field, or of the groups of user labels."""
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
    """The number of the character of each embedding, -1 without a name; pairs that rejections separate."""
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
            if codes[places[key]] >= 0:  # pairs of two named items are counted already
                others = [place for place in others if codes[place] < 0]
            rejected += [(places[key], place) for place in others[:_MOST_REJECTED]]
    return codes, rejected


def _fit_answers(
    target: Target, embeddings: Embeddings, threshold: float, progress: ProgressCallback | None
) -> Fit | None:
    """The threshold that fits the answers about pairs; None without answers."""
    answers = [answer for answer in answers_among(load_answers(target), embeddings.ids) if answer.is_same is not None]
    if not answers:
        return None
    return fit(PairPool(embeddings.vectors, threshold, progress=progress), embeddings.vectors, answers)


def _members(store: LabelStore, wanted: Mapping[int, object], places: Mapping[str, int]) -> dict[int, list[int]]:
    """The places of the items with user labels, by group."""
    ids, _, labels = store.read()
    members: dict[int, list[int]] = {}
    for key, label in zip(ids, labels, strict=True):
        if label is not None and label.is_human and label.group_id in wanted and key in places:
            members.setdefault(int(label.group_id or 0), []).append(places[key])
    return members
