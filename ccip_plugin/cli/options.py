"""Command line options made from options."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import ParameterError
from ..core.options import Option, Options

NONE = "none"
"""The value None on the command line, in any case: ``--max-pixels none``."""
_FUNCTIONS = {
    "patches_field": "--patches-field",
    "adopt": "adopt=True of ccip_plugin.compute_embeddings in Python",
    "compute_embeddings": "the command group",
    "group_characters": "the command group",
    "propose_groups": "group --propose",
    "calibrate": "ccip_plugin.calibrate in Python",
}
_NONE = object()  # the value None as it was given, which differs from what was not given


class Container(Protocol):
    """A parser, or a group of its arguments."""

    def add_argument(self, *flags: str, **keywords: Any) -> Any:
        """As :meth:`argparse.ArgumentParser.add_argument`."""


def add_options(
    container: Container,
    cls: type[Options],
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
    **keywords: Any,
) -> None:
    """Adds the options of a class to a parser. What is not given is None, so that the functions know the defaults.

    Args:
        container: a parser, or a group of its arguments
        cls: the class of options
        only (None): the names of the options to add, all by default
        without (()): the names of options to leave out
        keywords: more arguments of ``add_argument``
    """
    for option in cls.all():
        if option.spec.on_command_line and option.name not in without and (only is None or option.name in only):
            add_option(container, option, **keywords)


def add_option(container: Container, option: Option, **keywords: Any) -> None:
    """Adds one option to a parser.

    Args:
        container: a parser, or a group of its arguments
        option: the option
        keywords: more arguments of ``add_argument``
    """
    text = option.spec.help.replace("%", "%%")
    if option.kind is bool:
        keywords = {"default": None, **keywords}
        action, text = ("store_false", f"do not {text}") if option.default else ("store_true", text)
        container.add_argument(option.flag, dest=option.name, action=action, help=text, **keywords)
        return
    if option.choices:
        keywords = {**keywords, "choices": [choice.value for choice in option.choices]}
        text = f"{', '.join(keywords['choices'])}: {text}" if option.spec.metavar else text
    if option.default is not None:
        text += f"; default: {option.default}"
    container.add_argument(
        option.flag, dest=option.name, metavar=option.spec.metavar, type=_reader(option), help=text, **keywords
    )


def _reader(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if _may_be_none(option) and text.lower() == NONE:
            return _NONE
        try:
            value = option.kind(text)
            option.check(value)
        except (ValueError, ParameterError):
            raise argparse.ArgumentTypeError(f"{text!r} is not {_expected(option)}") from None
        if option.spec.metavar == "DIR" and not Path(text).expanduser().is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {text!r}")
        return value

    return str if option.choices else read


def _may_be_none(option: Option) -> bool:
    """Whether a value can be None. A text is taken as it is: a field may be called "none"."""
    return option.is_optional and option.kind is not str


def _expected(option: Option) -> str:
    is_another_value = _may_be_none(option) and option.default is not None
    return f"{option.expected}, or {NONE}" if is_another_value else option.expected


def given(options: argparse.Namespace, cls: type[Options]) -> dict[str, Any]:
    """The options of a class that were given, by name."""
    values = {name: getattr(options, name, None) for name in cls.names()}
    return {name: None if value is _NONE else value for name, value in values.items() if value is not None}


def spellings() -> dict[str, str]:
    """Names of options and functions in Python, and what to write for them on the command line."""
    from ..embeddings.options import EmbeddingOptions
    from ..grouping.options import GroupingOptions

    options = (*EmbeddingOptions.all(), *GroupingOptions.all())
    return {option.name: option.flag for option in options if option.spec.on_command_line} | _FUNCTIONS
