"""What an operator takes from the App's route: the answers to its form, each with bounds, and nothing else.

Whoever reaches the App can post any parameter to it, so parameters that the form does not ask for are Python's alone:
the call of an operator from Python passes them on, and a worker runs what was scheduled with them.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from ..core.errors import CCIPError
from ..core.options import Options
from ..storage.internals import is_run_by_worker

Check = Callable[[Any], str | None]
"""Says why a value cannot be an answer; None when it can."""

MAX_TEXT, MAX_NAMES = 1000, 1000
MAX_NUMBER = 1e15
_NOT_IN_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_from_python: ContextVar[bool] = ContextVar("ccip_called_from_python", default=False)


class AnswerError(CCIPError, ValueError):
    """Parameters cannot be taken from the App."""

    def __init__(self, problems: Mapping[str, str]):
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in problems.items()))
        self.problems = problems


def text(value: Any) -> str | None:
    """A text of one line, such as a name."""
    if isinstance(value, str) and len(value) <= MAX_TEXT and not _NOT_IN_TEXT.search(value):
        return None
    return f"a text of one line and at most {MAX_TEXT:,} characters is expected"


def number(value: Any) -> str | None:
    """A number; a short text, too, which the form refuses beside its input."""
    if isinstance(value, str):
        return text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(value) <= MAX_NUMBER and math.isfinite(value):
        return None
    return f"a number of at most {MAX_NUMBER:g} is expected"


def switch(value: Any) -> str | None:
    """Yes or no."""
    return None if isinstance(value, bool) else "True or False is expected"


def names(value: Any) -> str | None:
    """A list of names."""
    if isinstance(value, list) and len(value) <= MAX_NAMES and not any(text(each) for each in value):
        return None
    return f"a list of at most {MAX_NAMES:,} names is expected"


def upload(value: Any) -> str | None:
    """An uploaded file; the size of its content is checked where it is decoded."""
    if not isinstance(value, dict):
        return "an uploaded file is expected"
    rest = (each for key, each in value.items() if key != "content")
    is_plain = all(isinstance(each, int | float | None) or text(each) is None for each in rest)
    return None if is_plain and len(value) <= 20 else "an uploaded file is expected"


def asked(**checks: Check) -> Mapping[str, Check]:
    """The names that a form asks for, and what each answer can be."""
    return MappingProxyType(checks)


def answers_of(options: type[Options]) -> dict[str, Check]:
    """The answers to the options of a class that a form has."""
    checks = {bool: switch, int: number, float: number}
    return {option.name: checks.get(option.kind, text) for option in options.all() if option.spec.in_form}


def keep_answers(params: dict[str, Any], asked: Mapping[str, Check], refused: Iterable[str]) -> dict[str, str]:
    """Removes what the form does not ask for, and answers out of bounds.

    Args:
        params: the parameters, changed in place
        asked: what the form asks for
        refused: other parameters of the function; unknown ones are removed without a word

    Returns:
        why parameters were refused, by name
    """
    python_only, problems = frozenset(refused), {}
    for name in list(params):
        if name in asked:
            value = params[name]
            problem = None if value is None or value == "" else asked[name](value)
        elif name in python_only and params[name] is not None:
            problem = "can be given from Python only, in a call of the operator: its form does not ask for it"
        else:
            del params[name]
            continue
        if problem is not None:
            problems[name] = problem
            del params[name]
    return problems


def is_trusted(ctx: Any) -> bool:
    """Whether the parameters are from Python, or checked before a worker got them."""
    if _from_python.get():
        ctx.is_from_python = True  # it is executed in another thread
    return getattr(ctx, "is_from_python", False) or is_run_by_worker(ctx)


@contextmanager
def from_python() -> Iterator[None]:
    """Marks what is done inside as called from Python; the App's server never calls an operator this way."""
    token = _from_python.set(True)
    try:
        yield
    finally:
        _from_python.reset(token)
