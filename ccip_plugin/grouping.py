"""The whole road from embedded images to recorded character groups."""

import datetime
import functools
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from fiftyone import ViewField as F
from numpy.typing import NDArray

from .core.calibration import Calibration
from .core.calibration import load as load_calibration
from .core.clustering import cluster, published_parameters
from .core.errors import CCIPError
from .core.progress import ProgressCallback, report
from .core.scores import confidence, group_statistics
from .embeddings import Embeddings, load_embeddings
from .fields import EMBEDDINGS_FIELD, GROUP_FIELD, RUN_KEY, STATUS_AUTO, UNASSIGNED
from .group_labels import ApplyReport, Changes, LabelChange, apply
from .identity import Draft, StaleGroupsError, load_registry, match_clusters
from .label_store import GroupLabel, LabelStore
from .provenance import Provenance
from .runs import key_of
from .targets import resolve

logger = logging.getLogger(__name__)

RUN_METHOD = "ccip_groups"
_ATTEMPTS = 3
_DIGITS = 6  # of what is written beside a label; the vectors are no more exact
_LARGE_SHARE = 0.05  # of all images: a group above it is worth a look,
_LARGE_RATIO = 3  # when it is also so much larger than the next one, as chains of groups are
_LARGE_MINIMUM = 200
_RECORDED = ("items", "groups", "grouped", "unassigned", "without_embedding", "ignored", "human")


class NothingToGroupError(CCIPError):
    """No item has an embedding."""

    def __init__(self, embeddings_field: str, n_items: int):
        super().__init__(
            f"none of the {n_items} images has an embedding in {embeddings_field!r}: compute embeddings first"
        )
        self.embeddings_field, self.n_items = embeddings_field, n_items


@dataclass(frozen=True)
class Parameters:
    """What a grouping was made with."""

    method: str
    eps: float
    min_samples: int
    model_name: str
    embeddings_field: str


@dataclass(frozen=True)
class GroupingReport:
    """What a grouping found and wrote.

    Attributes:
        run_key: the run that records it
        group_field: the field with the groups
        parameters: what it was made with
        n_items: the items that were looked at
        n_groups: character groups with at least one of the items
        n_grouped: items in a group
        n_unassigned: items in no group
        n_without_embedding: items without an embedding; they have no label
        n_ignored: items of which a person said that they are not a character
        n_human: labels that people decided, all of them kept
        n_written: labels written
        n_left: labels that somebody changed while they were being written; they are as that person left them
        sizes: per size, how many groups have so many of the items
        warnings: what a person should look at
        seconds: how long each stage took
        number: the number of the change, None when nothing had to be written
    """

    run_key: str
    group_field: str
    parameters: Parameters
    n_items: int
    n_groups: int
    n_grouped: int
    n_unassigned: int
    n_without_embedding: int
    n_ignored: int
    n_human: int
    n_written: int
    n_left: int
    sizes: Mapping[int, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    number: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "sizes": {str(size): count for size, count in sorted(self.sizes.items())}}

    def __str__(self) -> str:
        used = self.parameters
        lines = [
            f"{self.n_groups} character groups with {self.n_grouped} of {self.n_items} images, "
            f"{self.n_unassigned} unassigned, {self.n_without_embedding} without embedding",
            f"{used.method} (eps {used.eps:.4f}, min_samples {used.min_samples}): {self.n_written} labels written, "
            f"{self.n_human} decided by people and kept",
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)


def group_characters(
    samples: Any,
    *,
    patches_field: str | None = None,
    method: str | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    run_key: str | None = None,
    model_dir: Any = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport:
    """Groups images by character and writes the groups as labels.

    Labels that people decided are kept, groups keep their ids and names from one run to the next, and
    :func:`~ccip_plugin.group_labels.undo` takes a run back. A view is compared with the groups that exist, and only
    the items of the view are written. Costs the time and memory of :func:`~ccip_plugin.core.clustering.cluster`, plus
    3 kB per image.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections to group, None for whole samples
        method (None): one of :data:`~ccip_plugin.core.clustering.METHODS`, None for the default of the model
        eps (None): the largest difference between neighbors, None for the published value of the method
        min_samples (None): how many neighbors, itself included, make a core image, None for the published value
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field (on detections: the attribute) to write the groups to
        run_key (None): the key of the recorded run, ``ccip_groups`` for the default field
        model_dir (None): a folder with model files, for presets that differ from the published ones
        progress (None): called with the stage and how far it is

    Returns:
        a :class:`GroupingReport`

    Raises:
        NothingToGroupError: no item has an embedding
        StaleGroupsError: others kept changing the groups while this was computed
        CCIPError: the field, the embeddings or the parameters cannot be used; the text says why
    """
    store = LabelStore(resolve(samples, patches_field), group_field)
    clock = _Clock()
    report(progress, "reading embeddings", 0, None)
    embeddings = _read_embeddings(store, embeddings_field)
    calibration = load_calibration(_provenance(embeddings).model_name, model_dir=model_dir)
    parameters = choose_parameters(
        calibration, method=method, eps=eps, min_samples=min_samples, embeddings_field=embeddings_field
    )
    clock.lap("read")
    clusters = cluster(
        embeddings.vectors,
        method=parameters.method,
        eps=parameters.eps,
        min_samples=parameters.min_samples,
        model_name=parameters.model_name,
        progress=progress,
    )
    clock.lap("cluster")
    run_key = run_key or _run_key(store)
    plan, done = _plan_and_apply(store, embeddings, clusters, calibration.threshold, parameters, run_key, progress)
    clock.lap("write")
    return _report(store, run_key, parameters, plan, done, clock.laps)


def choose_parameters(
    calibration: Calibration,
    *,
    method: str | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
) -> Parameters:
    """Fills in the published values of a method.

    The default method is ``dbscan_2``, or ``dbscan`` for the models that were published without presets.
    """
    if method is None:
        method = "dbscan_2" if "dbscan_2" in calibration.presets else "dbscan"
    preset_eps, preset_min_samples = published_parameters(calibration, method)
    return Parameters(
        method,
        preset_eps if eps is None else float(eps),
        preset_min_samples if min_samples is None else int(min_samples),
        calibration.model_name,
        embeddings_field,
    )


@dataclass(frozen=True)
class _Plan:
    """The labels that the items are to have, and what they add up to."""

    labels: Sequence[LabelChange]
    draft: Draft
    counts: Counter[str]
    sizes: Counter[int]


def _read_embeddings(store: LabelStore, embeddings_field: str) -> Embeddings:
    """The embeddings of the items and, for a part of a dataset, of the groups that exist outside of it."""
    target = store.target
    read = functools.partial(load_embeddings, embeddings_field=embeddings_field, patches_field=target.patches_field)
    embeddings = read(target.view)
    if not len(embeddings.ids):
        raise NothingToGroupError(embeddings_field, embeddings.n_missing)
    if not target.is_whole and store.is_declared():
        members = read(_grouped(store))
        known = set(embeddings.ids)
        embeddings = embeddings.joined(members.select([i for i, key in enumerate(members.ids) if key not in known]))
    _, _, labels = store.read(target.whole())
    ids, _, _ = target.whole().values("label")
    ignored = {key for key, label in zip(ids, labels, strict=True) if label is not None and label.is_ignored}
    return (
        embeddings.select([i for i, key in enumerate(embeddings.ids) if key not in ignored]) if ignored else embeddings
    )


def _provenance(embeddings: Embeddings) -> Provenance:
    if embeddings.provenance is None:
        raise AssertionError("embeddings that are there have an origin")
    return embeddings.provenance


def _grouped(store: LabelStore) -> Any:
    """All items of the dataset that are in a group."""
    target = store.target
    is_grouped = F(store.attribute_path("label").rpartition(".")[2])
    is_grouped = is_grouped.exists() & (is_grouped != UNASSIGNED)
    if target.is_patches:
        return target.dataset.filter_labels(target.patches_field, is_grouped)
    return target.dataset.filter_labels(store.group_field, is_grouped)


def _plan_and_apply(
    store: LabelStore,
    embeddings: Embeddings,
    clusters: NDArray[np.integer[Any]],
    threshold: float,
    parameters: Parameters,
    run_key: str,
    progress: ProgressCallback | None,
) -> tuple[_Plan, ApplyReport]:
    """Plans from the labels as they are now; again when somebody changed them before they were written."""
    for attempt in range(_ATTEMPTS):
        report(progress, "matching groups", 0, None)
        plan = _plan(store, embeddings, clusters, threshold)
        run = _run(store, embeddings, parameters, plan)
        changes = Changes("group_characters", plan.labels, plan.draft, run_key=run_key, run=run)
        try:
            return plan, apply(store, changes, progress=progress)
        except StaleGroupsError:
            if attempt == _ATTEMPTS - 1:
                raise
            logger.info("the groups of %r were changed meanwhile, planning again", store.path)
    raise AssertionError("unreachable")


def _plan(store: LabelStore, embeddings: Embeddings, clusters: NDArray[np.integer[Any]], threshold: float) -> _Plan:
    target = store.target
    ids, _, labels = store.read(target.whole())
    now = {key: label for key, label in zip(ids, labels, strict=True) if label is not None}
    draft = Draft(load_registry(target.dataset, store.path))
    current = {key: draft.id_of(label) for key, label in now.items()}

    group_of = _match(draft, clusters, [current.get(key) for key in embeddings.ids])
    final = [
        _decide(key, now.get(key), current.get(key), group_of.get(int(number)), draft)
        for key, number in zip(embeddings.ids, clusters, strict=True)
    ]
    scored = _score(embeddings.vectors, final, threshold, draft)
    planned = dict(zip(embeddings.ids, scored, strict=True))
    plan = _labels_of_items(store, now, current, planned, draft)
    members = {key: group_id for key, group_id in current.items() if key not in planned}
    members.update(zip(embeddings.ids, final, strict=True))
    used = set(members.values())
    draft.drop([key for key, group in draft.groups.items() if key not in used and group.is_auto_named])
    return plan


def _match(draft: Draft, clusters: NDArray[np.integer[Any]], current: Sequence[int | None]) -> dict[int, int]:
    """The group of each cluster: an old one or, the largest cluster first, a new one."""
    group_of = match_clusters(clusters, current, draft.groups)
    found, first, sizes = np.unique(clusters, return_index=True, return_counts=True)
    for index in np.lexsort((first, -sizes)):
        number = int(found[index])
        if number >= 0 and number not in group_of:
            group_of[number] = draft.new_group()
    return group_of


def _decide(key: str, label: GroupLabel | None, current: int | None, found: int | None, draft: Draft) -> int | None:
    """The group of an item: what a person said, else what was found."""
    if label is not None and label.is_human:
        return current
    is_rejected = found is not None and key in draft.registry.rejections.get(found, ())
    return None if is_rejected else found


def _score(
    vectors: NDArray[np.float32], final: Sequence[int | None], threshold: float, draft: Draft
) -> list[GroupLabel]:
    numbers = np.array([-1 if group_id is None else group_id for group_id in final], dtype=np.int64)
    statistics = group_statistics(vectors, numbers)
    sure = np.atleast_1d(confidence(statistics.difference, threshold))
    labels = []
    for i, group_id in enumerate(final):
        if group_id is None:
            labels.append(GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED))
            continue
        name = draft.groups[group_id].name
        values = (_number(sure[i]), _number(statistics.difference[i]), _number(statistics.margin[i]))
        labels.append(GroupLabel(name, group_id, STATUS_AUTO, *values, assigned=name))
    return labels


def _labels_of_items(
    store: LabelStore,
    now: Mapping[str, GroupLabel],
    current: Mapping[str, int | None],
    planned: Mapping[str, GroupLabel],
    draft: Draft,
) -> _Plan:
    """What to write to the items of the target, and only to them."""
    changes: list[LabelChange] = []
    counts: Counter[str] = Counter()
    groups: Counter[int] = Counter()
    for key, sample_id, label in zip(*store.read(), strict=True):
        label = now.get(key, label)
        is_human = label is not None and label.is_human
        group_id = current.get(key) if is_human else (planned[key].group_id if key in planned else None)
        counts["items"] += 1
        counts["human"] += is_human
        if group_id is not None:
            groups[group_id] += 1
        elif label is not None and label.is_ignored:
            counts["ignored"] += 1
        else:
            counts["unassigned" if is_human or key in planned else "without_embedding"] += 1
        if label is not None and is_human:
            if not label.is_settled or label.group_id != group_id:
                changes.append(LabelChange(key, sample_id, label.confirmed(group_id)))
        elif planned.get(key) != label:
            changes.append(LabelChange(key, sample_id, planned.get(key)))
    counts["groups"], counts["grouped"] = len(groups), groups.total()
    return _Plan(changes, draft, counts, Counter(groups.values()))


def _run(store: LabelStore, embeddings: Embeddings, parameters: Parameters, plan: _Plan) -> dict[str, Any]:
    """What the run records; plain values only."""
    return {
        "method": RUN_METHOD,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "group_field": store.group_field,
        "patches_field": store.target.patches_field,
        "is_partial": not store.target.is_whole,
        "parameters": asdict(parameters),
        "provenance": _provenance(embeddings).as_dict(),
        "counts": {
            name: plan.counts[name] for name in ("items", "groups", "grouped", "unassigned", "ignored", "human")
        },
    }


def _report(
    store: LabelStore,
    run_key: str,
    parameters: Parameters,
    plan: _Plan,
    done: ApplyReport,
    seconds: Mapping[str, float],
) -> GroupingReport:
    counts = plan.counts
    return GroupingReport(
        run_key,
        store.path,
        parameters,
        **{f"n_{name}": counts[name] for name in ("items", "groups", "grouped", "unassigned")},
        **{f"n_{name}": counts[name] for name in ("without_embedding", "ignored", "human")},
        n_written=done.n_written,
        n_left=done.n_left,
        sizes=plan.sizes,
        warnings=_warnings(plan.sizes, counts["items"]),
        seconds=seconds,
        number=done.number,
    )


def _warnings(sizes: Mapping[int, int], n_items: int) -> tuple[str, ...]:
    largest, second = sorted([0, 0, *(size for size, count in sizes.items() for _ in range(count))])[:-3:-1]
    is_odd = largest > _LARGE_SHARE * n_items and largest > _LARGE_RATIO * second > 0
    if n_items < _LARGE_MINIMUM or not is_odd:
        return ()
    return (
        f"the largest group has {largest} of {n_items} images ({largest / n_items:.0%}), the next {second}: several "
        "characters may have been chained together; look at it, and try a smaller eps",
    )


def _run_key(store: LabelStore) -> str:
    return RUN_KEY if store.path == GROUP_FIELD else key_of(RUN_KEY, store.path)


def _number(value: np.floating[Any]) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = now - self._last
        self._last = now
