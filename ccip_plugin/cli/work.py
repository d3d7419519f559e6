"""Runs a command: signals, exit status, messages, the start of FiftyOne."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import CCIPError
from ..core.progress import Cancelled, Progress
from .options import spellings

if TYPE_CHECKING:
    import fiftyone as fo

logger = logging.getLogger(__name__)
_PACKAGE = __name__.rpartition(".cli.")[0]  # whatever name it was imported under


DONE, NOT_DONE, WRONG_USAGE, PARTLY_DONE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


class FiftyOneError(CCIPError):
    """FiftyOne does not start."""


class Work:
    """A running command.

    Args:
        options: the parsed options
        command: the command line, as shown to resume it

    Attributes:
        options: the parsed options
        before_stop: called when the command was stopped, to print its results so far
        before_failure: called when the command failed, likewise
        kept: what a failure leaves, printed below the error
        within: what surrounds the rest of the command
    """

    def __init__(self, options: argparse.Namespace, command: str):
        self.options, self._command = options, command
        self.before_stop: Callable[[], None] = lambda: None
        self.before_failure: Callable[[], None] = lambda: None
        self.kept = ""
        self.within = contextlib.ExitStack()
        from ..reports.terminal import progress_display  # a command line that only shows its help needs none

        self._display = progress_display(sys.stderr, is_quiet=options.quiet)
        self._stopped_by: int | None = None

    def do(self, run: Callable[["Work"], int]) -> int:
        """Runs the command; turns an error or a signal into a message and an exit status."""
        with self._watching():
            try:
                with self.within:
                    return run(self)
            except (KeyboardInterrupt, Cancelled):
                return self._stopped()
            except CCIPError as error:
                return self._failed(error.spelled(spellings()))
            except BrokenPipeError:  # the reader of the output has closed it, e.g. `... | head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
                return NOT_DONE
            except (ConnectionError, _database_errors()) as error:
                from ..storage.connection import database_error

                return self._failed(str(database_error(error)))

    def watch(self, dataset: "fo.Dataset") -> None:
        """Has any error in the rest of the command say that the dataset was deleted, where it was."""
        from ..storage.connection import database_errors

        self.within.enter_context(database_errors(dataset.name))

    def progress(self, progress: Progress) -> None:
        """Shows progress. Cancels the work after a Ctrl-C that a library has swallowed."""
        if self._stopped_by is not None:
            raise Cancelled
        self._display(progress)

    def print(self, text: str) -> None:
        """Prints a result."""
        self._display.close()
        print(text, flush=True)

    def print_if(self, text: str) -> None:
        """Prints a result, and an empty line below it; nothing without a text."""
        if text:
            self.print(f"{text}\n")

    def _stopped(self) -> int:
        with contextlib.suppress(KeyboardInterrupt, CCIPError, ConnectionError, _database_errors()):
            self.before_stop()
        hint = "; without --overwrite it resumes" if getattr(self.options, "overwrite", None) else " to resume"
        self._display.write(f"stopped. Finished results are stored. Run the same command{hint}:\n  {self._command}")
        return TERMINATED if self._stopped_by == signal.SIGTERM else INTERRUPTED

    def _failed(self, message: str) -> int:
        logger.debug("traceback of the error:", exc_info=True)
        self.before_failure()
        self._display.write(f"error: {message}")
        if self.kept:
            self._display.write(self.kept)
        return NOT_DONE

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Handles signals, and shows log records."""
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


def problem_of(error: Exception) -> str:
    """An error in a sentence: of another library its class alone, whose text is for developers."""
    if isinstance(error, CCIPError):
        return error.spelled(spellings())
    return f"an unexpected {type(error).__name__}; --verbose shows where"


def start_fiftyone(work: Work) -> None:
    """Imports FiftyOne and connects it to its database, starting the database server if necessary.

    Raises:
        FiftyOneError: FiftyOne or its database does not start
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
    except Exception as error:  # no server, a read-only folder, ...
        raise FiftyOneError(
            f"the database of FiftyOne does not start: {error}. If another program was starting it at the same time, "
            "run the same command again"
        ) from error
    from ..storage.connection import database_errors

    work.within.enter_context(database_errors())


@contextlib.contextmanager
def _first_to_connect(config: Any, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds a lock while FiftyOne starts its own database server: of two at the same time, one would fail."""
    if config.database_uri is not None:
        yield
        return
    from ..core.system import file_lock, output_apart

    folder = Path(config.database_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "ccip-start.lock", waiting), output_apart():  # the server ends with its last user
        yield


def _database_errors() -> type[Exception]:
    from pymongo.errors import PyMongoError

    error: type[Exception] = PyMongoError
    return error
