"""Operator: the methods of the review panel. It is unlisted: only the panel calls it."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...review.problems import ReviewError, answered
from ...storage.schema import DatasetGoneError, has_dataset
from .calls import Call
from .methods import call_method, dispatch


def _an_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "an object is expected"


class Review(CCIPOperator):
    """Calls a method of the panel; see :func:`~ccip_plugin.operators.review.methods.call_method`.

    Attributes:
        outdated: the message after an update of this plugin, until the App is started again
    """

    name, label = "review", "CCIP: review (used by the panel)"
    description = "Answer the review panel: groups, questions, answers, history"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not review"
    function = staticmethod(call_method)
    asks = route.asked(method=route.text, args=_an_object, token=route.text)
    is_live = False
    reloads = False
    is_listed = False
    outdated: str | None = None

    def ask(self, form: Form) -> None:
        """The panel asks, in its own way."""

    def resolve_input(self, ctx: Any) -> types.Property:
        return types.Property(types.Object())

    def execute(self, ctx: Any) -> dict[str, Any]:
        return answered(lambda: self._answer(ctx))

    def resolve_output(self, ctx: Any) -> types.Property:
        return types.Property(types.Object())

    def show(self, report: Any, out: Output) -> None:
        """The panel shows it."""

    def _answer(self, ctx: Any) -> dict[str, Any]:
        if self.outdated is not None:
            raise ReviewError("updated", self.outdated)
        name = ctx.request_params.get("dataset_name")
        if not isinstance(name, str) or not name:
            raise ReviewError("no_dataset", "no dataset is open: open one first")
        if not has_dataset(name):
            raise DatasetGoneError(name)
        params = ctx.params if isinstance(ctx.params, dict) else {}
        call = Call(ctx.dataset, is_view=bool(ctx.request_params.get("view")), ctx=ctx)
        return dispatch(call, params.get("method"), params.get("args"), params.get("token"))
