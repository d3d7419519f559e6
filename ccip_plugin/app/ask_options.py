"""Form inputs made from options, and the options that a form gives back."""

from collections.abc import Mapping, Sequence
from typing import Any

from fiftyone.operators import types

from ..core.errors import ParameterError
from ..core.options import Choice, Option, Options
from .forms import Form, number_of, sentence

MANY_CHOICES = 5


def ask_option(
    form: Form,
    option: Option,
    *,
    default: Any = None,
    choices: Sequence[Choice] | None = None,
    placeholder: str | None = None,
    problem: str | None = None,
) -> None:
    """Adds the input of an option to a form; an invalid answer is shown beside it.

    Args:
        form: the form
        option: the option
        default (None): the value that the form begins with, that of the option by default
        choices (None): the values to choose from, those of the option by default
        placeholder (None): what an empty input shows
        problem (None): why the answer cannot be used, if that is known
    """
    shown: dict[str, Any] = {
        "label": option.spec.label or option.name,
        "default": option.default if default is None else default,
        "description": option.spec.help if option.spec.description is None else option.spec.description,
    }
    choices = option.choices if choices is None else choices
    if choices:
        del shown["description"]  # each choice has its own
        asked = _ask_choice(form, option, choices, shown)
    elif option.kind is bool:
        asked = form.inputs.bool(option.name, view=types.SwitchView(), **shown)
    else:
        if placeholder is not None:
            shown["view"] = types.TextFieldView(placeholder=placeholder, space=6)
        kinds = {int: form.inputs.int, float: form.inputs.float}
        asked = kinds.get(option.kind, form.inputs.str)(option.name, **shown)
    problem = problem or problem_of(form.ctx, option)
    if problem is not None:
        asked.invalid, asked.error_message = True, problem


def _ask_choice(form: Form, option: Option, choices: Sequence[Choice], shown: dict[str, Any]) -> types.Property:
    is_long = len(choices) > MANY_CHOICES and not any(choice.description for choice in choices)
    view = types.Dropdown() if is_long else types.RadioGroup(orientation="vertical")
    for choice in choices:
        view.add_choice(choice.value, label=choice.label, description=choice.description or None)
    return form.inputs.enum(option.name, view.values(), view=view, **shown)


def problem_of(ctx: Any, option: Option) -> str | None:
    """Why the answer to an option cannot be used; None when it can, or there is none."""
    value = _answer(ctx, option)
    try:
        option.check(option.default if value is None else value)
    except ParameterError as error:
        return sentence(ValueError(error.wanted))
    return None


def given_options(ctx: Any, cls: type[Options]) -> dict[str, Any]:
    """The options that a form or a script gave; the defaults of the others are those of the class.

    Args:
        ctx: the execution context
        cls: the class of options
    """
    answers: Mapping[str, Any] = {option.name: _answer(ctx, option) for option in cls.all()}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _answer(ctx: Any, option: Option) -> Any:
    """What was answered, None for an empty input. All numbers of a form may come as floats."""
    value = number_of(ctx, option.name)
    if isinstance(value, str):
        return value.strip() or None
    if option.kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
