"""Evaluates models and character groups against a ground truth field."""

import datetime
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fiftyone.core.collections import SampleCollection
from numpy.typing import NDArray

from ..core.errors import CCIPError, check_type
from ..core.evaluation.costs import GroupCosts, group_costs
from ..core.evaluation.groups import group_metrics
from ..core.progress import ProgressCallback, report
from ..core.registry import get_spec
from ..core.tuning.model_card import card_row
from ..embeddings.compute import compute_embeddings
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import fields_by_model
from ..labels.history.last_reports import ReportKind, keep_report
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, EVALUATION_KEY
from ..storage.internals import refresh_run
from ..storage.runs import RunKind, check_key, key_of, read_config, register_with_results
from ..storage.targets import Target, items_view, resolve
from .ground_truth import read_groups_and_names, read_names
from .group_evaluation import (
    MISPLACED,
    SCATTERED,
    UNASSIGNED_ITEMS,
    WORST_GROUP,
    GroupEvaluation,
    loaded_groups,
)
from .model_evaluation import ModelEvaluation, loaded_models


class NothingToEvaluateError(CCIPError):
    """There are no embeddings, no names, or too few."""


class NoEvaluationError(CCIPError):
    """The dataset has no evaluation of that key."""

    def __init__(self, run_key: str, available: Sequence[str]):
        super().__init__(f"no evaluation {run_key!r}; available: {', '.join(available) or 'none'}")
        self.run_key, self.available = run_key, tuple(available)


@with_database_errors
def evaluate_model(
    samples: SampleCollection,
    ground_truth_field: str,
    *,
    models: Sequence[str] | None = None,
    patches_field: str | None = None,
    clusters: bool = True,
    model_dir: str | Path | None = None,
    provider: str = "auto",
    run_key: str | None = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> ModelEvaluation:
    """Computes the row of the model card for models on the images of a dataset.

    Over all pairs of images with a name: F1, precision and recall at the threshold with the best F1 and at the
    published threshold; ROC AUC and average precision; the best DBSCAN and OPTICS; each with a confidence interval. See
    :func:`~ccip_plugin.core.tuning.model_card.card_row`. Images without a name in ``ground_truth_field`` are left out.

    Args:
        samples: a dataset, a view or a patches view
        ground_truth_field: a field of samples with a ``Classification`` or names; on detections an attribute
        models (None): names of models; by default those with embeddings in the dataset. Missing embeddings are
            computed into a field for each model, ``ccip_embedding_<model>``, for the evaluated images
        patches_field (None): the field with the detections to evaluate on, None for whole samples
        clusters (True): whether to tune DBSCAN and OPTICS
        model_dir (None): a folder of models
        provider ("auto"): the execution provider for missing embeddings
        run_key (None): the key of the run that stores the result, ``ccip_evaluation`` by default
        keep (True): whether to store the result with the dataset
        progress (None): progress callable

    Returns:
        a :class:`~ccip_plugin.evaluation.model_evaluation.ModelEvaluation`: tables, charts, views, files

    Raises:
        NothingToEvaluateError: no embeddings, or fewer than two images with a name
        TargetError: these samples, or this field, cannot be evaluated
        CCIPError: the embeddings cannot be used, or computed; the message says why
    """
    started = time.monotonic()
    target = resolve(samples, patches_field)
    key = (run_key or EVALUATION_KEY) if keep else None
    if key is not None:
        check_key(target.dataset, key, RunKind.MODEL_EVALUATION)
    ids, _, names = read_names(target, ground_truth_field)
    names_by_id = {key: name for key, name in zip(ids, names, strict=True) if name is not None}
    if len(names_by_id) < 2:
        raise NothingToEvaluateError(
            f"{len(names_by_id)} of {len(ids)} images have a name in {ground_truth_field!r}; an evaluation needs two"
        )
    existing = fields_by_model(target)
    model_names = [get_spec(name).name for name in models] if models else list(existing)
    if not model_names:
        raise NothingToEvaluateError("there are no CCIP embeddings: name the models, or compute embeddings first")
    fields = {name: existing.get(name) or _new_field(target, name) for name in model_names}
    rows = []
    for name in model_names:
        staged = progress if len(model_names) == 1 else _with_model(progress, name)
        if name not in existing:
            _embed(target, name, fields[name], names_by_id, model_dir=model_dir, provider=provider, progress=staged)
        vectors, labels = _named_vectors(target, fields[name], names_by_id, staged)
        row = card_row(vectors, labels, model_name=name, model_dir=model_dir, clusters=clusters, progress=staged)
        rows.append(replace(row, n_left_out=len(ids) - len(names_by_id)))
    missing = {row.model_name: len(names_by_id) - row.n_images for row in rows}
    seconds = time.monotonic() - started
    evaluation = ModelEvaluation(target, ground_truth_field, tuple(rows), fields, missing, key, _now(), seconds)
    if key is not None:
        tables = {"rows": evaluation.as_dict()["rows"]}
        register_with_results(target.dataset, key, RunKind.MODEL_EVALUATION, evaluation.summary(), **tables)
        _keep(evaluation, target.path(ground_truth_field), about=())
    return evaluation


@with_database_errors
def evaluate_groups(
    samples: SampleCollection,
    group_field: str,
    ground_truth_field: str,
    *,
    patches_field: str | None = None,
    run_key: str | None = None,
    keep: bool = True,
    progress: ProgressCallback | None = None,
) -> GroupEvaluation:
    """Measures the agreement of groups with a ground truth field, and the edits that would correct them.

    Unassigned items count as groups of their own, and not at all in ``metrics.grouped``. Ignored items, and items
    without a name in ``ground_truth_field``, are left out.

    Args:
        samples: a dataset, a view or a patches view
        group_field: the field (on detections: the attribute) with the groups
        ground_truth_field: a field of samples with a ``Classification`` or names; on detections an attribute
        patches_field (None): the field with the detections, None for whole samples
        run_key (None): the key of the run that stores the result, ``ccip_evaluation_<field>`` by default
        keep (True): whether to store the result with the dataset
        progress (None): progress callable

    Returns:
        a :class:`~ccip_plugin.evaluation.group_evaluation.GroupEvaluation`: metrics, tables, clicks to clean, views

    Raises:
        NothingToEvaluateError: no item has a name
        TargetError: there is no such field
    """
    check_type("group_field", group_field, str, "the name of a field with groups")
    target = resolve(samples, patches_field)
    key = (run_key or key_of(EVALUATION_KEY, target.path(group_field))) if keep else None
    if key is not None:
        check_key(target.dataset, key, RunKind.GROUP_EVALUATION)
    report(progress, "reading groups", 0, None)
    ids, groups, names, n_ignored = read_groups_and_names(target, group_field, ground_truth_field)
    if not any(name is not None for name in names):
        raise NothingToEvaluateError(f"no image has a name in {ground_truth_field!r}")
    report(progress, "comparing groups", 0, None)
    metrics, costs = group_metrics(groups, names), group_costs(groups, names)
    is_unassigned = np.array([group is None for group in groups], np.bool_)
    masks = {
        MISPLACED: costs.misplaced,
        SCATTERED: costs.to_join & ~is_unassigned,
        UNASSIGNED_ITEMS: costs.to_join & is_unassigned,
        WORST_GROUP: _of_worst_group(groups, costs),
    }
    evaluation = GroupEvaluation(
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
        values = evaluation.as_dict()
        tables = {"groups": values["groups"], "characters": values["characters"], "ids": dict(evaluation.ids)}
        register_with_results(target.dataset, key, RunKind.GROUP_EVALUATION, evaluation.summary(), **tables)
        path = target.path(group_field)
        _keep(evaluation, path, about=(path,))
    return evaluation


@with_database_errors
def load_evaluation(samples: SampleCollection, run_key: str = EVALUATION_KEY) -> ModelEvaluation | GroupEvaluation:
    """Reads an evaluation that is stored with a dataset.

    Args:
        samples: the dataset, or any view of it
        run_key ("ccip_evaluation"): the key of the run

    Raises:
        NoEvaluationError: there is none; names the available ones
    """
    dataset = resolve(samples).dataset
    check_type("run_key", run_key, str, "the key of a run")
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


def _keep(evaluation: ModelEvaluation | GroupEvaluation, path: str, *, about: tuple[str, ...]) -> None:
    """Keeps which run has the evaluation, to be shown again."""
    content = {"run": evaluation.run_key}
    keep_report(evaluation.target.dataset, ReportKind.EVALUATION, path, evaluation.facts(), content, about=about)


def _new_field(target: Target, model_name: str) -> str:
    is_free = target.dataset.get_field(target.path(EMBEDDINGS_FIELD)) is None
    return EMBEDDINGS_FIELD if is_free else f"{EMBEDDINGS_FIELD}_{re.sub(r'[^0-9A-Za-z]', '_', model_name)}"


def _embed(target: Target, model_name: str, field: str, names_by_id: Mapping[str, str], **options: Any) -> None:
    view = items_view(target, list(names_by_id))
    compute_embeddings(
        view, model_name=model_name, embeddings_field=field, patches_field=target.patches_field, **options
    )


def _named_vectors(
    target: Target, field: str, names_by_id: Mapping[str, str], progress: ProgressCallback | None
) -> tuple[NDArray[np.float32], list[str]]:
    """The embeddings of items with a name, and their names."""
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=field, patches_field=target.patches_field)
    places = [i for i, key in enumerate(embeddings.ids) if key in names_by_id]
    if len(places) < 2:
        raise NothingToEvaluateError(f"{len(places)} images with a name have an embedding in {field!r}, two are needed")
    return embeddings.vectors[np.array(places)], [names_by_id[embeddings.ids[i]] for i in places]


def _with_model(progress: ProgressCallback | None, model_name: str) -> ProgressCallback | None:
    """A progress callable whose stages name the model."""
    if progress is None:
        return None
    return lambda now: progress(replace(now, stage=f"{model_name}: {now.stage}"))


def _of_worst_group(groups: Sequence[str | None], costs: GroupCosts) -> NDArray[np.bool_]:
    """The items of the group that costs the most clicks; none when no group costs any."""
    worst = costs.groups[0].name if costs.groups and costs.groups[0].clicks else None
    return np.array([worst is not None and group == worst for group in groups], np.bool_)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
