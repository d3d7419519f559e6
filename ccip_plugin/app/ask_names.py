"""Pieces of forms and outputs that the operators for evaluation share."""

from collections.abc import Sequence
from typing import Any

from fiftyone.operators import types

from ..evaluation.ground_truth import name_attribute, name_fields
from ..reports.charts import Chart
from ..storage.targets import CCIPError, Target
from . import forms, outputs

LIKELY = ("ground_truth", "character", "label")
"""Names of fields that usually say who is who; proposed first."""

MOST_ROWS = 50
_PLOT = "plot_"


def ask_for_names(form: forms.Form, target: Target, name: str, label: str, *, default: str | None = None) -> str | None:
    """Asks for a field with names.

    Args:
        form: the form
        target: the items
        name: of the parameter
        label: the question
        default (None): the field that is proposed, when it is there; else one of :data:`LIKELY`

    Returns:
        the answer; None when there is none, or it cannot be used: then the form says so
    """
    found = name_fields(target)
    if not found:
        form.error(name, "No field of this dataset says who is who: one with a name for each is needed.")
        return None
    proposed = next((each for each in (default, *LIKELY) if each in found), found[0])
    choices = types.AutocompleteView() if len(found) > 8 else types.Dropdown()
    for each in found:
        choices.add_choice(each, label=each)
    form.inputs.enum(name, choices.values(), label=label, default=proposed, required=True, view=choices)
    chosen = forms.text_of(form.ctx, name) or proposed
    try:
        name_attribute(target, chosen)
    except CCIPError as error:
        form.error(name, forms.sentence(error))
        return None
    return chosen


def charts_as_results(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """Charts as plain values; for :func:`add_charts`."""
    return [
        {"key": f"{_PLOT}{i}", "label": chart.title, "data": chart.traces(), "layout": chart.layout()}
        for i, chart in enumerate(charts)
    ]


def plots_of(charts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What plots show, by the keys under which they look for it."""
    return {chart["key"]: chart["data"] for chart in charts}


def add_charts(shown: types.Object, charts: Sequence[dict[str, Any]]) -> None:
    """Shows the charts of :func:`charts_as_results`."""
    for chart in charts:
        shown.plot(chart["key"], label=chart["label"], layout=chart["layout"], height=chart["layout"]["height"])


def add_rows(shown: types.Object, results: dict[str, Any], key: str, label: str) -> None:
    """Shows the rows of a key as a table with the names of their values as titles."""
    if results.get(key):
        outputs.add_table(shown, key, {name: name for name in results[key][0]}, label)
