"""The evaluation of character groups: metrics and costs as tables, files and views."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import fiftyone as fo

from ..core.errors import ParameterError
from ..core.evaluation.costs import CharacterRow, GroupRow
from ..core.evaluation.groups import GroupMetrics
from ..core.plain import plain
from ..reports.export import write_csv, write_json
from ..reports.facts import Facts, counted, decimals
from ..reports.tables import records_text
from ..storage.targets import Target, items_view

MISPLACED, SCATTERED, UNASSIGNED_ITEMS, WORST_GROUP = "misplaced", "scattered", "unassigned", "worst_group"
COST_LABELS = {
    MISPLACED: "Images in a group of another character",
    SCATTERED: "Images in a second group of their character",
    UNASSIGNED_ITEMS: "Unassigned images of a character with a group",
    WORST_GROUP: "Images in the group that costs the most clicks",
}
"""Items that cost clicks, and all items of the group that costs the most."""
CLICK = "moves an image to another group, or merges two groups"

METRIC_LABELS = {
    "ari": "Adjusted Rand index",
    "ami": "Adjusted mutual information",
    "pair_precision": "Pairwise precision",
    "pair_recall": "Pairwise recall",
    "pair_f1": "Pairwise F1",
    "bcubed_precision": "B-cubed precision",
    "bcubed_recall": "B-cubed recall",
    "bcubed_f1": "B-cubed F1",
    "homogeneity": "Homogeneity",
    "completeness": "Completeness",
    "v_measure": "V-measure",
    "purity": "Purity",
}


@dataclass(frozen=True, eq=False)
class GroupEvaluation:
    """The result of :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups`.

    Attributes:
        target: the items
        group_field: the field with the groups
        ground_truth_field: the ground truth field
        metrics: with unassigned items as groups of their own; ``metrics.grouped`` is without them
        moves: items that are with another character
        merges: groups of a character beyond its first; an unassigned item counts as one
        groups: the groups, most clicks first
        characters: the characters, most clicks first
        ids: the items that cost clicks, by the keys of :data:`COST_LABELS`
        n_ignored: ignored items, which are not evaluated
        run_key: the run that stores it, None when it is not stored
        at: its time, in UTC
    """

    target: Target
    group_field: str
    ground_truth_field: str
    metrics: GroupMetrics
    moves: int
    merges: int
    groups: Sequence[GroupRow]
    characters: Sequence[CharacterRow]
    ids: Mapping[str, Sequence[str]] = field(repr=False)
    n_ignored: int
    run_key: str | None
    at: str

    @property
    def clicks(self) -> int:
        """Clicks to clean: the fewest moves and merges that lead to one group for each character."""
        return self.moves + self.merges

    def view(self, kind: str) -> fo.DatasetView:
        """The items of one kind.

        Args:
            kind: a key of :data:`COST_LABELS`

        Raises:
            ParameterError: there is no such kind
        """
        if kind not in self.ids:
            raise ParameterError("kind", kind, f"one of {', '.join(self.ids)}")
        return items_view(self.target, self.ids[kind])

    # -- as text

    def facts(self) -> Facts:
        """The result as text; the metrics are in :meth:`table`."""
        metrics = self.metrics
        moves, merges = counted(self.moves, "move"), counted(self.merges, "merge")
        return Facts.of(
            f"{counted(self.clicks, 'click')} to clean, ARI {metrics.ari:.3f}",
            [
                ("Clicks to clean", f"{self.clicks:,}: {moves}, {merges}"),
                ("A click", CLICK),
                *((COST_LABELS[kind], len(ids)) for kind, ids in self.ids.items()),
                ("Images with a name", metrics.n_images),
                ("Without a name, left out", metrics.n_left_out or None),
                ("Ignored, left out", self.n_ignored or None),
                ("Characters", metrics.n_characters),
                ("In a group", f"{metrics.coverage:.1%}"),
                ("Run", self.run_key),
            ],
        )

    def __str__(self) -> str:
        return f"{self.facts()}\n\n{records_text(self.table())}"

    def table(self) -> list[dict[str, str]]:
        """The metrics: with unassigned items as groups of their own, and without them."""
        grouped = self.metrics if self.metrics.n_noise == 0 else self.metrics.grouped
        return [
            {
                "Metric": label,
                "All": decimals(getattr(self.metrics, name)),
                "In groups": decimals(None if grouped is None else getattr(grouped, name)),
            }
            for name, label in METRIC_LABELS.items()
        ]

    def group_table(self, n_rows: int | None = None) -> list[dict[str, Any]]:
        """The groups that cost clicks, the most first.

        Args:
            n_rows (None): the first rows only
        """
        return [
            {
                "Group": str(row.name),
                "Character": str(row.character),
                "Images": row.n_images,
                "Wrong": row.n_wrong,
                "Mostly": "" if row.other is None else str(row.other),
                "Clicks": row.clicks,
            }
            for row in [row for row in self.groups if row.clicks][:n_rows]
        ]

    def character_table(self, n_rows: int | None = None) -> list[dict[str, Any]]:
        """The characters, most clicks first.

        Args:
            n_rows (None): the first rows only
        """
        return [
            {
                "Character": str(row.name),
                "Images": row.n_images,
                "Groups": row.n_groups,
                "Unassigned": row.n_unassigned,
                "Recall": f"{row.recall:.1%}",
                "Precision": f"{row.precision:.1%}",
                "Clicks": row.clicks,
            }
            for row in self.characters[:n_rows]
        ]

    # -- as files

    def as_dict(self) -> dict[str, Any]:
        """Everything but the ids, as plain values."""
        tables = {
            "groups": [asdict(row) for row in self.groups],
            "characters": [asdict(row) for row in self.characters],
        }
        return {**self.summary(), **tables}

    def summary(self) -> dict[str, Any]:
        """The metrics and counts as plain values."""
        return {
            "at": self.at,
            "group_field": self.group_field,
            "ground_truth_field": self.ground_truth_field,
            "patches_field": self.target.patches_field,
            "metrics": plain(asdict(self.metrics)),
            "moves": self.moves,
            "merges": self.merges,
            "clicks": self.clicks,
            "n_ignored": self.n_ignored,
            "counts": {kind: len(ids) for kind, ids in self.ids.items()},
        }

    def to_json(self, path: str | Path) -> Path:
        """Writes everything but the ids into a file, with the facts."""
        return write_json(path, {"facts": self.facts().as_dict(), **self.as_dict()})

    def to_csv(self, path: str | Path, table: str = "characters") -> Path:
        """Writes a table into a file.

        Args:
            path: the file
            table ("characters"): or ``groups`` or ``metrics``

        Raises:
            ParameterError: there is no such table
        """
        tables: dict[str, Sequence[Mapping[str, Any]]] = {
            "characters": [asdict(row) for row in self.characters],
            "groups": [asdict(row) for row in self.groups],
            "metrics": self.table(),
        }
        if table not in tables:
            raise ParameterError("table", table, f"one of {', '.join(tables)}")
        return write_csv(path, tables[table])


def loaded_groups(target: Target, record: Mapping[str, Any], run_key: str | None) -> GroupEvaluation:
    """The evaluation of which :meth:`GroupEvaluation.as_dict` gave the record, and ``ids``."""
    return GroupEvaluation(
        target,
        record["group_field"],
        record["ground_truth_field"],
        _metrics(record["metrics"]),
        record["moves"],
        record["merges"],
        tuple(GroupRow(**row) for row in record["groups"]),
        tuple(CharacterRow(**row) for row in record["characters"]),
        record["ids"],
        record["n_ignored"],
        run_key,
        record["at"],
    )


def _metrics(record: Mapping[str, Any]) -> GroupMetrics:
    names = (each.name for each in fields(GroupMetrics) if each.name != "grouped")
    values: dict[str, Any] = {name: math.nan if record[name] is None else record[name] for name in names}
    metrics = GroupMetrics(**values)
    return metrics if record["grouped"] is None else replace(metrics, grouped=_metrics(record["grouped"]))
