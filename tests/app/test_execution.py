"""The bridge from a progress callable to the messages that the App gets."""

import json
import threading
from pathlib import Path

import pytest
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.server import create_response_generator

from ccip_plugin.app import execution
from ccip_plugin.app.outputs import Output
from ccip_plugin.core.progress import Cancelled, Progress
from ccip_plugin.reports.facts import Facts

pytestmark = pytest.mark.mongo

PATIENCE = 30.0


@pytest.fixture
def ctx():
    """A context as for a request of the App."""
    return ExecutionContext({"params": {}}, executor=Executor())


def run(ctx, work, *, is_clean=True, show=None):
    def shown(report):
        out = Output(ctx, "The title")
        out.facts(Facts.of(f"done: {report}", [("Answer", report)]), "Answers")
        out.is_clean = is_clean
        return out

    return execution.execute(ctx, work, show or shown, failure="Could not do it")


def sent(messages):
    """What the App gets, as ``(operator, params)``: through the function of the server that sends it."""
    lines = [json.loads(line) for line in create_response_generator(messages)]
    assert {line["cls"] for line in lines} <= {"InvocationRequest"}
    return [(line["body"]["operator_uri"], line["body"]["params"]) for line in lines]


def test_the_app_gets_progress_and_then_the_summary(ctx):
    go_on = threading.Event()

    def work(progress):
        progress(Progress("embedding", 1, 4, "1 failed"))
        assert go_on.wait(PATIENCE)
        return "42"

    messages = run(ctx, work)
    (line,) = create_response_generator([next(messages)])
    while "embedding" not in line:
        (line,) = create_response_generator([next(messages)])
    shown = {"label": "embedding: 1 of 4; 1 failed", "progress": 0.25}
    assert json.loads(line)["body"] == {"operator_uri": "set_progress", "params": shown}
    go_on.set()
    rest = [(name, params) for name, params in sent(messages) if name != "set_progress"]
    assert [name for name, _ in rest] == ["reload_dataset", "notify", "show_output"]
    assert rest[1][1] == {"message": "CCIP: done: 42", "variant": "success"}
    assert rest[2][1]["results"]["facts"] == [{"fact": "Answer", "value": "42"}]
    assert list(rest[2][1]["outputs"]["type"]["properties"]) == ["facts"]


def test_a_result_to_worry_about_has_another_colour(ctx):
    messages = dict(sent(run(ctx, lambda progress: "half", is_clean=False)))
    assert messages["notify"] == {"message": "CCIP: done: half", "variant": "warning"}


def broken(progress):
    try:
        Path("/nowhere/model.onnx").read_bytes()
    except OSError as error:
        raise ValueError("the model is not there: put it into <folder>") from error


def test_the_app_gets_errors_with_what_to_do(ctx, caplog):
    messages = dict(sent(run(ctx, broken)))
    assert messages["notify"] == {"message": "Could not do it", "variant": "error"}
    assert "Could not do it" in json.dumps(messages["show_output"]["outputs"])
    (error,) = messages["show_output"]["results"]["errors"]
    assert error["reason"] == "the model is not there: put it into <folder>"
    assert "in broken" in error["details"], "the trace of the thread"
    assert "FileNotFoundError" in error["details"], "its cause"
    assert "Could not do it" in caplog.text, "the log of the server"


def test_errors_are_raised_when_it_is_not_the_app_that_runs_it(ctx):
    with pytest.raises(ValueError, match="the model is not there"):
        list(run(ctx, broken))


def test_errors_of_the_summary_are_shown_too(ctx):
    messages = run(ctx, lambda progress: "42", show=lambda report: {}["missing"])
    assert dict(sent(messages))["notify"]["variant"] == "error"


def test_closing_the_browser_stops_the_work(ctx):
    ended = []
    has_ended = threading.Event()

    def work(progress):
        try:
            while True:
                progress(Progress("embedding", 1, 2))
                has_ended.wait(0.001)
        except Cancelled as error:
            ended.append(error)
            has_ended.set()
            raise

    messages = create_response_generator(run(ctx, work))
    next(messages)
    messages.close()
    assert has_ended.wait(PATIENCE)
    assert len(ended) == 1


def test_labels_are_written_to_the_end_though_the_browser_was_closed(ctx):
    left, written = threading.Event(), threading.Event()

    def work(progress):
        assert left.wait(PATIENCE)
        for done in range(3):
            progress(Progress(execution.WRITING_LABELS, done, 3))
        written.set()

    messages = create_response_generator(run(ctx, work))
    next(messages)
    messages.close()
    left.set()
    assert written.wait(PATIENCE)


def test_a_delegated_operation_gives_its_results():
    seen = []
    ctx = ExecutionContext(
        {"params": {}, "delegated": True},
        executor=Executor(),
        set_progress=lambda operation, progress: seen.append((progress.progress, progress.label)),
    )

    def work(progress):
        for done in range(1, 5):
            progress(Progress("embedding", done, 4))
        return "42"

    assert run(ctx, work)["facts"] == [{"fact": "Answer", "value": "42"}]
    assert seen == [(0.25, "embedding: 1 of 4"), (1.0, "embedding: 4 of 4")], "each is a write to the database"


def test_a_delegated_operation_raises_its_errors():
    ctx = ExecutionContext({"params": {}, "delegated": True}, executor=Executor())
    with pytest.raises(ValueError, match="the model is not there"):
        run(ctx, broken)
