"""The results of a comparison: facts, tables, views and files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fiftyone as fo

from ..core.errors import ParameterError
from ..core.evaluation.groups import GroupMetrics
from ..core.plain import plain
from ..reports.export import write_csv, write_json
from ..reports.facts import Facts, decimals
from ..reports.tables import records_text
from ..storage.targets import Target, items_view
from .group_evaluation import METRIC_LABELS

SAME, MOVED, GROUPED, UNGROUPED, NEITHER = "same", "moved", "newly_grouped", "no_longer_grouped", "in_no_group"
DIFFERENCE_LABELS = {
    SAME: "In corresponding groups",
    MOVED: "Moved to another group",
    GROUPED: "In a group in the second only",
    UNGROUPED: "In a group in the first only",
    NEITHER: "Unassigned in both",
}
"""The kinds of differences of an item between two groupings."""


@dataclass(frozen=True)
class GroupPair:
    """A group of the first grouping, and its counterpart in the second.

    Attributes:
        first: its name
        second: the corresponding group of the second grouping, None for none
        n_first: the number of its images
        n_second: the number of images of the corresponding group
        n_shared: the number of images in both
    """

    first: object
    second: object | None
    n_first: int
    n_second: int
    n_shared: int


@dataclass(frozen=True, eq=False)
class GroupingComparison:
    """The differences of two groupings of the same items.

    Attributes:
        target: the items
        first: the first grouping
        second: the second grouping
        agreement: the second evaluated with the first as ground truth; unassigned items are groups of their own
        ids: the ids of the items by kind of difference, the keys of :data:`DIFFERENCE_LABELS`
        groups: the groups of the first, those with the most images elsewhere first
        n_new_groups: groups of the second without a counterpart in the first
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
        """The number of items by kind of difference."""
        return {kind: len(ids) for kind, ids in self.ids.items()}

    def view(self, kind: str = MOVED) -> fo.DatasetView:
        """The items of one kind of difference.

        Args:
            kind ("moved"): a key of :data:`DIFFERENCE_LABELS`

        Raises:
            ParameterError: there is no such kind
        """
        if kind not in self.ids:
            raise ParameterError("kind", kind, f"one of {', '.join(self.ids)}")
        return items_view(self.target, self.ids[kind])

    def facts(self) -> Facts:
        """The result as text; the metrics are in :meth:`table`."""
        return Facts.of(
            f"compared {self.first} and {self.second}, ARI {decimals(self.agreement.ari, 3)}",
            [
                ("First", self.first),
                ("Second", self.second),
                *((DIFFERENCE_LABELS[kind], n) for kind, n in self.counts.items()),
                ("Groups of the second without a counterpart", self.n_new_groups or None),
            ],
        )

    def table(self) -> list[dict[str, str]]:
        """The metrics of agreement."""
        metrics = METRIC_LABELS.items()
        return [{"Agreement": label, "Value": decimals(getattr(self.agreement, name))} for name, label in metrics]

    def to_json(self, path: str | Path) -> Path:
        """Writes everything but the ids into a file, with the facts."""
        return write_json(path, {"facts": self.facts().as_dict(), **self.as_dict()})

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each group of the first."""
        return write_csv(path, [asdict(each) for each in self.groups])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the ids."""
        metrics = plain(asdict(self.agreement))
        metrics.pop("grouped")
        groups = [asdict(each) for each in self.groups]
        return {
            "first": self.first,
            "second": self.second,
            "agreement": metrics,
            "counts": self.counts,
            "groups": groups,
        }

    def __str__(self) -> str:
        return f"{self.facts()}\n\n{records_text(self.table())}"


@dataclass(frozen=True, eq=False)
class EvaluationComparison:
    """Two stored evaluations side by side.

    Attributes:
        first: the key of the first
        second: the key of the second
        rows: both values of each score, and their difference
    """

    first: str
    second: str
    rows: Sequence[dict[str, str]]

    def facts(self) -> Facts:
        """The result as text; the scores are in :meth:`table`."""
        return Facts.of(f"compared {self.first} and {self.second}", [("First", self.first), ("Second", self.second)])

    def table(self) -> list[dict[str, str]]:
        """A row for each score."""
        return list(self.rows)

    def to_json(self, path: str | Path) -> Path:
        """Writes it into a file, with the facts."""
        return write_json(path, {"facts": self.facts().as_dict(), **self.as_dict()})

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each score."""
        return write_csv(path, self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"first": self.first, "second": self.second, "rows": self.table()}

    def __str__(self) -> str:
        return f"{self.facts()}\n\n{records_text(self.table())}"
