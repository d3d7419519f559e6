"""The evaluation of models: scores as tables, charts, files and views."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fiftyone as fo

from ..core.errors import ParameterError
from ..core.evaluation.jackknife import Interval
from ..core.tuning.model_card import COLUMNS, CardRow
from ..reports.charts import Chart
from ..reports.export import write_csv, write_json
from ..reports.facts import Facts, counted, decimals
from ..reports.images import save_charts
from ..reports.tables import records_text
from ..storage.targets import Target, items_view
from .charts import model_charts
from .ground_truth import read_names

SCORE_LABELS = {
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

_SUMMARY = (
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
    """The result of :func:`~ccip_plugin.evaluation.evaluate.evaluate_model`.

    Attributes:
        target: the items
        ground_truth_field: the ground truth field
        rows: a row of the model card for each model
        embeddings_fields: the fields with the embeddings by model
        without_embedding: the number of items with a name but without an embedding by model
        run_key: the run that stores it, None when it is not stored
        at: its time, in UTC
        seconds: its duration
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
        """The row of a model.

        Raises:
            ParameterError: the model was not evaluated
        """
        rows = {row.model_name: row for row in self.rows}
        if model_name not in rows:
            raise ParameterError("model_name", model_name, f"one of {', '.join(rows)}")
        return rows[model_name]

    @property
    def notes(self) -> list[str]:
        """What limits the scores, each once."""
        notes = [note for row in self.rows for note in row.notes]
        notes += [
            f"{row.model_name}: {n:,} images with a name have no embedding and are left out"
            for row in self.rows
            if (n := self.without_embedding.get(row.model_name, 0))
        ]
        return list(dict.fromkeys(notes))

    # -- as text

    def facts(self) -> Facts:
        """The result as text; the scores are in :meth:`table` and :meth:`details`."""
        return Facts.of(
            self._headline(),
            [
                ("Model", self.rows[0].model_name if len(self.rows) == 1 else None),
                *(fact for row in self.rows for fact in _facts(row, "" if len(self.rows) == 1 else row.model_name)),
                ("Ground truth field", self.ground_truth_field),
                ("Run", self.run_key),
                ("Time", f"{self.seconds:.1f} s"),
            ],
            self.notes,
        )

    def _headline(self) -> str:
        scored = [row for row in self.rows if math.isfinite(row.scores["f1"])]
        if not scored:
            return "there are no two images of one character"
        best = max(scored, key=lambda row: row.scores["f1"])
        models = "" if len(self.rows) == 1 else f"{len(self.rows)} models, the best is "
        return f"{models}{best.model_name}: F1 {best.scores['f1']:.3f} at {best.scores['threshold']:.3f}"

    def __str__(self) -> str:
        return f"{self.facts()}\n\n{records_text(self.table())}"

    def table(self, *, intervals: bool = True) -> list[dict[str, str]]:
        """The table of the model card: two rows for each model, of these images and as published.

        Args:
            intervals (True): whether scores are followed by their intervals
        """
        rows = []
        for row in self.rows:
            intervals_by_name = row.intervals if intervals else {}
            here = {
                SCORE_LABELS[name]: _with_interval(row.scores[name], intervals_by_name.get(name)) for name in COLUMNS
            }
            published = {SCORE_LABELS[name]: decimals(row.published[name]) for name in COLUMNS}
            rows += [
                {"Model": row.model_name, "On": "these images", **here},
                {"Model": "", "On": "published", **published},
            ]
        return rows

    def details(self) -> list[dict[str, str]]:
        """A row for each score of each model: on these images, its 95 % confidence interval, and as published."""
        return [
            {
                "Model": row.model_name,
                "Score": label,
                "These images": decimals(row.scores[name]),
                "95% interval": _interval_text(row.intervals.get(name)),
                "Published": decimals(row.published.get(name)),
            }
            for row in self.rows
            for name, label in SCORE_LABELS.items()
        ]

    def confused_table(self, n_rows: int) -> list[dict[str, Any]]:
        """The most confused characters of each model.

        Args:
            n_rows: rows for each model
        """
        return [
            {
                "Model": row.model_name,
                "Character": pair.first,
                "Confused with": pair.second,
                "Pairs": pair.n_pairs,
                "Share": f"{pair.share:.1%}",
            }
            for row in self.rows
            for pair in row.confused[:n_rows]
        ]

    # -- as views, charts and files

    def confused_view(self, model_name: str | None = None, rank: int = 0) -> fo.DatasetView:
        """The items of two characters that a model confuses.

        Args:
            model_name (None): the model, the first one by default
            rank (0): which two: 0 for those with the most pairs, and so on

        Raises:
            ParameterError: the model was not evaluated, or confuses fewer characters
        """
        confused = (self.rows[0] if model_name is None else self.row(model_name)).confused
        if not 0 <= rank < len(confused):
            raise ParameterError("rank", rank, f"one of the {len(confused)} pairs of characters that are confused")
        characters = {confused[rank].first, confused[rank].second}
        ids, _, names = read_names(self.target, self.ground_truth_field)
        return items_view(self.target, [key for key, name in zip(ids, names, strict=True) if name in characters])

    def charts(self) -> list[Chart]:
        """The charts, for the App and for files."""
        return model_charts(self.rows)

    def save_plots(self, folder: str | Path, *, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
        """Draws each chart into files of a folder; gives their paths.

        Raises:
            NoMatplotlibError: matplotlib is not installed
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
            "models": [{name: row.as_dict()[name] for name in _SUMMARY} for row in self.rows],
        }

    def to_json(self, path: str | Path) -> Path:
        """Writes everything into a file, with the facts."""
        return write_json(path, {"facts": self.facts().as_dict(), **self.as_dict()})

    def to_csv(self, path: str | Path) -> Path:
        """Writes a line for each model: scores, intervals, published scores."""
        return write_csv(path, [_csv_row(row) for row in self.rows])


def loaded_models(target: Target, record: Mapping[str, Any], run_key: str | None) -> ModelEvaluation:
    """The evaluation of which :meth:`ModelEvaluation.as_dict` gave the record."""
    return ModelEvaluation(
        target,
        record["ground_truth_field"],
        tuple(CardRow.from_dict(row) for row in record["rows"]),
        dict(record["embeddings_fields"]),
        dict(record["without_embedding"]),
        run_key,
        record["at"],
        record["seconds"],
    )


def _facts(row: CardRow, model_name: str) -> list[tuple[str, str]]:
    """What the table of the model card does not have; with the name of the model where there are several."""
    facts = [("Images", f"{row.n_images:,} of {counted(row.n_characters, 'character')}")]
    facts += [(SCORE_LABELS[name], decimals(row.scores[name])) for name in ("at_f1", "at_precision", "at_recall")]
    facts.append(("F1 with each image paired with itself, too", decimals(row.with_selves["f1"])))
    return [(f"{model_name}: {label}" if model_name else label, value) for label, value in facts]


def _with_interval(value: float, interval: Interval | None) -> str:
    text = _interval_text(interval)
    return f"{decimals(value)} [{text}]" if text else decimals(value)


def _interval_text(interval: Interval | None) -> str:
    return "" if interval is None or not math.isfinite(interval.width) else f"{interval.low:.3f}-{interval.high:.3f}"


def _csv_row(row: CardRow) -> dict[str, Any]:
    values: dict[str, Any] = {"model": row.model_name, "n_images": row.n_images, "n_characters": row.n_characters}
    for name in row.scores:
        values |= {
            name: row.scores[name],
            f"{name}_low": row.intervals[name].low,
            f"{name}_high": row.intervals[name].high,
        }
    values |= {f"published_{name}": row.published[name] for name in COLUMNS}
    values |= {f"with_selves_{name}": value for name, value in row.with_selves.items()}
    for name, (eps, min_samples) in row.parameters.items():
        values |= {f"{name}_eps": eps, f"{name}_min_samples": min_samples}
    return values
