"""From a progress callable to what the App shows: live progress, the summary at the end, or what went wrong."""

import logging
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.message import GeneratedMessage

from ..reports.words import Speed, describe
from .live import fraction, run_live

logger = logging.getLogger(__name__)

T = TypeVar("T")
Results = dict[str, Any]

WRITING_LABELS = "writing labels"
"""The stage that is finished even when the browser is closed; otherwise the next change would have to finish it."""
DELEGATED_SECONDS = 2.0


class FunctionOperator(foo.Operator):
    """An operator that, called from Python, is a function of this package."""

    function: Callable[..., Any]
    """It takes samples and options; a ``staticmethod``."""

    def __call__(self, samples: Any, *, delegate: bool = False, **options: Any) -> Any:
        """Calls the function; however long it takes, it is one ordinary call.

        Args:
            samples: a dataset or view
            delegate (False): schedule it instead, for a worker
            options: those of the function

        Returns:
            what the function returns; what ``execute_operator`` returns when it is delegated
        """
        if delegate:
            return schedule(self.uri, samples, options)
        return self.function(samples, **options)


def execute(
    ctx: Any,
    work: Callable[[Any], T],
    *,
    title: str,
    results_of: Callable[[T], Results],
    outputs_of: Callable[[Results], types.Property],
    message_of: Callable[[T], str],
    is_clean: Callable[[T], bool] = lambda report: True,
    has_changed: Callable[[T], bool] = lambda report: True,
    also: Callable[[T], Iterable[GeneratedMessage]] = lambda report: (),
) -> Results | Iterator[GeneratedMessage]:
    """Runs the work of an operator, as its ``execute`` was asked to.

    Delegated, it runs here and its results are returned. Otherwise a generator is returned: FiftyOne sends what it
    yields to the App at once, and its time is not limited. When the browser is closed the generator is, too, and the
    work stops at its next report of progress.

    Args:
        ctx: the execution context
        work: takes a progress callable, gives a report
        title: what is being done, as the head of an error
        results_of: turns the report into plain values
        outputs_of: says how the results are shown
        message_of: the report in one line
        is_clean: whether there is nothing in the report to worry about
        has_changed: whether the App has to load the dataset anew
        also: what else the App is to do, such as show a view

    Returns:
        the results, or a generator of messages to the App
    """
    if ctx.delegated:
        return results_of(work(_delegated_progress(ctx)))

    def summary_of(report: T) -> Iterator[GeneratedMessage]:
        results = results_of(report)
        if has_changed(report):
            yield ctx.ops.reload_dataset()
        yield from also(report)
        yield ctx.ops.notify(message_of(report), variant="success" if is_clean(report) else "warning")
        # takes the place of the progress; what a generator gives otherwise would be a second dialog behind it
        yield ctx.ops.show_output(outputs_of(results).to_json(), results)

    return _live(ctx, work, title, summary_of)


def _live(
    ctx: Any, work: Callable[[Any], T], title: str, summary_of: Callable[[T], Iterator[GeneratedMessage]]
) -> Iterator[GeneratedMessage]:
    try:
        report = yield from _progress_messages(ctx, run_live(work, not_stopped_in={WRITING_LABELS}))
        yield from summary_of(report)
    except Exception as error:
        yield from _failure(ctx, title, error)


def _progress_messages(ctx: Any, running: Any) -> Any:
    """Turns progress into messages; gives what the work gave."""
    speed = Speed()
    try:
        while True:
            progress = next(running)
            label = describe(progress, speed.update(progress)) if progress is not None else "starting"
            yield ctx.ops.set_progress(label=label, progress=fraction(progress))
    except StopIteration as end:
        return end.value
    finally:
        running.close()


def _failure(ctx: Any, title: str, error: Exception) -> Iterator[GeneratedMessage]:
    """Shows an error. An exception that left a generator would reach the App as "network error", so it is sent.

    Raises:
        Exception: the error, when nobody read it: then it is not the App that runs this
    """
    logger.error("%s", title, exc_info=error)
    yield ctx.ops.notify(title, variant="error")
    shown = _Watched(ctx.ops.show_output(_error_outputs(title).to_json(), _error_results(error)))
    yield shown
    if not shown.was_read:
        raise error


class _Watched(GeneratedMessage):
    """A message that knows whether it was sent."""

    def __init__(self, message: GeneratedMessage):
        super().__init__(message.type, message.cls, message.body)
        self.was_read = False

    def to_json_line(self) -> str:
        self.was_read = True
        return super().to_json_line()


def _error_outputs(title: str) -> types.Property:
    outputs = types.Object()
    outputs.view("title", types.Error(label=title))
    outputs.list("errors", types.Object(), view=types.ErrorView(detailed=True))
    return types.Property(outputs, view=types.View(label=title))


def _error_results(error: Exception) -> Results:
    details = "".join(traceback.format_exception(error))
    return {"errors": [{"reason": str(error) or type(error).__name__, "details": details}]}


def _delegated_progress(ctx: Any) -> Callable[[Any], None]:
    """A progress callable that writes to the record of the operation now and then."""
    speed = Speed()
    last = [-DELEGATED_SECONDS]

    def take(progress: Any) -> None:
        now = time.monotonic()
        if now - last[0] >= DELEGATED_SECONDS or progress.done == progress.total:
            last[0] = now
            ctx.set_progress(progress=fraction(progress), label=describe(progress, speed.update(progress)))

    return take


def schedule(uri: str, samples: Any, params: dict[str, Any]) -> Any:
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
    return foo.execute_operator(uri, ctx, params=plain, request_delegation=True)
