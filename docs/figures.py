"""Figures of the README: what the demo and the benchmarks printed, between markers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_BLOCK = re.compile(
    r"^<!-- figures: (?P<name>[\w.-]+)(?: columns: (?P<columns>[\d ]+?))? -->\n(?P<old>.*?)^<!-- /figures -->$",
    flags=re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"<!-- /?figures")


class MarkerError(ValueError):
    """Markers that do not belong together."""


def sources(work: Path) -> dict[str, str | dict]:
    """What was printed last: text for the demo, a table for each one of a benchmark.

    Args:
        work: the folder of what demo and benchmarks leave

    Returns:
        by name; a table is ``{"title": ..., "header": [...], "rows": [[...], ...]}``
    """
    found: dict[str, str | dict] = {}
    table = work / "readme" / "table.txt"
    if table.exists():
        found["demo"] = table.read_text(encoding="utf-8").replace(f"{work / 'readme' / 'images'}/", "")
    for path in sorted((work / "bench").glob("*.json")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def fill(text: str, found: Mapping[str, str | dict]) -> tuple[str, list[str]]:
    """Puts the figures between their markers; where there are none yet, what stands there stays.

    Args:
        text: Markdown with markers
        found: see :func:`sources`

    Returns:
        the new text, and a line about each marker

    Raises:
        MarkerError: one without its other half
    """
    said: list[str] = []

    def replaced(block: re.Match[str]) -> str:
        name = block["name"]
        if name not in found:
            said.append(f"{name}: LEFT as it is, nothing was printed yet (make demo, make bench)")
            return block[0]
        columns = [int(number) for number in block["columns"].split()] if block["columns"] else None
        new = _markdown(found[name], columns)
        said.append(f"{name}: {'as before' if new == block['old'] else 'new figures'}")
        head, _, _ = block[0].partition("\n")
        return f"{head}\n{new}<!-- /figures -->"

    filled = _BLOCK.sub(replaced, text)
    if len(_MARKER.findall(text)) != 2 * len(said):
        raise MarkerError("each <!-- figures: NAME --> needs its <!-- /figures -->, on lines of their own")
    return filled, said


def _markdown(source: str | dict, columns: Sequence[int] | None) -> str:
    if isinstance(source, str):
        return f"\n```text\n{source.rstrip()}\n```\n\n"
    picked = columns or range(len(source["header"]))
    rows = [[_cell(row[i]) for i in picked] for row in (source["header"], *source["rows"])]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{'|'.join('---' if n == 0 else '--:' for n, _ in enumerate(picked))}|")
    return "\n" + "\n".join([*lines, "", f"{source['title']}; {source['machine']}."]) + "\n\n"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
