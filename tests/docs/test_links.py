"""Every link of the documentation leads somewhere, and every page is two clicks from the README at most."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES, README, ROOT, anchors, links

MOST_CLICKS = 2
MOST_LINES = 180


def problems(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or not path.is_relative_to(ROOT):
            found.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
            found.append(f"{link}: no such heading")
    return found


def clicks() -> dict[Path, int]:
    """How many clicks each page is from the README."""
    found, edge = {README: 0}, [README]
    while edge:
        page = edge.pop(0)
        for link in links(page.read_text(encoding="utf-8")):
            path = (page.parent / link.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file() and path not in found:
                found[path] = found[page] + 1
                edge.append(path)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert problems(page) == []


def test_every_page_is_two_clicks_away():
    away = clicks()
    far = {str(page.relative_to(ROOT)): away.get(page) for page in (ROOT / "docs").rglob("*.md")}
    assert {name: n for name, n in far.items() if n is None or n > MOST_CLICKS} == {}
    assert {name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md") if away.get(ROOT / name) != 1} == set()


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param("[a](b.md) and ![c](d.png)", ["b.md", "d.png"], id="links and images"),
        pytest.param('<img src="a.png">', ["a.png"], id="HTML"),
        pytest.param("[![a](b.svg)](c.md)", ["c.md"], id="an image in a link"),
        pytest.param("`[a](b)`\n```text\n[c](d)\n```\n", [], id="code"),
    ],
)
def test_links_are_found(text, expected):
    assert links(text) == expected


def test_anchors_are_those_of_github():
    text = "# How *good*, how fast?\n## A b\n## A b\n```shell\n# no heading\n```\n### `eps`, min_samples\n"
    assert anchors(text) == {"how-good-how-fast", "a-b", "a-b-1", "eps-min_samples"}


@pytest.mark.parametrize("link", ["nowhere.md", "docs/README.md#nothing", "../outside.md"])
def test_a_broken_link_is_found(tmp_path, monkeypatch, link):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text("# Title\n")
    (tmp_path.parent / "outside.md").write_text("")
    page = tmp_path / "page.md"
    page.write_text(f"[a]({link}) [b](docs/README.md#title)\n")
    monkeypatch.setitem(problems.__globals__, "ROOT", tmp_path)
    assert [problem.partition(":")[0] for problem in problems(page)] == [link]
