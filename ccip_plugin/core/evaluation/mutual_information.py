"""Adjusted mutual information that stays fast with very many groups."""

import numpy as np

from ..arrays import IntArray

_TERMS = 1 << 20  # terms summed at a time


def adjusted_mutual_information(shared: IntArray, sizes: IntArray, totals: IntArray, mutual: float) -> float:
    """The adjusted mutual information (Vinh et al., 2010), normalized by the arithmetic mean, as in scikit-learn.

    The expectation depends on the sizes of groups only, and most groups have the size of many others, so each pair of
    different sizes is computed once. Therefore the time does not grow with the number of groups, as that of
    scikit-learn's does (a minute for 100,000 images of 22,000 characters, a second here).

    Args:
        shared: images in both a group of one partition and a group of the other, without zeros
        sizes: images in each group of the first partition
        totals: images in each group of the second partition
        mutual: the mutual information, in nats
    """
    if len(sizes) == len(totals) == 1:
        return 1.0
    if min(len(sizes), len(totals)) == 1:
        return 0.0
    tiny = float(np.finfo(np.float64).eps)
    expected = expected_mutual_information(sizes, totals)
    numerator, denominator = mutual - expected, (_entropy(sizes) + _entropy(totals)) / 2 - expected
    return _away_from_zero(numerator, tiny) / _away_from_zero(denominator, tiny)


def expected_mutual_information(sizes: IntArray, totals: IntArray) -> float:
    """The expected mutual information, in nats, of two random partitions with groups of these sizes.

    Args:
        sizes: images in each group of the first partition
        totals: images in each group of the second partition; as many in total
    """
    n = int(sizes.sum())
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    (rows, n_rows), (columns, n_columns) = (np.unique(counts, return_counts=True) for counts in (sizes, totals))
    result = 0.0
    for row, count in zip(rows.tolist(), n_rows.tolist(), strict=True):
        first = np.maximum(1, row + columns - n)
        lengths = np.minimum(row, columns) - first + 1
        step = max(1, _TERMS // int(lengths.max()))
        for start in range(0, len(columns), step):
            part = slice(start, start + step)
            length = lengths[part]
            begins = np.cumsum(length) - length
            both = np.repeat(first[part] - begins, length) + np.arange(length.sum())
            column = np.repeat(columns[part], length)
            probability = np.exp(
                log_factorials[row] + log_factorials[column] + log_factorials[n - row] + log_factorials[n - column]
                - log_factorials[n] - log_factorials[both] - log_factorials[row - both] - log_factorials[column - both]
                - log_factorials[n - row - column + both]
            )  # fmt: skip
            terms = both / n * (np.log(n * both) - np.log(row) - np.log(column)) * probability
            result += count * float(terms @ np.repeat(n_columns[part], length))
    return result


def _entropy(sizes: IntArray) -> float:
    shares = sizes / sizes.sum()
    return float(-(shares * np.log(shares)).sum())


def _away_from_zero(value: float, tiny: float) -> float:
    """At least ``tiny`` in absolute value, so that zero divided by zero is one."""
    return min(value, -tiny) if value < 0 else max(value, tiny)
