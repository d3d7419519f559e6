"""Operator: opens the panel to review groups."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...storage.schema import has_dataset

PANEL = "review_characters"


def open_panel(ctx: Any) -> None:
    """Opens the panel beside the grid, in the App.

    Args:
        ctx: the context of the operator
    """
    ctx.ops.open_panel(PANEL, is_active=True, layout="horizontal")


class OpenReview(CCIPOperator):
    """Opens the panel; see :class:`~ccip_plugin.panels.review_characters.ReviewCharacters`."""

    name, label, button = "open_review", "CCIP: review", "Open"
    description = "Open the panel to review groups: cards, questions, progress"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not open the panel"
    function = staticmethod(open_panel)
    asks = route.asked()
    is_live = False
    reloads = False
    takes_samples = False

    def ask(self, form: Form) -> None:
        if form.has_dataset():
            form.hint("panel", "Opens the panel 'Review characters' beside the grid.")

    def execute(self, ctx: Any) -> dict[str, Any]:
        name = ctx.request_params.get("dataset_name")
        if isinstance(name, str) and has_dataset(name):
            open_panel(ctx)
        return {}

    def resolve_output(self, ctx: Any) -> types.Property:
        return types.Property(types.Object())

    def show(self, report: Any, out: Output) -> None:
        """The panel is what is shown."""
