"""Two groupings, or two models, side by side: how far they agree, and what is elsewhere in the other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from ..core.calibration import load as load_calibration
from ..core.clustering.dispatch import cluster
from ..core.errors import CCIPError, ParameterError
from ..core.evaluation.groups import GroupMetrics, group_metrics
from ..core.evaluation.labels import encode_labels, noise_as_singletons
from ..core.progress import ProgressCallback, report
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import fields_by_model
from ..grouping.proposals import load_proposal
from ..labels.store import LabelStore
from ..labels.tables import rows_of
from ..reports.export import write_csv, write_json
from ..storage.runs import RunKind, check_key, read_config, register_with_results
from ..storage.targets import Target, items_view, resolve
from .evaluate import load_evaluation
from .ground_truth import name_fields, read_names
from .report import METRICS, TITLES, GroupEvaluation, ModelEvaluation

SAME, MOVED, GROUPED, UNGROUPED, NEITHER = "same", "moved", "newly_grouped", "no_longer_grouped", "in_no_group"
KINDS = (SAME, MOVED, GROUPED, UNGROUPED, NEITHER)
"""What becomes of an item from the first grouping to the second."""


class NotComparableError(CCIPError, ValueError):
    """Two things have nothing that could be compared."""


@dataclass(frozen=True)
class GroupPair:
    """A group of the first grouping, and where its images are in the second.

    Attributes:
        first: its name
        second: the group of the second that it corresponds to, None for none
        n_first: its images
        n_second: those of the other
        n_shared: images of both
    """

    first: object
    second: object | None
    n_first: int
    n_second: int
    n_shared: int


@dataclass(frozen=True, eq=False)
class GroupingComparison:
    """How two groupings of the same items differ.

    Attributes:
        target: the items
        first: what the one is
        second: what the other is
        agreement: the second measured by the first as if that were who is who; items in no group count alone
        ids: by :data:`KINDS`, the ids of the items
        groups: the groups of the first, those with most images elsewhere first
        n_new_groups: groups of the second that correspond to none of the first
    """

    target: Target
    first: str
    second: str
    agreement: GroupMetrics
    ids: Mapping[str, Sequence[str]] = field(repr=False)
    groups: Sequence[GroupPair] = field(repr=False)
    n_new_groups: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Per kind, how many items."""
        return {kind: len(ids) for kind, ids in self.ids.items()}

    def view(self, kind: str = MOVED) -> Any:
        """The items of one kind, as a view of the dataset.

        Args:
            kind ("moved"): one of :data:`KINDS`
        """
        if kind not in self.ids:
            raise ParameterError("kind", kind, f"one of {', '.join(self.ids)}")
        return items_view(self.target, self.ids[kind])

    def table(self) -> list[dict[str, str]]:
        """The metrics of agreement."""
        found = ((words, getattr(self.agreement, name)) for name, words in METRICS.items())
        return [{"Agreement": words, "Value": _short(value)} for words, value in found]

    def to_json(self, path: str | Path) -> Path:
        """Writes everything but the ids into a file."""
        return write_json(path, self.as_dict())

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each group of the first."""
        return write_csv(path, [asdict(each) for each in self.groups])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the ids."""
        metrics = asdict(self.agreement)
        metrics.pop("grouped")
        plain = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in metrics.items()}
        groups = [asdict(each) for each in self.groups]
        return {"first": self.first, "second": self.second, "agreement": plain, "counts": self.counts, "groups": groups}

    def __str__(self) -> str:
        kinds = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in self.counts.items() if n)
        return f"{self.first} and {self.second}: {kinds}; adjusted Rand index {_short(self.agreement.ari)}"


@dataclass(frozen=True, eq=False)
class EvaluationComparison:
    """Two kept evaluations side by side.

    Attributes:
        first: the key of the one
        second: the key of the other
        rows: score by score, both values and the difference
    """

    first: str
    second: str
    rows: Sequence[dict[str, str]]

    def table(self) -> list[dict[str, str]]:
        """Score by score."""
        return list(self.rows)

    def to_json(self, path: str | Path) -> Path:
        """Writes it into a file."""
        return write_json(path, self.as_dict())

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each score."""
        return write_csv(path, self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "second": self.second, "rows": self.table()}

    def __str__(self) -> str:
        return "\n".join("  ".join(row.values()) for row in self.rows)


Compared = TypeVar("Compared", "GroupingComparison", "EvaluationComparison")


def compare_runs(
    samples: Any,
    first: str,
    second: str,
    *,
    patches_field: str | None = None,
    model_dir: Any = None,
    run_key: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingComparison | EvaluationComparison:
    """Compares two groupings, two models, or two evaluations. Writes nothing, unless it is to be kept.

    Each of the two is

    - a field with groups or names (on detections an attribute),
    - a field with embeddings: of a model; its images are grouped by average linkage with the model's threshold,
    - the key of a grouping, which stands for the groups in its field as they are now, or of a proposal,
    - or both are keys of evaluations: then their scores are compared.

    Groups correspond to each other, one to one, so that as many items as possible are in corresponding groups. An item
    has moved when it is in a group in both, and these do not correspond.

    Args:
        samples: a dataset, a view or a patches view
        first: the one
        second: the other
        patches_field (None): the field with the detections, None for whole samples
        model_dir (None): a folder of models, for thresholds that differ from the published ones
        run_key (None): the key of a run that keeps the result; it is not kept by default
        progress (None): called with the stage and how far it is

    Returns:
        a :class:`GroupingComparison` with agreement, tables and views, or an :class:`EvaluationComparison`

    Raises:
        NotComparableError: one of them is neither, or they have nothing in common
        RunKeyError: no run can be kept under that key
        TargetError: these samples cannot be compared
    """
    target = resolve(samples, patches_field)
    if run_key is not None:
        check_key(target.dataset, run_key, RunKind.COMPARISON)
    methods = [(read_config(target.dataset, name, ("method",)) or {}).get("method") for name in (first, second)]
    kinds = [method in (RunKind.MODEL_EVALUATION, RunKind.GROUP_EVALUATION) for method in methods]
    if all(kinds):
        evaluations = [load_evaluation(target.dataset, name) for name in (first, second)]
        found = _compare_evaluations(evaluations[0], evaluations[1], first, second)
        return _kept(found, target, run_key)
    if any(kinds):
        raise NotComparableError(f"{first!r} and {second!r}: one is an evaluation, the other is not")
    one, other = (_groups(target, name, model_dir, progress) for name in (first, second))
    ids = [key for key in one if key in other]
    if not ids:
        raise NotComparableError(f"no item is in both {first!r} and {second!r}")
    report(progress, "comparing groups", 0, None)
    groups = _compare_groups(target, first, second, ids, [one[key] for key in ids], [other[key] for key in ids])
    return _kept(groups, target, run_key)


def _kept(found: Compared, target: Target, run_key: str | None) -> Compared:
    """Keeps a comparison when that is asked for."""
    if run_key is not None:
        config = {**found.as_dict(), "patches_field": target.patches_field}
        tables = {name: config.pop(name) for name in ("groups", "rows") if name in config}
        ids = dict(found.ids) if isinstance(found, GroupingComparison) else {}
        register_with_results(target.dataset, run_key, RunKind.COMPARISON, config, ids=ids, **tables)
    return found


def comparable(target: Target) -> list[str]:
    """What :func:`compare_runs` takes for these items: fields, and keys of runs."""
    kinds = (RunKind.GROUPING, RunKind.PROPOSAL, RunKind.MODEL_EVALUATION, RunKind.GROUP_EVALUATION)
    keys = [key for kind in kinds for key in target.dataset.list_runs(method=kind)]
    return [*name_fields(target), *fields_by_model(target).values(), *keys]


def _groups(target: Target, name: str, model_dir: Any, progress: ProgressCallback | None) -> dict[str, object | None]:
    """The group of each item, None for none; items that people ignored are left out."""
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
    found = zip(ids, labels, strict=True)
    return {
        key: None if label is None else label.group_name
        for key, label in found
        if label is None or not label.is_ignored
    }


def _proposed(target: Target, key: str, field_name: str) -> dict[str, object | None]:
    """The groups as they would be after the proposal."""
    found = load_proposal(target.view, group_field=field_name, patches_field=target.patches_field)
    try:
        groups = _labels(target, field_name)
    except CCIPError:  # nothing is written yet
        groups = dict.fromkeys(target.values()[0])
    for item_id, _, label in rows_of(found.plan.writes):
        if item_id in groups:
            groups[item_id] = None if label is None else label.group_name
    return groups


def _clustered(
    target: Target, field_name: str, model_dir: Any, progress: ProgressCallback | None
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
    target: Target, first: str, second: str, ids: list[str], one: list[object | None], other: list[object | None]
) -> GroupingComparison:
    (a, names_a), (b, names_b) = encode_labels(one), encode_labels(other)
    partner, shared = _partners(a, b, len(names_a), len(names_b))
    kinds = np.full(len(ids), KINDS.index(NEITHER))
    kinds[(a >= 0) & (b >= 0)] = KINDS.index(MOVED)
    kinds[(a >= 0) & (b >= 0) & (partner[a] == b)] = KINDS.index(SAME)
    kinds[(a < 0) & (b >= 0)], kinds[(a >= 0) & (b < 0)] = KINDS.index(GROUPED), KINDS.index(UNGROUPED)
    n_a, n_b = (np.bincount(codes[codes >= 0], minlength=len(names)) for codes, names in ((a, names_a), (b, names_b)))
    groups = [
        GroupPair(name, None if j < 0 else names_b[j], int(n_a[i]), 0 if j < 0 else int(n_b[j]), int(shared[i]))
        for i, (name, j) in enumerate(zip(names_a, partner[:-1].tolist(), strict=True))
    ]
    groups.sort(key=lambda each: (each.n_shared - each.n_first, -each.n_first, str(each.first)))
    by_kind = {kind: [ids[i] for i in np.flatnonzero(kinds == number)] for number, kind in enumerate(KINDS)}
    agreement = group_metrics(b, noise_as_singletons(a))
    n_new = len(names_b) - int((partner[: len(names_a)] >= 0).sum())
    return GroupingComparison(target, first, second, agreement, by_kind, groups, n_new)


def _partners(
    a: NDArray[np.int64], b: NDArray[np.int64], n_a: int, n_b: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The group of the second that each of the first corresponds to, -1 for none; and one more -1, for no group.

    Also how many images the two share.

    Those that share most images first. That is not always the most in sum, and close to it; it takes no matrix.
    """
    both = (a >= 0) & (b >= 0)
    cells, counts = np.unique(a[both] * np.int64(max(n_b, 1)) + b[both], return_counts=True)
    partner, shared = np.full(n_a + 1, -1, np.int64), np.zeros(n_a, np.int64)
    is_taken = np.zeros(n_b, np.bool_)
    order = np.lexsort((cells, -counts))
    for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True):
        i, j = divmod(cell, max(n_b, 1))
        if partner[i] < 0 and not is_taken[j]:
            partner[i], shared[i], is_taken[j] = j, count, True
    return partner, shared


def _compare_evaluations(
    one: ModelEvaluation | GroupEvaluation, other: ModelEvaluation | GroupEvaluation, first: str, second: str
) -> EvaluationComparison:
    if isinstance(one, ModelEvaluation) and isinstance(other, ModelEvaluation):
        rows = []
        names = [row.model_name for row in other.rows]
        for row in one.rows:
            against = other.row(row.model_name) if row.model_name in names else other.rows[0]
            pair = row.model_name if row.model_name == against.model_name else f"{row.model_name}, {against.model_name}"
            rows += [
                {"Model": pair, **_side_by_side(words, row.scores[name], against.scores[name])}
                for name, words in TITLES.items()
            ]
        return EvaluationComparison(first, second, rows)
    if isinstance(one, GroupEvaluation) and isinstance(other, GroupEvaluation):
        rows = [
            _side_by_side(words, getattr(one.metrics, name), getattr(other.metrics, name))
            for name, words in METRICS.items()
        ]
        rows.append(_side_by_side("Clicks to clean", one.clicks, other.clicks))
        return EvaluationComparison(first, second, rows)
    raise NotComparableError(f"{first!r} and {second!r}: one is about models, the other about groups")


def _side_by_side(words: str, one: float, other: float) -> dict[str, str]:
    change = "" if not math.isfinite(one - other) else f"{other - one:+.4f}"
    return {"Score": words, "First": _short(one), "Second": _short(other), "Difference": change}


def _short(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if math.isfinite(value) else ""
