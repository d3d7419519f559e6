"""Which cluster is which group of before, and what became of the groups."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .prototypes import prototype_differences

NEW, SPLIT, MERGED, GONE = "new", "split", "merged", "gone"
"""What can become of a group: it was not there before; it was a part of another; it went into another; it has no
members any more."""

_CLAIM, _CLAIM_SHARE = 5, 0.1  # images that people put into a group, and share of a cluster, that make it that group's
_ALIKE = 0.5  # thresholds; up to this difference of their prototypes, a cluster is a group that lost its members

Numbers = NDArray[np.integer]


@dataclass(frozen=True)
class GroupChange:
    """What a run does to a group as a whole.

    Attributes:
        kind: :data:`NEW`, :data:`SPLIT`, :data:`MERGED` or :data:`GONE`
        group_id: the group
        name: its name
        other: for a split, the group that it was a part of; for a merge, the group that it becomes a part of; else None
        n_items: members after the change; for a group that is merged or gone, before it
    """

    kind: str
    group_id: int
    name: str
    other: int | None
    n_items: int


def match_clusters(
    clusters: Numbers,
    group_ids: Sequence[int | None],
    old: Iterable[int],
    *,
    is_decided: NDArray[np.bool_] | None = None,
    named: Container[int] = (),
    claimed: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Matches new clusters to old groups by the members that they share, the largest share first.

    Two things come before the size of the share. A cluster in which people put at least five images, and a tenth of
    all, into one group that has most of its members there, is that group: naming a part of a group names the group.
    And a group that people named, other than image by image, keeps its name where it is merged with a nameless one.

    Args:
        clusters: the ``(n,)`` cluster of each item, negative for none
        group_ids: the ``n`` ids of the groups in which the items are now, None for none
        old: the ids that may be matched
        is_decided (None): ``(n,)`` whether people put an item into its group
        named (): the groups with a name that a person gave
        claimed (None): clusters of which the group is known already

    Returns:
        the id of the old group of a cluster, for each cluster that has one; no id is given twice but by ``claimed``
    """
    allowed = set(old)
    decided = np.zeros(len(clusters), np.bool_) if is_decided is None else is_decided
    pairs = [
        (int(cluster), group_id, bool(is_human))
        for cluster, group_id, is_human in zip(clusters, group_ids, decided, strict=True)
        if cluster >= 0 and group_id in allowed and group_id is not None
    ]
    shared = Counter((cluster, group_id) for cluster, group_id, _ in pairs)
    by_people = Counter((cluster, group_id) for cluster, group_id, is_human in pairs if is_human)
    totals = Counter(group_ids)
    sizes = np.bincount(clusters[clusters >= 0]) if len(pairs) else np.empty(0, np.int64)
    n_deciders = Counter(cluster for cluster, _ in by_people)

    def rank(pair: tuple[int, int]) -> tuple[bool, bool, int, int, int]:
        cluster, group_id = pair
        n, n_people = shared[pair], by_people[pair]
        has_most = 2 * n > totals[group_id]
        is_claim = n_people >= _CLAIM and n_people >= _CLAIM_SHARE * sizes[cluster] and n_deciders[cluster] == 1
        is_named = group_id in named and n > n_people
        return not (has_most and is_claim), not (has_most and is_named), -n, group_id, cluster

    matched = dict(claimed or {})
    taken = set(matched.values())
    for cluster, group_id in sorted(shared, key=rank):
        if cluster not in matched and group_id not in taken:
            matched[cluster] = group_id
            taken.add(group_id)
    return matched


def match_prototypes(
    found: Mapping[int, str], known: Mapping[int, str], threshold: float, rejected: Mapping[int, Container[int]]
) -> dict[int, int]:
    """Matches clusters to groups that have no members any more, by what these looked like.

    Args:
        found: the prototypes of clusters
        known: the prototypes of groups without members
        threshold: the difference up to which two images are one character
        rejected: for a cluster, the groups of which people said that some of it are not

    Returns:
        the id of the group of a cluster, for each cluster that has one; no id is given twice
    """
    if not found or not known:
        return {}
    clusters, groups = list(found), list(known)
    apart = prototype_differences(list(found.values()), list(known.values()))
    matched: dict[int, int] = {}
    for flat in np.argsort(apart, axis=None, kind="stable"):
        row, column = divmod(int(flat), len(groups))
        if apart[row, column] > _ALIKE * threshold:
            break
        cluster, group_id = clusters[row], groups[column]
        is_free = cluster not in matched and group_id not in matched.values()
        if is_free and group_id not in rejected.get(cluster, ()):
            matched[cluster] = group_id
    return matched


def changes_of_groups(
    before: Sequence[int | None], after: Sequence[int | None], names: Mapping[int, str], is_old: Container[int]
) -> list[GroupChange]:
    """Says what became of whole groups.

    Args:
        before: the ``n`` ids of the groups in which the items were, None for none
        after: those in which they will be
        names: the names of the groups
        is_old: the ids of groups that were there before

    Returns:
        the changes: new groups, splits, merges, groups without members, each by id
    """
    flows = Counter(zip(before, after, strict=True))
    n_before, n_after = Counter(before), Counter(after)
    main_source, main_target = _largest(flows, 1), _largest(flows, 0)
    changes = []
    for group_id in sorted(key for key in n_after if key is not None and key not in is_old):
        source = main_source.get(group_id)
        is_part = source is not None and n_after[source] and 2 * flows[source, group_id] > n_after[group_id]
        kind = SPLIT if is_part else NEW
        changes.append(GroupChange(kind, group_id, names[group_id], source if is_part else None, n_after[group_id]))
    for group_id in sorted(key for key in n_before if key is not None and not n_after[key]):
        target = main_target.get(group_id)
        is_whole = target is not None and 2 * flows[group_id, target] > n_before[group_id]
        kind = MERGED if is_whole else GONE
        changes.append(GroupChange(kind, group_id, names[group_id], target if is_whole else None, n_before[group_id]))
    order = (NEW, SPLIT, MERGED, GONE)
    return sorted(changes, key=lambda change: (order.index(change.kind), change.group_id))


def _largest(flows: Counter[tuple[int | None, int | None]], side: int) -> dict[int, int]:
    """For each group on one side of the flows, the group on the other with which it shares most."""
    best: dict[int, tuple[int, int]] = {}
    for pair, n in flows.items():
        group_id, other = pair[side], pair[1 - side]
        if group_id is not None and other is not None and (-n, other) < best.get(group_id, (0, 0)):
            best[group_id] = (-n, other)
    return {group_id: other for group_id, (_, other) in best.items()}


def means_of(vectors: NDArray[np.float32], labels: ArrayLike, wanted: Iterable[int]) -> dict[int, NDArray[np.float64]]:
    """The mean vectors of some of the groups or clusters that labels number; those without members are left out."""
    numbers = np.asarray(labels)
    order = np.argsort(numbers, kind="stable")
    names, starts = np.unique(numbers[order], return_index=True)
    ends = dict(zip(names.tolist(), zip(starts, [*starts[1:], len(order)], strict=True), strict=True))
    found = {}
    for name in wanted:
        if name in ends:
            start, end = ends[name]
            found[name] = vectors[order[start:end]].mean(axis=0, dtype=np.float64)
    return found
