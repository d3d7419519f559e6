"""What evaluations found: tables to read, files to keep, views to look at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..core.errors import ParameterError
from ..core.evaluation.costs import CharacterRow, GroupRow
from ..core.evaluation.groups import GroupMetrics
from ..core.evaluation.jackknife import Interval
from ..core.tuning.model_card import COLUMNS, CardRow
from ..reports.charts import Chart, save_charts
from ..reports.export import finite_values, write_csv, write_json
from ..reports.tables import records_text
from ..storage.targets import Target, items_view
from .charts import model_charts
from .ground_truth import read_names

TITLES = {
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "threshold": "Threshold",
    "cluster_2": "Cluster_2",
    "cluster_free": "Cluster_Free",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "at_f1": "F1 at published threshold",
    "at_precision": "Precision there",
    "at_recall": "Recall there",
}
"""The scores in words."""

MISPLACED, SCATTERED, UNASSIGNED_ITEMS, WORST_GROUP = "misplaced", "scattered", "unassigned", "worst_group"
KINDS = (MISPLACED, SCATTERED, UNASSIGNED_ITEMS, WORST_GROUP)
"""Items that cost clicks: with another character; in a second group of theirs; in no group though theirs has one. And
all items of the group that costs the most clicks."""

METRICS = {
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
"""The metrics of groups in words."""

_KEPT_SHORT = (
    "model_name",
    "n_images",
    "n_characters",
    "n_left_out",
    "n_same",
    "n_different",
    "scores",
    "errors",
    "intervals",
    "published",
    "with_selves",
    "parameters",
    "notes",
)


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """What :func:`~ccip_plugin.evaluation.evaluate.evaluate_model` found.

    Attributes:
        target: the items
        ground_truth_field: who is who
        rows: one for each model, as in the table of the model card
        embeddings_fields: by model, the field with its embeddings
        without_embedding: by model, how many items of known characters have none
        run_key: the run that keeps it, None when it is not kept
        at: when it was made, in UTC
        seconds: how long it took
    """

    target: Target
    ground_truth_field: str
    rows: Sequence[CardRow]
    embeddings_fields: Mapping[str, str]
    without_embedding: Mapping[str, int]
    run_key: str | None
    at: str
    seconds: float

    def row(self, model_name: str) -> CardRow:
        """The row of a model."""
        found = {row.model_name: row for row in self.rows}
        if model_name not in found:
            raise ParameterError("model_name", model_name, f"one of {', '.join(found)}")
        return found[model_name]

    @property
    def notes(self) -> list[str]:
        """What to keep in mind; each once."""
        found = [note for row in self.rows for note in row.notes]
        found += [
            f"{row.model_name}: {n:,} of known characters have no embedding and are left out"
            for row in self.rows
            if (n := self.without_embedding.get(row.model_name, 0))
        ]
        return list(dict.fromkeys(found))

    def table(self, *, intervals: bool = True) -> list[dict[str, str]]:
        """The table of the model card: for each model its row here, and the published one.

        Args:
            intervals (True): whether the scores here have their intervals behind them
        """
        rows = []
        for row in self.rows:
            known = row.intervals if intervals else {}
            here = {TITLES[name]: _with_interval(row.scores[name], known.get(name)) for name in COLUMNS}
            there = {TITLES[name]: _short(row.published[name]) for name in COLUMNS}
            rows += [{"Model": row.model_name, "On": "these images", **here}, {"Model": "", "On": "published", **there}]
        return rows

    def details(self) -> list[dict[str, str]]:
        """Each score of each model on a line: here, its interval, and as published."""
        return [
            {
                "Model": row.model_name,
                "Score": words,
                "These images": _short(row.scores[name]),
                "Likely": _range(row.intervals.get(name)),
                "Published": _short(row.published.get(name)),
            }
            for row in self.rows
            for name, words in TITLES.items()
        ]

    def confused_view(self, model_name: str | None = None, rank: int = 0) -> Any:
        """The items of two characters that a model takes for one, as a view of the dataset.

        Args:
            model_name (None): the model, the first one by default
            rank (0): which two: 0 for those with the most pairs, and so on

        Raises:
            ParameterError: there is no such model, or it confuses fewer characters
        """
        confused = (self.rows[0] if model_name is None else self.row(model_name)).confused
        if not 0 <= rank < len(confused):
            raise ParameterError("rank", rank, f"one of the {len(confused)} pairs of characters that are confused")
        wanted = {confused[rank].first, confused[rank].second}
        ids, _, names = read_names(self.target, self.ground_truth_field)
        return items_view(self.target, [key for key, name in zip(ids, names, strict=True) if name in wanted])

    def charts(self) -> list[Chart]:
        """The plots, for the App and for files."""
        return model_charts(self.rows)

    def save_plots(self, folder: str | Path, *, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
        """Draws each plot into files of a folder; gives their paths.

        Raises:
            NoMatplotlibError: matplotlib is not there
        """
        return save_charts(self.charts(), Path(folder), formats)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {**self.summary(), "rows": [row.as_dict() for row in self.rows]}

    def summary(self) -> dict[str, Any]:
        """The scores as plain values, without curves and confusions."""
        return {
            "at": self.at,
            "ground_truth_field": self.ground_truth_field,
            "patches_field": self.target.patches_field,
            "embeddings_fields": [list(each) for each in self.embeddings_fields.items()],
            "without_embedding": [list(each) for each in self.without_embedding.items()],
            "seconds": self.seconds,
            "models": [{name: row.as_dict()[name] for name in _KEPT_SHORT} for row in self.rows],
        }

    def to_json(self, path: str | Path) -> Path:
        """Writes everything into a file."""
        return write_json(path, self.as_dict())

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each model: scores, intervals, published scores."""
        return write_csv(path, [_flat(row) for row in self.rows])

    def __str__(self) -> str:
        lines = [records_text(self.table())]
        lines += [f"{row.model_name}: {_beside(row)}" for row in self.rows]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True, eq=False)
class GroupEvaluation:
    """What :func:`~ccip_plugin.evaluation.evaluate.evaluate_groups` found.

    Attributes:
        target: the items
        group_field: the field with the groups
        ground_truth_field: who is who
        metrics: with items in no group as groups of their own; ``metrics.grouped`` leaves them out
        moves: items that are with another character
        merges: groups of a character beyond its first; an item in no group counts as one
        groups: the groups, those that cost most first
        characters: the characters, those that cost most first
        ids: by :data:`KINDS`, the items that cost clicks
        n_ignored: items that people said are no character; they take no part
        run_key: the run that keeps it, None when it is not kept
        at: when it was made, in UTC
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

    def view(self, kind: str) -> Any:
        """The items of one kind, as a view of the dataset.

        Args:
            kind: one of :data:`KINDS`
        """
        if kind not in self.ids:
            raise ParameterError("kind", kind, f"one of {', '.join(self.ids)}")
        return items_view(self.target, self.ids[kind])

    def table(self) -> list[dict[str, str]]:
        """The metrics: with items in no group as groups of their own, and without them."""
        grouped = self.metrics if self.metrics.n_noise == 0 else self.metrics.grouped
        rows = []
        for name, words in METRICS.items():
            value = math.nan if grouped is None else getattr(grouped, name)
            rows.append({"Metric": words, "All": _short(getattr(self.metrics, name)), "In groups": _short(value)})
        return rows

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
            "metrics": finite_values(asdict(self.metrics)),
            "moves": self.moves,
            "merges": self.merges,
            "clicks": self.clicks,
            "n_ignored": self.n_ignored,
            "counts": {kind: len(ids) for kind, ids in self.ids.items()},
        }

    def to_json(self, path: str | Path) -> Path:
        """Writes everything but the ids into a file."""
        return write_json(path, self.as_dict())

    def to_csv(self, path: str | Path, table: str = "characters") -> Path:
        """Writes a table into a file.

        Args:
            path: the file
            table ("characters"): or ``groups`` or ``metrics``
        """
        tables: dict[str, Sequence[Mapping[str, Any]]] = {
            "characters": [asdict(row) for row in self.characters],
            "groups": [asdict(row) for row in self.groups],
            "metrics": self.table(),
        }
        if table not in tables:
            raise ParameterError("table", table, f"one of {', '.join(tables)}")
        return write_csv(path, tables[table])

    def __str__(self) -> str:
        found = self.metrics
        lines = [
            f"{found.n_images:,} images of {found.n_characters:,} characters, {found.coverage:.1%} in a group, "
            f"{found.n_left_out:,} of unknown characters left out",
            f"{self.clicks:,} clicks to clean: {self.moves:,} moves, {self.merges:,} merges",
        ]
        return "\n".join([*lines, records_text(self.table())])


def loaded_models(target: Target, plain: Mapping[str, Any], run_key: str | None) -> ModelEvaluation:
    """What :meth:`ModelEvaluation.as_dict` gave."""
    return ModelEvaluation(
        target,
        plain["ground_truth_field"],
        tuple(CardRow.from_dict(row) for row in plain["rows"]),
        dict(plain["embeddings_fields"]),
        dict(plain["without_embedding"]),
        run_key,
        plain["at"],
        plain["seconds"],
    )


def loaded_groups(target: Target, plain: Mapping[str, Any], run_key: str | None) -> GroupEvaluation:
    """What :meth:`GroupEvaluation.as_dict` gave, and ``ids``."""
    return GroupEvaluation(
        target,
        plain["group_field"],
        plain["ground_truth_field"],
        _metrics(plain["metrics"]),
        plain["moves"],
        plain["merges"],
        tuple(GroupRow(**row) for row in plain["groups"]),
        tuple(CharacterRow(**row) for row in plain["characters"]),
        plain["ids"],
        plain["n_ignored"],
        run_key,
        plain["at"],
    )


def _metrics(plain: Mapping[str, Any]) -> GroupMetrics:
    values = {each.name: plain[each.name] for each in fields(GroupMetrics) if each.name != "grouped"}
    values = {name: math.nan if value is None else value for name, value in values.items()}
    found = GroupMetrics(**values)
    return found if plain["grouped"] is None else replace(found, grouped=_metrics(plain["grouped"]))


def _beside(row: CardRow) -> str:
    """What the table has no room for."""
    at = ", ".join(f"{name} {row.scores[f'at_{name}']:.4f}" for name in ("f1", "precision", "recall"))
    return (
        f"{row.n_images:,} images of {row.n_characters:,} characters; at the published threshold {at}; counted with "
        f"each image also paired with itself, as published: F1 {row.with_selves['f1']:.4f}"
    )


def _with_interval(value: float, found: Interval | None) -> str:
    likely = _range(found)
    return f"{_short(value)} [{likely}]" if likely else _short(value)


def _range(found: Interval | None) -> str:
    return "" if found is None or not math.isfinite(found.width) else f"{found.low:.3f}-{found.high:.3f}"


def _short(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4f}"


def _flat(row: CardRow) -> dict[str, Any]:
    found: dict[str, Any] = {"model": row.model_name, "n_images": row.n_images, "n_characters": row.n_characters}
    for name in row.scores:
        found |= {
            name: row.scores[name],
            f"{name}_low": row.intervals[name].low,
            f"{name}_high": row.intervals[name].high,
        }
    found |= {f"published_{name}": row.published[name] for name in COLUMNS}
    found |= {f"with_selves_{name}": value for name, value in row.with_selves.items()}
    for name, (eps, min_samples) in row.parameters.items():
        found |= {f"{name}_eps": eps, f"{name}_min_samples": min_samples}
    return found
