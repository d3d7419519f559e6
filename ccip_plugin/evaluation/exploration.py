"""DBSCAN parameter sweep: groups for many values of eps, from a neighbor graph that is cached."""

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.calibration import PublishedParameters
from ..core.calibration import load as load_calibration
from ..core.clustering.methods import DBSCAN, METHODS
from ..core.errors import check_type
from ..core.neighbors.cache import find_or_build
from ..core.neighbors.choice import AUTO, choose_graph
from ..core.progress import ProgressCallback, report
from ..core.tuning.sweep import Sweep, sweep
from ..grouping.calibrated import calibrated_parameters
from ..grouping.options import method_label
from ..grouping.participants import read_participants
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..reports.charts import Chart
from ..reports.facts import Facts, counted, decimals
from ..reports.images import save_chart
from ..reports.plotly import layout, traces
from ..storage.connection import with_database_errors
from ..storage.fields import ALL, EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import resolve
from .charts import sweep_chart

_BEYOND = 1.25  # the default end, as a multiple of the largest mark
_N_VALUES = 60


@dataclass(frozen=True, eq=False)
class Exploration:
    """The groups of DBSCAN with ``min_samples=2`` by eps.

    Attributes:
        sweep: the numbers by eps
        marks: known values of eps by name: ``threshold`` and the presets of DBSCAN, as published, and ``calibrated``,
            the result of :func:`~ccip_plugin.evaluation.calibration.calibrate` on these images, if there is one
        model_name: the model of the embeddings
        n_without_embedding: images without an embedding, which are left out
    """

    sweep: Sweep
    marks: Mapping[str, float]
    model_name: str
    n_without_embedding: int

    @property
    def plateau(self) -> tuple[float, float] | None:
        """The longest range of eps with stable groups; None without one."""
        return self.sweep.plateau()

    @property
    def safe_eps(self) -> float | None:
        """The largest eps without a group that is a likely chain; None when every value has one."""
        return self.sweep.safe_eps()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Known values of eps that are too large for DBSCAN with this many images."""
        safe, warnings = self.safe_eps, []
        for name, eps in self.marks.items():
            if safe is not None and self.sweep.at(eps) <= self.sweep.at(safe):
                continue
            share = self.sweep.largest[self.sweep.at(eps)]
            limit = "" if safe is None else f", as beyond {safe:.4f}"
            warnings.append(
                f"with eps {eps:.4f} ({method_label(name)}) the largest group of DBSCAN has {share:.0%} of the "
                f"{self.sweep.n:,} images, and may be a chain of several characters{limit}; average linkage does not "
                "chain"
            )
        return tuple(warnings)

    def facts(self) -> Facts:
        """The result as text."""
        stable, safe = self.plateau, self.safe_eps
        return Facts.of(
            f"{counted(self.sweep.n, 'image')} compared",
            [
                ("Images compared", self.sweep.n),
                ("Without embedding", self.n_without_embedding or None),
                ("Stable range of eps", "none" if stable is None else f"{stable[0]:.4f} to {stable[1]:.4f}"),
                ("Largest eps without a likely chain of characters", decimals(safe)),
                *((f"eps {row['eps']:.4f}, {method_label(row['name'])}", _describe(row)) for row in self.rows()),
                ("Model", self.model_name),
            ],
            self.warnings,
        )

    def __str__(self) -> str:
        return str(self.facts())

    def rows(self) -> list[dict[str, Any]]:
        """The groups at each known value of eps."""
        return [{"name": name, **self.row(eps)} for name, eps in sorted(self.marks.items(), key=lambda mark: mark[1])]

    def row(self, eps: float) -> dict[str, Any]:
        """The groups at a value of eps: their number, the share of unassigned images, and that of the largest group."""
        place, sweep = self.sweep.at(eps), self.sweep
        return {
            "eps": float(eps),
            "n_groups": int(sweep.n_groups[place]),
            "unassigned": float(sweep.unassigned[place]),
            "largest": float(sweep.largest[place]),
        }

    def chart(self) -> Chart:
        """The plot, for the App and for files."""
        marks = {method_label(name): eps for name, eps in self.marks.items()}
        return sweep_chart(self.sweep, marks, self.plateau)

    def figure(self) -> dict[str, Any]:
        """The plot for plotly, as plain values: ``data`` and ``layout``."""
        chart = self.chart()
        return {"data": traces(chart), "layout": layout(chart)}

    def save(self, path: str | Path) -> Path:
        """Draws the plot into an image file, e.g. a PNG; gives its path.

        Raises:
            NoMatplotlibError: matplotlib is not installed
        """
        return save_chart(self.chart(), Path(path))


@with_database_errors
def explore_parameters(
    samples: SampleCollection,
    *,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    max_eps: float | None = None,
    graph: str = AUTO,
    model_dir: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Exploration:
    """Computes the groups of DBSCAN for a range of eps. Writes nothing into the dataset.

    The neighbor graph is cached in ``graphs`` in the folder ``CCIP_CACHE_DIR`` (12 bytes for each pair of similar
    images). With it, this function and :func:`~ccip_plugin.grouping.run.group_characters` with any eps up to
    ``max_eps`` take seconds, as long as the embeddings are the same.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field with the groups: images ignored there are left out
        max_eps (None): the end of the range; beyond the known values by default
        graph ("auto"): "exact" or "approximate", see :func:`~ccip_plugin.grouping.run.group_characters`
        model_dir (None): a folder with model files, for presets that differ from the published ones
        progress (None): progress callable

    Returns:
        an :class:`Exploration`: numbers, marks, plateau, warnings, and a plot

    Raises:
        NothingToGroupError: no item has an embedding
        ParameterError: ``max_eps`` is no difference
        CCIPError: the field or the embeddings cannot be used; the message says why
    """
    check_type("max_eps", max_eps, numbers.Real | None, "a difference from 0 to 1, or None")
    store = LabelStore(resolve(samples, patches_field), group_field)
    report(progress, "reading embeddings", 0, None)
    participants = read_participants(store, read_state(store), embeddings_field, ALL)
    marks = _marks(load_calibration(participants.provenance.model_name, model_dir=model_dir))
    calibrated = calibrated_parameters(store.target, embeddings_field, DBSCAN)
    if calibrated is not None:
        marks["calibrated"] = calibrated[0]
    choice = choose_graph(graph, len(participants))
    end = min(_BEYOND * max(marks.values()), 1.0) if max_eps is None else float(max_eps)
    pairs = find_or_build(participants.vectors, end, choice, progress=progress)
    values = np.concatenate([np.linspace(0, end, _N_VALUES), [eps for eps in marks.values() if eps <= end]])
    return Exploration(
        sweep(pairs, values, progress=progress), marks, participants.provenance.model_name, participants.n_missing
    )


def _marks(published: PublishedParameters) -> dict[str, float]:
    presets = {name: eps for name, (eps, _) in published.presets.items() if METHODS[name].family == DBSCAN}
    presets.pop(DBSCAN, None)  # its eps is the threshold
    return {"threshold": published.threshold, **presets}


def _describe(row: dict[str, Any]) -> str:
    return (
        f"{counted(row['n_groups'], 'group')}, {row['unassigned']:.0%} of the images unassigned, {row['largest']:.1%} "
        "in the largest"
    )
