"""Thresholds and parameters that fit the user's own images, kept with the dataset."""

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.calibration import load as load_calibration
from ..core.errors import CCIPError
from ..core.progress import ProgressCallback, report
from ..core.tuning.questions import Fit, PairPool, fit
from ..core.tuning.recommendation import recommend
from ..embeddings.load import Embeddings, load_embeddings
from ..grouping.calibrated import Calibrated, plain_values
from ..labels.answers import answers_among, load_answers
from ..labels.identities import load_registry
from ..labels.store import LabelStore
from ..storage.fields import CALIBRATION_KEY, EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.runs import RunKind, key_of, register
from ..storage.targets import Target, resolve
from .ground_truth import read_names

_MOST_REJECTED = 200  # members that a rejected item is compared with


class NothingToCalibrateError(CCIPError):
    """There is no evidence."""


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
    the images that they rejected from groups, and their answers about pairs (:mod:`~ccip_plugin.labels.answers`).
    Images of which nothing is known count, too: they tell how many pairs have which difference. So the threshold is for
    these samples as they are, not for the known characters alone. See
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
        register(
            target.dataset, key, RunKind.CALIBRATION, **plain_values(made), provenance=embeddings.provenance.as_dict()
        )
    return made


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
    answers = [answer for answer in answers_among(load_answers(target), embeddings.ids) if answer.is_same is not None]
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
