"""Pieces of what operators show when they are done."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fiftyone.operators import types

from ..storage.targets import field_path

Results = dict[str, Any]
Rows = list[dict[str, Any]]

_LAYOUT = {
    "height": 260,
    "margin": {"t": 10, "b": 45, "l": 50, "r": 10},
    "xaxis": {"title": {"text": "images in a group"}, "type": "category"},
    "yaxis": {"title": {"text": "groups"}, "rangemode": "tozero"},
    "bargap": 0.15,
}
_MOST_ROWS = 50
_BINS = (2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)


def facts(pairs: Sequence[tuple[str, object]]) -> Rows:
    """Names and what there is to say of them, as the rows of a table; what is None or empty is left out."""
    return [{"fact": name, "value": _text(value)} for name, value in pairs if value is not None and value != ""]


def add_facts(outputs: types.Object, label: str) -> None:
    """Shows the rows of :func:`facts` under the key ``facts``."""
    add_table(outputs, "facts", {"fact": " ", "value": "  "}, label)


def add_warnings(outputs: types.Object, warnings: Sequence[str]) -> None:
    """Shows each warning."""
    for number, warning in enumerate(warnings):
        outputs.view(f"warning_{number}", types.Warning(label=warning))


def add_failures(outputs: types.Object, label: str) -> None:
    """Shows the rows of the key ``failures``, each with ``image`` and ``reason``."""
    add_table(outputs, "failures", {"image": "Image", "reason": "Why"}, label)


def group_changes(changes: Sequence[Mapping[str, Any]]) -> Rows:
    """What became of whole groups, as the rows of a table; the first 50.

    Args:
        changes: the values of :class:`~ccip_plugin.core.identity.matching.GroupChange`
    """
    words = {"split": "split off from group {other}", "merged": "merged into group {other}", "gone": "fallen apart"}
    return [
        {"group": change["name"], "change": words[change["kind"]].format(**change), "n": f"{change['n_items']:,}"}
        for change in changes[:_MOST_ROWS]
    ]


def add_group_changes(outputs: types.Object) -> None:
    """Shows the rows of :func:`group_changes` under the key ``groups``."""
    add_table(outputs, "groups", {"group": "Group", "change": "What became of it", "n": "Images"}, "Changed groups")


def filepaths(dataset: Any, ids: Iterable[str], patches_field: str | None) -> dict[str, str]:
    """The files of some images, or of the images of some detections, by id."""
    wanted = set(ids)
    if patches_field is None:
        return dict(zip(*dataset.select(list(wanted)).values(["id", "filepath"]), strict=True))
    path = field_path("id", patches_field)
    files, labels = dataset.select_labels(ids=list(wanted), fields=patches_field).values(["filepath", path])
    return {label: file for file, found in zip(files, labels, strict=True) for label in found or () if label in wanted}


def add_sizes(outputs: types.Object) -> None:
    """Shows the plot of the key ``sizes``."""
    outputs.plot("sizes", label="How many groups have how many images", layout=_LAYOUT, height=260)


def sizes_plot(sizes: Mapping[int, int]) -> list[dict[str, Any]]:
    """A bar per size of groups; large sizes share bars. Nothing without groups.

    Args:
        sizes: per size, how many groups have it
    """
    counts: dict[str, int] = {}
    for size in sorted(sizes):
        counts[_bin(size)] = counts.get(_bin(size), 0) + sizes[size]
    if not counts:
        return []
    return [{"type": "bar", "x": list(counts), "y": list(counts.values())}]


def _bin(size: int) -> str:
    first = max((edge for edge in _BINS if edge <= size), default=size)
    after = next((edge for edge in _BINS if edge > first), None)
    if size < _BINS[0] or after == first + 1:
        return f"{size}"
    return f"{first} or more" if after is None else f"{first} to {after - 1}"


def add_table(outputs: types.Object, key: str, columns: Mapping[str, str], label: str) -> None:
    """Shows the rows of a key as a table; ``columns`` has a title for each value of a row."""
    view = types.TableView()
    for name, title in columns.items():
        view.add_column(name, label=title)
    outputs.list(key, types.Object(), label=label, view=view)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
