"""A command at work: signals, exit status, messages, and the start of FiftyOne."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..core.errors import CCIPError
from ..core.progress import Cancelled, Progress

logger = logging.getLogger(__name__)
_PACKAGE = __name__.rpartition(".cli.")[0]  # whatever name it was imported under


DONE, NOT_DONE, WRONG_USAGE, PARTLY_DONE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


class FiftyOneError(CCIPError):
    """FiftyOne does not start."""


class Work:
    """A command at work.

    Attributes:
        options: what was asked for
        progress: the callable for everything that takes long
        before_stop: called when the work was stopped, to say what is done
        before_failure: called when the work failed, likewise
    """

    def __init__(self, options: argparse.Namespace, command: str):
        self.options, self._command = options, command
        self.before_stop: Callable[[], None] = lambda: None
        self.before_failure: Callable[[], None] = lambda: None
        from ..reports.terminal import progress_display  # a command line that only shows its help needs none

        self._display = progress_display(sys.stderr, is_quiet=options.quiet)
        self._stopped_by: int | None = None

    def do(self, run: Callable[["Work"], int]) -> int:
        """Runs the command; turns what stops it into words and an exit status."""
        with self._watching():
            try:
                return run(self)
            except (KeyboardInterrupt, Cancelled):
                return self._stopped()
            except CCIPError as error:
                return self._failed(str(error))
            except BrokenPipeError:  # whoever read the output has enough, e.g. `... | head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
                return NOT_DONE
            except (ConnectionError, _database_errors()) as error:
                return self._failed(
                    f"the database of FiftyOne: {error}; FIFTYONE_DATABASE_URI, if set, says where it is"
                )

    def progress(self, progress: Progress) -> None:
        """Shows where the work is. Stops it when Ctrl-C got lost on the way here: not every library lets it through."""
        if self._stopped_by is not None:
            raise Cancelled
        self._display(progress)

    def print(self, text: str) -> None:
        """Prints a result."""
        self._display.close()
        print(text, flush=True)

    def _stopped(self) -> int:
        with contextlib.suppress(KeyboardInterrupt, CCIPError, ConnectionError, _database_errors()):
            self.before_stop()
        goes_on = "begins anew with --overwrite, and goes on without it" if self._is_anew else "goes on"
        self._display.write(f"stopped; what was finished is stored, and the same command {goes_on}:\n  {self._command}")
        return TERMINATED if self._stopped_by == signal.SIGTERM else INTERRUPTED

    @property
    def _is_anew(self) -> bool:
        return bool(getattr(self.options, "overwrite", None))

    def _failed(self, message: str) -> int:
        logger.debug("the whole story:", exc_info=True)
        self.before_failure()
        self._display.write(f"error: {message}")
        return NOT_DONE

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Takes care of signals and of what is logged."""
        from ..reports.terminal import LogHandler

        log, ours = LogHandler(self._display), logging.getLogger(_PACKAGE)
        level = ours.level
        ours.addHandler(log)
        ours.setLevel(logging.DEBUG if self.options.verbose else logging.WARNING)
        handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            ours.removeHandler(log)
            ours.setLevel(level)
            self._display.close()

    def _stop(self, number: int, frame: object) -> None:
        self._stopped_by = number
        raise KeyboardInterrupt


def start_fiftyone(work: Work) -> None:
    """Imports FiftyOne and connects it to its database, whose server it may have to start.

    Raises:
        FiftyOneError: it does not start
    """
    starting = Progress("starting FiftyOne", 0, None)
    work.progress(starting)
    try:
        import fiftyone as fo

        from ..storage.internals import database
    except Exception as error:  # not installed, a broken configuration, ...
        raise FiftyOneError(f"FiftyOne does not start: {error}") from error
    for name in ("fiftyone", "eta"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _first_to_connect(fo.config, lambda: work.progress(starting)):
            database()
    except (Cancelled, ConnectionError, _database_errors()):
        raise
    except Exception as error:  # no server, a folder that cannot be written to, ...
        raise FiftyOneError(
            f"the database of FiftyOne does not start: {error}. Where another program was starting it at the same "
            "moment, the same command works now"
        ) from error


@contextlib.contextmanager
def _first_to_connect(config: Any, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock where FiftyOne runs a database server of its own: of two that start that at once, one fails."""
    if config.database_uri is not None:
        yield
        return
    from ..core.system import file_lock

    folder = Path(config.database_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "ccip-start.lock", waiting):
        yield


def _database_errors() -> type[Exception]:
    from pymongo.errors import PyMongoError

    error: type[Exception] = PyMongoError
    return error
