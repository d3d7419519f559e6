"""The command line: a folder of images in, character groups as labels out."""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import cli
from .core.errors import CCIPError
from .core.progress import Cancelled, Progress
from .reports.terminal import LogLines, ProgressLine

if TYPE_CHECKING:
    from .summary import Summary

logger = logging.getLogger(__name__)

DONE, NOT_DONE, WRONG_USAGE, PARTLY_DONE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


class FiftyOneError(CCIPError):
    """FiftyOne does not start."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv (None): the arguments, those of the process by default

    Returns:
        the exit status, see ``--help``
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    name = arguments[0] if arguments and arguments[0] in _COMMANDS else ""
    make_parser, run = _COMMANDS[name]
    parser = make_parser(_prog())
    if not arguments:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    options = parser.parse_args(arguments[1:] if name else arguments)
    return Work(options, f"{_prog()} {shlex.join(arguments)}").do(run)


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
        self._line = ProgressLine(sys.stderr, is_quiet=options.quiet)
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
        self._line(progress)

    def print(self, text: str) -> None:
        """Prints a result."""
        self._line.clear()
        print(text, flush=True)

    def _stopped(self) -> int:
        with contextlib.suppress(KeyboardInterrupt, CCIPError, ConnectionError, _database_errors()):
            self.before_stop()
        goes_on = "begins anew with --overwrite, and goes on without it" if self._is_anew else "goes on"
        self._line.write(f"stopped; what was finished is stored, and the same command {goes_on}:\n  {self._command}")
        return TERMINATED if self._stopped_by == signal.SIGTERM else INTERRUPTED

    @property
    def _is_anew(self) -> bool:
        return bool(getattr(self.options, "overwrite", None))

    def _failed(self, message: str) -> int:
        logger.debug("the whole story:", exc_info=True)
        self.before_failure()
        self._line.write(f"error: {message}")
        return NOT_DONE

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Takes care of signals and of what is logged."""
        log, ours = LogLines(self._line), logging.getLogger(__package__)
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
            self._line.clear()

    def _stop(self, number: int, frame: object) -> None:
        self._stopped_by = number
        raise KeyboardInterrupt


# -- the main job


def group(work: Work) -> int:
    """Loads files into a dataset and does the whole job on it.

    Args:
        work: a command with the options of :func:`~ccip_plugin.cli.group_parser`

    Returns:
        the exit status
    """
    from .core.registry import get_spec

    options = work.options
    if options.model is not None:
        get_spec(options.model)  # the name is looked up before anything else is done
    started = time.monotonic()
    start_fiftyone(work)
    from .summary import Summary, app_command, counted, render

    summary = Summary(options.dataset, options.patches_field, options.embeddings_field)
    summary.seconds["start"] = time.monotonic() - started
    work.before_stop = lambda: work.print(render(counted(summary)))
    _check_fields(options)
    dataset = _load(work, summary)
    _check_group_field(dataset, options)
    work.before_failure = lambda: work.print(render(summary))
    run_stages(work, dataset, summary)
    work.print(f"{render(summary)}\n\nlook at the groups:  {app_command(options.dataset)}")
    return PARTLY_DONE if summary.problems else DONE


def _check_fields(options: argparse.Namespace) -> None:
    """Refuses what cannot be the name of a field before hours of work."""
    from .storage.targets import check_field_name

    for name in (options.embeddings_field, options.group_field):
        if name is not None:
            check_field_name(name)


def _check_group_field(dataset: Any, options: argparse.Namespace) -> None:
    from .labels.store import LabelStore
    from .storage.fields import GROUP_FIELD
    from .storage.targets import resolve

    LabelStore(resolve(dataset, options.patches_field), options.group_field or GROUP_FIELD).check()


def run_stages(work: Work, samples: Any, summary: "Summary") -> None:
    """Embeds, groups, indexes and maps a dataset or a view.

    Args:
        work: a command with the options of :func:`~ccip_plugin.cli.group_parser`
        samples: a dataset or a view
        summary: told what was done, stage by stage
    """
    for stage in (_embed, _group_images, _index, _map):
        stage(work, samples, summary)


def _load(work: Work, summary: "Summary") -> Any:
    from .io.images import add_images, open_dataset

    options = work.options
    with _timed(summary, "load"):
        if options.images:
            recursive = not options.no_recursive
            summary.ingest = add_images(options.dataset, *options.images, recursive=recursive, progress=work.progress)
        dataset = open_dataset(options.dataset, create=False)
        if not dataset.persistent:
            dataset.persistent = True
    return dataset


def _embed(work: Work, dataset: Any, summary: "Summary") -> None:
    from .embeddings.compute import compute_embeddings
    from .summary import name_failures

    with _timed(summary, "embed"):
        options = _given(work, "alpha", "force_square", "max_pixels", "model_dir", "overwrite", "provider", "verify")
        summary.embeddings = compute_embeddings(
            dataset,
            model_name=work.options.model,
            workers=work.options.workers,
            progress=work.progress,
            **_where(work),
            **options,
        )
        summary.failures = name_failures(dataset, summary.embeddings, work.options.patches_field)


def _group_images(work: Work, dataset: Any, summary: "Summary") -> None:
    from .grouping.run import group_characters

    with _timed(summary, "group"):
        names = ("eps", "graph", "group_field", "method", "min_samples", "mode", "model_dir", "parameters")
        options = _given(work, *names, "same_image", "tracks")
        summary.grouping = group_characters(
            dataset, apply=not work.options.propose, progress=work.progress, **_where(work), **options
        )


def _index(work: Work, dataset: Any, summary: "Summary") -> None:
    from .brain.similarity import compute_similarity

    if not work.options.no_similarity:
        with _timed(summary, "similarity"), _noted(summary, "similarity"):
            summary.similarity = compute_similarity(dataset, progress=work.progress, **_where(work))


def _map(work: Work, dataset: Any, summary: "Summary") -> None:
    from .brain.visualization import compute_visualization

    if not work.options.no_visualization:
        with _timed(summary, "visualization"), _noted(summary, "visualization"):
            summary.visualization = compute_visualization(dataset, progress=work.progress, **_where(work))


def _where(work: Work) -> dict[str, Any]:
    return {"patches_field": work.options.patches_field, **_given(work, "embeddings_field")}


def _given(work: Work, *names: str) -> dict[str, Any]:
    """The options that were given, by name; the functions know the defaults of the others."""
    values = {name: getattr(work.options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@contextlib.contextmanager
def _timed(summary: "Summary", stage: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        summary.seconds[stage] = time.monotonic() - started


@contextlib.contextmanager
def _noted(summary: "Summary", stage: str) -> Iterator[None]:
    """Lets the command go on when something fails that the groups do not need; the table and the exit status say it."""
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        logger.debug("%s failed:", stage, exc_info=True)
        summary.problems[stage] = str(error) or type(error).__name__


def start_fiftyone(work: Work) -> None:
    """Imports FiftyOne and connects it to its database, whose server it may have to start.

    Raises:
        FiftyOneError: it does not start
    """
    starting = Progress("starting FiftyOne", 0, None)
    work.progress(starting)
    try:
        import fiftyone as fo
        from fiftyone.core.odm import get_db_conn
    except Exception as error:  # not installed, a broken configuration, ...
        raise FiftyOneError(f"FiftyOne does not start: {error}") from error
    for name in ("fiftyone", "eta"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _first_to_connect(fo.config, lambda: work.progress(starting)):
            get_db_conn()
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
    from .core.system import file_lock

    folder = Path(config.database_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "ccip-start.lock", waiting):
        yield


def _database_errors() -> type[Exception]:
    from pymongo.errors import PyMongoError

    return PyMongoError


# -- the other commands


def _apply(work: Work) -> int:
    start_fiftyone(work)
    from .grouping.proposals import apply_proposal
    from .io.images import open_dataset

    options = work.options
    dataset = open_dataset(options.dataset, create=False)
    where = {"patches_field": options.patches_field, **_given(work, "group_field")}
    work.print(str(apply_proposal(dataset, progress=work.progress, **where)))
    return DONE


def _turn(work: Work, name: str) -> int:
    start_fiftyone(work)
    from .io.images import open_dataset
    from .labels import history

    options = work.options
    turn = getattr(history, name)
    dataset = open_dataset(options.dataset, create=False)
    where = {"patches_field": options.patches_field, **_given(work, "group_field")}
    done = turn(dataset, progress=work.progress, **where)
    left = f"; {done.n_left:,} were edited since and are as they were left" if done.n_left else ""
    what = f"{done.n_written:,} labels" if done.n_written or left else "no labels, only the record of the run"
    work.print(f"{done.action} (change {done.number}): {what}{left}")
    return DONE


def _models(work: Work) -> int:
    from . import models_table

    options = work.options
    if options.what is None:
        work.print(models_table.render(models_table.rows(options.model_dir)))
        if source := models_table.source(options.model_dir):
            work.print(f"\n{source}")
        return DONE
    return {"check": _check_model, "download": _download_model}[options.what](work)


def _check_model(work: Work) -> int:
    from .core.encoder import verification

    options = work.options
    images = options.images[0] if options.images and len(options.images) == 1 else options.images
    results = verification.check_model(options.name, model_dir=options.model_dir, images=images, progress=work.progress)
    work.print(verification.render(results))
    return DONE if verification.is_ok(results) else NOT_DONE


def _download_model(work: Work) -> int:
    from .core import hub

    files = hub.find_files(work.options.name, model_dir=work.options.model_dir, progress=work.progress)
    work.print(f"{work.options.name} is in {files.feat.parent} (sha256 of {files.feat.name}: {files.fingerprint})")
    return DONE


def _load_character_similarity(work: Work) -> int:
    start_fiftyone(work)
    from .io.character_similarity import TRUTH_FIELD, load_character_similarity

    options = work.options
    where = _given(work, "folder", "revision")
    dataset = load_character_similarity(options.what, name=options.dataset, progress=work.progress, **where)
    n_characters = len(dataset.distinct(f"{TRUTH_FIELD}.label"))
    work.print(f"{len(dataset):,} images of {n_characters:,} characters in {dataset.name!r}, field {TRUTH_FIELD!r}")
    return DONE


def _prog() -> str:
    return "ccip" if Path(sys.argv[0]).stem == "ccip" else "python -m ccip_plugin"


_COMMANDS: dict[str, tuple[Callable[[str], argparse.ArgumentParser], Callable[[Work], int]]] = {
    "": (cli.group_parser, group),
    "models": (cli.models_parser, _models),
    "apply": (cli.apply_parser, _apply),
    "undo": (cli.undo_parser, lambda work: _turn(work, "undo")),
    "redo": (cli.redo_parser, lambda work: _turn(work, "redo")),
    "character-similarity": (cli.character_similarity_parser, _load_character_similarity),
}


if __name__ == "__main__":
    sys.exit(main())
