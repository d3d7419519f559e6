"""The adjusted Rand index, by counts of pairs."""

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray, IntArray
from .labels import noise_as_singletons


def count_pairs(sizes: NDArray[np.integer] | NDArray[np.floating] | int) -> FloatArray:
    """The number of pairs in groups of these sizes."""
    numbers = np.asarray(sizes, np.float64)
    return np.asarray(numbers * (numbers - 1) / 2)


def adjusted_rand_index(
    both: FloatArray | float, grouped: FloatArray | float, same: FloatArray | float, total: FloatArray | float
) -> FloatArray:
    """The adjusted Rand index (Hubert and Arabie, 1985) from counts of pairs; 1 when both partitions are trivial.

    Args:
        both: pairs of one character in one group
        grouped: pairs in one group
        same: pairs of one character
        total: all pairs
    """
    both, grouped, same, total = (np.asarray(counts, np.float64) for counts in (both, grouped, same, total))
    expected = np.divide(grouped * same, total, out=np.zeros(np.shape(grouped * same * total)), where=total > 0)
    largest = (grouped + same) / 2
    is_trivial = largest == expected
    return np.where(is_trivial, 1.0, (both - expected) / np.where(is_trivial, 1.0, largest - expected))


def rand_index_of(labels: NDArray[np.integer], characters: IntArray) -> float:
    """The adjusted Rand index of groups and characters, with each image in no group as a group of its own.

    Args:
        labels: ``(n,)`` groups, negative for none
        characters: ``(n,)`` characters 0, 1, ...
    """
    groups = noise_as_singletons(labels)
    cells = np.unique(groups * np.int64(characters.max(initial=0) + 1) + characters, return_counts=True)[1]
    both, grouped, same = (
        float(count_pairs(sizes).sum()) for sizes in (cells, np.bincount(groups), np.bincount(characters))
    )
    return float(adjusted_rand_index(both, grouped, same, count_pairs(len(groups))))


def rand_index_without(labels: NDArray[np.integer], characters: IntArray, folds: IntArray) -> FloatArray:
    """The adjusted Rand index without each fold of characters; the groups of the other images stay as they are.

    Args:
        labels: ``(n,)`` groups, negative for none
        characters: ``(n,)`` characters
        folds: ``(n,)`` folds 0, 1, ..., none of which shares a character with another

    Returns:
        ``(n_folds,)`` scores
    """
    _, groups = np.unique(noise_as_singletons(labels), return_inverse=True)
    _, codes, totals = np.unique(characters, return_inverse=True, return_counts=True)
    sizes, n_folds = np.bincount(groups), int(folds.max(initial=-1)) + 1
    fold_of_character = np.empty(len(totals), np.int64)
    fold_of_character[codes] = folds
    cells, shared = np.unique(groups * np.int64(len(totals)) + codes, return_counts=True)
    both = _without_each_fold(count_pairs(shared), fold_of_character[cells % len(totals)], n_folds)
    same = _without_each_fold(count_pairs(totals), fold_of_character, n_folds)
    parts, removed = np.unique(folds * np.int64(len(sizes)) + groups, return_counts=True)
    before = sizes[parts % len(sizes)]
    lost = count_pairs(before) - count_pairs(before - removed)
    grouped = count_pairs(sizes).sum() - np.bincount(parts // len(sizes), weights=lost, minlength=n_folds)
    total = count_pairs(len(groups) - np.bincount(folds, minlength=n_folds))
    return adjusted_rand_index(both, grouped, same, total)


def _without_each_fold(counts: FloatArray, folds: IntArray, n_folds: int) -> FloatArray:
    """For each fold, the sum of the counts of all other folds."""
    return np.asarray(counts.sum() - np.bincount(folds, weights=counts, minlength=n_folds))
