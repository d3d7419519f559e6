"""Progress of review: how many images and groups users have decided, counted by the database."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.identity.groups import is_too_long
from ..core.plain import canonical_name
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD, STATUS_AUTO, STATUS_IGNORED, UNASSIGNED
from ..storage.internals import aggregate
from ..storage.targets import resolve, split_path
from .store import LabelStore


@dataclass(frozen=True)
class ReviewProgress:
    """How far the review is.

    Attributes:
        path: the path of the field with the groups
        n_items: number of images or detections
        n_confirmed: number of those with a user label
        n_ignored: number of those that a user ignored
        n_groups: number of groups
        n_groups_reviewed: number of groups whose images are all confirmed
    """

    path: str
    n_items: int
    n_confirmed: int
    n_ignored: int
    n_groups: int
    n_groups_reviewed: int

    @property
    def n_open(self) -> int:
        """Number of images or detections that no user has decided about."""
        return self.n_items - self.n_confirmed - self.n_ignored

    @property
    def text(self) -> str:
        """In one line: ``12 of 300 images confirmed, 4 ignored, 284 open; 2 of 20 groups``."""
        noun = "images" if split_path(self.path)[0] is None else "detections"
        images = f"{self.n_confirmed:,} of {self.n_items:,} {noun} confirmed, {self.n_ignored:,} ignored"
        return f"{images}, {self.n_open:,} open; {self.n_groups_reviewed:,} of {self.n_groups:,} groups"

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"reviewed: {self.text}",
            [
                ("Confirmed", self.n_confirmed),
                ("Ignored", self.n_ignored),
                ("Open", self.n_open),
                ("Groups reviewed", f"{self.n_groups_reviewed:,} of {self.n_groups:,}"),
            ],
        )

    def __str__(self) -> str:
        return self.facts().headline


@with_database_errors
def review_progress(
    samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None
) -> ReviewProgress:
    """Counts what users have decided: confirmed, ignored and open images, and reviewed groups.

    A group is reviewed if all its images are confirmed, as by ``confirm`` of the group. Merges and splits confirm none,
    and a group that gets an image is open until that one is confirmed, too.

    Args:
        samples: the dataset, or a view of it; of a view its images count, and the groups that have one of them
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        a :class:`ReviewProgress`
    """
    return count_reviewed(LabelStore(resolve(samples, patches_field), group_field))


def count_reviewed(store: LabelStore) -> ReviewProgress:
    """Counts what users have decided about the items of a store, in one query.

    Args:
        store: the items
    """
    rows = list(aggregate(store.target.view, _stages(store)))
    n_open = _open_by_name(rows)
    return ReviewProgress(
        store.path,
        sum(row["n"] for row in rows),
        sum(row["confirmed"] for row in rows),
        sum(row["ignored"] for row in rows),
        len(n_open),
        sum(n == 0 for n in n_open.values()),
    )


def _open_by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The number of open items of each group, by its name as names are compared: texts can be spellings of one name."""
    n_open: Counter[str] = Counter()
    for row in rows:
        name = canonical_name(str(row["_id"] or ""))
        if name not in ("", UNASSIGNED) and not is_too_long(name) and row["n"] > row["ignored"]:
            n_open[name] += row["n"] - row["ignored"] - row["confirmed"]
    return n_open


def _stages(store: LabelStore) -> list[dict[str, Any]]:
    """For each text of a label the number of items, and how many of them are confirmed and ignored."""
    target = store.target
    paths = {name: store.attribute_path(name) for name in ("label", "status", "assigned")}
    stages: list[dict[str, Any]] = [{"$project": dict.fromkeys(paths.values(), True)}]
    if target.is_patches:
        stages = [{"$project": dict.fromkeys((f"{target.labels_path}._id", *paths.values()), True)}]
        stages.append({"$unwind": f"${target.labels_path}"})
    label, status, assigned = ({"$ifNull": [f"${path}", None]} for path in paths.values())
    is_ignored = {"$eq": [status, STATUS_IGNORED]}
    is_deleted = {"$and": [{"$eq": [label, None]}, {"$ne": [assigned, None]}]}  # by a user: it is open again
    has_status = {"$and": [{"$ne": [status, None]}, {"$ne": [status, STATUS_AUTO]}, {"$not": [is_deleted]}]}
    is_edited = {"$and": [{"$ne": [label, None]}, {"$ne": [label, assigned]}]}
    is_confirmed = {"$and": [{"$or": [has_status, is_edited]}, {"$not": [is_ignored]}]}
    counts = {"n": {"$sum": 1}, "confirmed": _sum_of(is_confirmed), "ignored": _sum_of(is_ignored)}
    return [*stages, {"$group": {"_id": label, **counts}}]


def _sum_of(condition: dict[str, Any]) -> dict[str, Any]:
    return {"$sum": {"$cond": [condition, 1, 0]}}
