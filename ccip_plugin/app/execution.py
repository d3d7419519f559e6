"""Runs the work of an operator: live progress, result or error in the App; results in a delegated run."""

import logging
import os
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types
from fiftyone.operators.message import GeneratedMessage

from ..core.progress import Progress, ProgressCallback
from ..reports.words import Speed, describe
from .live import fraction, run_live
from .model_folders import in_app
from .outputs import Output, Results, as_property
from .route import from_python

logger = logging.getLogger(__name__)

T = TypeVar("T")

WRITING_LABELS = "writing labels"
"""The stage that is finished even when the browser is closed; else the next change would have to finish it."""
DELEGATED_SECONDS = 2.0
"""Time between two reports of progress in a delegated run, each of which is a write to the database."""


def execute(
    ctx: Any,
    work: Callable[[ProgressCallback], T],
    show: Callable[[T], Output],
    *,
    failure: str,
    is_live: bool = True,
) -> Results | Iterator[GeneratedMessage]:
    """Runs the work of an operator, as its ``execute`` was asked to.

    A delegated operator runs here and its results are returned: FiftyOne drops the result of a generator. Otherwise a
    generator is returned: FiftyOne sends what it yields to the App at once, and its time is not limited. When the
    browser is closed the generator is, too, and the work stops at its next report of progress.

    Args:
        ctx: the execution context
        work: takes a progress callable, gives a report
        show: the report as the App shows it
        failure: the title of an error
        is_live (True): whether the App shows progress and result in a dialog of their own

    Returns:
        the results, or a generator of messages to the App
    """
    if ctx.delegated:
        return show(work(_delegated_progress(ctx))).results()
    if not is_live:
        return show(work(_no_progress)).results()
    return _live(ctx, work, show, failure)


def _summary(ctx: Any, out: Output) -> Iterator[GeneratedMessage]:
    if out.reloads:
        yield ctx.ops.reload_dataset()
    if out.clears_selection:
        yield ctx.ops.clear_selected_samples()
    if out.view is not None:
        yield ctx.ops.set_view(view=out.view)
    if out.download is not None:
        yield ctx.ops.browser_download(*out.download)
    yield ctx.ops.notify(out.message, variant="success" if out.is_clean else "warning")
    if not out.has_dialog:
        return
    # replaces the progress; a result of the generator would be a second dialog behind it
    results = out.results()
    yield ctx.ops.show_output(as_property(results).to_json(), results)


def _no_progress(progress: Progress) -> None:
    """For work that is done at once."""


def _live(
    ctx: Any, work: Callable[[ProgressCallback], T], show: Callable[[T], Output], failure: str
) -> Iterator[GeneratedMessage]:
    try:
        report = yield from _progress_messages(ctx, run_live(work, not_stopped_in={WRITING_LABELS}))
        yield from _summary(ctx, show(report))
    except Exception as error:
        yield from _failure(ctx, failure, error)


def _progress_messages(ctx: Any, running: Generator[Progress | None, None, T]) -> Generator[GeneratedMessage, None, T]:
    """Turns progress into messages; returns the result of the work."""
    speed = Speed()
    try:
        while True:
            progress = next(running)
            label = describe(progress, speed.update(progress)) if progress is not None else "starting"
            yield ctx.ops.set_progress(label=label, progress=fraction(progress))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        running.close()


def _failure(ctx: Any, title: str, error: Exception) -> Iterator[GeneratedMessage]:
    """Shows an error. An exception that leaves a generator reaches the App as "network error", so it is sent.

    Raises:
        Exception: the error, when the message was not sent: then a script runs this, not the App
    """
    logger.error("%s", title, exc_info=error)
    yield ctx.ops.notify(title, variant="error")
    shown = _Receipt(ctx.ops.show_output(_error_outputs(title).to_json(), _error_results(error)))
    yield shown
    if not shown.was_sent:
        raise error


class _Receipt(GeneratedMessage):
    """A message that records whether it was sent."""

    def __init__(self, message: GeneratedMessage):
        super().__init__(message.type, message.cls, message.body)
        self.was_sent = False

    def to_json_line(self) -> str:
        self.was_sent = True
        return str(super().to_json_line())


def _error_outputs(title: str) -> types.Property:
    outputs = types.Object()
    outputs.view("title", types.Error(label=title))
    outputs.list("errors", types.Object(), view=types.ErrorView(detailed=True))
    return types.Property(outputs, view=types.View(label=title))


def _error_results(error: Exception) -> Results:
    details = "".join(traceback.format_exception(error))
    return {"errors": [{"reason": in_app(error) or type(error).__name__, "details": details}]}


def _delegated_progress(ctx: Any) -> ProgressCallback:
    """A progress callable that writes to the record of the operation every few seconds."""
    speed = Speed()
    last = [-DELEGATED_SECONDS]

    def take(progress: Progress) -> None:
        now = time.monotonic()
        if now - last[0] >= DELEGATED_SECONDS or progress.done == progress.total:
            last[0] = now
            ctx.set_progress(progress=fraction(progress), label=describe(progress, speed.update(progress)))

    return take


def schedule(uri: str, samples: SampleCollection, params: dict[str, Any]) -> Any:
    """Schedules an operator for a worker, from Python.

    Args:
        uri: the operator
        samples: the dataset or view that it works on
        params: its parameters; paths become text

    Returns:
        what ``fiftyone.operators.execute_operator`` returns: in a notebook a task
    """
    plain = {name: str(value) if isinstance(value, os.PathLike) else value for name, value in params.items()}
    is_dataset = isinstance(samples, fo.Dataset)
    ctx = {"dataset": samples} if is_dataset else {"view": samples}
    with from_python():
        return foo.execute_operator(uri, ctx, params=plain, request_delegation=True)
