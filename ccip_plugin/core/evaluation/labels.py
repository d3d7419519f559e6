"""Labels as integer codes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import IntArray
from ..plain import canonical_name

Names = ArrayLike | Sequence[object]


def encode_labels(labels: Names) -> tuple[IntArray, list[object]]:
    """Numbers labels in the order of their first occurrence.

    Args:
        labels: ``(n,)`` numbers or names; None, NaN, an empty name and negative numbers are no label; names are
            compared by :func:`~ccip_plugin.core.plain.canonical_name`

    Returns:
        ``(n,)`` codes 0, 1, ..., -1 for no label; and the label of each code
    """
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)  # type: ignore[arg-type]
    numbers: dict[object, int] = {}
    codes = np.fromiter((_code(value, numbers) for value in values), np.int64, len(values))
    return codes, list(numbers)


def noise_as_singletons(labels: NDArray[np.integer], start: int | None = None) -> IntArray:
    """A copy of labels in which each image in no group has a group of its own.

    Args:
        labels: ``(n,)`` groups, negative for none
        start (None): number of the first of these groups, one more than the largest label by default
    """
    groups = labels.astype(np.int64)
    is_noise = groups < 0
    start = int(groups.max(initial=-1)) + 1 if start is None else start
    groups[is_noise] = start + np.arange(int(is_noise.sum()))
    return groups


def ratio_or_nan(part: float, whole: float) -> float:
    """The quotient, NaN for division by zero."""
    return part / whole if whole else float("nan")


def _code(value: object, numbers: dict[object, int]) -> int:
    is_number = isinstance(value, int | float | np.number)
    if isinstance(value, str):
        value = canonical_name(value)
    if value is None or value == "" or (is_number and not value >= 0):  # type: ignore[operator]
        return -1
    return numbers.setdefault(value, len(numbers))
