"""Calibrated parameters: stored with the dataset, loaded for a grouping run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.clustering.methods import FAMILY_LABELS, get_method
from ..core.evaluation.jackknife import Interval
from ..core.plain import number, plain
from ..core.tuning.parameters import RecommendedParameters
from ..core.tuning.recommendation import Recommendation
from ..embeddings.provenance import read_provenance
from ..reports.export import write_json
from ..reports.facts import Facts, decimals
from ..reports.tables import records_text
from ..reports.words import local_time
from ..storage.connection import with_database_errors
from ..storage.fields import CALIBRATION_KEY, EMBEDDINGS_FIELD
from ..storage.runs import key_of, read_config
from ..storage.targets import Target, check_field_name, resolve

NOT_ENOUGH = "not enough evidence"


@dataclass(frozen=True)
class Calibrated:
    """What :func:`calibrate` recommends.

    Attributes:
        recommendation: threshold, parameters, intervals, and their evidence
        model_name: the model of the embeddings
        published_threshold: the published threshold of that model
        embeddings_field: the field with the embeddings
        evidence: the source of the evidence, as text
        run_key: the run that stores it, None when it is not stored
        at: time of the calibration, UTC
        earlier_at: time of the stored calibration that this one did not replace, because its evidence is insufficient
    """

    recommendation: Recommendation
    model_name: str
    published_threshold: float
    embeddings_field: str
    evidence: str
    run_key: str | None
    at: str
    earlier_at: str | None = None

    @property
    def is_enough(self) -> bool:
        """Whether the evidence is enough to rely on it."""
        return not self.recommendation.thin

    def parameters(self, method: str) -> RecommendedParameters | None:
        """The parameters of a method; None where there are none, or the evidence is too thin."""
        return self.recommendation.methods.get(method) if self.is_enough else None

    def facts(self) -> Facts:
        """The result as text; parameters of methods are in :meth:`table`."""
        found = self.recommendation
        threshold = decimals(found.threshold)
        headline = f"threshold {threshold}, published {self.published_threshold:.4f}"
        kept = (
            f"the calibration of {local_time(self.earlier_at)} stays"
            if self.earlier_at
            else "keep the published threshold"
        )
        return Facts.of(
            headline if self.is_enough else f"{NOT_ENOUGH}, {kept}",
            [
                ("Threshold", f"{threshold}{_interval_text(found.interval, ', 95% interval ')}" or NOT_ENOUGH),
                ("F1", decimals(found.f1)),
                ("F1 with the published threshold", decimals(found.published_f1)),
                ("Published threshold", f"{self.published_threshold:.4f}"),
                ("Evidence", self.learned_from),
                ("Model", self.model_name),
                ("Run", self.run_key),
            ],
            () if self.is_enough else (f"insufficient evidence, {kept}: {'; '.join(found.thin)}",),
        )

    def table(self) -> list[dict[str, str]]:
        """The parameters of each method, with 95 % intervals and scores."""
        return [
            {
                "Method": FAMILY_LABELS.get(name, name),
                "eps": f"{each.eps:.4f}",
                "95% interval": _interval_text(each.interval),
                "min_samples": f"{each.min_samples}",
                "Adjusted Rand index": decimals(each.score),
                "with the published threshold": decimals(each.published),
            }
            for name, each in self.recommendation.methods.items()
        ]

    def __str__(self) -> str:
        return "\n".join([str(self.facts()), records_text(self.table())])

    def to_json(self, path: str | Path) -> Path:
        """Writes everything into a file."""
        return write_json(path, plain_values(self))

    @property
    def learned_from(self) -> str:
        """The evidence as text."""
        recommendation = self.recommendation
        if recommendation.is_from_answers:
            return f"{recommendation.n_answers:,} answers about pairs"
        parts = [f"{recommendation.n_images:,} images of {recommendation.n_characters:,} characters ({self.evidence})"]
        if recommendation.n_rejected:
            parts.append(f"{recommendation.n_rejected:,} pairs from rejections")
        if recommendation.n_answers:
            parts.append(f"{recommendation.n_answers:,} answers about pairs")
        return ", ".join(parts)


@with_database_errors
def load_calibrated(
    samples: SampleCollection, *, embeddings_field: str = EMBEDDINGS_FIELD, patches_field: str | None = None
) -> Calibrated | None:
    """Loads the calibration of a field; None without one, and for one of another model.

    Args:
        samples: the dataset, or any view of it
        embeddings_field ("ccip_embedding"): the field with the embeddings
        patches_field (None): the field with the detections, None for whole samples
    """
    return calibrated_for(resolve(samples, patches_field), embeddings_field)


def calibrated_for(target: Target, embeddings_field: str) -> Calibrated | None:
    """As :func:`load_calibrated`."""
    check_field_name(embeddings_field)
    path = target.path(embeddings_field)
    key = key_of(CALIBRATION_KEY, path)
    config = read_config(target.dataset, key)
    provenance = read_provenance(target.dataset, path)
    if config is None or provenance is None or config["model_name"] != provenance.model_name:
        return None
    return _loaded(config, key)


def calibrated_parameters(target: Target, embeddings_field: str, method: str) -> tuple[float, int] | None:
    """``(eps, min_samples)`` of a method for a field; None when nothing is kept or the evidence is too thin.

    Methods of one family share them.
    """
    found = calibrated_for(target, embeddings_field)
    chosen = None if found is None else found.parameters(get_method(method).family)
    return None if chosen is None else (chosen.eps, chosen.min_samples)


def _interval_text(interval: Interval, before: str = "") -> str:
    return f"{before}{interval.low:.4f} to {interval.high:.4f}" if np.isfinite(interval.width) else ""


def plain_values(calibrated: Calibrated) -> dict[str, Any]:
    """The record of a run: plain values, without its key."""
    values: dict[str, Any] = plain(asdict(calibrated))
    for name in ("run_key", "earlier_at"):
        values.pop(name)
    return values


def _loaded(config: Mapping[str, Any], key: str) -> Calibrated:
    record = config["recommendation"]
    methods = {
        name: RecommendedParameters(**{**_numbers(each, "score", "published"), "interval": _interval(each["interval"])})
        for name, each in record["methods"].items()
    }
    values = _numbers(record, "threshold", "f1", "published_f1")
    values |= {"interval": _interval(record["interval"]), "methods": methods, "thin": tuple(record["thin"])}
    names: Sequence[str] = ("model_name", "published_threshold", "embeddings_field", "evidence", "at")
    return Calibrated(Recommendation(**values), run_key=key, **{name: config[name] for name in names})


def _numbers(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The values of a record, with NaN for None where numbers are."""
    return {**record, **{name: number(record[name]) for name in names}}


def _interval(record: Mapping[str, float | None]) -> Interval:
    return Interval(number(record["low"]), number(record["high"]))
