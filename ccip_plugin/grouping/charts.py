"""Charts of groupings."""

from collections.abc import Mapping

from ..reports.charts import Chart

_EDGES = (2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)


def size_chart(sizes: Mapping[int, int]) -> Chart:
    """The distribution of group sizes; large sizes share a column.

    Args:
        sizes: the number of groups by size
    """
    counts: dict[str, int] = {}
    for size in sorted(sizes):
        label = _bin(size)
        counts[label] = counts.get(label, 0) + sizes[size]
    columns = [(label, float(count)) for label, count in counts.items()]
    return Chart("sizes", "Group size distribution", "images in a group", "groups", columns=columns)


def _bin(size: int) -> str:
    first = max((edge for edge in _EDGES if edge <= size), default=size)
    after = next((edge for edge in _EDGES if edge > first), None)
    if size < _EDGES[0] or after == first + 1:
        return f"{size}"
    return f"{first} or more" if after is None else f"{first} to {after - 1}"
