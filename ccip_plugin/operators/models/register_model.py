"""Operator: the CCIP models in FiftyOne's model zoo."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import forms, outputs
from ...zoo.registration import Registration, find_registration, register_model, unregister_model

TITLE = "CCIP: register models"
REGISTER, REMOVE = "register", "remove"


class RegisterModel(foo.Operator):
    """Makes the models known to the zoo; see :func:`~ccip_plugin.zoo.registration.register_model`."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="register_model",
            label=TITLE,
            description="Let the tools of FiftyOne find the CCIP models by name: similarity search, embeddings, zoo",
            **forms.ICONS,
            dynamic=True,
            allow_immediate_execution=True,
            allow_delegated_execution=False,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        found = find_registration()
        form.hint("state", _state(found))
        if found is None or not found.is_ours:
            return form.property("Register")
        choices = types.RadioGroup(orientation="vertical")
        label = "Register: there is nothing to do" if found.is_current else "Register again, with what is here now"
        choices.add_choice(REGISTER, label=label)
        choices.add_choice(REMOVE, label="Take them out of the zoo; downloaded model files stay")
        form.inputs.enum("action", choices.values(), label="Do", default=REGISTER, view=choices)
        return form.property("Take out" if ctx.params.get("action") == REMOVE else "Register")

    def execute(self, ctx: Any) -> dict[str, Any]:
        if ctx.params.get("action", REGISTER) == REMOVE:
            return _results(unregister_model(), is_removed=True)
        return _results(register_model(**forms.options(ctx, ("copy", "overwrite"))))

    def resolve_output(self, ctx: Any) -> types.Property:
        shown = types.Object()
        outputs.add_facts(shown, "CCIP: models taken out of the zoo" if ctx.results["is_removed"] else "CCIP: models")
        return types.Property(shown, view=types.View(label=TITLE))

    def __call__(self, samples: Any = None, *, remove: bool = False, **options: Any) -> Registration | None:
        """Registers from Python.

        Args:
            samples (None): not needed, as the models are there for all datasets
            remove (False): take the models out of the zoo
            options: those of :func:`~ccip_plugin.zoo.registration.register_model`

        Returns:
            a :class:`~ccip_plugin.zoo.registration.Registration`; None when there was nothing to remove
        """
        return unregister_model() if remove else register_model(**options)


def _state(found: Registration | None) -> str:
    if found is None:
        return "The models are not in FiftyOne's model zoo on this machine. Registering them downloads nothing."
    if not found.is_ours:
        return f"The models are in the zoo as a downloaded source, version {found.version or 'unknown'}."
    if not found.is_current:
        return (
            f"The models are in the zoo, but from another state of the plugin (version {found.version or 'unknown'})."
        )
    return "The models are in the zoo, up to date."


def _results(found: Registration | None, *, is_removed: bool = False) -> dict[str, Any]:
    if found is None:
        return {"facts": outputs.facts([("Done", "nothing, there was no registration")]), "is_removed": is_removed}
    state = "taken out" if is_removed else "registered now" if found.is_new else "were there, nothing done"
    pairs = [
        ("State", state),
        ("Folder", str(found.folder)),
        ("Code", f"{'linked to' if found.is_linked else 'copy of'} {found.package}"),
        ("Version", found.version),
        ("Models", ", ".join(found.models)),
        ("In Python", None if is_removed else f'foz.load_zoo_model("{found.default_model}")'),
    ]
    return {"facts": outputs.facts(pairs), "is_removed": is_removed}
