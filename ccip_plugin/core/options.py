"""Options, each defined once: a dataclass generates signature, validation, form, command line and run record."""

import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self, TypeVar

from .errors import ParameterError

R = TypeVar("R")

_SPEC = "option"
_PLACEHOLDER = "{options}"


@dataclass(frozen=True)
class Choice:
    """A valid value of an option.

    Attributes:
        value: the value
        label: its label in a form
        description: a line of explanation
    """

    value: str
    label: str
    description: str = ""


@dataclass(frozen=True)
class Spec:
    """Validation and presentation of an option.

    Attributes:
        help: one sentence for docstrings and ``--help``
        label: its label in a form; its name as words by default
        description: the text below it in a form; ``help`` by default
        choices: the valid values, empty for any value; a callable if they are not known at import
        noun: a noun for its values, e.g. "a difference"; by default depends on its kind
        minimum: its smallest value
        maximum: its largest value
        metavar: the name of its value in ``--help``
        flag: its name on the command line, None for the name with hyphens
        is_advanced: whether a form shows it among the advanced options
        for_patches: whether it applies to detections only
        in_form: whether the App's form has it
        on_command_line: whether the command line has it
        is_recorded: whether it is part of the run record
    """

    help: str
    label: str = ""
    description: str | None = None
    choices: Sequence[Choice] | Callable[[], Sequence[Choice]] = ()
    noun: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    metavar: str | None = None
    flag: str | None = None
    is_advanced: bool = False
    for_patches: bool = False
    in_form: bool = True
    on_command_line: bool = True
    is_recorded: bool = True


@dataclass(frozen=True)
class Option:
    """An option of a subclass of :class:`Options`.

    Attributes:
        name: the keyword of the function and the parameter of the operator
        default: its default value
        kind: bool, int, float or str; a path is a str
        is_optional: whether None is a valid value
        spec: its validation and presentation
    """

    name: str
    default: Any
    kind: type
    is_optional: bool
    spec: Spec

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The valid values, empty for any value."""
        choices = self.spec.choices
        return tuple(choices() if callable(choices) else choices)

    @property
    def label(self) -> str:
        """The label in a form; by default its name as words."""
        return self.spec.label or self.name.replace("_", " ").capitalize()

    @property
    def flag(self) -> str:
        """The name on the command line; of a switch that is on by default, that of switching it off."""
        prefix = "no-" if self.kind is bool and self.default else ""
        return self.spec.flag or f"--{prefix}{self.name.replace('_', '-')}"

    @property
    def expected(self) -> str:
        """A description of the valid values."""
        if self.choices:
            return f"one of {', '.join(choice.value for choice in self.choices)}"
        low, high = self.spec.minimum, self.spec.maximum
        kinds = {bool: "True or False", int: "a whole number", float: "a number"}
        noun = self.spec.noun or kinds.get(self.kind, "a text")
        if low is not None and high is not None:
            return f"{noun} from {low:g} to {high:g}"
        return noun if low is None else f"{noun}, at least {low:g}"

    def check(self, value: Any) -> None:
        """Validates a value.

        Raises:
            ParameterError: the value is invalid
        """
        if value is None and self.is_optional:
            return
        if not self._has_kind(value) or not self._is_in_range(value):
            raise ParameterError(self.name, value, self.expected)

    def converted(self, value: Any) -> Any:
        """A value as its kind where that is the same value: ``1e9`` as a whole number, a bool of numpy as one."""
        if self.kind is bool and type(value).__name__ in ("bool", "bool_"):
            return bool(value)
        if self.kind is bool and isinstance(value, numbers.Integral) and value in (0, 1):
            return bool(value)
        if self.kind is int and isinstance(value, float) and value.is_integer():
            return int(value)
        return value

    def _has_kind(self, value: Any) -> bool:
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        kinds = {int: numbers.Integral, float: numbers.Real}
        return isinstance(value, kinds.get(self.kind, (str, os.PathLike)))

    def _is_in_range(self, value: Any) -> bool:
        if self.choices:
            return value in {choice.value for choice in self.choices}
        low, high = self.spec.minimum, self.spec.maximum
        return (low is None or value >= low) and (high is None or value <= high)


def option(default: Any, help: str, **spec: Any) -> Any:
    """Defines an option: a field of a subclass of :class:`Options`.

    Args:
        default: its default value
        help: one sentence for docstrings and ``--help``
        spec: the other attributes of a :class:`Spec`
    """
    return field(default=default, metadata={_SPEC: Spec(help, **spec)})


@dataclass(frozen=True)
class Options:
    """Base class of options: frozen dataclasses with fields made by :func:`option`.

    Raises:
        ParameterError: the value of an option is invalid
    """

    def __post_init__(self) -> None:
        for option in self.all():
            value = option.converted(getattr(self, option.name))
            object.__setattr__(self, option.name, value)  # the class is frozen
            option.check(value)

    @classmethod
    def all(cls) -> tuple[Option, ...]:
        """The options, in the order of their definition."""
        return _options_of(cls)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the options, in the order of their definition."""
        return tuple(option.name for option in cls.all())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Creates options from a run record; missing options get their defaults, other keys are ignored."""
        return cls(**{option.name: record[option.name] for option in cls.all() if option.name in record})

    def record(self) -> dict[str, Any]:
        """The recorded options as plain values."""
        return {option.name: getattr(self, option.name) for option in self.all() if option.spec.is_recorded}


def _options_of(cls: type[Options]) -> tuple[Option, ...]:
    hints = typing.get_type_hints(cls)
    options = []
    for definition in fields(cls):
        members = typing.get_args(hints[definition.name]) or (hints[definition.name],)
        kinds = [member for member in members if member is not types.NoneType]
        kind = next((kind for kind in (bool, int, float) if kind in kinds), str)
        default = None if definition.default is MISSING else definition.default
        options.append(Option(definition.name, default, kind, types.NoneType in members, definition.metadata[_SPEC]))
    return tuple(options)


def takes(cls: type[Options]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator: the function takes the options of a class as keywords.

    The function itself has a keyword ``options``, an instance of the class. Callers pass the options as separate
    keywords; its signature lists them, and their descriptions replace ``{options}`` in its docstring.

    Args:
        cls: a subclass of :class:`Options`
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapper(*args: Any, **keywords: Any) -> R:
            options = {name: keywords.pop(name) for name in cls.names() if name in keywords}
            return function(*args, options=cls(**options), **keywords)

        wrapper.__signature__ = _signature(function, cls)  # type: ignore[attr-defined]
        wrapper.__doc__ = _docstring(function.__doc__, cls)
        return wrapper

    return decorate


def _signature(function: Callable[..., Any], cls: type[Options]) -> inspect.Signature:
    signature = inspect.signature(function)
    hints = typing.get_type_hints(cls)
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(option.name, keyword, default=option.default, annotation=hints[option.name])
        for option in cls.all()
    ]
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "options"]
    return signature.replace(
        parameters=[
            *(parameter for parameter in own if parameter.kind is not keyword),
            *options,
            *(parameter for parameter in own if parameter.kind is keyword),
        ]
    )


def _docstring(text: str | None, cls: type[Options]) -> str | None:
    if text is None or _PLACEHOLDER not in text:
        return text
    line = next(line for line in text.splitlines() if _PLACEHOLDER in line)
    indent = line[: len(line) - len(line.lstrip())]
    descriptions = "\n".join(f"{indent}{option.name} ({option.default!r}): {option.spec.help}" for option in cls.all())
    return text.replace(line, descriptions)
