"""Images in the order of their difference to one or several others."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import Vectors
from .differences import differences, normalize
from .errors import ParameterError, VectorsError

MEAN, NEAREST = "mean", "nearest"
COMBINE = (MEAN, NEAREST)
"""How the differences to several images become one."""

_CELLS = 1 << 24  # of the block of vectors and queries that is compared at a time: 64 MiB


def combined_differences(vectors: ArrayLike, queries: ArrayLike, *, combine: str = MEAN) -> Vectors:
    """Computes how different embeddings are from one or several others taken together.

    With ``mean`` that is the mean of the differences to all of them: what is alike to all comes first, and one odd
    query counts for little. With ``nearest`` it is the smallest: what is alike to any of them comes first, such as to
    one of the outfits of a character. For a single query both are its difference.

    ``mean`` takes the time of one query however many there are, as the mean of the differences is the difference to
    the mean of the unit vectors. ``nearest`` compares with each.

    Args:
        vectors: ``(n, dim)`` embeddings of any length
        queries: ``(m, dim)`` embeddings, at least one, or one of shape ``(dim,)``
        combine ("mean"): or ``nearest``

    Returns:
        ``(n,)`` differences in [0, 1]

    Raises:
        ParameterError: no such way to combine
        VectorsError: there is no query, a vector is zero or not finite, or they have different dimensions
    """
    if combine not in COMBINE:
        raise ParameterError("combine", combine, f"one of {', '.join(COMBINE)}")
    if not np.size(queries):
        raise VectorsError("there is nothing to compare with: name at least one image")
    if not np.size(vectors):
        return np.empty(0, np.float32)
    rows, wanted = np.atleast_2d(normalize(vectors)), np.atleast_2d(normalize(queries))
    if rows.shape[1] != wanted.shape[1]:
        raise VectorsError(f"embeddings of {rows.shape[1]} and {wanted.shape[1]} dimensions are not of one model")
    if combine == MEAN:
        mean = wanted.mean(axis=0, dtype=np.float64).astype(np.float32)
        return np.clip((1 - rows @ mean) / 2, 0, 1)
    step = max(1, _CELLS // len(wanted))
    blocks = [differences(rows[i : i + step], wanted).min(axis=1) for i in range(0, len(rows), step)]
    return np.concatenate(blocks)


def alike_order(apart: Vectors) -> NDArray[np.intp]:
    """Puts images in an order in which alike ones stand together.

    They are joined by average linkage, and its tree is turned so that neighbors are as alike as it allows (Bar-Joseph
    et al., 2001).

    Args:
        apart: ``(n, n)`` differences of all pairs, symmetric

    Returns:
        ``(n,)`` the places of the images
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(apart) < 3:
        return np.arange(len(apart))
    condensed = squareform(apart.astype(np.float64), checks=False)
    return leaves_list(linkage(condensed, "average", optimal_ordering=True)).astype(np.intp)
