"""Choosing eps with open eyes: what DBSCAN would give for many values, from a graph that is built once and kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.calibration import PublishedParameters
from ..core.calibration import load as load_calibration
from ..core.clustering.methods import DBSCAN, METHODS
from ..core.neighbors.cache import find_or_build
from ..core.neighbors.choice import AUTO, choose_graph
from ..core.progress import ProgressCallback, report
from ..core.tuning.sweep import Sweep, sweep
from ..grouping.calibrated import calibrated_parameters
from ..grouping.participants import read_participants
from ..labels.snapshot import read_state
from ..labels.store import LabelStore
from ..storage.fields import ALL, EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import resolve
from .exploration_charts import plotly_layout, plotly_traces, save_image

_BEYOND = 1.25  # times the largest mark; how far the plot goes
_N_VALUES = 60


@dataclass(frozen=True, eq=False)
class Exploration:
    """Groups of DBSCAN with ``min_samples=2`` as eps grows, and where known values are.

    Attributes:
        sweep: the numbers, per value of eps
        marks: values of eps by name: ``threshold`` and the presets of DBSCAN, as published, and ``calibrated``, what
            :func:`~ccip_plugin.evaluation.calibration.calibrate` found for DBSCAN on these images, where it has found
            one
        model_name: the model that the embeddings are of
        n_without_embedding: images that are not in it
    """

    sweep: Sweep
    marks: Mapping[str, float]
    model_name: str
    n_without_embedding: int

    @property
    def plateau(self) -> tuple[float, float] | None:
        """The longest stretch of eps where hardly anything changes; None without one."""
        return self.sweep.plateau()

    @property
    def safe_eps(self) -> float | None:
        """The largest eps at which no group looks like a chain of groups; None when one does at each value."""
        return self.sweep.safe_eps()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Known values of eps that are too large for DBSCAN with so many images."""
        safe, found = self.safe_eps, []
        for name, eps in self.marks.items():
            if safe is not None and self.sweep.at(eps) <= self.sweep.at(safe):
                continue
            share = self.sweep.largest[self.sweep.at(eps)]
            found.append(
                f"with eps {eps:.4f} ({name}) the largest group of DBSCAN has {share:.0%} of the {self.sweep.n:,} "
                f"images, and may be several characters in a chain{self._safe_words()}; linkage does not chain"
            )
        return tuple(found)

    def __str__(self) -> str:
        stable = "none" if self.plateau is None else f"{self.plateau[0]:.4f} to {self.plateau[1]:.4f}"
        lines = [
            f"{self.sweep.n} images of {self.model_name}, groups of DBSCAN by eps; stable stretch of eps: {stable}",
            *(
                f"{row['name']} {row['eps']:.4f}: {row['n_groups']} groups, {row['unassigned']:.1%} of the images in "
                f"none, {row['largest']:.1%} in the largest"
                for row in self.rows()
            ),
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)

    def rows(self) -> list[dict[str, Any]]:
        """What each known value would give."""
        return [{"name": name, **self.row(eps)} for name, eps in sorted(self.marks.items(), key=lambda mark: mark[1])]

    def row(self, eps: float) -> dict[str, Any]:
        """What an eps would give: groups, share of the images in none, share in the largest."""
        place, found = self.sweep.at(eps), self.sweep
        return {
            "eps": float(eps),
            "n_groups": int(found.n_groups[place]),
            "unassigned": float(found.unassigned[place]),
            "largest": float(found.largest[place]),
        }

    def figure(self) -> dict[str, Any]:
        """The plot for plotly, as plain values: ``data`` and ``layout``."""
        return {"data": plotly_traces(self), "layout": plotly_layout(self)}

    def save(self, path: str | Path) -> Path:
        """Draws the plot into an image file, e.g. a PNG.

        Raises:
            NoMatplotlibError: matplotlib is not there
        """
        return save_image(self, Path(path))

    def _safe_words(self) -> str:
        return "" if self.safe_eps is None else f", as beyond {self.safe_eps:.4f}"


def explore_parameters(
    samples: Any,
    *,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    max_eps: float | None = None,
    graph: str = AUTO,
    model_dir: Any = None,
    progress: ProgressCallback | None = None,
) -> Exploration:
    """Shows what DBSCAN would give for each eps; writes nothing into the dataset.

    The graph of neighbors is kept in ``graphs`` of the folder that ``CCIP_CACHE_DIR`` names (12 bytes for each pair of
    images that are much alike). From there this answers in seconds, and so does
    :func:`~ccip_plugin.grouping.run.group_characters` with any eps up to ``max_eps``, as long as the images are the
    same.

    Args:
        samples: a dataset, a view or a patches view, with embeddings
        patches_field (None): the field with the detections, None for whole samples
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field with the groups: images that people ignored there are left out
        max_eps (None): where the plot ends; somewhat beyond the known values by default
        graph ("auto"): "exact" or "approximate", as :func:`~ccip_plugin.grouping.run.group_characters` says; either
            gives the same groups, but for what the approximate one lacks
        model_dir (None): a folder with model files, for presets that differ from the published ones
        progress (None): called with the stage and how far it is

    Returns:
        an :class:`Exploration`: numbers, marks, plateau, warnings, and a plot

    Raises:
        NothingToGroupError: no item has an embedding
        ParameterError: ``max_eps`` is no difference
        CCIPError: the field or the embeddings cannot be used; the text says why
    """
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
    known = [eps for eps in marks.values() if eps <= end]
    found = sweep(pairs, np.concatenate([np.linspace(0, end, _N_VALUES), known]), progress=progress)
    return Exploration(found, marks, participants.provenance.model_name, participants.n_missing)


def _marks(published: PublishedParameters) -> dict[str, float]:
    presets = {name: eps for name, (eps, _) in published.presets.items() if METHODS[name].family == DBSCAN}
    presets.pop(DBSCAN, None)  # its eps is the threshold
    return {"threshold": published.threshold, **presets}
