"""The result of an operator as the App shows it: facts, tables and plots, values and views made in one place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import fiftyone as fo
from fiftyone.operators import types

from ..reports.charts import Chart, Heatmap
from ..reports.facts import Facts
from ..reports.plotly import layout, traces
from ..storage.targets import all_images

Results = dict[str, Any]

MAX_ROWS = 50
"""Rows of a table that an operator shows."""

PICTURE_HEIGHT = "96px"
SHOW_GROUP = "@ccip/characters/show_group"
"""What a click on a picture calls, with the group or the items, and the path of their field."""
CLICKED_ITEMS = 200
"""The most items that a click on a picture shows by their ids."""

_ELEMENTS = "elements"
_FACTS = {"kind": "table", "key": "facts", "label": "", "columns": {"fact": " ", "value": "  "}}


@dataclass(frozen=True)
class Picture:
    """An image that shows something in the grid when it is clicked.

    Attributes:
        file: its path
        group: the name of its group
        path: the field with the groups
        group_id (None): the id of the group, which finds it under any name
        ids (()): what is shown instead of the group, the first :data:`CLICKED_ITEMS`: ids of images or detections
    """

    file: str
    group: str
    path: str
    group_id: int | None = None
    ids: Sequence[str] = ()

    def click(self) -> dict[str, Any]:
        """What a click calls :data:`SHOW_GROUP` with."""
        if self.ids:
            return {"items": list(self.ids[:CLICKED_ITEMS]), "path": self.path}
        group = {"group": self.group} if self.group_id is None else {"group_id": self.group_id}
        return {**group, "path": self.path}


@dataclass(frozen=True)
class PictureRow:
    """A line of text with pictures below it."""

    text: str
    pictures: Sequence[Picture]

    def as_dict(self) -> dict[str, Any]:
        """The row as plain values; the pictures themselves are values of the result."""
        return {"text": self.text, "pictures": [{"alt": each.group, "click": each.click()} for each in self.pictures]}


class Output:
    """What an operator shows when it is done.

    A delegated run stores :meth:`results`; :func:`as_property` gives their view, in whatever process.

    Args:
        ctx: the execution context
        title: the title of the summary
        reloads (True): whether the App has to reload the dataset

    Attributes:
        message: the result in one line
        is_clean: whether nothing needs attention
        view: the view that the App shows then, None for the current one
        clears_selection: whether the App clears the selection before it shows the view
        download: what the browser saves: its content as a URL, and the name of the file; None for nothing
        has_dialog: whether the result is shown in a dialog, too
    """

    def __init__(self, ctx: Any, title: str, *, reloads: bool = True):
        self.ctx, self.title, self.reloads = ctx, title, reloads
        self.message, self.is_clean = title, True
        self.view: fo.DatasetView | None = None
        self.download: tuple[str, str] | None = None
        self.clears_selection, self.has_dialog = False, True
        self._values: Results = {}
        self._elements: list[dict[str, Any]] = []
        self._warnings: list[str] = []

    def facts(self, facts: Facts, label: str) -> None:
        """Shows the facts of a report as a table if there are any, warnings above, and the headline as the message.

        Args:
            facts: the facts
            label: the title of the table
        """
        self.message = f"CCIP: {facts.headline}"
        self.is_clean = not facts.warnings
        self._warnings += facts.warnings
        if facts.pairs:
            self._add(_FACTS | {"label": label}, [{"fact": label, "value": value} for label, value in facts.pairs])

    def pairs(self, headline: str, pairs: Iterable[tuple[str, object]], label: str) -> None:
        """Shows a result in one line, and labeled values, those that are not None; see :meth:`facts`."""
        self.facts(Facts.of(headline, pairs), label)

    def text(self, text: str, label: str) -> None:
        """Shows a single sentence.

        Args:
            text: the sentence, without a full stop
            label: the title
        """
        self.facts(Facts(text, (("Result", text),)), label)

    def table(
        self,
        key: str,
        label: str,
        rows: Iterable[Mapping[str, object]],
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """Shows rows as a table; nothing without any.

        Args:
            key: the key of the rows in the results
            label: the title
            rows: the rows, of plain values
            columns (None): the titles of the columns by the keys of a row, the keys themselves by default
        """
        shown = [dict(row) for row in rows]
        if shown:
            titles = {name: name for name in shown[0]} if columns is None else dict(columns)
            self._add({"kind": "table", "key": key, "label": label, "columns": titles}, shown)

    def chart(self, chart: Chart | Heatmap) -> None:
        """Shows a chart; its traces are in the results, by its number: ``plot_0``."""
        n = sum(element["kind"] == "plot" for element in self._elements)
        element = {"kind": "plot", "key": f"plot_{n}", "label": chart.title, "layout": layout(chart)}
        self._add(element, traces(chart))

    def pictures(self, key: str, label: str, rows: Iterable[PictureRow]) -> None:
        """Shows rows of pictures; a click on one shows its group, or its items, in the grid. Nothing without any row.

        Args:
            key: the key of the rows in the results
            label: the title
            rows: the rows
        """
        shown = list(rows)
        if shown:
            element = {"kind": "pictures", "key": key, "label": label, "rows": [row.as_dict() for row in shown]}
            urls = {
                f"row_{number}": {f"picture_{place}": _media(each.file) for place, each in enumerate(row.pictures)}
                for number, row in enumerate(shown)
            }
            self._add(element, urls)

    def show_view(self, view: fo.DatasetView, *, clears_selection: bool = False) -> None:
        """Lets the App show a view."""
        self.view, self.clears_selection = view, clears_selection

    def warn(self, text: str) -> None:
        """Shows a warning above the others."""
        self.is_clean = False
        self._warnings = [text, *(each for each in self._warnings if each != text)]

    def add_title(self, text: str) -> None:
        """Says more in the title, and above the facts."""
        self.title = f"{self.title}: {text}"
        for element in self._elements:
            if element["key"] == _FACTS["key"]:
                element["label"] = f"{element['label']}: {text}"

    def clear(self) -> None:
        """Shows nothing of what was to be shown."""
        self.message, self.is_clean, self.view = self.title, True, None
        self._values, self._elements, self._warnings = {}, [], []

    def restore(self, results: Mapping[str, Any]) -> None:
        """Shows earlier :meth:`results` again."""
        self._elements, self._warnings = list(results[_ELEMENTS]), list(results["warnings"])
        self._values = {each["key"]: results[each["key"]] for each in self._elements}
        self.message, self.is_clean = results["message"], not self._warnings

    def results(self) -> Results:
        """The values, and what it takes to show them; all of them plain."""
        return {**self._values, "title": self.title, "warnings": self._warnings, _ELEMENTS: self._elements}

    def _add(self, element: dict[str, Any], value: Any) -> None:
        self._elements.append(element)
        self._values[element["key"]] = value


def as_property(results: Mapping[str, Any] | None) -> types.Property:
    """How the App shows results. Those of an older version have no description: of them it shows the facts."""
    results = results or {}
    shown = types.Object()
    for number, warning in enumerate(results.get("warnings") or ()):
        shown.view(f"warning_{number}", types.Warning(label=warning))
    for element in results.get(_ELEMENTS, [_FACTS] if "facts" in results else []):
        _show(shown, element)
    return types.Property(shown, view=types.View(label=results.get("title")))


def file_paths(dataset: fo.Dataset, ids: Sequence[str], patches_field: str | None) -> dict[str, str]:
    """The files of some samples, or of the samples of some detections, by their ids."""
    if not ids:
        return {}
    if patches_field is None:
        return dict(zip(*all_images(dataset).select(list(ids)).values(["id", "filepath"]), strict=True))
    view = all_images(dataset).select_labels(ids=list(ids), fields=patches_field)
    paths, nested = view.values(["filepath", f"{patches_field}.detections.id"])
    return {label_id: path for path, label_ids in zip(paths, nested, strict=True) for label_id in label_ids or ()}


def _show(shown: types.Object, element: Mapping[str, Any]) -> None:
    if element["kind"] == "plot":
        look = element["layout"]
        shown.plot(element["key"], label=element["label"], layout=look, height=look["height"])
        return
    if element["kind"] == "pictures":
        _show_pictures(shown, element)
        return
    view = types.TableView()
    for name, title in element["columns"].items():
        view.add_column(name, label=title)
    shown.list(element["key"], types.Object(), label=element["label"], view=view)


def _show_pictures(shown: types.Object, element: Mapping[str, Any]) -> None:
    shown.view(f"{element['key']}_title", types.Header(label=element["label"]))
    rows = shown.grid(element["key"], orientation="vertical", gap=1)
    for number, row in enumerate(element["rows"]):
        line = rows.grid(f"row_{number}", orientation="horizontal", gap=1, label=row["text"])
        for place, clicked in enumerate(row["pictures"]):
            look = {"height": PICTURE_HEIGHT, "alt": clicked.get("alt", "")}
            view = types.ImageView(**look, operator=SHOW_GROUP, params=clicked.get("click", clicked))
            line.str(f"picture_{place}", view=view)


def _media(path: str) -> str:
    """Where the App's server has a file."""
    return f"/media?filepath={quote(path, safe='')}"
