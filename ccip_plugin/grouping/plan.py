"""From clusters to the labels that the items are to have, with the groups that people know."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..core.clustering.methods import METHODS, Clustering
from ..core.clustering.statistics import confidence, group_shapes, group_statistics
from ..core.identity.matching import (
    MERGED,
    SPLIT,
    GroupChange,
    changes_of_groups,
    match_clusters,
    match_prototypes,
    means_of,
)
from ..core.identity.prototypes import prototype_differences, prototypes
from ..labels.changes import LabelChange
from ..labels.identities import Draft
from ..labels.snapshot import ALL, Snapshot, is_open
from ..labels.store import GroupLabel, LabelStore
from ..storage.fields import STATUS_AUTO, UNASSIGNED
from .participants import Lineup
from .report import GroupShape

UNCHANGED, MOVED, NEW, UNASSIGNED_NOW = "unchanged", "moved", "new", "unassigned"
KINDS = (UNCHANGED, MOVED, NEW, MERGED, SPLIT, UNASSIGNED_NOW)
"""What a run does to an item: nothing; it goes from one group to another; it was in none and gets one; it goes along
when all its group is merged with another; it goes along with a part that becomes a group of its own; it will be in
none, and was in one or had no label."""

_DIGITS = 6  # of what is written beside a label; the vectors are no more exact
_SAME_LOOK = 0.002  # difference of prototypes up to which an old one stays
_CHAINED = 1.3  # thresholds of mean difference in a group over which it is a chain
_LEAST_CHAIN = 10


@dataclass(frozen=True, eq=False)
class Plan:
    """The labels that the items are to have, and what they add up to.

    Attributes:
        labels: those to write
        draft: the groups
        counts: of items: ``items``, ``grouped``, ``unassigned``, ``without_embedding``, ``ignored``, ``human``,
            ``rescued``; and ``groups``, ``chained``
        sizes: per size, how many groups have so many of the items
        kinds: per kind of change, the ids of the items
        groups: what becomes of whole groups
        shapes: the groups themselves, the largest first
    """

    labels: Sequence[LabelChange]
    draft: Draft
    counts: Counter[str]
    sizes: Counter[int]
    kinds: Mapping[str, list[str]]
    groups: Sequence[GroupChange]
    shapes: Sequence[GroupShape] = ()


def make_plan(
    store: LabelStore, snapshot: Snapshot, lineup: Lineup, found: Clustering, *, mode: str, threshold: float
) -> Plan:
    """Plans labels: what people decided stays, what was found gets ids and names.

    Args:
        store: the items, and where their labels are
        snapshot: the labels that they have; it may be newer than the lineup, and its draft is used up
        lineup: who took part
        found: the clusters
        mode: what may change
        threshold: the difference up to which two images are one character
    """
    keys, draft = lineup.embeddings.ids, snapshot.draft
    group_of = _groups_of_clusters(snapshot, lineup, found, threshold)

    def decide() -> list[int | None]:
        rejections = draft.rejections
        return [
            _decide(key, group_of.get(int(number)), snapshot, lineup, mode, rejections)
            for key, number in zip(keys, found.labels, strict=True)
        ]

    final = decide()
    if _note_mergers(snapshot, dict(zip(keys, final, strict=True))):
        final = decide()
    is_rescued = [
        bool(rescued) and group_id is not None and key in lineup.open
        for key, group_id, rescued in zip(keys, final, found.rescued, strict=True)
    ]
    is_open_now = np.array([key in lineup.open for key in keys], np.bool_)
    scored, n_chained = _score(lineup.embeddings.vectors, final, is_rescued, is_open_now, threshold, draft)
    planned = dict(zip(keys, scored, strict=True))
    _forget_empty(draft, snapshot, dict(zip(keys, final, strict=True)))
    _remember_looks(draft, lineup, final)
    shapes = _shapes(lineup.embeddings.vectors, final, draft)
    return replace(_labels_of_items(store, snapshot, lineup, planned, mode, n_chained), shapes=shapes)


def _groups_of_clusters(snapshot: Snapshot, lineup: Lineup, found: Clustering, threshold: float) -> dict[int, int]:
    """The group of each cluster: an old one or, the largest cluster first, a new one."""
    keys, draft = lineup.embeddings.ids, snapshot.draft
    current = [snapshot.current.get(key) for key in keys]
    is_human = np.array([key in snapshot.labels and snapshot.labels[key].is_human for key in keys], np.bool_)
    stays = np.array([key not in lineup.open for key in keys], np.bool_) & ~is_human
    claimed = _majorities(found.labels, current, stays) if METHODS[found.method].keeps_constraints else {}
    named = {group_id for group_id, group in draft.groups.items() if not group.is_auto_named}
    group_of = match_clusters(found.labels, current, draft.groups, is_decided=is_human, named=named, claimed=claimed)
    group_of |= _majorities(found.labels, current, is_human, without=group_of)
    group_of |= _recognized(snapshot, lineup, found, group_of, threshold)
    numbers, first, sizes = np.unique(found.labels, return_index=True, return_counts=True)
    for index in np.lexsort((first, -sizes)):
        number = int(numbers[index])
        if number >= 0 and number not in group_of:
            group_of[number] = draft.new_group()
    return group_of


def _majorities(
    clusters: NDArray[np.int64],
    group_ids: Sequence[int | None],
    among: NDArray[np.bool_],
    without: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Per cluster, the group that most of some of its items are in; clusters that have a group already are left out."""
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for row in np.flatnonzero(among & (clusters >= 0)).tolist():
        cluster, group_id = int(clusters[row]), group_ids[row]
        if group_id is not None and cluster not in (without or {}):
            votes[cluster][group_id] += 1
    return {cluster: _most(counter) for cluster, counter in votes.items()}


def _recognized(
    snapshot: Snapshot, lineup: Lineup, found: Clustering, group_of: Mapping[int, int], threshold: float
) -> dict[int, int]:
    """Clusters that look like a group that has no members any more."""
    draft, model = snapshot.draft, _model_of(lineup)
    has_members = {group_id for group_id in snapshot.current.values() if group_id is not None}
    known = {
        key: group.prototype
        for key, group in draft.groups.items()
        if group.prototype is not None and group.model == model and key not in has_members and group.merged_into is None
    }
    if not known:
        return {}
    wanted = [number for number in np.unique(found.labels).tolist() if number >= 0 and number not in group_of]
    means = means_of(lineup.embeddings.vectors, found.labels, wanted)
    looks = dict(zip(means, prototypes(list(means.values())), strict=True))
    places = {key: place for place, key in enumerate(lineup.embeddings.ids)}
    rejected: dict[int, set[int]] = defaultdict(set)
    for group_id, ids in draft.rejections.items():
        for key in ids & places.keys():
            rejected[int(found.labels[places[key]])].add(group_id)
    return match_prototypes(looks, known, threshold, rejected)


def _model_of(lineup: Lineup) -> str:
    """A short name of the model that the embeddings are of."""
    sha256 = lineup.provenance.sha256
    return sha256[:12] if sha256 else lineup.provenance.model_name


def _note_mergers(snapshot: Snapshot, final: Mapping[str, int | None]) -> bool:
    """Keeps groups from which items were rejected and that lose all items, as parts of what most of these become.

    So that the rejections hold there, too. Gives whether there are any.
    """
    draft, used = snapshot.draft, _used(snapshot, final)
    lost = {key for key in draft.rejections.keys() & draft.groups.keys() - used if draft.groups[key].is_auto_named}
    became: dict[int, Counter[int]] = defaultdict(Counter)
    for key, before in snapshot.current.items() if lost else ():
        after = final.get(key)
        if before in lost and before is not None and after is not None:
            became[before][after] += 1
    for group_id, counts in became.items():
        draft.merge(group_id, _most(counts))
    return bool(became)


def _most(counts: Counter[int]) -> int:
    return min(counts, key=lambda key: (-counts[key], key))


def _decide(
    key: str,
    found: int | None,
    snapshot: Snapshot,
    lineup: Lineup,
    mode: str,
    rejections: Mapping[int, frozenset[str]],
) -> int | None:
    """The group of an item: what a person said, or what may not change, else what was found."""
    if key not in lineup.open or not is_open(snapshot, mode, key):
        return snapshot.current.get(key)
    is_rejected = found is not None and key in rejections.get(found, ())
    return None if is_rejected else found


def _score(
    vectors: NDArray[np.float32],
    final: Sequence[int | None],
    is_rescued: Sequence[bool],
    among: NDArray[np.bool_],
    threshold: float,
    draft: Draft,
) -> tuple[list[GroupLabel], int]:
    """The labels with their numbers, whole for those among the given; and how many groups hold together by chains."""
    numbers = np.array([-1 if group_id is None else group_id for group_id in final], dtype=np.int64)
    statistics = group_statistics(vectors, numbers, among=among)
    sure = np.atleast_1d(confidence(statistics.difference, threshold))
    labels = []
    for i, group_id in enumerate(final):
        if group_id is None:
            labels.append(GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED))
            continue
        name = draft.groups[group_id].name
        values = (_number(sure[i]), _number(statistics.difference[i]), _number(statistics.margin[i]))
        labels.append(GroupLabel(name, group_id, STATUS_AUTO, *values, assigned=name, rescued=is_rescued[i] or None))
    return labels, _count_chains(numbers, statistics.difference, threshold)


def _shapes(vectors: NDArray[np.float32], final: Sequence[int | None], draft: Draft) -> list[GroupShape]:
    """The groups as they will be."""
    found = group_shapes(vectors, [-1 if group_id is None else group_id for group_id in final])
    names = {int(group_id): draft.groups[group_id].name for group_id in found.labels.tolist()}
    return [
        GroupShape(
            group_id,
            names[group_id],
            int(found.sizes[row]),
            _number(found.cohesion[row]),
            round(float(found.diameter[row]), _DIGITS),
            rival if (rival := int(found.rivals[row])) >= 0 else None,
            names.get(rival),
            _number(found.apart[row]),
        )
        for row, group_id in sorted(enumerate(found.labels.tolist()), key=lambda each: (-found.sizes[each[0]], each[1]))
    ]


def _count_chains(numbers: NDArray[np.int64], difference: NDArray[np.float64], threshold: float) -> int:
    members = numbers >= 0
    if not members.any():
        return 0
    _, codes, sizes = np.unique(numbers[members], return_inverse=True, return_counts=True)
    mean = np.bincount(codes, np.nan_to_num(difference[members])) / sizes
    return int(((sizes >= _LEAST_CHAIN) & (mean > _CHAINED * threshold)).sum())


def _forget_empty(draft: Draft, snapshot: Snapshot, final: Mapping[str, int | None]) -> None:
    """Drops groups without members that nobody named, and that are no part of another."""
    used = _used(snapshot, final)
    empty = ((key, group) for key, group in draft.groups.items() if key not in used and group.merged_into is None)
    draft.drop([key for key, group in empty if group.is_auto_named])


def _used(snapshot: Snapshot, final: Mapping[str, int | None]) -> set[int | None]:
    """The groups that have members."""
    return {group_id for key, group_id in snapshot.current.items() if key not in final} | set(final.values())


def _remember_looks(draft: Draft, lineup: Lineup, final: Sequence[int | None]) -> None:
    """Records what each group looks like, where that is new or has changed."""
    model = _model_of(lineup)
    numbers = np.array([-1 if group_id is None else group_id for group_id in final], np.int64)
    means = means_of(lineup.embeddings.vectors, numbers, (int(n) for n in np.unique(numbers) if n >= 0))
    for group_id, look in zip(means, prototypes(list(means.values())), strict=True):
        group = draft.groups[group_id]
        is_known = group.prototype is not None and group.model == model
        if group.prototype is None or not is_known or _differ(group.prototype, look):
            draft.set_prototype(group_id, look, model)


def _differ(one: str, other: str) -> bool:
    return one != other and bool(prototype_differences([one], [other])[0, 0] > _SAME_LOOK)


def _labels_of_items(
    store: LabelStore,
    snapshot: Snapshot,
    lineup: Lineup,
    planned: Mapping[str, GroupLabel],
    mode: str,
    n_chained: int,
) -> Plan:
    """What to write to the items of the target, and only to them."""
    changes: list[LabelChange] = []
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    sizes: Counter[int] = Counter()
    counts: Counter[str] = Counter(chained=n_chained)
    after = dict(snapshot.current)
    moves: dict[str, tuple[int | None, int | None]] = {}
    ids, sample_ids, _ = store.target.values()
    for key, sample_id in zip(ids, sample_ids, strict=True):
        label, group_id = snapshot.labels.get(key), snapshot.current.get(key)
        wanted = _wanted(key, snapshot, lineup, planned, mode)
        if wanted != label:
            changes.append(LabelChange(key, sample_id, wanted))
            group_id = None if wanted is None else wanted.group_id
        counts["items"] += 1
        counts["human"] += label is not None and label.is_human
        counts["rescued"] += wanted is not None and bool(wanted.rescued) and not wanted.is_human
        counts[_place(wanted, group_id)] += 1
        if group_id is not None:
            sizes[group_id] += 1
        after[key] = group_id
        if wanted is not None:
            moves[key] = (snapshot.current.get(key), group_id)
    counts["groups"] = len(sizes)
    groups = _changes_of_groups(snapshot, after)
    _sort_by_kind(kinds, moves, groups, snapshot)
    return Plan(changes, snapshot.draft, counts, Counter(sizes.values()), kinds, groups)


def _changes_of_groups(snapshot: Snapshot, after: Mapping[str, int | None]) -> list[GroupChange]:
    before, draft = snapshot.current, snapshot.draft
    is_old = {*draft.registry.groups, *(group_id for group_id in before.values() if group_id is not None)}
    return changes_of_groups(
        [before.get(key) for key in after],
        list(after.values()),
        draft.names(),
        is_old,
    )


def _wanted(
    key: str, snapshot: Snapshot, lineup: Lineup, planned: Mapping[str, GroupLabel], mode: str
) -> GroupLabel | None:
    """The label that an item is to have."""
    label = snapshot.labels.get(key)
    if is_open(snapshot, mode, key):
        return planned.get(key, label if key in lineup.embedded else None)
    if label is not None and label.is_human and mode == ALL:
        group_id = snapshot.current.get(key)
        return label if label.is_settled and label.group_id == group_id else label.confirmed(group_id)
    return label


def _place(label: GroupLabel | None, group_id: int | None) -> str:
    if group_id is not None:
        return "grouped"
    if label is None:
        return "without_embedding"
    return "ignored" if label.is_ignored else "unassigned"


def _sort_by_kind(
    kinds: Mapping[str, list[str]],
    moves: Mapping[str, tuple[int | None, int | None]],
    groups: Sequence[GroupChange],
    snapshot: Snapshot,
) -> None:
    merged = {(change.group_id, change.other) for change in groups if change.kind == MERGED}
    split = {(change.other, change.group_id) for change in groups if change.kind == SPLIT}
    for key, (before, after) in moves.items():
        if before == after:
            kind = UNCHANGED if key in snapshot.labels else UNASSIGNED_NOW
        elif before is None or after is None:
            kind = NEW if before is None else UNASSIGNED_NOW
        else:
            kind = MERGED if (before, after) in merged else SPLIT if (before, after) in split else MOVED
        kinds[kind].append(key)


def _number(value: np.floating) -> float | None:
    return round(float(value), _DIGITS) if np.isfinite(value) else None
