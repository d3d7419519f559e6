"""The two halves of a group, as its own average linkage divides it last."""

from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, IntArray, Vectors

SMALLEST = 6
"""Smallest group that is divided."""

_SMALLEST_HALF = 3
_SAMPLE = 160  # images that the linkage sees; the others go to the nearer half
_MOST_BRANCHES = 8  # tiny branches that are peeled off before the group falls into two parts worth asking about


@dataclass(frozen=True, eq=False)
class Halves:
    """Two parts of a group.

    Attributes:
        first: rows of the larger part
        second: rows of the smaller one
        difference: mean difference between them
        inside: mean difference inside of them, the mean of both
    """

    first: IntArray
    second: IntArray
    difference: float
    inside: float


def halve(vectors: Vectors, rows: IntArray) -> Halves | None:
    """Divides a group.

    Args:
        vectors: all embeddings, of unit length
        rows: the rows of the group

    Returns:
        None if no cut gives two parts of at least three images
    """
    if len(rows) < SMALLEST:
        return None
    own = vectors[rows]
    sample = np.arange(len(rows))
    if len(rows) > _SAMPLE:
        sample = np.sort(np.random.default_rng(len(rows)).choice(len(rows), _SAMPLE, replace=False))
    branches = _branches(own[sample])
    if branches is None:
        return None
    first, second = (own[sample[branch]].mean(axis=0) for branch in branches)
    in_second = own @ second > own @ first
    in_second[sample[branches[0]]], in_second[sample[branches[1]]] = False, True
    parts = rows[~in_second], rows[in_second]
    if len(parts[0]) < len(parts[1]):
        parts = parts[1], parts[0]
    first, second = (vectors[part].mean(axis=0, dtype=np.float64) for part in parts)
    inside = [
        (1 - (n * float(mean @ mean) - 1) / (n - 1)) / 2
        for n, mean in ((len(parts[0]), first), (len(parts[1]), second))
    ]
    return Halves(*parts, float((1 - first @ second) / 2), sum(inside) / 2)


def _branches(vectors: Vectors) -> tuple[IntArray, IntArray] | None:
    """The highest cut with two branches of at least three images."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    differences = (1 - vectors @ vectors.T) / 2
    np.fill_diagonal(differences, 0)
    tree = linkage(squareform(np.maximum(differences, 0), checks=False), "average")
    n = len(vectors)
    sizes = np.concatenate([np.ones(n), tree[:, 3]])
    branches = [2 * n - 2]
    while len(branches) < _MOST_BRANCHES and max(branches) >= n:
        highest = max(branches)  # merges are in the order of their heights
        branches.remove(highest)
        branches += tree[highest - n, :2].astype(int).tolist()
        first, second = sorted(branches, key=lambda branch: -sizes[branch])[:2]
        if sizes[second] >= _SMALLEST_HALF:
            return _leaves(tree, first, n), _leaves(tree, second, n)
    return None


def _leaves(tree: FloatArray, branch: int, n: int) -> IntArray:
    leaves, rest = [], [branch]
    while rest:
        each = rest.pop()
        if each < n:
            leaves.append(each)
        else:
            rest += tree[each - n, :2].astype(int).tolist()
    return np.sort(np.array(leaves, np.int64))
