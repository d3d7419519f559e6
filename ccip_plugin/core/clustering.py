"""Groups embeddings by character: each image gets the number of its group, or none."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import calibration
from .differences import Vectors, differences, normalize
from .errors import ParameterError, TooManyImagesError
from .neighbors import NeighborGraph, radius_graph
from .progress import ProgressCallback, report
from .registry import DEFAULT_MODEL

NOISE = -1
"""The label of images in no group."""

METHODS = ("dbscan", "dbscan_2", "dbscan_free", "optics", "optics_best")
"""What :func:`cluster` can do: DBSCAN and OPTICS, each with several published parameters."""

MAX_DENSE = 10_000
"""The most images that OPTICS takes: its matrix of differences is then 1.2 GB, as float32 and as float64 together."""

Labels = NDArray[np.int64]

_ROUNDING = np.float32(1e-6)  # differences below this are rounding errors of a dense matrix


def cluster(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    method: str = "dbscan",
    eps: float | None = None,
    min_samples: int | None = None,
    model_name: str = DEFAULT_MODEL,
    model_dir: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Labels:
    """Groups images by character.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length or, for DBSCAN, a graph of neighbors
        method ("dbscan"): one of :data:`METHODS`. ``dbscan`` takes the threshold of the model as its eps; ``dbscan_2``,
            ``dbscan_free`` and ``optics_best`` take what was found best for the model; ``optics`` takes 0.5 and 5
        eps (None): the largest difference between two neighbors, itself included; what is published for the method and
            the model by default
        min_samples (None): how many images within eps, itself included, make an image the core of a group; what is
            published by default
        model_name: the model that the embeddings are of
        model_dir (None): a folder with files of models
        progress (None): told how far the work is; may raise :class:`~ccip_plugin.core.progress.Cancelled`

    Returns:
        ``(n,)`` labels: 0, 1, ... for groups, :data:`NOISE` for images in none

    Raises:
        ParameterError: the method or a parameter has no meaning
        UnknownPresetError: nothing is published for this method and this model
        RadiusError: eps is larger than the radius of the graph
        TooManyImagesError: more images than OPTICS takes
        VectorsError: an embedding is zero or not finite; names its row
    """
    if method not in METHODS:
        raise ParameterError("method", method, f"one of {', '.join(METHODS)}")
    if eps is None or min_samples is None:
        published = calibration.load(model_name, model_dir=model_dir).preset(method)
        eps = published[0] if eps is None else eps
        min_samples = published[1] if min_samples is None else min_samples
    if method.startswith("optics"):
        if isinstance(embeddings_or_graph, NeighborGraph):
            raise ParameterError("method", method, "a form of dbscan where a graph is given: OPTICS takes embeddings")
        return optics(embeddings_or_graph, eps=eps, min_samples=min_samples, progress=progress)
    _check(eps, min_samples, least=1)
    graph = embeddings_or_graph
    if not isinstance(graph, NeighborGraph):
        graph = radius_graph(graph, eps, progress=progress)
    return dbscan(graph, eps=eps, min_samples=min_samples)


def dbscan(graph: NeighborGraph, *, eps: float, min_samples: int) -> Labels:
    """Groups images by density (Ester et al., 1996), with the labels that scikit-learn gives on the full matrix.

    Args:
        graph: every pair of ``n`` images with a difference up to ``graph.radius``
        eps: the largest difference between two neighbors, at most ``graph.radius``
        min_samples: how many neighbors, itself included, make a core image; with 1, every image is one

    Returns:
        ``(n,)`` labels, numbered by their first core images; :data:`NOISE` for images without a core image nearby

    Raises:
        RadiusError: eps is larger than the radius of the graph
        ParameterError: eps or min_samples has no meaning
    """
    _check(eps, min_samples, least=1)
    near = graph.within(eps)
    is_core = near.degrees + 1 >= min_samples
    return _attach_borders(near.components(is_core), near, is_core)


def optics(embeddings: ArrayLike, *, eps: float, min_samples: int, progress: ProgressCallback | None = None) -> Labels:
    """Groups images by an ordering by density (Ankerst et al., 1999), cut where it gets steep.

    scikit-learn's OPTICS, with its extraction by steepness (xi = 0.05), on the dense matrix of differences. It tends to
    split characters that have many images by their outfits.

    Args:
        embeddings: ``(n, dim)`` embeddings of any length, at most :data:`MAX_DENSE`
        eps: the largest difference between two neighbors
        min_samples: how many images, itself included, make a core image and a group; at least 2

    Returns:
        ``(n,)`` labels; :data:`NOISE` for images in no group

    Raises:
        TooManyImagesError: there are more than :data:`MAX_DENSE`
        ParameterError: eps or min_samples has no meaning
        VectorsError: an embedding is zero or not finite; names its row
    """
    _check(eps, min_samples, least=2)
    n = len(np.atleast_1d(np.asarray(embeddings)))
    if n > MAX_DENSE:
        raise TooManyImagesError(n, MAX_DENSE)
    if n < min_samples:
        if n:
            normalize(embeddings)  # so that a bad row is an error here, too
        return np.full(n, NOISE, np.int64)
    report(progress, "ordering images", 0, n)
    labels = _optics_labels(differences(embeddings, memory=4 * MAX_DENSE**2), eps, min_samples)
    report(progress, "ordering images", n, n)
    return labels


def _check(eps: float, min_samples: int, *, least: int) -> None:
    if not 0 <= eps <= 1:
        raise ParameterError("eps", eps, "a difference from 0 to 1")
    if isinstance(min_samples, bool) or not isinstance(min_samples, int | np.integer) or min_samples < least:
        raise ParameterError("min_samples", min_samples, f"a whole number, at least {least}")


def _attach_borders(labels: Labels, near: NeighborGraph, is_core: NDArray[np.bool_]) -> Labels:
    """Puts images that are near core images into the first of the groups of these."""
    nowhere = np.iinfo(labels.dtype).max
    labels = np.where(is_core, labels, nowhere)
    for core, border in ((near.rows, near.cols), (near.cols, near.rows)):
        reaches = is_core[core] & ~is_core[border]
        np.minimum.at(labels, border[reaches], labels[core[reaches]])
    labels[labels == nowhere] = NOISE
    return labels


def _optics_labels(dense: Vectors, eps: float, min_samples: int) -> Labels:
    from sklearn.cluster import OPTICS

    dense[dense < _ROUNDING] = 0
    core_differences = np.partition(dense, min_samples - 1, axis=1)[:, min_samples - 1]
    if not (core_differences <= eps).any():  # scikit-learn warns of it instead of answering
        return np.full(len(dense), NOISE, np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):  # steepness between equal images
        found = OPTICS(max_eps=eps, min_samples=int(min_samples), metric="precomputed").fit(dense)
    return found.labels_.astype(np.int64)
