"""Work in a thread: progress arrives, results and errors come back, and who leaves stops it."""

import threading
import time
import traceback

import pytest

from ccip_plugin.app.live import fraction, run_live
from ccip_plugin.core.progress import Cancelled, Progress

PATIENCE = 30.0  # seconds until a thread that should have ended makes the test fail


def exhaust(generator):
    """What a generator yields, and what it returns."""
    yielded = []
    while True:
        try:
            yielded.append(next(generator))
        except StopIteration as end:
            return yielded, end.value


class Work:
    """Work that reports again and again until it is stopped."""

    def __init__(self):
        self.ended_by = None
        self._has_ended = threading.Event()

    def __call__(self, progress):
        try:
            while True:
                progress(Progress("waiting", 1, 2))
                time.sleep(0.001)
        except BaseException as error:
            self.ended_by = error
            raise
        finally:
            self._has_ended.set()

    def wait(self):
        assert self._has_ended.wait(PATIENCE), "the thread goes on"


def test_yields_the_newest_progress_and_returns_the_result():
    seen = threading.Event()

    def work(progress):
        for done in range(1000):
            progress(Progress("counting", done, 1000))
        assert seen.wait(PATIENCE)
        return "the result"

    running = run_live(work, interval=0.01)
    while next(running) != Progress("counting", 999, 1000):
        pass
    seen.set()
    _, result = exhaust(running)
    assert result == "the result"


def test_yields_while_there_is_nothing_new():
    end = threading.Event()
    running = run_live(lambda progress: end.wait(PATIENCE), interval=0.001)
    assert [next(running) for _ in range(3)] == [None, None, None]
    end.set()
    assert exhaust(running)[1] is True


def test_nothing_is_started_before_somebody_asks():
    work = Work()
    run_live(work).close()
    assert work.ended_by is None


def test_raises_what_the_work_raised_and_shows_where():
    def deep_inside(progress):
        raise ValueError("put the file there")

    with pytest.raises(ValueError, match="put the file there") as caught:
        exhaust(run_live(deep_inside))
    assert "deep_inside" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_who_leaves_stops_the_work():
    work = Work()
    running = run_live(work, interval=0.001)
    while next(running) is None:
        pass
    running.close()
    work.wait()
    assert isinstance(work.ended_by, Cancelled)


def test_a_stage_can_be_finished_though_everybody_left():
    left, finished = threading.Event(), threading.Event()

    def work(progress):
        progress(Progress("writing", 1, 2))
        assert left.wait(PATIENCE)
        progress(Progress("writing", 2, 2))
        finished.set()

    running = run_live(work, interval=0.001, not_stopped_in={"writing"})
    while next(running) is None:
        pass
    running.close()
    left.set()
    assert finished.wait(PATIENCE), "the stage was not finished"


@pytest.mark.parametrize(
    "progress, expected",
    [
        pytest.param(None, None, id="nothing yet"),
        pytest.param(Progress("x", 5, None), None, id="no total"),
        pytest.param(Progress("x", 0, 0), None, id="nothing to do"),
        pytest.param(Progress("x", 1, 4), 0.25, id="a quarter"),
        pytest.param(Progress("x", 9, 4), 1.0, id="more than announced"),
    ],
)
def test_fraction(progress, expected):
    assert fraction(progress) == expected
