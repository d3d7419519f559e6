"""Character grouping pipeline: embeddings in, recorded groups out."""

import datetime
import heapq
import logging
import warnings
from dataclasses import asdict, dataclass, replace
from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.clustering.constraints import Constraints, resolve_constraints
from ..core.clustering.dispatch import run_method
from ..core.clustering.methods import Clustering, ClusteringMethod, ClusteringTask, get_method
from ..core.identity.matching import GroupChange, GroupChangeKind
from ..core.identity.planning import Plan
from ..core.identity.stability import apply_hysteresis
from ..core.identity.state import State
from ..core.neighbors.cache import find_or_choose
from ..core.neighbors.choice import APPROXIMATE, EXACT, GraphChoice, choose_graph
from ..core.neighbors.files import find_graph, graphs_folder
from ..core.options import takes
from ..core.progress import ProgressCallback, StageClock, report
from ..labels.decisions.takeover import count_waiting, take_over
from ..labels.edits.by_hand import record_all_by_hand
from ..labels.identities import StaleGroupsError, save_look
from ..labels.overview.making import RunVectors, keep_overview_of_run
from ..labels.reviewed import count_reviewed
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..storage.connection import with_database_errors
from ..storage.fields import ADD, ALL, GROUP_FIELD, RUN_KEY
from ..storage.runs import RunKind, check_key, key_of
from ..storage.targets import resolve
from ..storage.updates import now
from .addition import added_by
from .constraints import GroupingConstraints, build_constraints, check_tracks
from .options import GroupingOptions
from .parameters import GroupingParameters, calibrated_values, choose_parameters, previous_limit
from .participants import Participants, read_participants
from .plan import N_SHAPES, make_plan
from .proposals import Proposal, keep, proposed_rows, save_proposal, write
from .report import GroupingReport, notes_of, shapes_of, warnings_of

logger = logging.getLogger(__name__)

_ATTEMPTS = 3
_RECORDED = ("items", "groups", "grouped", "unassigned", "ignored", "human", "rescued")


@with_database_errors
@takes(GroupingOptions)
def group_characters(
    samples: SampleCollection,
    *,
    patches_field: str | None = None,
    options: GroupingOptions,
    apply: bool = True,
    run_key: str | None = None,
    progress: ProgressCallback | None = None,
) -> GroupingReport:
    """Groups images by character and writes the groups as labels.

    User labels are kept. With the method ``linkage`` they also constrain the groups: images that users put into one
    group stay together, and images that they put into two groups are never merged; the other methods find their groups
    from the images alone. Whatever the method, an image is never put into a group from which it was rejected
    (:func:`~ccip_plugin.labels.edits.reject`), nor into one that this group was merged into, and images that users put
    into no group take no part.

    Groups keep their ids and names from one run to the next: they are matched by shared members, and groups that have
    lost all members by their prototypes. ``linkage`` does not merge or split known groups on evidence within a margin
    of its limit, so that additional images leave the others where they are.
    :func:`~ccip_plugin.labels.history.undo` reverts a run.

    Where a detector ran again, its new detections first take over the user labels and rejections of those that they
    replaced, by their boxes, as a change of its own (:func:`~ccip_plugin.labels.decisions.takeover.take_over`).

    From 20,000 images on, the exact neighbor graph is kept in ``graphs`` of the folder ``CCIP_CACHE_DIR``, up to 4 GiB,
    so that another eps needs no comparison of all images.

    A view is compared with the groups that exist, and only the items of the view are written. Costs the time and memory
    of :func:`~ccip_plugin.core.clustering.dispatch.cluster`, plus the memory of planning and writing. Images that stay
    where they are, such as those outside of a view and, when only new ones are added, all others, are compared with
    those that may move and, for ``linkage``, not with each other beyond their groups.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections to group, None for whole samples
        {options}
        apply (True): deprecated; instead of False call :func:`propose_groups`
        run_key (None): the key of the recorded run, ``ccip_groups`` for the default field
        progress (None): called with the stage and its progress

    Returns:
        a :class:`~ccip_plugin.grouping.report.GroupingReport`

    Raises:
        NothingToGroupError: no item has an embedding
        StaleGroupsError: the groups kept changing while this was computed
        MissingExtraError: an approximate graph was asked for, and faiss is not installed
        CCIPError: the field, the embeddings or the options cannot be used; the message says why
    """
    if not apply:
        warnings.warn("group_characters(apply=False) is deprecated: call propose_groups", DeprecationWarning, 4)
        return _propose_groups(samples, patches_field, options, run_key, progress).report
    store = LabelStore(resolve(samples, patches_field), options.group_field)
    work = _compare(store, options, run_key, progress, takes_over=True)
    for attempt in range(_ATTEMPTS):
        proposal = _propose(work, read_state(work.store) if attempt else work.state, progress)
        try:
            done = write(proposal, progress=progress)
        except StaleGroupsError:
            if attempt == _ATTEMPTS - 1:
                raise
            logger.info("the groups of %r were changed meanwhile, planning again", work.store.path)
            continue
        if options.mode != ADD and done.number is not None:  # a run that changes nothing writes nothing
            save_look(work.store.target.dataset, work.store.path, work.read_at)
        work.clock.lap("write")
        _keep_overview(work)
        done = replace(done, reviewed=count_reviewed(work.store), seconds=work.clock.laps)
        return keep(done, work.store.target.dataset)
    raise AssertionError("unreachable")


@with_database_errors
@takes(GroupingOptions)
def propose_groups(
    samples: SampleCollection,
    *,
    patches_field: str | None = None,
    options: GroupingOptions,
    run_key: str | None = None,
    progress: ProgressCallback | None = None,
) -> Proposal:
    """Proposes the changes that :func:`group_characters` would make and stores them with the dataset; writes no label.

    A proposal replaces an earlier one for the same field. It is valid until the groups are changed otherwise; labels
    that people change meanwhile are kept.

    Args:
        samples: as for :func:`group_characters`
        patches_field (None): as for :func:`group_characters`
        {options}
        run_key (None): as for :func:`group_characters`
        progress (None): called with the stage and its progress

    Returns:
        a :class:`~ccip_plugin.grouping.proposals.Proposal`, with counts, ids and views by kind of change

    Raises:
        CCIPError: as :func:`group_characters`
    """
    return _propose_groups(samples, patches_field, options, run_key, progress)


def _propose_groups(
    samples: SampleCollection,
    patches_field: str | None,
    options: GroupingOptions,
    run_key: str | None,
    progress: ProgressCallback | None,
) -> Proposal:
    work = _compare(LabelStore(resolve(samples, patches_field), options.group_field), options, run_key, progress)
    return _saved(work, work.state, progress)


@dataclass(frozen=True, eq=False)
class _Compared:
    """What was found before anything is planned; it stays the same when the plan has to be made again."""

    store: LabelStore
    state: State
    participants: Participants
    constraints: GroupingConstraints
    clusters: Clustering
    parameters: GroupingParameters
    graph: GraphChoice
    threshold: float
    run_key: str
    clock: StageClock
    read_at: datetime.datetime
    n_by_hand: int = 0
    n_taken_over: int = 0
    n_waiting: int = 0


def _compare(
    store: LabelStore,
    options: GroupingOptions,
    run_key: str | None,
    progress: ProgressCallback | None,
    *,
    takes_over: bool = False,
) -> _Compared:
    clock, read_at = StageClock(), now()
    store.check()
    run_key = run_key or _run_key(store)
    fields = {"group_field": store.group_field, "patches_field": store.target.patches_field}
    check_key(store.target.dataset, run_key, RunKind.GROUPING, **fields)
    report(progress, "reading embeddings", 0, None)
    state = read_state(store)
    participants = read_participants(store, state, options.embeddings_field, options.mode)
    published = load_calibration(participants.provenance.model_name, model_dir=options.model_dir)
    parameters = choose_parameters(published, options, calibrated=calibrated_values(options, store.target))
    check_tracks(store.target, options.tracks)
    n_by_hand, recorded = record_all_by_hand(store, state) if takes_over and options.mode != ADD else (0, state)
    n_taken_over, taken = take_over(store, recorded, progress=progress) if takes_over else (0, state)
    n_waiting = 0 if takes_over else count_waiting(store, state)
    if taken is not state:
        state, participants = taken, read_participants(store, taken, options.embeddings_field, options.mode)
    constraints = build_constraints(
        participants, state, store.target, same_image=options.same_image, tracks=options.tracks
    )
    method = get_method(parameters.method)
    size = _size(participants, constraints, method)
    graph = choose_graph(options.graph, size, needs_all_neighbors=method.needs_all_neighbors)
    clock.lap("read")
    limit = previous_limit(store.target.dataset, run_key, parameters)
    clusters = _cluster(participants, state, constraints, parameters, graph, limit, published.threshold, progress)
    parameters = replace(parameters, graph=EXACT if clusters.quality is None else APPROXIMATE)
    clock.lap("cluster")
    found = (store, state, participants, constraints, clusters, parameters, graph, published.threshold, run_key, clock)
    return _Compared(*found, read_at, n_by_hand, n_taken_over, n_waiting)


def _size(participants: Participants, constraints: GroupingConstraints, method: ClusteringMethod) -> int:
    """The number of images whose pairwise comparison costs as much as the comparisons of this run."""
    n = len(participants)
    n_free = n - (constraints.n_fixed if method.keeps_constraints else 0)
    return int((2 * n_free * n) ** 0.5) if 2 * n_free < n else n


def _cluster(
    participants: Participants,
    state: State,
    constraints: GroupingConstraints,
    parameters: GroupingParameters,
    choice: GraphChoice,
    previous_limit: float | None,
    threshold: float,
    progress: ProgressCallback | None,
) -> Clustering:
    vectors, method = participants.vectors, get_method(parameters.method)
    if not participants.is_open.any():  # nothing may change
        task = ClusteringTask(vectors, method.name, parameters.eps, parameters.min_samples)
        return task.result(participants.group_ids(state))
    kept = constraints.constraints if method.keeps_constraints else None
    graph = None
    if not method.needs_all_neighbors:
        keep = _size(participants, constraints, method) == len(vectors)
        graph = find_or_choose(vectors, parameters.eps, choice, keep=keep, progress=progress)
    elif len(vectors) > method.max_dense:
        graph = find_graph(vectors, parameters.eps, graphs_folder())
    found = run_method(
        vectors if graph is None else graph,
        method.name,
        eps=parameters.eps,
        min_samples=parameters.min_samples,
        threshold=threshold,
        constraints=kept,
        previous_limit=previous_limit,
        progress=progress,
    )
    return _with_hysteresis(found, participants, state, kept) if method.has_hysteresis else found


def _with_hysteresis(
    found: Clustering, participants: Participants, state: State, constraints: Constraints | None
) -> Clustering:
    """The clusters with merges and splits within a margin of the limit reverted."""
    resolved = None if constraints is None else resolve_constraints(constraints, len(participants))
    labels = apply_hysteresis(
        found.labels,
        participants.group_ids(state),
        participants.vectors,
        limit=found.limit,
        threshold=found.eps,
        min_samples=found.min_samples,
        is_constrained=None if resolved is None else resolved.is_constrained,
        co_occurring=None if resolved is None else resolved.co_occurring,
    )
    return replace(found, labels=labels)


def _keep_overview(work: _Compared) -> None:
    """Keeps what the review panel shows first, while the embeddings are in memory."""
    items, field = work.participants, work.parameters.embeddings_field
    model_name = items.provenance.model_name
    threshold = load_calibration(model_name).threshold  # as the panel has it, whatever the folder of the models was
    run = RunVectors(
        items.ids, items.sample_ids, items.vectors, items.embedded, field, model_name, threshold, work.read_at
    )
    keep_overview_of_run(work.store, run)
    work.clock.lap("overview")


def _propose(work: _Compared, state: State, progress: ProgressCallback | None) -> Proposal:
    """Plans from labels and groups that may be newer than the clusters."""
    report(progress, "matching groups", 0, None)
    plan = make_plan(state, work.participants, work.clusters, mode=work.parameters.mode, threshold=work.threshold)
    work.clock.lap("match")
    is_run = work.parameters.mode == ALL or bool(work.participants.is_open.any())  # adding nothing is not recorded
    return Proposal(work.store, plan, _report(work, plan), work.run_key if is_run else None, _run(work, plan))


def _saved(work: _Compared, state: State, progress: ProgressCallback | None) -> Proposal:
    proposal = _propose(work, state, progress)
    proposal = replace(
        proposal,
        rows=proposed_rows(proposal.plan),
        report=replace(proposal.report, proposal_key=proposal.key, seconds=work.clock.laps),
    )
    report(progress, "storing the proposal", 0, None)
    save_proposal(proposal)
    keep(proposal.report, work.store.target.dataset)
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
        "parameters": work.parameters.record(),
        "limit": work.clusters.limit,
        "quality": asdict(work.clusters.quality) if work.clusters.quality else None,
        "provenance": work.participants.provenance.as_dict(),
        "counts": {name: plan.counts[name] for name in _RECORDED},
        "changes": {
            "items": plan.n_by_kind(),
            "groups": [change.as_dict() for change in heapq.nlargest(N_SHAPES, _notable(plan), key=_n_items)],
        },
        "groups": [shape.record() for shape in shapes_of(plan)],
    }


def _report(work: _Compared, plan: Plan) -> GroupingReport:
    counts, contradictions = plan.counts, work.constraints.contradictions
    notes = warnings_of(
        plan.sizes,
        counts["items"],
        method=work.parameters.method,
        noun=work.store.target.noun,
        n_chained=counts["chained"],
        contradictions=contradictions,
    )
    if work.graph.note:
        notes += (work.graph.note,)
    closed_form = work.participants.provenance.closed_form
    notes += notes_of(plan, work.store.target.noun, n_waiting=work.n_waiting, closed_form=closed_form)
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
        n_refreshed=counts["refreshed"],
        n_rescued=counts["rescued"],
        n_by_hand=work.n_by_hand,
        n_taken_over=work.n_taken_over,
        sizes=plan.sizes,
        changes=plan.n_by_kind(),
        groups=_notable(plan),
        shapes=shapes_of(plan),
        quality=work.clusters.quality,
        contradictions=contradictions,
        warnings=notes,
        added=added_by(plan) if work.parameters.mode == ADD else None,
    )


def _notable(plan: Plan) -> tuple[GroupChange, ...]:
    """What happens to groups, other than that they are new."""
    return tuple(change for change in plan.group_changes if change.kind != GroupChangeKind.NEW)


def _n_items(change: GroupChange) -> int:
    return change.n_items


def _run_key(store: LabelStore) -> str:
    return RUN_KEY if store.path == GROUP_FIELD else key_of(RUN_KEY, store.path)
