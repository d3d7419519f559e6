"""Numbers, names and progress as text."""

import pytest

from ccip_plugin.core.progress import BYTES, Progress
from ccip_plugin.reports.words import Speed, columns, describe, duration, printable


@pytest.mark.parametrize(
    "seconds, expected",
    [(0.2, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 05 min"), (90000, "25 h 00 min")],
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("初音 😀 é.png", "初音 😀 é.png", id="nothing to escape"),
        pytest.param("a\r\n\x1b]0;b\u202e", r"a\r\n\x1b]0;b\u202e", id="controls"),
        pytest.param("latin \udce9", r"latin \udce9", id="a name that is no UTF-8"),
    ],
)
def test_printable(text, expected):
    assert printable(text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("miku", 4, id="Latin"),
        pytest.param("初音ミク", 8, id="Japanese"),
        pytest.param("ﾐｸ", 2, id="half-width kana"),
        pytest.param("ＡＢ", 4, id="full-width Latin"),
        pytest.param("か\u3099", 2, id="kana with a combining mark"),
        pytest.param("e\u0301x\u0302", 2, id="Latin with combining marks"),
        pytest.param("\u1112\u1161\u11ab", 2, id="a Korean syllable in parts"),
        pytest.param("😀", 2, id="emoji"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_columns(text, expected):
    assert columns(text) == expected
    wcwidth = pytest.importorskip("wcwidth")
    assert wcwidth.wcswidth(text) == expected


EMBEDDING = Progress("embedding", 312, 5000, unit="images")


@pytest.mark.parametrize(
    "progress, per_second, expected",
    [
        pytest.param(Progress("reading", 0, None), None, "reading", id="no numbers"),
        pytest.param(Progress("looking", 1234, None), None, "looking: 1,234", id="no total"),
        pytest.param(Progress("embedding", 0, 0), None, "embedding", id="nothing to do"),
        pytest.param(EMBEDDING, None, "embedding: 312 of 5,000", id="no speed yet"),
        pytest.param(EMBEDDING, 14.0, "embedding: 312 of 5,000 (14 images/s, 05:34 left)", id="speed and time left"),
        pytest.param(EMBEDDING, 0.96, "embedding: 312 of 5,000 (1.0 images/s, 1:21:23 left)", id="slow"),
        pytest.param(Progress("found", 9, None, unit="images"), 2.0, "found: 9 (2.0 images/s)", id="speed, no total"),
        pytest.param(Progress("writing", 50, 100), 10.0, "writing: 50 of 100 (00:05 left)", id="no unit"),
        pytest.param(Progress("writing", 100, 100), 10.0, "writing: 100 of 100", id="at the end"),
        pytest.param(Progress("embedding", 1, 4, "3 failed"), None, "embedding: 1 of 4; 3 failed", id="a note"),
        pytest.param(Progress("comparing", 0, None, "a note"), None, "comparing: a note", id="only a note"),
        pytest.param(
            Progress("downloading x", 31_000_000, 150_000_000, unit=BYTES),
            3_100_000.0,
            "downloading x: 31.0MB of 150MB (3.10MB/s, 00:38 left)",
            id="bytes",
        ),
        pytest.param(Progress("a\x1b[2Jb", 1, 2, "c\nd"), None, r"a\x1b[2Jb: 1 of 2; c\nd", id="controls"),
    ],
)
def test_describe(progress, per_second, expected):
    assert describe(progress, per_second) == expected


def speed_after(*points, stages=None):
    """The speed at the last of ``(second, done)``."""
    now, found = [0.0], None
    speed = Speed(clock=lambda: now[0])
    for (second, done), stage in zip(points, stages or ["a"] * len(points), strict=True):
        now[0] = second
        found = speed.update(Progress(stage, done, 5000))
    return found


@pytest.mark.parametrize(
    "points, expected",
    [
        pytest.param([(0, 5)], None, id="one point"),
        pytest.param([(0, 0), (1, 20)], None, id="too early"),
        pytest.param([(0, 10), (9, 10)], None, id="no change"),
        pytest.param([(0, 0), (4, 8)], 2.0, id="two points"),
        pytest.param([(0, 4000), (10, 4010)], 1.0, id="what was done before does not count"),
        pytest.param([(0, 0), (100, 100), (110, 200), (120, 300)], 10.0, id="the last seconds"),
        pytest.param([(0, 500), (10, 0), (14, 8)], 2.0, id="from the start again"),
    ],
)
def test_speed(points, expected):
    assert speed_after(*points) == expected


def test_speed_of_a_new_stage():
    assert speed_after((0, 0), (50, 500), (51, 501), stages="aab") is None


def test_speed_of_many_reports_keeps_few_points():
    now = [0.0]
    speed = Speed(clock=lambda: now[0])
    for done in range(30_000):
        now[0] = done / 1000
        found = speed.update(Progress("a", done, 30_000))
    assert found == pytest.approx(1000)
    assert len(speed._points) < 250
