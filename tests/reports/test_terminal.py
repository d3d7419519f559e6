"""What is shown while work goes on: on a terminal, in a log, of names that hold anything."""

import io
import logging

import pytest

from ccip_plugin.core.progress import Progress
from ccip_plugin.reports.terminal import LogLines, ProgressLine, cut, describe
from ccip_plugin.reports.words import duration, printable


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True

    def lines(self):
        """What stays on the screen."""
        shown = []
        for line in self.getvalue().split("\n"):
            shown.append(line.rsplit("\r\x1b[K", 1)[-1])
        return shown


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    return Terminal()


@pytest.mark.parametrize(
    "progress, n_since, seconds, expected",
    [
        pytest.param(Progress("reading", 0, None), 0, 0, "reading", id="just begun"),
        pytest.param(Progress("looking", 1234, None), 0, 0, "looking  1,234", id="no end known"),
        pytest.param(Progress("embedding", 5, 20), 5, 0.5, "embedding  5 of 20 (25%)", id="too soon for a speed"),
        pytest.param(
            Progress("embedding", 600, 1000), 500, 50, "embedding  600 of 1,000 (60%)  10.0/s  40 s left", id="speed"
        ),
        pytest.param(
            Progress("embedding", 20, 20, "1 failed"), 20, 10, "embedding  20 of 20 (100%)  2.0/s  1 failed", id="note"
        ),
        pytest.param(Progress("embedding", 0, 0), 0, 5, "embedding", id="nothing to do"),
        pytest.param(
            Progress("downloading", 30_000_000, 150_000_000, "bytes"),
            20_000_000,
            10,
            "downloading  30.0 MB of 150.0 MB (20%)  2.0 MB/s  60 s left",
            id="bytes",
        ),
        pytest.param(
            Progress("a\x1b[2Jb", 1, 2, "c\nd"), 0, 0, r"a\x1b[2Jb  1 of 2 (50%)  c\nd", id="control characters"
        ),
    ],
)
def test_says_how_far_the_work_is(progress, n_since, seconds, expected):
    assert describe(progress, n_since, seconds, bar=False) == expected


def test_draws_a_bar():
    assert describe(Progress("embedding", 1, 4), 0, 0, bar=True) == "embedding  [#####...............]  1 of 4 (25%)"
    assert "[####################]" in describe(Progress("embedding", 9, 4), 0, 0, bar=True)


@pytest.mark.parametrize(
    "seconds, expected",
    [(0.2, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 05 min"), (90000, "25 h 00 min")],
)
def test_says_how_long(seconds, expected):
    assert duration(seconds) == expected


def test_cuts_by_columns():
    assert cut("初音ミク", 5) == "初音"
    assert cut("miku", 4) == "miku"


def test_names_cannot_write_to_the_terminal():
    assert printable("初音 😀 é.png") == "初音 😀 é.png"
    assert printable("a\r\n\x1b]0;b\u202e") == r"a\r\n\x1b]0;b\u202e"
    assert printable("latin \udce9") == r"latin \udce9"


class TestOnATerminal:
    def test_one_line_is_written_over(self, terminal):
        line = ProgressLine(terminal)
        line(Progress("loading", 0, None))
        line(Progress("embedding", 1, 2))
        assert terminal.lines() == ["embedding  [##########..........]  1 of 2 (50%)"]

    def test_other_lines_stay_above(self, terminal):
        line = ProgressLine(terminal)
        line(Progress("embedding", 1, 2))
        line.write("a warning")
        line(Progress("embedding", 2, 2))
        line.clear()
        assert terminal.lines() == ["a warning", ""]

    def test_is_not_longer_than_the_terminal_is_wide(self, terminal):
        ProgressLine(terminal)(Progress("絵" * 100, 1, 2))
        assert terminal.lines() == ["絵" * 29]

    def test_not_every_step_is_drawn_but_the_last_one_is(self, terminal):
        line = ProgressLine(terminal)
        for done in range(1, 10_001):
            line(Progress("embedding", done, 10_000))
        assert terminal.getvalue().count("\r") < 1000
        assert "10,000 of 10,000" in terminal.lines()[-1]


class TestInALog:
    def test_a_line_when_something_begins(self):
        log = io.StringIO()
        line = ProgressLine(log)
        for done in range(1001):
            line(Progress("embedding", done, 1000))
        line(Progress("grouping", 0, None))
        line.clear()
        assert log.getvalue() == "embedding  0 of 1,000 (0%)\ngrouping\n"

    def test_nothing_when_it_shall_be_quiet_but_what_is_written(self):
        log = io.StringIO()
        line = ProgressLine(log, is_quiet=True)
        line(Progress("embedding", 1, 2))
        line.write("error: no")
        assert log.getvalue() == "error: no\n"


def test_a_terminal_that_cannot_move_its_cursor_is_a_log(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    line = ProgressLine(terminal)
    line(Progress("embedding", 1, 2))
    assert terminal.getvalue() == "embedding  1 of 2 (50%)\n"


def test_what_is_logged_stands_above_the_line(terminal):
    line = ProgressLine(terminal)
    handler = LogLines(line)
    line(Progress("embedding", 1, 2))
    handler.emit(logging.LogRecord("ccip", logging.WARNING, "", 0, "no %s", ("絵\x1b[m",), None))
    line(Progress("embedding", 2, 2))
    assert terminal.lines() == [r"WARNING: no 絵\x1b[m", "embedding  [####################]  2 of 2 (100%)"]
