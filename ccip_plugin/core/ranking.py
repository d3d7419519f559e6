"""Ranking of images by their difference to one or more query images."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Vectors
from .differences import differences, normalize
from .errors import ParameterError, VectorsError

MEAN, NEAREST = "mean", "nearest"
COMBINE = (MEAN, NEAREST)
"""How the differences to several queries are combined."""

_BLOCK_ENTRIES = 1 << 24  # of a block of differences: 64 MiB


def combined_differences(vectors: ArrayLike, queries: ArrayLike, *, combine: str = MEAN) -> Vectors:
    """Computes the differences of embeddings to one or more queries, combined over the queries.

    ``mean`` is the mean difference to all queries: images similar to all of them rank first, and a single outlier among
    the queries has little weight. ``nearest`` is the smallest difference: images similar to any query rank first, e.g.
    to one of the outfits of a character. For a single query both are its difference.

    ``mean`` takes the time of one query for any number of them, as the mean difference is the difference to the mean of
    the unit vectors. ``nearest`` compares with each query.

    Args:
        vectors: ``(n, dim)`` embeddings of any length
        queries: ``(m, dim)`` embeddings, at least one, or one of shape ``(dim,)``
        combine ("mean"): ``mean`` or ``nearest``

    Returns:
        ``(n,)`` differences in [0, 1]

    Raises:
        ParameterError: the value of ``combine`` is unknown
        VectorsError: there is no query, a vector is zero or not finite, or dimensions differ
    """
    if combine not in COMBINE:
        raise ParameterError("combine", combine, f"one of {', '.join(COMBINE)}")
    if not np.size(queries):
        raise VectorsError("there is no query: select at least one image to compare with")
    if not np.size(vectors):
        return np.empty(0, np.float32)
    rows, unit_queries = np.atleast_2d(normalize(vectors)), np.atleast_2d(normalize(queries))
    if rows.shape[1] != unit_queries.shape[1]:
        raise VectorsError(f"embeddings of {rows.shape[1]} and {unit_queries.shape[1]} dimensions are not of one model")
    if combine == MEAN:
        mean = unit_queries.mean(axis=0, dtype=np.float64).astype(np.float32)
        means: Vectors = np.clip((1 - rows @ mean) / 2, 0, 1)
        return means
    step = max(1, _BLOCK_ENTRIES // len(unit_queries))
    blocks = [differences(rows[i : i + step], unit_queries).min(axis=1) for i in range(0, len(rows), step)]
    return np.concatenate(blocks)


def similarity_order(pairwise: Vectors) -> NDArray[np.intp]:
    """Orders images so that similar ones are next to each other.

    The order is the optimal leaf order (Bar-Joseph et al., 2001) of the dendrogram of average linkage.

    Args:
        pairwise: ``(n, n)`` differences of all pairs, symmetric

    Returns:
        ``(n,)`` indices of the images in that order
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(pairwise) < 3:
        return np.arange(len(pairwise))
    condensed = squareform(pairwise.astype(np.float64), checks=False)
    order: NDArray[np.intp] = leaves_list(linkage(condensed, "average", optimal_ordering=True)).astype(np.intp)
    return order
