"""Compares two groupings, models or evaluations: their agreement, and what differs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import fiftyone as fo
import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.arrays import IntArray
from ..core.calibration import load as load_calibration
from ..core.clustering.dispatch import cluster
from ..core.errors import CCIPError, check_type
from ..core.evaluation.groups import group_metrics
from ..core.evaluation.labels import encode_labels, noise_as_singletons
from ..core.progress import ProgressCallback, report
from ..core.tuning.model_card import CardRow
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import fields_by_model
from ..grouping.proposals import load_proposal
from ..labels.store import LabelStore
from ..labels.tables import rows_of
from ..reports.facts import decimals
from ..storage.connection import with_database_errors
from ..storage.runs import RunKind, check_key, read_config, register_with_results
from ..storage.targets import Target, resolve
from .comparison_report import (
    DIFFERENCE_LABELS,
    GROUPED,
    MOVED,
    NEITHER,
    SAME,
    UNGROUPED,
    EvaluationComparison,
    GroupingComparison,
    GroupPair,
)
from .evaluate import load_evaluation
from .ground_truth import name_fields, read_names
from .group_evaluation import METRIC_LABELS, GroupEvaluation
from .model_evaluation import SCORE_LABELS, ModelEvaluation

_KINDS = tuple(DIFFERENCE_LABELS)

Compared = TypeVar("Compared", GroupingComparison, EvaluationComparison)


class NotComparableError(CCIPError, ValueError):
    """Two things have nothing that could be compared."""


@with_database_errors
def compare_runs(
    samples: SampleCollection,
    first: str,
    second: str,
    *,
    patches_field: str | None = None,
    model_dir: str | Path | None = None,
    run_key: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingComparison | EvaluationComparison:
    """Compares two groupings, two models, or two evaluations. Writes nothing without a ``run_key``.

    ``first`` and ``second`` are each

    - a field with groups or names (on detections an attribute),
    - a field with embeddings: they are grouped by average linkage with the threshold of their model,
    - the key of a grouping, for the current groups in its field, or of a proposal,
    - or both are keys of evaluations, whose scores are compared.

    Groups are matched one to one, by the number of shared items. An item has moved when it is in a group in both, and
    these do not correspond.

    Args:
        samples: a dataset, a view or a patches view
        first: the first grouping, model or evaluation
        second: the second
        patches_field (None): the field with the detections, None for whole samples
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        run_key (None): the key of a run that stores the result; it is not stored by default
        progress (None): progress callable

    Returns:
        a :class:`GroupingComparison` with agreement, tables and views, or an :class:`EvaluationComparison`

    Raises:
        NotComparableError: one of them is none of these, or they have no item in common
        RunKeyError: no run can be stored under that key
        TargetError: these samples cannot be compared
    """
    target = resolve(samples, patches_field)
    if run_key is not None:
        check_key(target.dataset, run_key, RunKind.COMPARISON)
    for name, value in (("first", first), ("second", second)):
        check_type(name, value, str, "the name of a field or the key of a run")
    methods = [(read_config(target.dataset, name, ("method",)) or {}).get("method") for name in (first, second)]
    kinds = [method in (RunKind.MODEL_EVALUATION, RunKind.GROUP_EVALUATION) for method in methods]
    if all(kinds):
        evaluations = [load_evaluation(target.dataset, name) for name in (first, second)]
        rows = _compare_evaluations(evaluations[0], evaluations[1], first, second)
        return _stored(EvaluationComparison(first, second, rows), target, run_key)
    if any(kinds):
        raise NotComparableError(f"{first!r} and {second!r}: one is an evaluation, the other is not")
    left, right = (_groups(target, name, model_dir, progress) for name in (first, second))
    ids = [key for key in left if key in right]
    if not ids:
        raise NotComparableError(f"no item is in both {first!r} and {second!r}")
    report(progress, "comparing groups", 0, None)
    comparison = _compare_groups(target, first, second, ids, [left[key] for key in ids], [right[key] for key in ids])
    return _stored(comparison, target, run_key)


def _stored(comparison: Compared, target: Target, run_key: str | None) -> Compared:
    """Stores a comparison, with a key to store it under."""
    if run_key is not None:
        config = {**comparison.as_dict(), "patches_field": target.patches_field}
        tables = {name: config.pop(name) for name in ("groups", "rows") if name in config}
        ids = dict(comparison.ids) if isinstance(comparison, GroupingComparison) else {}
        register_with_results(target.dataset, run_key, RunKind.COMPARISON, config, ids=ids, **tables)
    return comparison


def comparable(target: Target) -> list[str]:
    """The fields and keys of runs that :func:`compare_runs` takes for these items."""
    kinds = (RunKind.GROUPING, RunKind.PROPOSAL, RunKind.MODEL_EVALUATION, RunKind.GROUP_EVALUATION)
    keys = [key for kind in kinds for key in target.dataset.list_runs(method=kind)]
    return [*name_fields(target), *fields_by_model(target).values(), *keys]


def _groups(
    target: Target, name: str, model_dir: str | Path | None, progress: ProgressCallback | None
) -> dict[str, object | None]:
    """The group of each item, None for unassigned ones; ignored items are left out."""
    config = read_config(target.dataset, name, ("method", "group_field", "patches_field"))
    if config is not None and config.get("method") in (RunKind.GROUPING, RunKind.PROPOSAL):
        if config.get("patches_field") != target.patches_field:
            raise NotComparableError(f"{name!r} is about {config.get('patches_field') or 'whole images'}")
        if config["method"] == RunKind.GROUPING:
            return _labels(target, config["group_field"])
        return _proposed(target, name, config["group_field"])
    if isinstance(target.dataset.get_field(target.path(name)), fo.VectorField):
        return _clustered(target, name, model_dir, progress)
    return _labels(target, name)


def _labels(target: Target, field_name: str) -> dict[str, object | None]:
    store = LabelStore(target, field_name)
    if not store.is_declared():
        ids, _, names = read_names(target, field_name)
        return dict(zip(ids, names, strict=True))
    ids, _, labels = store.read()
    return {
        key: None if label is None else label.group_name
        for key, label in zip(ids, labels, strict=True)
        if label is None or not label.is_ignored
    }


def _proposed(target: Target, key: str, field_name: str) -> dict[str, object | None]:
    """The groups as the proposal would make them."""
    proposal = load_proposal(target.view, group_field=field_name, patches_field=target.patches_field)
    try:
        groups = _labels(target, field_name)
    except CCIPError:  # a first grouping, of which no label is written
        groups = dict.fromkeys(target.values()[0])
    for item_id, _, label in rows_of(proposal.plan.writes):
        if item_id in groups:
            groups[item_id] = None if label is None else label.group_name
    return groups


def _clustered(
    target: Target, field_name: str, model_dir: str | Path | None, progress: ProgressCallback | None
) -> dict[str, object | None]:
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=field_name, patches_field=target.patches_field)
    if embeddings.provenance is None:
        raise NotComparableError(f"no item has an embedding in {field_name!r}")
    model_name = embeddings.provenance.model_name
    threshold = load_calibration(model_name, model_dir=model_dir).threshold
    labels = cluster(
        embeddings.vectors, method="linkage", eps=threshold, min_samples=2, model_name=model_name, progress=progress
    )
    pairs = zip(embeddings.ids, labels.tolist(), strict=True)
    return {key: None if label < 0 else f"{field_name} {label + 1}" for key, label in pairs}


def _compare_groups(
    target: Target,
    first: str,
    second: str,
    ids: Sequence[str],
    left: Sequence[object | None],
    right: Sequence[object | None],
) -> GroupingComparison:
    """Compares the groups ``left`` and ``right`` of ``n`` items."""
    (a, names_a), (b, names_b) = encode_labels(left), encode_labels(right)
    partner, shared = _match_groups(a, b, len(names_a), len(names_b))
    kinds = np.full(len(ids), _KINDS.index(NEITHER))
    kinds[(a >= 0) & (b >= 0)] = _KINDS.index(MOVED)
    kinds[(a >= 0) & (b >= 0) & (partner[a] == b)] = _KINDS.index(SAME)
    kinds[(a < 0) & (b >= 0)], kinds[(a >= 0) & (b < 0)] = _KINDS.index(GROUPED), _KINDS.index(UNGROUPED)
    n_a, n_b = (np.bincount(codes[codes >= 0], minlength=len(names)) for codes, names in ((a, names_a), (b, names_b)))
    groups = [
        GroupPair(name, None if j < 0 else names_b[j], int(n_a[i]), 0 if j < 0 else int(n_b[j]), int(shared[i]))
        for i, (name, j) in enumerate(zip(names_a, partner[:-1].tolist(), strict=True))
    ]
    groups.sort(key=lambda pair: (pair.n_shared - pair.n_first, -pair.n_first, str(pair.first)))
    by_kind = {kind: [ids[i] for i in np.flatnonzero(kinds == number).tolist()] for number, kind in enumerate(_KINDS)}
    agreement = group_metrics(b, noise_as_singletons(a))
    n_new = len(names_b) - int((partner[: len(names_a)] >= 0).sum())
    return GroupingComparison(target, first, second, agreement, by_kind, groups, n_new)


def _match_groups(a: IntArray, b: IntArray, n_a: int, n_b: int) -> tuple[IntArray, IntArray]:
    """Matches groups one to one, greedily by the number of shared items: no matrix, and close to the optimum.

    Returns:
        ``(n_a + 1,)``: the group of the second that corresponds to each of the first, -1 for none; the last one, which
        stands for no group, is -1. And ``(n_a,)``: the numbers of shared items
    """
    in_both = (a >= 0) & (b >= 0)
    cells, counts = np.unique(a[in_both] * np.int64(max(n_b, 1)) + b[in_both], return_counts=True)
    partner, shared = np.full(n_a + 1, -1, np.int64), np.zeros(n_a, np.int64)
    is_taken = np.zeros(n_b, np.bool_)
    order = np.lexsort((cells, -counts))
    for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True):
        i, j = divmod(cell, max(n_b, 1))
        if partner[i] < 0 and not is_taken[j]:
            partner[i], shared[i], is_taken[j] = j, count, True
    return partner, shared


def _compare_evaluations(
    left: ModelEvaluation | GroupEvaluation, right: ModelEvaluation | GroupEvaluation, first: str, second: str
) -> list[dict[str, str]]:
    """A row for each score that both have."""
    if isinstance(left, ModelEvaluation) and isinstance(right, ModelEvaluation):
        return [row for model in left.rows for row in _compare_models(model, right)]
    if isinstance(left, GroupEvaluation) and isinstance(right, GroupEvaluation):
        rows = [
            _side_by_side(label, getattr(left.metrics, name), getattr(right.metrics, name))
            for name, label in METRIC_LABELS.items()
        ]
        return [*rows, _side_by_side("Clicks to clean", left.clicks, right.clicks)]
    raise NotComparableError(f"{first!r} and {second!r}: one is about models, the other about groups")


def _compare_models(row: CardRow, evaluation: ModelEvaluation) -> list[dict[str, str]]:
    """The scores of a model beside those of the same model in another evaluation, or of its first one."""
    models = {other.model_name: other for other in evaluation.rows}
    other = models.get(row.model_name, evaluation.rows[0])
    name = row.model_name if row.model_name == other.model_name else f"{row.model_name}, {other.model_name}"
    return [
        {"Model": name, **_side_by_side(label, row.scores[score], other.scores[score])}
        for score, label in SCORE_LABELS.items()
    ]


def _side_by_side(label: str, left: float, right: float) -> dict[str, str]:
    change = f"{right - left:+.4f}" if math.isfinite(right - left) else ""
    return {"Score": label, "First": _text(left), "Second": _text(right), "Difference": change}


def _text(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else decimals(value)
