"""Progress on a real terminal of any width, in a log, with names that hold anything."""

import io
import logging
import threading
import time

import pytest
from tqdm import tqdm

from ccip_plugin.core.progress import BYTES, Progress
from ccip_plugin.reports import terminal
from ccip_plugin.reports.terminal import LogHandler, ProgressBar, ProgressDisplay, ProgressLines, progress_display
from tests.support.app.screen import Screen


@pytest.fixture(autouse=True)
def xterm(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def shown(*reports, width=60):
    """The screen after some progress, while the bar is there."""
    with Screen(width) as screen:
        display = ProgressBar(screen.stream)
        for progress in reports:
            display(progress)
        return screen.lines()


@pytest.mark.parametrize(
    "progress, expected",
    [
        pytest.param(Progress("embedding", 1, 2), f"embedding:  50%|{'█' * 16}▌{' ' * 16}| 1 of 2", id="half"),
        pytest.param(Progress("reading", 0, None), "reading", id="no numbers"),
        pytest.param(Progress("looking", 1234, None), "looking: 1,234", id="no total"),
        pytest.param(Progress("embedding", 0, 0), "embedding", id="nothing to do"),
        pytest.param(Progress("checking", 0, None, "1 failed"), "checking: 1 failed", id="a note"),
        pytest.param(Progress("a", 9, 4), f"a: 100%|{'█' * 41}| 9 of 4", id="over the total"),
        pytest.param(
            Progress("downloading", 30_000_000, 150_000_000, unit=BYTES),
            f"downloading:  20%|████▍{' ' * 17}| 30.0MB of 150MB",
            id="bytes",
        ),
        pytest.param(Progress("a\x1b[2Jb\nc", 0, None), r"a\x1b[2Jb\nc", id="controls"),
    ],
)
def test_a_bar(progress, expected):
    assert shown(progress) == [expected]


def test_the_next_stage_takes_the_place_of_the_last():
    lines = shown(Progress("a long name of a stage", 1, 2), Progress("grouping", 0, None), Progress("b", 3, None))
    assert lines == ["b: 3"]


def test_a_stage_that_begins_from_the_start_is_a_new_one():
    (line,) = shown(Progress("embedding", 9, 10), Progress("embedding", 1, 10))
    assert line.startswith("embedding:  10%|") and line.endswith("| 1 of 10")


@pytest.mark.parametrize("width", [8, 20, 40, 200])
@pytest.mark.parametrize("stage", ["downloading", "絵を読み込んでいます"])
def test_it_fits_in_one_line(width, stage):
    (line,) = shown(Progress(stage, 1, 2, "ノート 1"), width=width)
    assert line.startswith(stage[:2])


def test_a_terminal_that_is_made_narrower():
    with Screen(80) as screen:
        display = ProgressBar(screen.stream)
        display(Progress("embedding", 0, 2))
        screen.resize(30)
        display(Progress("embedding", 2, 2))
        assert screen.written().rpartition("\r")[2].rstrip() == "embedding: 100%|███| 2 of 2"


def test_standard_error_as_a_terminal_whose_size_is_not_known(monkeypatch):
    with Screen(0) as screen:
        monkeypatch.setattr("sys.stderr", screen.stream)
        display = ProgressBar(screen.stream)
        display(Progress("絵", 1, 2))
        assert screen.lines() == [f"絵:  50%|{'█' * 30}{' ' * 30}| 1 of 2"]


def test_it_starts_no_thread(run_python):
    code = """
        import io, threading
        from ccip_plugin.core.progress import Progress
        from ccip_plugin.reports.terminal import ProgressBar
        display = ProgressBar(io.StringIO())
        display(Progress("embedding", 1, 2))
        print(threading.active_count())
    """
    assert run_python(code).stdout == "1\n"


def test_rate_and_time_left(monkeypatch):
    monkeypatch.setattr("ccip_plugin.reports.words.SETTLED_SECONDS", 0.2)
    with Screen(100) as screen:
        display = ProgressBar(screen.stream)
        for done in range(4):
            display(Progress("embedding", 100 + done, 1000, unit="images"))
            time.sleep(0.15)
        (line,) = screen.lines()
    assert "| 103 of 1,000 (" in line
    assert line.endswith(" left)") and " images/s, 0" in line


def test_not_every_step_is_drawn_but_the_last_one_is():
    with Screen() as screen:
        display = ProgressBar(screen.stream)
        for done in range(10_001):
            display(Progress("embedding", done, 10_000))
        text = screen.written()
    assert text.count("\r") < 100
    assert text.endswith("| 10,000 of 10,000")


def test_messages_and_logged_lines_stay_above():
    with Screen(60) as screen:
        display = ProgressBar(screen.stream)
        handler = LogHandler(display)
        display.write("before")
        display(Progress("embedding", 1, 2))
        display.write("a message")
        handler.emit(logging.LogRecord("ccip", logging.WARNING, "", 0, "no %s", ("絵\x1b[m\n",), None))
        display(Progress("embedding", 2, 2))
        *lines, bar = screen.lines()
    assert lines == ["before", "a message", r"WARNING: no 絵\x1b[m\n"]
    assert bar.startswith("embedding: 100%|")


def test_it_is_gone_when_it_is_closed():
    with Screen() as screen:
        display = ProgressBar(screen.stream)
        display(Progress("embedding", 1, 2))
        display.close()
        display.close()
        display.write("done")
        assert screen.lines() == ["done", ""]


def test_the_echo_of_ctrl_c_is_erased():
    with Screen(40) as screen:
        display = ProgressBar(screen.stream)
        display(Progress("embedding", 1, 2))
        screen.stream.write("^C")
        display.close()
        display.write("stopped")
        assert screen.lines() == ["stopped", ""]


def test_bars_of_other_packages_do_not_move_it():
    with Screen(40) as screen, tqdm(total=3, file=io.StringIO()):
        ProgressBar(screen.stream)(Progress("embedding", 1, 2))
        assert "\n" not in screen.written()


def test_a_stop_while_it_is_drawn_blocks_nobody():
    """Another thread may log what it did last before it ends."""

    class Stopped(io.StringIO):
        """A stream on which Ctrl-C arrives once."""

        is_stopped = False

        def write(self, text):
            if "2 of 2" in text and not self.is_stopped:
                self.is_stopped = True
                raise KeyboardInterrupt
            return super().write(text)

    display = ProgressBar(Stopped())
    display(Progress("embedding", 1, 2))
    with pytest.raises(KeyboardInterrupt):
        display(Progress("embedding", 2, 2))
    thread = threading.Thread(target=lambda: display.write("stopped"), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


class TestInALog:
    def test_a_line_when_a_stage_begins_and_when_it_ends(self):
        log = io.StringIO()
        display = ProgressLines(log)
        for done in range(1001):
            display(Progress("embedding", done, 1000))
        display(Progress("grouping", 0, None))
        display.close()
        assert log.getvalue() == "embedding: 0 of 1,000\nembedding: 1,000 of 1,000\ngrouping\n"

    @pytest.mark.parametrize(
        "states, lines",
        [
            pytest.param([(0, 3), (2, 3)], ["a: 0 of 3", "a: 2 of 3"], id="one that was stopped"),
            pytest.param([(3, 3), (3, 3)], ["a: 3 of 3"], id="nothing new"),
            pytest.param([(0, None), (7, None)], ["a", "a: 7"], id="no total"),
            pytest.param([(0, 2), (2, 2), (0, 2), (1, 2)], [f"a: {n} of 2" for n in (0, 2, 0, 1)], id="twice"),
        ],
    )
    def test_the_last_state_is_written(self, states, lines):
        log = io.StringIO()
        display = ProgressLines(log)
        for done, total in states:
            display(Progress("a", done, total))
        display.close()
        display.close()
        assert log.getvalue().splitlines() == lines

    def test_a_line_now_and_then(self, monkeypatch):
        monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.05)
        log = io.StringIO()
        display = ProgressLines(log)
        for done in range(3):
            display(Progress("embedding", done, 3, "1 failed"))
            time.sleep(0.06)
        assert log.getvalue().splitlines() == [f"embedding: {done} of 3; 1 failed" for done in range(3)]


class TestLogHandler:
    def test_tracebacks_keep_their_lines(self):
        log = io.StringIO()
        logger = logging.getLogger("ccip test of the log handler")
        logger.propagate = False
        logger.addHandler(LogHandler(ProgressLines(log)))
        try:
            raise ValueError("bad \x1b[1m")
        except ValueError:
            logger.warning("failed", exc_info=True)
        first, *_, last = log.getvalue().splitlines()
        assert (first, last) == ("WARNING: failed", r"ValueError: bad \x1b[1m")

    def test_a_message_that_cannot_be_formatted_stops_nothing(self, capsys):
        handler = LogHandler(ProgressDisplay(io.StringIO()))
        handler.handle(logging.LogRecord("ccip", logging.WARNING, "", 0, "%d", ("x",), None))
        assert "Logging error" in capsys.readouterr().err


class TestTheDisplayThatSuits:
    @pytest.mark.parametrize(
        "term, is_quiet, kind",
        [
            pytest.param("xterm", False, ProgressBar, id="a terminal"),
            pytest.param("dumb", False, ProgressLines, id="a terminal that cannot move its cursor"),
            pytest.param("xterm", True, ProgressDisplay, id="quiet"),
        ],
    )
    def test_a_terminal(self, monkeypatch, term, is_quiet, kind):
        monkeypatch.setenv("TERM", term)
        with Screen() as screen:
            assert type(progress_display(screen.stream, is_quiet=is_quiet)) is kind

    def test_a_file(self):
        assert type(progress_display(io.StringIO())) is ProgressLines

    def test_quiet_shows_messages_only(self):
        log = io.StringIO()
        display = progress_display(log, is_quiet=True)
        display(Progress("embedding", 1, 2))
        display.write("error: no")
        display.close()
        assert log.getvalue() == "error: no\n"
