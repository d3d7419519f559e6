"""Asks for options: inputs made from their definitions, and the answers as keywords of a function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core.errors import ParameterError
from ...core.options import Choice, Option, Options
from ..answers import number_of, text_of
from ..forms import Form, sentence

AskOption = Callable[[Option], None]


def ask_options(form: Form, cls: type[Options], special: Mapping[str, AskOption]) -> None:
    """Asks for the options of a class, the advanced ones when they are wanted.

    Args:
        form: the form, with its target
        cls: the class of options
        special: inputs that depend on the dataset or on other answers, by option
    """
    options = [option for option in cls.all() if option.spec.in_form]
    options = [option for option in options if form.target.is_patches or not option.spec.for_patches]
    advanced = [option for option in options if option.spec.is_advanced]

    def ask(option: Option) -> None:
        if option.name in special:
            special[option.name](option)
        else:
            ask_option(form, option)

    for option in options:
        if option not in advanced:
            ask(option)
    if advanced and form.switch("advanced", "Advanced"):
        for option in advanced:
            ask(option)


def ask_option(
    form: Form,
    option: Option,
    *,
    default: Any = None,
    choices: Sequence[Choice] | None = None,
    placeholder: str | None = None,
    is_list: bool = False,
    is_half: bool = False,
    problem: str | None = None,
) -> None:
    """Adds the input of an option to a form; a problem with the answer is shown beside it.

    Args:
        form: the form
        option: the option
        default (None): the value that the form begins with, that of the option by default
        choices (None): the values to choose from, those of the option by default
        placeholder (None): what an empty input shows
        is_list (False): whether choices are a list, with the description of the chosen one
        is_half (False): whether a list or text takes half the width
        problem (None): why the answer cannot be used, if that is known
    """
    label = option.label
    problem = problem or problem_of(form.ctx, option)
    default = option.default if default is None else default
    choices = option.choices if choices is None else choices
    if choices:
        description = option.spec.description
        if is_list:
            chosen = text_of(form.ctx, option.name) or default
            described = {choice.value: choice.description for choice in choices}
            description = sentence(described.get(chosen) or "") or description
            choices = [replace(choice, description="") for choice in choices]
        given: dict[str, Any] = {"default": default, "description": description, "problem": problem}
        form.choose(option.name, label, choices, is_list=is_list, is_half=is_half, **given)
        return
    description = sentence(option.spec.help) if option.spec.description is None else option.spec.description
    shown: dict[str, Any] = {"default": default, "description": description, "problem": problem}
    if option.kind is bool:
        form.switch(option.name, label, **shown)
    elif option.kind in (int, float):
        form.number(option.name, label, kind=option.kind, placeholder=placeholder, **shown)
    else:
        form.text(option.name, label, is_half=is_half, **shown)


def problem_of(ctx: Any, option: Option) -> str | None:
    """Why the answer to an option cannot be used; None when it can, or there is none."""
    value = _answer(ctx, option)
    try:
        option.check(option.default if value is None else value)
    except ParameterError as error:
        return sentence(error.expected)
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
    """The answer, None for an empty input. Numbers of a form may all arrive as floats."""
    value = number_of(ctx, option.name)
    if isinstance(value, str):
        return value.strip() or None
    if option.kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
