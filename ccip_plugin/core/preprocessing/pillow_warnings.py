"""Counts the warnings of Pillow about damaged files instead of writing them between lines of progress.

These are warnings of Python, messages that Pillow logs, and lines that libtiff, a library that it decodes with, writes
to the terminal.
"""

import contextlib
import ctypes
import importlib.util
import logging
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL

logger = logging.getLogger(__name__)

MAX_TEXTS = 1000
"""How many different texts are kept; later ones are counted under :data:`OTHERS`."""

OTHERS = "others"
_N_LOGGED = 20
_PILLOW = str(Path(PIL.__file__).parent)

_lock = threading.Lock()
_counters: list[Counter[str]] = []
_settings = contextlib.ExitStack()


@contextlib.contextmanager
def collected_warnings() -> Iterator[Counter[str]]:
    """Collects the warnings that Pillow gives in any thread, also where the process turns warnings into errors.

    What Pillow logs as a warning or an error, and the messages of libtiff, without the values in them, count as well.
    Python's settings of warnings belong to the process: they are changed at the first of several blocks that run at
    once, and restored after the last. Warnings of other packages are shown as before.

    Yields:
        the number of warnings by their text; they are also logged, at the level DEBUG, at the end of the block
    """
    counter: Counter[str] = Counter()
    with _lock:
        if not _counters:
            _redirect()
        _counters.append(counter)
    try:
        yield counter
    finally:
        with _lock:
            _counters[:] = [each for each in _counters if each is not counter]
            if not _counters:
                _settings.close()
        for text, n in counter.most_common(_N_LOGGED):
            logger.debug("Pillow warned %d times: %s", n, text)


def _redirect() -> None:
    _settings.enter_context(warnings.catch_warnings())
    warnings.filterwarnings("always", module=r"PIL\.")
    show = warnings.showwarning

    def count_or_show(message: Any, category: Any, filename: str, *others: Any, **more: Any) -> None:
        if not filename.startswith(_PILLOW):
            show(message, category, filename, *others, **more)
            return
        _count(" ".join(str(message).split()))

    warnings.showwarning = count_or_show
    _redirect_log(logging.getLogger("PIL"))
    _redirect_libtiff()


def _redirect_log(log: logging.Logger) -> None:
    """Counts what Pillow logs, which Python would write to the terminal where a program sets up no log."""
    handler, propagates = _CountingHandler(logging.WARNING), log.propagate
    log.addHandler(handler)
    log.propagate = False
    _settings.callback(setattr, log, "propagate", propagates)
    _settings.callback(log.removeHandler, handler)


class _CountingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _count(" ".join(record.getMessage().split()))


def _count(text: str) -> None:
    with _lock:
        for counter in _counters:
            counter[text if text in counter or len(counter) < MAX_TEXTS else OTHERS] += 1


def _count_message(_: bytes, message: bytes, __: int) -> None:
    _count(f"libtiff: {(message or b'').decode(errors='replace')}")


_handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_count_message)


def _redirect_libtiff() -> None:
    """Counts the errors that libtiff writes to the terminal, where Pillow's copy of it can be reached."""
    try:
        spec = importlib.util.find_spec("PIL._imaging")  # what it is linked with is found through it
        set_handler = ctypes.CDLL(spec.origin if spec else None).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    _settings.callback(set_handler, set_handler(ctypes.cast(_handler, ctypes.c_void_p)))
