"""How fast work was is noted on this machine, and damage to the note costs nothing but the note."""

import pytest

from ccip_plugin.embeddings import speeds
from ccip_plugin.embeddings.speeds import Speed, recall, remember


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for what is remembered."""
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ"))
    return tmp_path / "キャッシュ"


def test_the_last_speed_counts():
    assert recall("a") is None
    remember("a", Speed("CPUExecutionProvider", 8.0), 100)
    remember("b", Speed("CUDAExecutionProvider", 900.0), 100)
    remember("a", Speed("CPUExecutionProvider", 10.0), 100)
    assert (recall("a"), recall("b")) == (Speed("CPUExecutionProvider", 10.0), Speed("CUDAExecutionProvider", 900.0))
    assert recall("a").estimate(5400) == "about 9 min on CPU, at the speed of the last run"
    assert [recall("a").is_of(provider) for provider in ("auto", "cpu", "cuda")] == [True, True, False]


@pytest.mark.parametrize("n, per_second", [(speeds.LEAST - 1, 10.0), (100, 0.0)], ids=["few images", "no speed"])
def test_what_says_little_is_not_noted(n, per_second):
    remember("a", Speed("CPUExecutionProvider", per_second), n)
    assert recall("a") is None


def note(number: str) -> str:
    return f'{{"a": {{"provider": "x", "per_second": {number}}}}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        '{"a": 1}',
        '{"a": {"provider": "x"}}',
        "{",
        "[" * 100_000,
        *map(note, ("0", "-3", "NaN", "1e999", "9" * 400, "[]")),
    ],
    ids=lambda text: text[:50],
)
def test_a_damaged_note_is_none(folder, text):
    folder.mkdir()
    (folder / speeds.FILE).write_text(text)
    assert recall("a") is None
    remember("a", Speed("CPUExecutionProvider", 10.0), 100)
    assert recall("a").per_second == 10.0
    assert [path.name for path in folder.iterdir()] == [speeds.FILE]


def test_where_nothing_can_be_written_nothing_fails(folder):
    folder.write_text("no folder")
    remember("a", Speed("CPUExecutionProvider", 10.0), 100)
    assert recall("a") is None
