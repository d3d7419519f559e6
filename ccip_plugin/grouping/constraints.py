"""Builds clustering constraints from user labels, rejections, detections of one image and tracks."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import numpy as np

from ..core.arrays import IntArray
from ..core.clustering.constraints import Constraints
from ..core.identity.ids import ids_of, places_of, texts_of
from ..core.identity.state import NONE, State
from ..storage.fields import ERROR_FIELD, SOURCE_FIELD
from ..storage.targets import Target, TargetError
from .options import APART
from .participants import Participants

INDEX = "index"  # of a detection: the object of a video that it shows


@dataclass(frozen=True)
class Contradiction:
    """Decisions of users that cannot all be kept.

    Attributes:
        ids: the items that they are about
        reason: what contradicts what, and what was done
    """

    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True, eq=False)
class GroupingConstraints:
    """Constraints of a run, and what was left out of them.

    Attributes:
        constraints: for the participants, by their places; None without any
        contradictions: decisions of users that contradict each other
        n_fixed: number of items whose group stays
        n_tracks: number of tracks that are kept together
    """

    constraints: Constraints | None
    contradictions: tuple[Contradiction, ...] = ()
    n_fixed: int = 0
    n_tracks: int = 0


def build_constraints(
    participants: Participants, state: State, target: Target, *, same_image: str = APART, tracks: str | None = None
) -> GroupingConstraints:
    """Builds the constraints of a run.

    Items that users put into one group stay together, and those in two groups stay apart. Items that may not change,
    such as those outside of a view, stay where they are. A user who put an item into a group from which it had been
    rejected decided again: the rejection is left out, and reported.

    Args:
        participants: the items
        state: the labels and groups
        target: the items to group
        same_image ("apart"): as :class:`~ccip_plugin.grouping.options.GroupingOptions` has it
        tracks (None): for detections in frames of videos, the field of samples that names the video of a frame;
            detections of one video with the same ``index`` stay together, unless users decided otherwise

    Raises:
        TargetError: the dataset has no such field, or the items are no detections
    """
    fixed = np.where(participants.is_open, NONE, participants.group_ids(state))
    rejected, contradictions = _rejections(participants, fixed, state)
    scenes = None
    if target.is_patches and same_image == APART:
        scenes = np.unique(participants.sample_ids, return_inverse=True)[1].astype(np.int64)
    links: list[tuple[int, int]] = []
    n_tracks = 0
    rejected_groups: dict[int, set[int]] = defaultdict(set)
    for place, group_id in rejected:
        rejected_groups[place].add(group_id)
    for rows in _tracks(participants, target, tracks):
        problem = _problem_of_track(rows, fixed, rejected_groups, participants)
        if problem is not None:
            contradictions.append(problem)
            continue
        n_tracks += 1
        links += itertools.pairwise(rows)
    n_fixed = int((fixed >= 0).sum())
    is_empty = not n_fixed and not links and scenes is None  # a rejection alone has no effect: the group has no items
    constraints = None if is_empty else Constraints(fixed, rejected, must_link=links, same_image=scenes)
    return GroupingConstraints(constraints, tuple(contradictions), n_fixed, n_tracks)


def _rejections(
    participants: Participants, fixed: IntArray, state: State
) -> tuple[list[tuple[int, int]], list[Contradiction]]:
    """Rejections as places and groups, and those that a later decision overrules."""
    draft = state.draft()
    rejected, contradictions = [], []
    for group_id, texts in sorted(draft.rejections.items()):
        ids = ids_of(sorted(texts))
        places, rows = places_of(ids, participants.ids), places_of(ids, state.labels.ids)
        for place, row in zip(places[places != NONE].tolist(), rows[places != NONE].tolist(), strict=True):
            if fixed[place] != group_id:
                rejected.append((place, group_id))
            elif state.is_user_label[row]:  # else it may not change now
                name = draft.groups[group_id].name if group_id in draft.groups else group_id
                reason = f"it was rejected from {name!r}, then put there by hand: the later decision counts"
                contradictions.append(Contradiction(tuple(texts_of(participants.ids[[place]])), reason))
    return rejected, contradictions


def check_tracks(target: Target, field: str | None) -> None:
    """Checks the option ``tracks``.

    Raises:
        TargetError: the items are no detections, or there is no such field
    """
    if field is None:
        return
    if not target.is_patches:
        raise TargetError(
            "tracks applies to detections: it needs a patches_field", mentions=("tracks", "patches_field")
        )
    if target.dataset.get_field(field) is None:
        message = (
            f"tracks is the field that names the video of each frame; {target.dataset.name!r} has no field {field!r}"
        )
        raise TargetError(message, mentions=("tracks",))


def _tracks(participants: Participants, target: Target, field: str | None) -> Iterator[list[int]]:
    """The places of the items of each track with more than one of them."""
    if field is None:
        return
    check_tracks(target, field)
    ids, sample_ids, columns = target.whole().values(INDEX)
    video_of = dict(zip(*target.whole().view.values(["id", field]), strict=True))
    places = places_of(ids_of(ids), participants.ids).tolist()
    tracks: dict[Any, list[int]] = defaultdict(list)
    for place, sample_id, index in zip(places, sample_ids, columns[INDEX], strict=True):
        if index is not None and video_of.get(sample_id) is not None and place != NONE:
            tracks[video_of[sample_id], index].append(place)
    yield from (rows for rows in tracks.values() if len(rows) > 1)


def _problem_of_track(
    rows: Sequence[int], fixed: IntArray, rejected: Mapping[int, set[int]], participants: Participants
) -> Contradiction | None:
    """Why a track cannot be kept together, None when it can."""
    ids = tuple(texts_of(participants.ids[rows]))
    if len(set(texts_of(participants.sample_ids[rows]))) < len(rows):
        return Contradiction(ids, "a track has two detections in one image: it is not kept together")
    owners = {int(fixed[row]) for row in rows if fixed[row] >= 0}
    if len(owners) > 1 or any(owners & rejected.get(row, set()) for row in rows):
        return Contradiction(ids, "one track, but users put it into different groups: it is not kept together")
    return None


def track_fields(target: Target) -> list[str]:
    """The fields that can name the video of a frame; none where detections have no index."""
    if target.dataset.get_field(target.path(INDEX)) is None:
        return []
    schema = target.dataset.get_field_schema().items()
    helpers = {"id", "filepath", ERROR_FIELD, SOURCE_FIELD}
    helpers.update(f"{name}_source" for name, field in schema if isinstance(field, fo.VectorField))
    is_name = (fo.StringField, fo.ObjectIdField)
    return [name for name, field in schema if isinstance(field, is_name) and name not in helpers]
