"""Divides the images of one group along their own average linkage."""

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Labels
from ..differences import normalize
from ..errors import ParameterError
from ..progress import ProgressCallback, report
from .linkage.agglomeration import Merges, find_merges


def split(
    embeddings: ArrayLike, *, k: int | None = None, cut: float | None = None, progress: ProgressCallback | None = None
) -> Labels:
    """Divides images into clusters by average linkage (UPGMA; Sokal and Michener, 1958) of these images alone.

    Takes the time of comparing all pairs two or three times, and memory for the images.

    Args:
        embeddings: ``(n, dim)`` of any length
        k (None): the number of clusters
        cut (None): instead, the mean difference up to which clusters are merged, in [0, 1]
        progress (None): called with the number of merges

    Returns:
        ``(n,)`` clusters 0, 1, ... in the order of their first images

    Raises:
        ParameterError: neither or both of ``k`` and ``cut`` are given, or they are out of range
    """
    unit = normalize(np.asarray(embeddings, np.float32))
    n = len(unit)
    if (k is None) == (cut is None):
        raise ParameterError("k, cut", (k, cut), "one of the two")
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= n):
        raise ParameterError("k", k, f"a number of clusters from 1 to {n}, the number of images")
    if cut is not None and (isinstance(cut, bool) or not isinstance(cut, int | float) or not 0 <= cut <= 1):
        raise ParameterError("cut", cut, "a difference from 0 to 1")
    tell = lambda n_merges: report(progress, "dividing the group", n_merges, n - 1)  # noqa: E731
    merges = find_merges(unit, np.ones(n), 1.0 if cut is None else cut, on_merges=tell)
    if k is not None:
        lowest = np.argsort(merges.heights, kind="stable")[: n - int(k)]
        merges = Merges(merges.first[lowest], merges.second[lowest], merges.heights[lowest])
    return merges.groups(n)
