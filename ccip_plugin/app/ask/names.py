"""Asks for a field with names, such as a ground truth field, and what the App shows afterwards."""

from collections.abc import Mapping

from ...core.errors import CCIPError
from ...core.options import Choice
from ...evaluation.ground_truth import likely_ground_truth, name_attribute, name_fields
from ...storage.fields import GROUP_FIELD
from ..answers import text_of
from ..forms import Form, sentence

LIKELY = ("ground_truth", "character", "label")
"""Usual names of ground truth fields; proposed first."""
NO_VIEW = "nothing"
HOW = {
    "group_field": "Run 'CCIP: group by character' first.",
    "ground_truth_field": "Add one: a field of classifications, or of texts, with the name of the character.",
}


def ask_ground_truth(form: Form) -> str | None:
    """Asks for the ground truth field; None when there is none, and then the form says so."""
    return _ask(form, "ground_truth_field", "Ground truth field", (*LIKELY, *likely_ground_truth(form.target)))


def ask_group_field(form: Form) -> str | None:
    """Asks for the field with the groups; None when there is none, and then the form says so."""
    return _ask(form, "group_field", "Group field", (GROUP_FIELD, *LIKELY))


def ask_view(form: Form, views: Mapping[str, str], description: str | None = None) -> None:
    """Asks what the App shows when the operator is done.

    Args:
        form: the form
        views: the views, with their labels
        description (None): one line more
    """
    choices = [Choice(NO_VIEW, "The current view"), *(Choice(name, label) for name, label in views.items())]
    form.choose("show", "Show afterwards", choices, default=NO_VIEW, description=description)


def _ask(form: Form, name: str, label: str, proposed: tuple[str, ...]) -> str | None:
    fields = name_fields(form.target)
    if not fields:
        form.error(name, f"This dataset has no field with names, such as a ground truth field. {HOW[name]}")
        return None
    default = next((field for field in proposed if field in fields), fields[0])
    choices = [Choice(field, field) for field in fields]
    form.choose(name, label, choices, default=default, is_list=True, is_searchable=True)
    chosen = text_of(form.ctx, name) or default
    try:
        name_attribute(form.target, chosen)
    except CCIPError as error:
        form.error(name, sentence(error))
        return None
    return chosen
