"""What people decided, and what detections tell by where they are, as constraints on a grouping."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.clustering.constraints import Constraints
from ..labels.snapshot import Snapshot
from ..storage.targets import Target, TargetError
from .options import APART
from .participants import Lineup

INDEX = "index"  # of a detection: which object of a video it is


@dataclass(frozen=True)
class Contradiction:
    """Decisions that cannot all be kept.

    Attributes:
        ids: the items that they are about
        reason: what contradicts what, and what was done
    """

    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class Decisions:
    """Constraints, and what was left out of them.

    Attributes:
        constraints: for the items of a lineup, by their places; None where nothing is decided
        contradictions: what contradicts decisions of people
        n_fixed: how many items have a group that stays
        n_tracks: how many tracks are held together
    """

    constraints: Constraints | None
    contradictions: tuple[Contradiction, ...] = ()
    n_fixed: int = 0
    n_tracks: int = 0


def decisions_of(
    lineup: Lineup, snapshot: Snapshot, target: Target, *, same_image: str = APART, tracks: str | None = None
) -> Decisions:
    """Collects what is known before images are compared.

    Items that people put into one group belong together, and those in two groups do not. Items that may not change,
    such as those outside of a view, stay where they are. A person who put an item into a group from which it had been
    rejected has decided anew: the rejection is left out, and reported.

    Args:
        lineup: who takes part
        snapshot: the labels and groups
        target: what is grouped
        same_image ("apart"): as :class:`~ccip_plugin.grouping.options.GroupingOptions` has it
        tracks (None): for detections in frames of videos, the field of samples that says which video a frame is of;
            detections of one video with the same ``index`` are then held together, unless people say otherwise

    Raises:
        TargetError: there is no such field, or detections have no index
    """
    keys = lineup.embeddings.ids
    fixed = np.array([_fixed(key, lineup, snapshot) for key in keys], np.int64)
    rejected, contradictions = _rejections(keys, fixed, snapshot)
    scenes = _numbers(lineup.embeddings.sample_ids) if target.is_patches and same_image == APART else None
    links: list[tuple[int, int]] = []
    n_tracks = 0
    refused: dict[int, set[int]] = defaultdict(set)
    for place, group_id in rejected:
        refused[place].add(group_id)
    for rows in _tracks(lineup, target, tracks):
        problem = _problem_of_track(rows, fixed, refused, lineup)
        if problem is not None:
            contradictions.append(problem)
            continue
        n_tracks += 1
        links += itertools.pairwise(rows)
    n_fixed = int((fixed >= 0).sum())
    is_nothing = not n_fixed and not links and scenes is None  # a rejection is of a group, which somebody must be in
    constraints = None if is_nothing else Constraints(fixed, rejected, must_link=links, same_image=scenes)
    return Decisions(constraints, tuple(contradictions), n_fixed, n_tracks)


def _fixed(key: str, lineup: Lineup, snapshot: Snapshot) -> int:
    group_id = snapshot.current.get(key)
    return -1 if group_id is None or key in lineup.open else group_id


def _rejections(
    keys: Sequence[str], fixed: NDArray[np.int64], snapshot: Snapshot
) -> tuple[list[tuple[int, int]], list[Contradiction]]:
    """What people rejected, by places and groups; and the rejections that a later decision overrules."""
    places = {key: place for place, key in enumerate(keys)}
    rejected, contradictions = [], []
    for group_id, ids in sorted(snapshot.draft.rejections.items()):
        for key in sorted(ids & places.keys()):
            if fixed[places[key]] != group_id:
                rejected.append((places[key], group_id))
                continue
            if not snapshot.labels[key].is_human:
                continue  # it may not change now
            name = snapshot.draft.groups[group_id].name if group_id in snapshot.draft.groups else group_id
            reason = f"it was rejected from {name!r}, and put there by hand: the label counts"
            contradictions.append(Contradiction((key,), reason))
    return rejected, contradictions


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _tracks(lineup: Lineup, target: Target, field: str | None) -> Iterator[list[int]]:
    """The places of the items of each track with more than one of them."""
    if field is None:
        return
    if not target.is_patches:
        raise TargetError("tracks are about detections: they need a patches_field")
    if target.dataset.get_field(field) is None:
        raise TargetError(f"no field {field!r} in {target.dataset.name!r} that says which video a frame is of")
    ids, sample_ids, columns = target.whole().values(INDEX)
    video_of = dict(zip(*target.dataset.values(["id", field]), strict=True))
    places = {key: place for place, key in enumerate(lineup.embeddings.ids)}
    rows: dict[Any, list[int]] = defaultdict(list)
    for key, sample_id, index in zip(ids, sample_ids, columns[INDEX], strict=True):
        if index is not None and video_of.get(sample_id) is not None and key in places:
            rows[video_of[sample_id], index].append(places[key])
    yield from (found for found in rows.values() if len(found) > 1)


def _problem_of_track(
    rows: Sequence[int], fixed: NDArray[np.int64], refused: Mapping[int, set[int]], lineup: Lineup
) -> Contradiction | None:
    """Why a track cannot be held together, None when it can be."""
    samples = [lineup.embeddings.sample_ids[row] for row in rows]
    ids = tuple(lineup.embeddings.ids[row] for row in rows)
    if len(set(samples)) < len(samples):
        return Contradiction(ids, "a track has two detections in one image: it is not held together")
    owners = {int(fixed[row]) for row in rows if fixed[row] >= 0}
    if len(owners) > 1 or any(owners & refused.get(row, set()) for row in rows):
        return Contradiction(ids, "one track, but people put it into different groups: it is not held together")
    return None
