"""The pages of the documentation, and what is in them: links, anchors, fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "skills").rglob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
)

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^)\s]+)\)|(?:src|href)=\"(?P<html>[^\"]+)\"")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: after the opening fence
        text: what is in it
    """

    language: str
    text: str


def blocks(text: str, *languages: str) -> list[Block]:
    """The fenced blocks of a page, of all languages by default."""
    found = [Block(match["language"], match["text"]) for match in _FENCE.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def links(text: str) -> list[str]:
    """Where links and images of a page lead, those in code left out."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))
    return [match["target"] or match["html"] for match in _LINK.finditer(prose)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for title in re.findall(r"^#+ (.+)$", _FENCE.sub("", text), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        anchor = base
        while anchor in found:
            number += 1
            anchor = f"{base}-{number}"
        found.add(anchor)
    return found
