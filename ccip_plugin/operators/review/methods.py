"""The methods of the panel by their names, with what each takes; nothing else can be called."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import fiftyone as fo

from ...app.packages import check_packages
from ...app.route import Check, text
from ...review.cards import SHOWS, SORTS
from ...review.problems import ReviewError, answered
from . import arguments as take
from .calls import Call
from .reading import READING
from .writing import WRITING

COMMON: Mapping[str, Check] = {
    "source": take.optional(take.source),
    "tab": take.optional(take.short),
    "by": take.optional(take.short),
}
"""What every method takes."""
_CHECKS: Mapping[str, Mapping[str, Check]] = {
    "open": {},
    "groups": {
        "sort": take.choice(*SORTS),
        "show": take.choice(*SHOWS),
        "find": text,
        "page": take.whole(0, take.MAX_ID),
        "per_page": take.whole(1, 48),
    },
    "group": {"id": take.group_id, "page": take.whole(0, take.MAX_ID)},
    "names": {"text": text},
    "history": {"n": take.whole(1, 200), "skip": take.whole(0, 100_000)},
    "pictures": {"ids": take.listed(take.item_id, 500, "ids of images or detections")},
}


@dataclass(frozen=True)
class Method:
    """A method of the panel.

    Attributes:
        function: what it calls
        checks: what its arguments can be
        writes: whether it wants the token
    """

    function: Callable[..., dict[str, Any]]
    checks: Mapping[str, Check]
    writes: bool

    @property
    def needed(self) -> list[str]:
        """The arguments without a default."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return [each.name for each in parameters if each.default is each.empty]


METHODS: Mapping[str, Method] = {
    name: Method(function, _CHECKS[name], writes)
    for table, writes in ((READING, False), (WRITING, True))
    for name, function in table.items()
}
"""The literal table: what is not in it cannot be called."""


def call_method(samples: fo.Dataset, method: Any, args: Any = None, token: Any = None) -> dict[str, Any]:
    """Calls a method of the panel by its name.

    Args:
        samples: the dataset
        method: its name
        args (None): its arguments
        token (None): what ``open`` gave; writing methods want it

    Returns:
        what it gives, or a ``problem``
    """
    return dispatch(Call(samples), method, args, token)


def dispatch(call: Call, method: Any, args: Any, token: Any) -> dict[str, Any]:
    """Calls a method of the panel by its name.

    Args:
        call: who calls, on which dataset
        method: its name
        args: its arguments
        token: what ``open`` gave; writing methods want it
    """

    def work() -> dict[str, Any]:
        check_packages()
        chosen = METHODS.get(method) if isinstance(method, str) else None
        if chosen is None:
            raise ReviewError("invalid", f"there is no such method, but: {', '.join(METHODS)}")
        problems = take.problems_of(args, {**COMMON, **chosen.checks}, chosen.needed)
        if problems:
            raise ReviewError("invalid", "; ".join(f"{name}: {why}" for name, why in problems.items()))
        given = dict(args or {})
        named = replace(call, **{name: given.pop(name, None) for name in COMMON})
        if chosen.writes:
            named.check_token(token)
        return chosen.function(named, **given)

    return answered(work)
