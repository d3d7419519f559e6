"""Options, each defined once: signature, validation, form, command line and run record are made from a dataclass."""

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
_PLACE = "{options}"


@dataclass(frozen=True)
class Choice:
    """One of the values of an option.

    Attributes:
        value: the value
        label: what a form calls it
        description: one line more
    """

    value: str
    label: str
    description: str = ""


@dataclass(frozen=True)
class Spec:
    """How an option is checked and shown.

    Attributes:
        help: one sentence for docstrings and ``--help``
        label: what a form calls it
        description: what a form says below it; ``help`` by default
        choices: the values that it may have, empty for any; choices that are made late are a callable
        noun: what a value is, e.g. "a difference"; by default after its kind
        minimum: its smallest value
        maximum: its largest value
        metavar: what ``--help`` calls its value
        flag: its name on the command line, None for the name with hyphens
        is_advanced: whether a form shows it among the advanced options only
        for_patches: whether it has a meaning for detections only
        in_form: whether the App's form asks for it
        on_command_line: whether the command line takes it
        is_recorded: whether a run records it
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
    """An option of a class of options.

    Attributes:
        name: the keyword of the function and the parameter of the operator
        default: its value where nothing is given
        kind: bool, int, float or str; a path is a str
        is_optional: whether None is a value
        spec: how it is checked and shown
    """

    name: str
    default: Any
    kind: type
    is_optional: bool
    spec: Spec

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The values that it may have, empty for any."""
        choices = self.spec.choices
        return tuple(choices() if callable(choices) else choices)

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return self.spec.flag or f"--{self.name.replace('_', '-')}"

    @property
    def wanted(self) -> str:
        """The values that it may have, in words."""
        if self.choices:
            return f"one of {', '.join(choice.value for choice in self.choices)}"
        low, high = self.spec.minimum, self.spec.maximum
        kinds = {bool: "True or False", int: "a whole number", float: "a number"}
        noun = self.spec.noun or kinds.get(self.kind, "a text")
        if low is not None and high is not None:
            return f"{noun} from {low:g} to {high:g}"
        return noun if low is None else f"{noun}, at least {low:g}"

    def check(self, value: Any) -> None:
        """Checks a value.

        Raises:
            ParameterError: the option cannot have it
        """
        if value is None and self.is_optional:
            return
        if not self._has_kind(value) or not self._is_in_range(value):
            raise ParameterError(self.name, value, self.wanted)

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
    """Defines an option: a field of a class of options.

    Args:
        default: its value where nothing is given
        help: one sentence for docstrings and ``--help``
        spec: the other attributes of a :class:`Spec`
    """
    return field(default=default, metadata={_SPEC: Spec(help, **spec)})


@dataclass(frozen=True)
class Options:
    """Base of the classes of options: frozen dataclasses whose fields are made by :func:`option`.

    Raises:
        ParameterError: an option has a value that it cannot have
    """

    def __post_init__(self) -> None:
        for each in self.all():
            each.check(getattr(self, each.name))

    @classmethod
    def all(cls) -> tuple[Option, ...]:
        """The options, in the order of their definition."""
        return _options_of(cls)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.name for each in cls.all())

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Options as a run recorded them; what it has not has its default, what is no option is left out."""
        return cls(**{each.name: record[each.name] for each in cls.all() if each.name in record})

    def record(self) -> dict[str, Any]:
        """The options that a run records, as plain values."""
        return {each.name: getattr(self, each.name) for each in self.all() if each.spec.is_recorded}


def _options_of(cls: type[Options]) -> tuple[Option, ...]:
    hints = typing.get_type_hints(cls)
    options = []
    for each in fields(cls):
        members = typing.get_args(hints[each.name]) or (hints[each.name],)
        kinds = [member for member in members if member is not types.NoneType]
        kind = next((kind for kind in (bool, int, float) if kind in kinds), str)
        default = None if each.default is MISSING else each.default
        options.append(Option(each.name, default, kind, types.NoneType in members, each.metadata[_SPEC]))
    return tuple(options)


def takes(cls: type[Options]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Lets a function take the options of a class as keywords.

    The function has a keyword ``options``, which is an instance of the class. Callers give the options one by one; the
    signature names them, and ``{options}`` in the docstring of the function becomes their descriptions.

    Args:
        cls: the class of options
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def taking(*args: Any, **keywords: Any) -> R:
            given = {name: keywords.pop(name) for name in cls.names() if name in keywords}
            return function(*args, options=cls(**given), **keywords)

        taking.__signature__ = _signature(function, cls)  # type: ignore[attr-defined]
        taking.__doc__ = _documented(function.__doc__, cls)
        return taking

    return decorate


def _signature(function: Callable[..., Any], cls: type[Options]) -> inspect.Signature:
    signature = inspect.signature(function)
    hints = typing.get_type_hints(cls)
    keyword = inspect.Parameter.KEYWORD_ONLY
    taken = [
        inspect.Parameter(each.name, keyword, default=each.default, annotation=hints[each.name]) for each in cls.all()
    ]
    own = [each for each in signature.parameters.values() if each.name != "options"]
    return signature.replace(
        parameters=[
            *(each for each in own if each.kind is not keyword),
            *taken,
            *(each for each in own if each.kind is keyword),
        ]
    )


def _documented(text: str | None, cls: type[Options]) -> str | None:
    if text is None or _PLACE not in text:
        return text
    line = next(line for line in text.splitlines() if _PLACE in line)
    indent = line[: len(line) - len(line.lstrip())]
    described = "\n".join(f"{indent}{each.name} ({each.default!r}): {each.spec.help}" for each in cls.all())
    return text.replace(line, described)
