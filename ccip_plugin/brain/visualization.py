"""2D projections of the embeddings for the App's Embeddings panel."""

import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError
from ..core.progress import ProgressCallback, report
from ..embeddings.load import load_embeddings
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, VISUALIZATION_KEY
from ..storage.internals import has_brain_results
from ..storage.lease import lease
from ..storage.targets import Target, check_field_name, resolve
from .runs import default_key, digest, find_run

METHODS = ("umap", "tsne", "pca")
MIN_ITEMS = 3
_UMAP_MIN_ITEMS = 20  # each point is placed by its 15 nearest neighbors
_TSNE_MIN_ITEMS = 50  # FiftyOne reduces to 50 principal components first
_TSNE_MAX_ITEMS = 5000  # it takes about 6 ms per image
_SEED = 51


class VisualizationError(CCIPError, ValueError):
    """A visualization cannot be computed."""


@dataclass(frozen=True)
class VisualizationReport:
    """The result of :func:`compute_visualization`.

    Attributes:
        brain_key: the key of the visualization
        method: ``umap``, ``tsne`` or ``pca``, None when there are too few embeddings for any
        n_points: the number of images or detections shown
        n_missing: the number of those without embedding, which are not shown
        is_new: whether it was computed; False when an existing one of the same embeddings was kept
        note: the reason for the method, or for none
    """

    brain_key: str
    method: str | None
    n_points: int
    n_missing: int
    is_new: bool
    note: str = ""

    def facts(self) -> Facts:
        """The report as text."""
        if self.method is None:
            return Facts.of(f"no visualization: {self.note}", [("Without embedding", self.n_missing or None)])
        state = "computed" if self.is_new else "unchanged, same embeddings"
        return Facts.of(
            f"visualization {self.brain_key!r} of {self.n_points:,} embeddings ({self.method})",
            [
                ("Visualization", f"{self.brain_key} ({state})"),
                ("Points", self.n_points),
                ("Without embedding, not shown", self.n_missing or None),
                ("Method", self.method),
            ],
            [self.note] if self.note else [],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def compute_visualization(
    samples: SampleCollection,
    *,
    embeddings_field: str = EMBEDDINGS_FIELD,
    patches_field: str | None = None,
    brain_key: str | None = None,
    method: str | None = None,
    progress: ProgressCallback | None = None,
) -> VisualizationReport:
    """Computes a 2D projection of the embeddings for the App's Embeddings panel, with similar images close together.

    The result replaces an existing visualization of the same key. If that was computed by the same method from the same
    embeddings, it is kept and nothing is computed.

    Args:
        samples: a dataset, a view or a patches view: what to show
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole samples
        brain_key (None): the key of the visualization, ``ccip_visualization`` for whole images in the default field
        method (None): ``umap``, which needs the package ``umap-learn``; ``tsne``, which needs 50 embeddings; ``pca``,
            which separates groups much less well. By default umap if installed, else tsne for 50 to 5,000 images, else
            pca
        progress (None): receives progress

    Returns:
        a :class:`VisualizationReport`

    Raises:
        VisualizationError: the method is unknown, or its package is not installed
        BrainKeyError: the key is no identifier, or taken by another kind of run
        CCIPError: the embeddings cannot be used; the text says why
    """
    if method not in (None, *METHODS):
        raise VisualizationError(f"unknown method {method!r}; available: {', '.join(METHODS)}")
    target = resolve(samples, patches_field)
    check_field_name(embeddings_field)
    brain_key = brain_key or visualization_key(target.path(embeddings_field))
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    n_points, n_missing = len(embeddings.ids), embeddings.n_missing
    if n_points < MIN_ITEMS:
        note = f"{n_points} embeddings, at least {MIN_ITEMS} are needed"
        return VisualizationReport(brain_key, None, 0, n_missing, False, note)
    method, note = choose_method(method, n_points)
    origin = digest(embeddings, method, _SEED)
    with lease(target.dataset, brain_key):
        is_new = not _exists(target, brain_key, origin)
        if is_new:
            report(progress, f"computing the visualization ({method})", 0, None)
            _compute(target, embeddings_field, brain_key, method, origin)
    return VisualizationReport(brain_key, method, n_points, n_missing, is_new, note)


def visualization_key(path: str) -> str:
    """The default key of the visualization of the embeddings at a path."""
    return default_key(VISUALIZATION_KEY, path)


def has_umap() -> bool:
    """Whether the package umap-learn is installed."""
    return importlib.util.find_spec("umap") is not None


def choose_method(method: str | None, n_points: int) -> tuple[str, str]:
    """Chooses the method for a number of embeddings.

    Args:
        method: the requested method, None for the best
        n_points: the number of embeddings

    Returns:
        the method, and the reason why it is not a better one

    Raises:
        VisualizationError: the requested method cannot be used
    """
    is_installed = has_umap()
    if method == "umap" and not is_installed:
        raise VisualizationError("umap needs the package umap-learn, which is not installed: pip install umap-learn")
    if method == "tsne" and n_points < _TSNE_MIN_ITEMS:
        raise VisualizationError(f"tsne needs {_TSNE_MIN_ITEMS} embeddings, there are {n_points}; use pca")
    if method is not None:
        return method, ""
    if is_installed:
        return ("pca", "too few images for UMAP") if n_points < _UMAP_MIN_ITEMS else ("umap", "")
    if n_points < _TSNE_MIN_ITEMS:
        return "pca", "too few images for t-SNE"
    if n_points > _TSNE_MAX_ITEMS:
        return "pca", "umap, which separates groups much better, needs the package umap-learn"
    return "tsne", ""


def _exists(target: Target, brain_key: str, origin: str) -> bool:
    config = find_run(target.dataset, brain_key, "visualization")
    is_same = getattr(config, "ccip_origin", None) == origin
    return is_same and has_brain_results(target.dataset, brain_key)


def _compute(target: Target, embeddings_field: str, brain_key: str, method: str, origin: str) -> None:
    """Computes before it registers the run, so that other processes do not load an empty visualization."""
    import fiftyone.brain as fob  # it imports scikit-learn
    from threadpoolctl import threadpool_limits

    options = {} if method == "pca" else {"verbose": False}
    with (
        threadpool_limits(1 if method == "tsne" else None),  # more threads are slower on a busy machine, and inexact
        warnings.catch_warnings(),
        np.errstate(invalid="ignore"),  # pca: explained shares of zero variance when all images are the same
    ):
        warnings.filterwarnings("ignore", "n_jobs value", UserWarning)  # umap: with a seed it uses one thread
        results = fob.compute_visualization(
            target.view,
            embeddings=embeddings_field,
            patches_field=target.patches_field,
            method=method,
            seed=_SEED,
            progress=False,
            ccip_origin=origin,
            **options,
        )
    dataset, run = target.dataset, results.config.build()
    if brain_key in dataset.list_brain_runs():
        dataset.delete_brain_run(brain_key)
    run.register_run(target.view, brain_key)
    run.save_run_results(target.view, brain_key, results, cache=False)
