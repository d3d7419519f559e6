"""Counts the warnings of Pillow about damaged metadata instead of writing them between lines of progress."""

import contextlib
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
        text = " ".join(str(message).split())
        with _lock:
            for counter in _counters:
                counter[text if text in counter or len(counter) < MAX_TEXTS else OTHERS] += 1

    warnings.showwarning = count_or_show
