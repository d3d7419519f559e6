"""How good models and groups are on the user's own images, where it is known who is who."""

import datetime
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import CCIPError
from ..core.evaluation.costs import GroupCosts, group_costs
from ..core.evaluation.groups import group_metrics
from ..core.progress import Progress, ProgressCallback, report
from ..core.registry import get_spec
from ..core.tuning.model_card import card_row
from ..embeddings.compute import compute_embeddings
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import fields_by_model
from ..labels.store import LabelStore
from ..storage.fields import EMBEDDINGS_FIELD, EVALUATION_KEY
from ..storage.internals import refresh_run
from ..storage.runs import RunKind, check_key, key_of, read_config, register_with_results
from ..storage.targets import Target, items_view, resolve
from .ground_truth import read_names
from .report import (
    MISPLACED,
    SCATTERED,
    UNASSIGNED_ITEMS,
    WORST_GROUP,
    GroupEvaluation,
    ModelEvaluation,
    loaded_groups,
    loaded_models,
)


class NothingToEvaluateError(CCIPError):
    """There is nothing to measure with."""


class NoEvaluationError(CCIPError):
    """A dataset keeps no such evaluation."""

    def __init__(self, run_key: str, known: Sequence[str]):
        super().__init__(f"there is no evaluation {run_key!r}; there are: {', '.join(known) or 'none'}")
        self.run_key, self.known = run_key, tuple(known)


def evaluate_model(
    samples: Any,
    ground_truth_field: str,
    *,
    models: Sequence[str] | None = None,
    patches_field: str | None = None,
    clusters: bool = True,
    model_dir: Any = None,
    provider: str = "auto",
    run_key: str | None = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> ModelEvaluation:
    """Computes the row of the model card for models, on images of which it is known who is who.

    Over all pairs of these images: F1, precision and recall where F1 is the best, and at the published threshold; ROC
    AUC and average precision; the best DBSCAN and OPTICS; each with an interval. See
    :func:`~ccip_plugin.core.tuning.model_card.card_row`. Images without a name in ``ground_truth_field`` are ignored.

    Args:
        samples: a dataset, a view or a patches view
        ground_truth_field: a field of samples with a ``Classification`` or names; on detections an attribute
        models (None): names of models; those whose embeddings are there by default. Where a model has none, they are
            computed into a field of its own, ``ccip_embedding_<model>``, for the images that are evaluated
        patches_field (None): the field with the detections to evaluate on, None for whole samples
        clusters (True): whether to tune DBSCAN and OPTICS
        model_dir (None): a folder of models
        provider ("auto"): the execution provider, where embeddings have to be computed
        run_key (None): the key of the run that keeps the result, ``ccip_evaluation`` by default
        keep (True): whether to keep it with the dataset
        progress (None): called with the stage and how far it is

    Returns:
        a :class:`~ccip_plugin.evaluation.report.ModelEvaluation`: print it, draw it, write it into files

    Raises:
        NothingToEvaluateError: no embeddings, or fewer than two images with a name
        TargetError: these samples, or this field, cannot be evaluated
        CCIPError: the embeddings cannot be used, or computed; the text says why
    """
    started = time.monotonic()
    target = resolve(samples, patches_field)
    key = (run_key or EVALUATION_KEY) if keep else None
    if key is not None:
        check_key(target.dataset, key, RunKind.MODEL_EVALUATION)
    ids, _, names = read_names(target, ground_truth_field)
    known = {key: name for key, name in zip(ids, names, strict=True) if name is not None}
    if len(known) < 2:
        raise NothingToEvaluateError(
            f"{len(known)} of {len(ids)} images have a name in {ground_truth_field!r}; a comparison needs two"
        )
    there = fields_by_model(target)
    wanted = [get_spec(name).name for name in models] if models else list(there)
    if not wanted:
        raise NothingToEvaluateError("there are no CCIP embeddings: name the models, or compute embeddings first")
    fields = {name: there.get(name) or _new_field(target, name) for name in wanted}
    measured = []
    for name in wanted:
        told = progress if len(wanted) == 1 else _named(progress, name)
        if name not in there:
            _embed(target, name, fields[name], known, model_dir=model_dir, provider=provider, progress=told)
        vectors, labels = _known_vectors(target, fields[name], known, told)
        row = card_row(vectors, labels, model_name=name, model_dir=model_dir, clusters=clusters, progress=told)
        measured.append(replace(row, n_left_out=len(ids) - len(known)))
    missing = {row.model_name: len(known) - row.n_images for row in measured}
    seconds = time.monotonic() - started
    found = ModelEvaluation(target, ground_truth_field, tuple(measured), fields, missing, key, _now(), seconds)
    if key is not None:
        register_with_results(
            target.dataset, key, RunKind.MODEL_EVALUATION, found.summary(), rows=found.as_dict()["rows"]
        )
    return found


def evaluate_groups(
    samples: Any,
    group_field: str,
    ground_truth_field: str,
    *,
    patches_field: str | None = None,
    run_key: str | None = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> GroupEvaluation:
    """Measures how well groups agree with who is who, and what it takes to put them right.

    Items that are in no group count as groups of their own, and in ``metrics.grouped`` not at all. Items that people
    ignored, and items without a name in ``ground_truth_field``, take no part.

    Args:
        samples: a dataset, a view or a patches view
        group_field: the field (on detections: the attribute) with the groups
        ground_truth_field: who is who; a field of samples with a ``Classification`` or names, on
            detections an attribute
        patches_field (None): the field with the detections, None for whole samples
        run_key (None): the key of the run that keeps the result, ``ccip_evaluation_<field>`` by default
        keep (True): whether to keep it with the dataset
        progress (None): called with the stage

    Returns:
        a :class:`~ccip_plugin.evaluation.report.GroupEvaluation`: metrics, tables, clicks to clean, views

    Raises:
        NothingToEvaluateError: no item has a name
        TargetError: there is no such field
    """
    target = resolve(samples, patches_field)
    key = (run_key or key_of(EVALUATION_KEY, target.path(group_field))) if keep else None
    if key is not None:
        check_key(target.dataset, key, RunKind.GROUP_EVALUATION)
    report(progress, "reading groups", 0, None)
    ids, groups, names, n_ignored = _groups_and_names(target, group_field, ground_truth_field)
    if not any(name is not None for name in names):
        raise NothingToEvaluateError(f"no image has a name in {ground_truth_field!r}")
    report(progress, "comparing groups", 0, None)
    metrics, costs = group_metrics(groups, names), group_costs(groups, names)
    is_alone = np.array([group is None for group in groups], np.bool_)
    masks = {
        MISPLACED: costs.misplaced,
        SCATTERED: costs.to_join & ~is_alone,
        UNASSIGNED_ITEMS: costs.to_join & is_alone,
        WORST_GROUP: _of_worst_group(groups, costs),
    }
    found = GroupEvaluation(
        target,
        group_field,
        ground_truth_field,
        metrics,
        costs.moves,
        costs.merges,
        costs.groups,
        costs.characters,
        {kind: [ids[i] for i in np.flatnonzero(mask)] for kind, mask in masks.items()},
        n_ignored,
        key,
        _now(),
    )
    if key is not None:
        plain = found.as_dict()
        tables = {name: plain[name] for name in ("groups", "characters")}
        register_with_results(
            target.dataset, key, RunKind.GROUP_EVALUATION, found.summary(), ids=dict(found.ids), **tables
        )
    return found


def load_evaluation(samples: Any, run_key: str = EVALUATION_KEY) -> ModelEvaluation | GroupEvaluation:
    """Reads an evaluation that is kept with a dataset.

    Args:
        samples: the dataset, or any view of it
        run_key ("ccip_evaluation"): the key of the run

    Raises:
        NoEvaluationError: there is none; names those that there are
    """
    dataset = resolve(samples).dataset
    config = read_config(dataset, run_key)
    methods = (RunKind.MODEL_EVALUATION, RunKind.GROUP_EVALUATION)
    if config is None or config.get("method") not in methods:
        raise NoEvaluationError(run_key, [key for method in methods for key in dataset.list_runs(method=method)])
    refresh_run(dataset, run_key)
    results = dataset.load_run_results(run_key, cache=False, load_view=False)
    target = Target(dataset, dataset, config["patches_field"])
    if config["method"] == RunKind.MODEL_EVALUATION:
        return loaded_models(target, {**config, "rows": results.rows}, run_key)
    tables = {"groups": results.groups, "characters": results.characters, "ids": results.ids}
    return loaded_groups(target, {**config, **tables}, run_key)


def _new_field(target: Target, model_name: str) -> str:
    is_free = target.dataset.get_field(target.path(EMBEDDINGS_FIELD)) is None
    return EMBEDDINGS_FIELD if is_free else f"{EMBEDDINGS_FIELD}_{re.sub(r'[^0-9A-Za-z]', '_', model_name)}"


def _embed(target: Target, model_name: str, field: str, known: Mapping[str, str], **options: Any) -> None:
    view = items_view(target, list(known))
    compute_embeddings(
        view, model_name=model_name, embeddings_field=field, patches_field=target.patches_field, **options
    )


def _known_vectors(
    target: Target, field: str, known: Mapping[str, str], progress: ProgressCallback | None
) -> tuple[NDArray[np.float32], list[str]]:
    """The embeddings of items with a name, and their names."""
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=field, patches_field=target.patches_field)
    chosen = [i for i, key in enumerate(embeddings.ids) if key in known]
    if len(chosen) < 2:
        raise NothingToEvaluateError(f"{len(chosen)} images with a name have an embedding in {field!r}, two are needed")
    return embeddings.vectors[np.array(chosen)], [known[embeddings.ids[i]] for i in chosen]


def _named(progress: ProgressCallback | None, model_name: str) -> ProgressCallback | None:
    if progress is None:
        return None

    def take(now: Progress) -> None:
        progress(replace(now, stage=f"{model_name}: {now.stage}"))

    return take


def _groups_and_names(
    target: Target, group_field: str, ground_truth_field: str
) -> tuple[list[str], list[str | None], list[str | None], int]:
    """Items, their groups and their names; without those that people ignored, and how many these are."""
    ids, _, names = read_names(target, ground_truth_field)
    store = LabelStore(target, group_field)
    if store.is_declared():
        _, _, labels = store.read()
        ignored = [label is not None and label.is_ignored for label in labels]
        groups = [None if label is None else label.group_name for label in labels]
    else:  # somebody else's groups
        _, _, groups = read_names(target, group_field)
        ignored = [False] * len(ids)
    kept = [i for i, is_ignored in enumerate(ignored) if not is_ignored]
    return [ids[i] for i in kept], [groups[i] for i in kept], [names[i] for i in kept], len(ids) - len(kept)


def _of_worst_group(groups: Sequence[str | None], costs: GroupCosts) -> NDArray[np.bool_]:
    """The items of the group that costs the most clicks; none when no group costs any."""
    worst = costs.groups[0].name if costs.groups and costs.groups[0].clicks else None
    return np.array([worst is not None and group == worst for group in groups], np.bool_)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
