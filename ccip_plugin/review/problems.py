"""What can be wrong when people review, as codes for the panel and sentences for people."""

import logging
from collections.abc import Callable
from typing import Any

from ..core.errors import CCIPError, printable
from ..core.identity.groups import GroupNameError
from ..labels.edits.chosen import NoSuchGroupError
from ..labels.edits.members import ItemsGoneError
from ..labels.edits.merging import SeveralNamesError
from ..labels.edits.names import NameTakenError
from ..labels.identities import StaleGroupsError
from ..storage.lease import LeaseHeldError
from ..storage.schema import DatasetGoneError

logger = logging.getLogger(__name__)

CODES = ("no_dataset", "no_embeddings", "no_groups", "choose", "stale", "gone", "busy", "token", "updated")
"""The codes of :class:`ReviewError`; ``invalid`` and ``failed`` are those of all other errors."""

LONGEST = 1_000
"""The most characters of a sentence: two names, and what is said of them. Of a longer one the beginning is told."""

_OF_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (StaleGroupsError, "stale"),
    (NoSuchGroupError, "gone"),
    (ItemsGoneError, "gone"),
    (DatasetGoneError, "gone"),
    (LeaseHeldError, "busy"),
    (NameTakenError, "choose"),
    (SeveralNamesError, "choose"),
    (GroupNameError, "invalid"),
    (CCIPError, "invalid"),
)


class ReviewError(CCIPError):
    """A review cannot continue.

    Attributes:
        code: one of :data:`CODES`
        action: what helps, as label, operator and parameters; None where nothing does
    """

    def __init__(self, code: str, message: str, action: dict[str, Any] | None = None):
        super().__init__(message)
        self.code, self.action = code, action


def action(label: str, operator: str, **params: Any) -> dict[str, Any]:
    """What helps: an operator of this plugin, or a method of the panel, whose name has no slash."""
    return {"label": label, "operator": operator, "params": params}


def problem_of(error: Exception) -> dict[str, Any]:
    """An error as the panel shows it: a code, a sentence and what helps. What is no error of ours is logged."""
    if isinstance(error, ReviewError):
        return _problem(error.code, str(error), error.action)
    for kind, code in _OF_ERRORS:
        if isinstance(error, kind):
            return _problem(code, str(error), None)
    logger.error("the review failed", exc_info=error)
    return _problem("failed", f"this failed, and the log of the server says why ({type(error).__name__})", None)


def answered(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of some work, or its problem."""
    try:
        return work()
    except Exception as error:
        return {"problem": problem_of(error)}


def _problem(code: str, text: str, helps: dict[str, Any] | None) -> dict[str, Any]:
    sentence = printable(" ".join(text.split()).removesuffix("."))
    sentence = sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}.."
    return {"code": code, "message": f"{sentence[:1].upper()}{sentence[1:]}.", "action": helps}
