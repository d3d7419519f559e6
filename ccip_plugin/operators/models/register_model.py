"""Operator: the CCIP models in FiftyOne's model zoo."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import given
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.options import Choice
from ...zoo.registration import Registration, find_registration, register_model, unregister_model

REGISTER, REMOVE = "register", "remove"


def _register(
    *, remove: bool = False, copy: bool = False, overwrite: bool = False, progress: Any = None
) -> Registration | None:
    """Registers the models or, with ``remove``, removes them; None when there was nothing to remove."""
    return unregister_model() if remove else register_model(copy=copy, overwrite=overwrite)


class RegisterModel(CCIPOperator):
    """Registers the models in the zoo; see :func:`~ccip_plugin.zoo.registration.register_model`."""

    name, label, button = "register_model", "CCIP: register models", "Register"
    description = "Let the tools of FiftyOne find the CCIP models by name: similarity search, embeddings, zoo"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not register the models"
    function = staticmethod(_register)
    asks = route.asked(action=route.text)
    takes_samples = is_live = False

    def ask(self, form: Form) -> None:
        registration = find_registration()
        form.hint("state", _state(registration))
        if registration is None or not registration.is_ours:
            return
        label = "Register: there is nothing to do" if registration.is_current else "Register again, with this version"
        choices = [Choice(REGISTER, label), Choice(REMOVE, "Remove them from the zoo; downloaded model files stay")]
        if form.choose("action", "Action", choices, default=REGISTER) == REMOVE:
            form.button = "Remove"

    def options(self, ctx: Any) -> dict[str, Any]:
        return {"remove": ctx.params.get("action") == REMOVE, **given(ctx, ("copy", "overwrite"))}

    def show(self, report: Registration | None, out: Output) -> None:
        title = "CCIP: models in FiftyOne's model zoo"
        if report is None:
            out.text("there was no registration", title)
        else:
            out.facts(report.facts(is_removed=out.ctx.params.get("action") == REMOVE), title)


def _state(registration: Registration | None) -> str:
    if registration is None:
        return "The models are not in FiftyOne's model zoo on this machine. Registering them downloads nothing."
    version = registration.version or "unknown"
    if not registration.is_ours:
        return f"The models are in the zoo as a downloaded source, version {version}."
    if not registration.is_current:
        return f"The models are in the zoo, but of another version of the plugin (version {version})."
    return "The models are in the zoo, up to date."
