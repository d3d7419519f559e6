"""Names of characters as codes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray

Names = ArrayLike | Sequence[object]


def codes_of(labels: Names) -> tuple[IntArray, list[object]]:
    """Numbers labels in the order in which they first appear.

    Args:
        labels: ``(n,)`` numbers or names; None, NaN, an empty name and negative numbers are no label

    Returns:
        ``(n,)`` numbers 0, 1, ..., -1 for none; and the label of each number
    """
    values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)  # type: ignore[arg-type]
    numbers: dict[object, int] = {}
    codes = np.fromiter((_code(value, numbers) for value in values), np.int64, len(values))
    return codes, list(numbers)


def codes_only(labels: Names) -> IntArray:
    return codes_of(labels)[0]


def _code(value: object, numbers: dict[object, int]) -> int:
    is_number = isinstance(value, int | float | np.number)
    if value is None or value == "" or (is_number and not value >= 0):  # type: ignore[operator]
        return -1
    return numbers.setdefault(value, len(numbers))


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
