"""Who works: the name that the history has for a change."""

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_PERSON = 100
"""The largest number of characters of a name that is kept."""

_NOT_IN_NAMES = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_working: ContextVar[str | None] = ContextVar("ccip_person", default=None)


def current_person() -> str | None:
    """Who works here: the user of the App if it knows one, ``CCIP_USER``, or the login name; None if unknown."""
    return _working.get() or _clean(os.environ.get("CCIP_USER")) or _clean(_login_name())


@contextmanager
def working_as(name: object) -> Iterator[None]:
    """Whose work is done inside; an unknown user is the one of :func:`current_person` as before."""
    token = _working.set(_clean(name) or _working.get())
    try:
        yield
    finally:
        _working.reset(token)


def _clean(name: object) -> str | None:
    if name is None:
        return None
    return " ".join(_NOT_IN_NAMES.sub(" ", str(name)).split())[:MAX_PERSON] or None


def _login_name() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # as of a user id without a name in a container
        return None
