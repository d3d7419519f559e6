"""The methods of the panel by their names, with what each takes; nothing else can be called."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import fiftyone as fo

from ...app.packages import check_packages
from ...app.route import Check, switch, text
from ...review.answers import KINDS_ASKED, WORDS_SAID
from ...review.cards import MOST_SHOWN, SHOWS, SORTS
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
ANSWER: Mapping[str, Check] = {
    "question": take.short,
    "kind": take.choice(*KINDS_ASKED),
    "said": take.choice(*WORDS_SAID),
    "shown": take.plain,
    "marked": take.tiles,
    "name": take.optional(take.name),
    "n": take.whole(0, 12),
    "skip": take.listed(take.short, 50, "ids of questions"),
}
"""What an answer is."""
SIZES, SHOWN_IN = take.optional(take.sizes), take.optional(take.whole(0, take.MAX_ID))
"""What was shown: the numbers of images of groups; the group in which images were, 0 for none."""
_CHECKS: Mapping[str, Mapping[str, Check]] = {
    "open": {},
    "groups": {
        "sort": take.choice(*SORTS),
        "show": take.choice(*SHOWS),
        "find": text,
        "page": take.whole(0, take.MAX_ID),
        "per_page": take.whole(1, MOST_SHOWN),
        "ids": take.optional(take.listed(take.group_id, MOST_SHOWN, "ids of groups")),
        "newest": take.whole(0, take.MAX_ID),
    },
    "listing": {"sort": take.choice(*SORTS), "show": take.choice(*SHOWS)},
    "group": {"id": take.group_id, "page": take.whole(0, take.MAX_ID)},
    "names": {"text": text},
    "history": {"n": take.whole(1, 200), "skip": take.whole(0, 100_000)},
    "disputes": {"n": take.whole(1, 100)},
    "questions": {
        "n": take.whole(0, 12),
        "kinds": take.optional(take.listed(take.choice(*KINDS_ASKED), len(KINDS_ASKED), "kinds of questions", least=1)),
        "skip": take.listed(take.short, 50, "ids of questions"),
    },
    "image": {"id": take.item_id},
    "show": {
        "groups": take.optional(take.group_ids),
        "items": take.optional(take.items),
        "answers": take.optional(switch),
        "several": take.optional(switch),
    },
    "work": {"id": take.short},
    "cancel": {"id": take.short},
    "answer": ANSWER,
    "answers": {"answers": take.answers(ANSWER, ("question", "kind", "said", "shown"))},
    "confirm": {"groups": take.group_ids, "sizes": SIZES},
    "ignore": {
        "groups": take.optional(take.group_ids),
        "items": take.optional(take.items),
        "sizes": SIZES,
        "group": SHOWN_IN,
    },
    "rename": {"group": take.group_id, "name": take.name, "merge": switch, "sizes": SIZES},
    "merge": {"groups": take.group_ids, "name": take.optional(take.name), "sizes": SIZES},
    "split": {
        "group": take.group_id,
        "k": take.optional(take.whole(2, 100)),
        "parts": take.optional(take.parts),
        "sizes": SIZES,
    },
    "keep_apart": {"groups": take.group_ids, "sizes": SIZES},
    "keep_together": {"groups": take.group_ids, "sizes": SIZES},
    "move": {
        "items": take.items,
        "to": take.optional(take.group_id),
        "name": take.optional(take.name),
        "group": SHOWN_IN,
    },
    "reject": {"items": take.items, "group": SHOWN_IN},
    "two": {"items": take.items},
    "cover": {"group": take.group_id, "items": take.items},
    "undo": {"number": take.optional(take.whole(1, take.MAX_ID))},
    "redo": {},
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
