"""Asks for the key of a brain run."""

from typing import Any

from ...brain.runs import BrainKeyError, find_run
from ..answers import text_of
from ..forms import Form, sentence


def ask_brain_key(form: Form, default: str, kind: str) -> tuple[str, Any]:
    """Asks for the key of a brain run.

    Args:
        form: the form, with its target
        default: the key that the form begins with
        kind: the type of the run, such as ``similarity``

    Returns:
        the key, and the configuration of the existing run of that key, None without one
    """
    key = text_of(form.ctx, "brain_key") or default
    problem = None if key.isidentifier() else "Letters, digits and _ only"
    form.text("brain_key", "Brain key", default=default, description="The App lists it by this name", problem=problem)
    if problem is not None:
        return key, None
    try:
        return key, find_run(form.target.dataset, key, kind)
    except BrainKeyError as error:
        form.error("brain_key", sentence(error))
        return key, None
