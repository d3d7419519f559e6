"""The whole road from embedded images to recorded character groups."""

import datetime
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..core.calibration import Calibration
from ..core.calibration import load as load_calibration
from ..core.clustering.constraints import Constraints, check
from ..core.clustering.dispatch import Clustering, cluster_details
from ..core.clustering.optics import MAX_DENSE
from ..core.errors import ParameterError
from ..core.identity.matching import NEW
from ..core.identity.stability import steady
from ..core.neighbors.cache import find_or_choose
from ..core.neighbors.choice import APPROXIMATE, AUTO, EXACT, GRAPHS, GraphChoice, choose_graph
from ..core.neighbors.files import find_graph, graphs_folder
from ..core.progress import ProgressCallback, report
from ..labels.changes import Changes
from ..labels.identities import StaleGroupsError
from ..labels.snapshot import ALL, MODES, Snapshot, take_snapshot
from ..labels.store import LabelStore
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD, RUN_KEY
from ..storage.runs import RunKind, check_key, key_of, read_config
from ..storage.targets import Target, resolve
from .calibrated import calibrated_parameters
from .constraints import APART, SAME_IMAGE, Decisions, decisions_of
from .parameters import CALIBRATED, DEFAULT_METHOD, PUBLISHED, SOURCES, Parameters, choose_parameters
from .participants import Lineup, NothingToGroupError, line_up
from .plan import Plan, make_plan
from .proposals import Proposal, save_proposal, write
from .report import GroupingReport, warnings_of

__all__ = [
    "APPROXIMATE",
    "AUTO",
    "EXACT",
    "Calibration",
    "GroupingReport",
    "NothingToGroupError",
    "Parameters",
    "choose_parameters",
    "group_characters",
    "load_calibration",
    "propose_groups",
]

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
_MOST_SHAPES = 2_000  # groups of which a report, and so a run, tells how they are: about 400 kB
_OTHER_METRIC = (
    "the metric file of this model is not (1 - cos) / 2, and the groups are made by (1 - cos) / 2: the published "
    "thresholds may not fit"
)
_RECORDED = ("items", "groups", "grouped", "unassigned", "ignored", "human", "rescued")


def group_characters(
    samples: Any,
    *,
    patches_field: str | None = None,
    method: str | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    parameters: str = PUBLISHED,
    graph: str = AUTO,
    mode: str = ALL,
    same_image: str = APART,
    tracks: str | None = None,
    apply: bool = True,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    run_key: str | None = None,
    model_dir: Any = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport:
    """Groups images by character and writes the groups as labels.

    Labels that people decided are kept. With the method ``linkage`` they also shape the groups: what people put into
    one group stays together, and what they put into two never meets; the other methods find their groups from the
    images alone. Whatever the method, an image is never put into a group from which it was rejected
    (:func:`~ccip_plugin.labels.edits.reject`), nor into one that this group becomes a part of, and images that people
    put into no group take no part.

    Groups keep their ids and names from one run to the next: they are matched by the members that they share, and
    groups that have lost all of them by what they looked like. ``linkage`` does not merge or split known groups on
    evidence that is hardly beyond its limit, so that more images leave the others where they are.
    :func:`~ccip_plugin.labels.history.undo` takes a run back.

    From 20,000 images on, the exact graph of neighbors is kept in ``graphs`` of the folder that ``CCIP_CACHE_DIR``
    names, where it takes up to 4 GiB, so that another eps needs no comparison of all images.

    A view is compared with the groups that exist, and only the items of the view are written. Costs the time and memory
    of :func:`~ccip_plugin.core.clustering.dispatch.cluster`, plus 3 kB per image. Images that stay where they are, such
    as those outside of a view and, when only new ones are added, all others, are compared with those that may move and,
    for ``linkage``, not with each other beyond their groups.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections to group, None for whole samples
        method (None): one of :data:`~ccip_plugin.core.clustering.parameters.METHODS`, ``linkage`` by default
        eps (None): the largest difference between neighbors (for ``linkage``, the largest mean difference in a group),
            None for the published value of the method
        min_samples (None): how many images make a group, or the core of one, None for the published value
        parameters ("published"): where eps and min_samples come from if they are not given: "published", or
            "calibrated" for what :func:`~ccip_plugin.evaluation.calibration.calibrate` found for these embeddings
        graph ("auto"): "exact" compares all images with all. "approximate" finds nearly all that are alike, in a part
            of the time, and needs the extra "index"; what it finds is kept in ``graphs`` of the folder that
            ``CCIP_CACHE_DIR`` names. "auto" does that from 100,000 images on, where the extra is installed. A graph
            that :func:`~ccip_plugin.evaluation.exploration.explore_parameters` has kept is taken in any case but
            "approximate"
        mode ("all"): "all" gives every image a label anew that no person decided on. "add" only gives labels to images
            that have none: an existing group, a new one, or none, and touches nothing else
        same_image ("apart"): for detections: "apart" keeps two of one image apart unless they are very much alike,
            "ignore" takes no notice, as mirrors, comics and character sheets do show one character twice. For linkage
        tracks (None): for detections in frames of videos: the field of samples that says which video a frame is of,
            e.g. "sample_id". Detections of one video with the same ``index`` are then held together, unless people say
            otherwise. For linkage
        apply (True): False writes no labels, but keeps them as a proposal: see
            :func:`~ccip_plugin.grouping.proposals.load_proposal` and
            :func:`~ccip_plugin.grouping.proposals.apply_proposal`
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field (on detections: the attribute) to write the groups to
        run_key (None): the key of the recorded run, ``ccip_groups`` for the default field
        model_dir (None): a folder with model files, for presets that differ from the published ones
        progress (None): called with the stage and how far it is

    Returns:
        a :class:`~ccip_plugin.grouping.report.GroupingReport`

    Raises:
        NothingToGroupError: no item has an embedding
        StaleGroupsError: others kept changing the groups while this was computed
        MissingExtraError: an approximate graph was asked for, and faiss is not installed
        CCIPError: the field, the embeddings or the parameters cannot be used; the text says why
    """
    asked = _Asked(
        embeddings_field, run_key, method, eps, min_samples, parameters, graph, mode, same_image, tracks, model_dir
    )
    work = _compare(LabelStore(resolve(samples, patches_field), group_field), asked, progress)
    if not apply:
        return _saved(work, work.snapshot, progress).report
    for attempt in range(_ATTEMPTS):
        proposal = _propose(work, take_snapshot(work.store) if attempt else work.snapshot, progress)
        try:
            done = write(proposal, progress=progress)
        except StaleGroupsError:
            if attempt == _ATTEMPTS - 1:
                raise
            logger.info("the groups of %r were changed meanwhile, planning again", work.store.path)
            continue
        work.clock.lap("write")
        return replace(done, seconds=work.clock.laps)
    raise AssertionError("unreachable")


def propose_groups(
    samples: Any,
    *,
    patches_field: str | None = None,
    method: str | None = None,
    eps: float | None = None,
    min_samples: int | None = None,
    parameters: str = PUBLISHED,
    graph: str = AUTO,
    mode: str = ALL,
    same_image: str = APART,
    tracks: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    run_key: str | None = None,
    model_dir: Any = None,
    progress: ProgressCallback | None = None,
) -> Proposal:
    """Says what :func:`group_characters` would change, and keeps that with the dataset; writes no label.

    Takes the arguments of :func:`group_characters`, and raises as it does. A proposal takes the place of an earlier one
    for the same field. It holds until the groups are changed otherwise; labels that people change do no harm, they win.

    Returns:
        a :class:`~ccip_plugin.grouping.proposals.Proposal`, with counts, ids and views by kind of change
    """
    asked = _Asked(
        embeddings_field, run_key, method, eps, min_samples, parameters, graph, mode, same_image, tracks, model_dir
    )
    work = _compare(LabelStore(resolve(samples, patches_field), group_field), asked, progress)
    return _saved(work, work.snapshot, progress)


@dataclass(frozen=True)
class _Asked:
    embeddings_field: str
    run_key: str | None
    method: str | None
    eps: float | None
    min_samples: int | None
    source: str
    graph: str
    mode: str
    same_image: str
    tracks: str | None
    model_dir: Any

    def __post_init__(self) -> None:
        for name, value, known in (
            ("parameters", self.source, SOURCES),
            ("graph", self.graph, GRAPHS),
            ("mode", self.mode, MODES),
            ("same_image", self.same_image, SAME_IMAGE),
        ):
            if value not in known:
                raise ParameterError(name, value, f"one of {', '.join(known)}")

    def parameters(self, calibration: Calibration, target: Target) -> Parameters:
        return choose_parameters(
            calibration,
            method=self.method,
            eps=self.eps,
            min_samples=self.min_samples,
            embeddings_field=self.embeddings_field,
            mode=self.mode,
            same_image=self.same_image,
            tracks=self.tracks,
            calibrated=self._calibrated(target) if self.source == CALIBRATED else None,
        )

    def _calibrated(self, target: Target) -> tuple[float, int]:
        method = self.method or DEFAULT_METHOD
        found = calibrated_parameters(target, self.embeddings_field, method)
        if found is None:
            wanted = (
                f"{PUBLISHED!r}, as calibration has found nothing for {method} and {self.embeddings_field!r}, or on "
                "too little evidence; run calibrate, which says so"
            )
            raise ParameterError("parameters", CALIBRATED, wanted)
        return found


@dataclass(frozen=True, eq=False)
class _Compared:
    """What was found before anything is planned; it stays the same when the plan has to be made again."""

    store: LabelStore
    snapshot: Snapshot
    lineup: Lineup
    decisions: Decisions
    clusters: Clustering
    parameters: Parameters
    graph: GraphChoice
    threshold: float
    run_key: str
    clock: "_Clock"


def _compare(store: LabelStore, asked: _Asked, progress: ProgressCallback | None) -> _Compared:
    clock = _Clock()
    store.check()
    run_key = asked.run_key or _run_key(store)
    fields = {"group_field": store.group_field, "patches_field": store.target.patches_field}
    check_key(store.target.dataset, run_key, RunKind.GROUPING, **fields)
    report(progress, "reading embeddings", 0, None)
    snapshot = take_snapshot(store)
    lineup = line_up(store, snapshot, asked.embeddings_field, asked.mode)
    calibration = load_calibration(lineup.provenance.model_name, model_dir=asked.model_dir)
    parameters = asked.parameters(calibration, store.target)
    decisions = decisions_of(lineup, snapshot, store.target, same_image=parameters.same_image, tracks=parameters.tracks)
    graph = choose_graph(asked.graph, _size(lineup, decisions, parameters.method), parameters.method)
    clock.lap("read")
    limit = _previous_limit(store, run_key, parameters)
    clusters = _cluster(lineup, snapshot, decisions, parameters, graph, limit, asked.model_dir, progress)
    parameters = replace(parameters, graph=EXACT if clusters.quality is None else APPROXIMATE)
    clock.lap("cluster")
    return _Compared(
        store, snapshot, lineup, decisions, clusters, parameters, graph, calibration.threshold, run_key, clock
    )


def _previous_limit(store: LabelStore, run_key: str, parameters: Parameters) -> float | None:
    """The limit between large groups in the last run, None where that was another method, eps or model."""
    last = read_config(store.target.dataset, run_key, ("limit", "parameters")) or {}
    names = ("method", "eps", "model_name", "embeddings_field")
    is_alike = all(last.get("parameters", {}).get(name) == getattr(parameters, name) for name in names)
    return last.get("limit") if is_alike else None


def _size(lineup: Lineup, decisions: Decisions, method: str) -> int:
    """How many images take as long to compare all with all as what is to be compared here."""
    n = len(lineup.embeddings.ids)
    n_free = n - (decisions.n_fixed if method == "linkage" else 0)
    return int((2 * n_free * n) ** 0.5) if 2 * n_free < n else n


def _cluster(
    lineup: Lineup,
    snapshot: Snapshot,
    decisions: Decisions,
    parameters: Parameters,
    choice: GraphChoice,
    previous_limit: float | None,
    model_dir: Any,
    progress: ProgressCallback | None,
) -> Clustering:
    vectors = lineup.embeddings.vectors
    if not lineup.open:  # nothing may change
        groups = [snapshot.current.get(key) for key in lineup.embeddings.ids]
        labels = np.array([-1 if group_id is None else group_id for group_id in groups], np.int64)
        nan, none = np.full(len(labels), np.nan), np.zeros(len(labels), np.bool_)
        return Clustering(
            labels, none, nan, nan, labels, parameters.method, parameters.eps, parameters.min_samples, parameters.eps
        )
    is_optics, is_linkage = parameters.method.startswith("optics"), parameters.method == "linkage"
    constraints = decisions.constraints if is_linkage else None
    graph = None
    if not is_optics:
        keep = _size(lineup, decisions, parameters.method) == len(vectors)
        graph = find_or_choose(vectors, parameters.eps, choice, keep=keep, progress=progress)
    elif len(vectors) > MAX_DENSE:  # which are ordered by a graph
        graph = find_graph(vectors, parameters.eps, graphs_folder())
    found = cluster_details(
        vectors if graph is None else graph,
        method=parameters.method,
        eps=parameters.eps,
        min_samples=parameters.min_samples,
        model_name=parameters.model_name,
        model_dir=model_dir,
        constraints=constraints,
        previous_limit=previous_limit,
        progress=progress,
    )
    return _steadied(found, lineup, snapshot, constraints) if is_linkage else found


def _steadied(found: Clustering, lineup: Lineup, snapshot: Snapshot, constraints: Constraints | None) -> Clustering:
    """The clusters without merges and splits of known groups on weak evidence."""
    groups = [snapshot.current.get(key) for key in lineup.embeddings.ids]
    previous = np.array([-1 if group_id is None else group_id for group_id in groups], np.int64)
    checked = None if constraints is None else check(constraints, len(previous))
    labels = steady(
        found.labels,
        previous,
        lineup.embeddings.vectors,
        limit=found.limit,
        threshold=found.eps,
        min_samples=found.min_samples,
        is_bound=None if checked is None else checked.is_bound,
        shared=None if checked is None else checked.shared,
    )
    return replace(found, labels=labels)


def _propose(work: _Compared, snapshot: Snapshot, progress: ProgressCallback | None) -> Proposal:
    """Plans from the labels of a snapshot."""
    report(progress, "matching groups", 0, None)
    plan = make_plan(
        work.store, snapshot, work.lineup, work.clusters, mode=work.parameters.mode, threshold=work.threshold
    )
    work.clock.lap("match")
    is_run = work.parameters.mode == ALL or bool(work.lineup.open)  # adding nothing is not worth a record
    run_key = work.run_key if is_run else None
    changes = Changes("group_characters", plan.labels, plan.draft, run_key=run_key, run=_run(work, plan))
    return Proposal(work.store, changes, plan.kinds, plan.groups, _report(work, plan))


def _saved(work: _Compared, snapshot: Snapshot, progress: ProgressCallback | None) -> Proposal:
    proposal = _propose(work, snapshot, progress)
    proposal = replace(proposal, report=replace(proposal.report, proposal_key=proposal.key, seconds=work.clock.laps))
    report(progress, "storing the proposal", 0, None)
    save_proposal(proposal)
    return proposal


def _run(work: _Compared, plan: Plan) -> dict[str, Any]:
    """What the run records; plain values only."""
    store = work.store
    return {
        "method": RunKind.GROUPING,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "group_field": store.group_field,
        "patches_field": store.target.patches_field,
        "is_partial": not store.target.is_whole,
        "parameters": asdict(work.parameters),
        "limit": work.clusters.limit,
        "quality": asdict(work.clusters.quality) if work.clusters.quality else None,
        "provenance": work.lineup.provenance.as_dict(),
        "counts": {name: plan.counts[name] for name in _RECORDED},
        "changes": {
            "items": {kind: len(ids) for kind, ids in plan.kinds.items()},
            "groups": [vars(change) for change in _notable(plan)],
        },
        "groups": [asdict(shape) for shape in plan.shapes[:_MOST_SHAPES]],
    }


def _report(work: _Compared, plan: Plan) -> GroupingReport:
    counts, contradictions = plan.counts, work.decisions.contradictions
    warnings = warnings_of(
        plan.sizes,
        counts["items"],
        method=work.parameters.method,
        noun=work.store.target.noun,
        n_chained=counts["chained"],
        contradictions=contradictions,
    )
    if work.graph.note:
        warnings += (work.graph.note,)
    if not work.lineup.provenance.closed_form:
        warnings += (_OTHER_METRIC,)
    return GroupingReport(
        work.run_key,
        work.store.path,
        work.parameters,
        n_items=counts["items"],
        n_groups=counts["groups"],
        n_grouped=counts["grouped"],
        n_unassigned=counts["unassigned"],
        n_without_embedding=counts["without_embedding"],
        n_ignored=counts["ignored"],
        n_human=counts["human"],
        n_written=0,
        n_left=0,
        n_rescued=counts["rescued"],
        sizes=plan.sizes,
        changes={kind: len(ids) for kind, ids in plan.kinds.items()},
        groups=_notable(plan),
        shapes=tuple(plan.shapes[:_MOST_SHAPES]),
        quality=work.clusters.quality,
        contradictions=contradictions,
        warnings=warnings,
    )


def _notable(plan: Plan) -> tuple[Any, ...]:
    """What becomes of groups that is more than that they are new."""
    return tuple(change for change in plan.groups if change.kind != NEW)


def _run_key(store: LabelStore) -> str:
    return RUN_KEY if store.path == GROUP_FIELD else key_of(RUN_KEY, store.path)


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._laps: dict[str, float] = {}
        self._last = time.perf_counter()

    @property
    def laps(self) -> Mapping[str, float]:
        return dict(self._laps)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = self._laps.get(stage, 0.0) + now - self._last
        self._last = now
