"""What a grouping was made with, and what it found and wrote."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from ..core.arrays import FloatArray
from ..core.clustering.methods import DEFAULT_METHOD, METHODS
from ..core.identity.groups import MAX_NAME
from ..core.identity.matching import GroupChange
from ..core.identity.planning import Plan
from ..core.neighbors.quality import Quality
from ..core.tuning.sweep import looks_chained
from ..labels.reports import refused_text
from ..labels.reviewed import ReviewProgress
from ..reports.facts import Facts, counted
from ..storage.targets import split_path
from .addition import Added
from .constraints import Contradiction
from .options import CALIBRATED, method_label
from .parameters import GroupingParameters

CHANGE_LABELS = {
    "unchanged": "Unchanged",
    "moved": "Moved to another group",
    "new": "New in a group",
    "merged": "Moved with a merged group",
    "split": "Moved with a split group",
    "unassigned": "Newly unassigned",
}
"""What a run does to an item, see :data:`~ccip_plugin.grouping.plan.KINDS`."""

_TOO_LONG = (
    f"labels longer than {MAX_NAME} characters, more than the name of a group may have ({{n:,}} of the {{noun}}), "
    "stay as they are, and name no group"
)
_DEFAULT_NAMES = (
    "the labels of {n} {noun}, decided by users, have default names, such as 'char_0001', that no group of this field "
    "had, as when they were typed, or datasets were merged: {noun} with the same one are one group now, though they "
    "may be of two datasets. Name groups before datasets are merged; to group these {noun} again, delete their labels"
)
_PARTLY_NAMED = (
    "{name!r} was given to {n:,} of {n_all:,} {noun} of {group!r}, which keeps its name: merge the two with "
    "merge_groups ('CCIP: merge groups') if all show this character, else use keep_apart"
)
_OTHER_METRIC = (
    "the metric file of this model is not (1 - cos) / 2, and the groups are made by (1 - cos) / 2: the published "
    "thresholds may not fit"
)
_WAITING = "{n} of replaced detections can be taken over by new boxes: by group by character, not by a proposal"
_LIKELY = 1.5  # of eps: two groups that are less apart are worth a look
_NAMED_IDS, _DIGITS = 5, 6  # digits of stored numbers; the vectors are not more exact


@dataclass(frozen=True)
class GroupShape:
    """A group as it is after a grouping; differences are those of CCIP.

    Attributes:
        group_id: its id
        name: its name
        n_items: members, those outside of what was grouped included
        cohesion: mean difference of two members, None for a single one
        diameter: largest difference of two members
        rival_id: the id of the group that is nearest to it, None where there is no other
        rival: the name of that
        apart: the mean difference to its members
        is_kept_apart: whether users keep the two groups apart
    """

    group_id: int
    name: str
    n_items: int
    cohesion: float | None
    diameter: float
    rival_id: int | None
    rival: str | None
    apart: float | None
    is_kept_apart: bool = False

    def record(self) -> dict[str, Any]:
        """As plain values: those of earlier versions, where nothing is kept apart, so that equal runs stay equal."""
        return {name: value for name, value in asdict(self).items() if value or name != "is_kept_apart"}


@dataclass(frozen=True)
class GroupingReport:
    """Result of a grouping run.

    Attributes:
        run_key: the run that records it
        group_field: the field with the groups
        parameters: what it was made with
        n_items: the items of the run
        n_groups: character groups with at least one of the items
        n_grouped: items in a group
        n_unassigned: items in no group
        n_without_embedding: items without an embedding; they have no label
        n_ignored: items that a user marked as no character
        n_human: user labels, all of them kept
        n_written: labels written
        n_left: labels that another user changed while they were being written; not overwritten
        n_refreshed: planned labels that stay in their group and get other numbers only: confidence, difference, margin
        n_rescued: items assigned on other evidence; see :func:`~ccip_plugin.grouping.proposals.rescued_view`
        n_by_hand: user labels that were edited by hand since the last change, and recorded as a change before the run
        n_taken_over: user labels and rejections of detections that new ones took over before the run, by their boxes
        refused: the ids of items whose labels cannot be written, with the reason
        sizes: number of groups by their number of items
        changes: per kind of change (:data:`~ccip_plugin.grouping.plan.KINDS`), the number of items
        groups: splits, merges and emptied groups; new groups are left out
        shapes: the 2,000 largest groups, largest first: cohesion and nearest other group
        quality: recall of an approximate neighbor graph; None when all pairs were compared
        contradictions: user labels that cannot all be kept, with the ids of the items
        warnings: what a user should check
        seconds: duration of each stage
        number: number of the change, None when nothing was written
        proposal_key: the run that stores the proposal; None when it was applied
        added: what became of new items, of a run with ``mode="add"``; None for others
        reviewed: how far the review of the items is after the run; None for a proposal
    """

    run_key: str
    group_field: str
    parameters: GroupingParameters
    n_items: int
    n_groups: int
    n_grouped: int
    n_unassigned: int
    n_without_embedding: int
    n_ignored: int
    n_human: int
    n_written: int
    n_left: int
    n_refreshed: int = 0
    n_rescued: int = 0
    n_by_hand: int = 0
    n_taken_over: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[int, int] = field(default_factory=dict)
    changes: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[GroupChange, ...] = ()
    shapes: tuple[GroupShape, ...] = ()
    quality: Quality | None = None
    contradictions: tuple[Contradiction, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    number: int | None = None
    proposal_key: str | None = None
    added: Added | None = None
    reviewed: ReviewProgress | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        added = None if self.added is None else self.added.as_dict()
        plain = {**asdict(replace(self, added=None)), "parameters": self.parameters.record(), "added": added}
        lists = {name: list(plain[name]) for name in ("shapes", "contradictions", "warnings")}
        lists["groups"] = [change.as_dict() for change in self.groups]
        for contradiction in lists["contradictions"]:
            contradiction["ids"] = list(contradiction["ids"])
        return {**plain, **lists, "sizes": {str(size): count for size, count in sorted(self.sizes.items())}}

    @property
    def patches_field(self) -> str | None:
        """The field with the detections, None for whole samples."""
        return split_path(self.group_field)[0]

    @property
    def noun(self) -> str:
        """What the items are called; the groups of detections are in an attribute of theirs."""
        return "images" if self.patches_field is None else "detections"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "GroupingReport":
        """What :meth:`as_dict` gave."""
        values = {
            "parameters": GroupingParameters.from_record(plain["parameters"]),
            "sizes": {int(size): count for size, count in plain["sizes"].items()},
            "groups": tuple(map(GroupChange.from_dict, plain["groups"])),
            "shapes": tuple(GroupShape(**shape) for shape in plain.get("shapes", ())),
            "quality": Quality(**plain["quality"]) if plain.get("quality") else None,
            "contradictions": tuple(Contradiction(tuple(c["ids"]), c["reason"]) for c in plain["contradictions"]),
            "warnings": tuple(plain["warnings"]),
            "added": Added(**plain["added"]) if plain.get("added") else None,
            "reviewed": ReviewProgress(**plain["reviewed"]) if plain.get("reviewed") else None,
        }
        return cls(**{**plain, **values})

    def facts(self) -> Facts:
        """The report as text."""
        used, is_written = self.parameters, self.proposal_key is None
        values = f"eps {used.eps:.4f}, min_samples {used.min_samples}"
        groups, items = counted(self.n_groups, "character group"), counted(self.n_grouped, self.noun[:-1])
        headline = f"{groups} with {items}" if self.added is None else self.added.text(self.noun)
        return Facts.of(
            headline + ("" if is_written else ", proposed; no label is written"),
            [
                ("Character groups", self.n_groups),
                ("In a group", f"{self.n_grouped:,} of {self.n_items:,} {self.noun}"),
                ("Largest group", max(self.sizes, default=None)),
                ("Unassigned", self.n_unassigned),
                ("Without embedding", self.n_without_embedding or None),
                ("Ignored", self.n_ignored or None),
                ("User labels kept", self.n_human),
                ("Reviewed", None if self.reviewed is None else self.reviewed.text),
                ("Rescued, to be reviewed", self.n_rescued or None),
                ("Edited by hand before, confirmed", self.n_by_hand or None),
                ("Decisions taken over by new boxes", self.n_taken_over or None),
                *self._changes(),
                ("Labels written", self._written() if is_written else "none, this is a proposal"),
                ("Changed during the run, not overwritten", self.n_left or None),
                ("Cannot be written", refused_text(self.refused)),
                ("Method", f"{method_label(used.method)}: {values}"),
                ("Parameters", "calibrated on these images" if used.source == CALIBRATED else None),
                ("Approximate graph", None if self.quality is None else describe_quality(self.quality)),
                ("Embeddings", f"{used.embeddings_field}, {used.model_name}"),
                ("Field", self.group_field),
                ("Time", f"{sum(self.seconds.values()):.1f} s" if self.seconds else None),
            ],
            self.warnings,
        )

    def _written(self) -> str:
        """The number of labels written, and how many of these stay in their group."""
        refreshed = f", of which {self.n_refreshed:,} only with new confidence or difference"
        return f"{self.n_written:,}" + (refreshed if 0 < self.n_refreshed <= self.n_written else "")

    def _changes(self) -> list[tuple[str, int | None]]:
        """Items by kind of change; none for a first grouping, in which every label is new."""
        if not any(n for kind, n in self.changes.items() if kind not in ("new", "unassigned")):
            return []
        return [(label, self.changes.get(kind) or None) for kind, label in CHANGE_LABELS.items()]

    def __str__(self) -> str:
        return str(self.facts())


def nearest_pairs(report: GroupingReport, n: int) -> list[GroupShape]:
    """The groups that are likely the same character as the one nearest to them, the likeliest pair first.

    Of two groups that are nearest to each other, it has one. Those as far apart as groups of different characters
    usually are, and those that users keep apart, are left out.

    Args:
        report: a grouping
        n: how many at most
    """
    pairs: dict[frozenset[int], GroupShape] = {}
    for shape in report.shapes:
        if _is_likely(shape, report.parameters.eps):
            pairs.setdefault(frozenset((shape.group_id, shape.rival_id or 0)), shape)
    return sorted(pairs.values(), key=lambda shape: shape.apart or 0.0)[:n]


def next_steps(report: GroupingReport) -> list[tuple[GroupShape, str]]:
    """The groups with a question about each, those to look at first on top: likely pairs, the likeliest first, then
    groups of images that differ as much as those of several characters, then the others, which have no question.

    Args:
        report: a grouping
    """
    eps = report.parameters.eps

    def place(shape: GroupShape) -> tuple[float, ...]:
        return (0, shape.apart or 0.0) if _is_likely(shape, eps) else (1,) if _is_loose(shape, eps) else (2,)

    def question(shape: GroupShape) -> str:
        if _is_likely(shape, eps):
            return f"the same as {shape.rival}?"
        return "several characters?" if _is_loose(shape, eps) else ""

    return [(shape, question(shape)) for shape in sorted(report.shapes, key=place)]


def _is_likely(shape: GroupShape, eps: float) -> bool:
    """Whether a group is likely the same character as the one nearest to it."""
    is_near = shape.apart is not None and shape.apart <= _LIKELY * eps
    return shape.rival_id is not None and is_near and not shape.is_kept_apart


def _is_loose(shape: GroupShape, eps: float) -> bool:
    """Whether the images of a group differ as much as those of several characters."""
    return shape.cohesion is not None and shape.cohesion > eps


def shapes_of(plan: Plan) -> tuple[GroupShape, ...]:
    """The largest groups of a plan, the largest first."""
    shapes, names = plan.shapes, plan.names
    if shapes is None:
        return ()
    groups = {**plan.identities.registry.groups, **plan.identities.after()}
    kept_apart = {frozenset((group_id, each)) for group_id, group in groups.items() for each in group.apart}
    order = np.lexsort((shapes.labels, -shapes.sizes)).tolist()
    ids, sizes, rivals = (column.tolist() for column in (shapes.labels, shapes.sizes, shapes.rivals))
    cohesion, diameter, apart = (_numbers(column) for column in (shapes.cohesion, shapes.diameter, shapes.apart))
    return tuple(
        GroupShape(
            ids[row],
            names[ids[row]],
            sizes[row],
            cohesion[row],
            diameter[row] or 0.0,
            rivals[row] if rivals[row] >= 0 else None,
            names.get(rivals[row]),
            apart[row],
            frozenset((ids[row], rivals[row])) in kept_apart,
        )
        for row in order
    )


def _numbers(column: FloatArray) -> list[float | None]:
    """Numbers as they are stored, None for those that are not finite."""
    return [round(number, _DIGITS) if math.isfinite(number) else None for number in column.tolist()]


def describe_changes(counts: Mapping[str, int]) -> str:
    """Items by kind of change as text: ``3 moved to another group, 1 newly unassigned``."""
    return ", ".join(f"{n:,} {CHANGE_LABELS[kind].lower()}" for kind, n in counts.items() if n) or "no change"


def describe_group_change(change: GroupChange) -> str:
    """What becomes of a group, e.g. ``merged into 'Rei'``."""
    other = f"group {change.other}" if change.other_name is None else repr(change.other_name)
    texts = {"split": f"split off from {other}", "merged": f"merged into {other}"}
    return texts.get(change.kind, "no members left" if change.kind == "gone" else "new")


def describe_quality(quality: Quality) -> str:
    """How much of the exact graph an approximate one has."""
    capped = f", {quality.capped:.1%} of the images have more" if quality.capped else ""
    found = f"{quality.recall:.2%} of the {quality.cap} nearest neighbors found"
    return f"{found}, measured on {quality.n_drawn} images{capped}"


def warnings_of(
    sizes: Mapping[int, int],
    n_items: int,
    *,
    method: str,
    noun: str = "images",
    n_chained: int = 0,
    contradictions: Sequence[Contradiction] = (),
) -> tuple[str, ...]:
    """Warnings about the sizes and shapes of groups.

    Args:
        sizes: number of groups by their number of items
        n_items: number of all items
        method: the clustering method
        noun: name of the items
        n_chained: number of groups whose members differ more on average than images of one character
        contradictions: contradictions between user labels
    """
    found = []
    largest, second = sorted([0, 0, *(size for size, count in sizes.items() for _ in range(count))])[:-3:-1]
    if n_items and looks_chained(largest / n_items, second / n_items, n_items):
        found.append(
            f"the largest group has {largest} of {n_items} {noun} ({largest / n_items:.0%}), the next {second}: "
            "several characters may have been chained together; look at it, and try a smaller eps"
        )
    if n_items > 1 and not largest:
        found.append(
            f"none of the {n_items} {noun} are similar enough to make a group; a larger eps or a smaller min_samples "
            "makes more groups"
        )
    if n_chained and METHODS[method].can_chain:
        found.append(
            f"{n_chained} groups hold together by chains of {noun} only: eps is too large for {method} with "
            f"{n_items} {noun}; take a smaller one, or the method {DEFAULT_METHOD}"
        )
    for contradiction in contradictions[:_NAMED_IDS]:
        ids = ", ".join(contradiction.ids[:_NAMED_IDS])
        others = f" and {len(contradiction.ids) - _NAMED_IDS} more" if len(contradiction.ids) > _NAMED_IDS else ""
        found.append(f"contradiction (ids {ids}{others}): {contradiction.reason}")
    if len(contradictions) > _NAMED_IDS:
        found.append(f"{len(contradictions) - _NAMED_IDS} more contradictions; the report has them all")
    return tuple(found)


def notes_of(plan: Plan, noun: str, *, n_waiting: int, closed_form: bool) -> tuple[str, ...]:
    """Warnings about labels, decisions and the model.

    Args:
        plan: the plan
        noun: name of the items
        n_waiting: number of decisions that new detections can take over
        closed_form: whether the metric of the model is that of CCIP
    """
    counts = plan.counts
    notes = [
        *(_PARTLY_NAMED.format(**each._asdict(), noun=noun) for each in plan.partly_named[:_NAMED_IDS]),
        _WAITING.format(n=counted(n_waiting, "decision")) if n_waiting else None,
        _TOO_LONG.format(n=counts["too_long"], noun=noun) if counts["too_long"] else None,
        _DEFAULT_NAMES.format(n=counts["default_names"], noun=noun) if counts["default_names"] else None,
        None if closed_form else _OTHER_METRIC,
    ]
    return tuple(note for note in notes if note is not None)
