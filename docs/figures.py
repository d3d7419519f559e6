"""Figures of the documentation: what the demo and the benchmarks printed, between markers.

Tables stand in ``docs/benchmarks.md`` and ``docs/demo.md``; the short table of the README, ``glance``, takes values of
these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(
    r"^<!-- figures: (?P<name>[\w.-]+)(?: columns: (?P<columns>[\d ]+?))? -->\n(?P<old>.*?)^<!-- /figures -->$",
    flags=re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"<!-- /?figures")
GLANCE = "glance"


@dataclass(frozen=True)
class Measure:
    """A row of the short table.

    Attributes:
        words: what was measured
        source: the name of the table that has it
        row: how the row begins, cell by cell
        column: the title of its column
        unit: of the value
        command: what prints it
    """

    words: str
    source: str
    row: tuple[str, ...]
    column: str
    unit: str
    command: str


MEASURES = (
    Measure(
        "adjusted Rand index, drawn images of the demo", "demo", ("adjusted Rand index",), "images", "", "make demo"
    ),
    Measure("the same, 2,000 simulated embeddings", "engine-quality", ("linkage", "2,000"), "ARI", "", "make bench"),
    Measure(
        "embedding, network of the shape caformer_s18",
        "extraction-caformer_s18",
        ("this plugin",),
        "images/s",
        " images/s",
        "make bench",
    ),
    Measure(
        "the same with dghs-imgutils",
        "extraction-caformer_s18",
        ("dghs-imgutils, one image a call",),
        "images/s",
        " images/s",
        "make bench",
    ),
    Measure(
        "peak memory of this plugin at it",
        "extraction-caformer_s18",
        ("this plugin",),
        "MiB peak",
        " MiB",
        "make bench",
    ),
    Measure(
        "grouping and labeling 10,000 embedded images", "grouping", ("group and label",), "seconds", " s", "make bench"
    ),
    Measure("clustering 100,000 embeddings", "engine-speed", ("linkage", "100,000"), "s", " s", "make bench"),
)
"""The short table of the README."""


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


def glance(*pages: str) -> dict[str, Any]:
    """The short table, from the figures that stand in other pages.

    Args:
        pages: Markdown with filled markers

    Raises:
        MarkerError: a table, a row or a column is missing
    """
    blocks = {block["name"]: block["old"] for page in pages for block in _BLOCK.finditer(page)}
    rows = [[m.words, f"{_value(blocks, m)}{m.unit}", f"`{m.command}`"] for m in MEASURES]
    machines = {text for block in blocks.values() for text in re.findall(r"; ([^;\n]+)\.$", block, flags=re.MULTILINE)}
    return {
        "title": "CPU only",
        "machine": " and ".join(sorted(machines)),
        "header": ["measured", "result", "printed by"],
        "rows": rows,
    }


def _value(blocks: Mapping[str, str], measure: Measure) -> str:
    if measure.source not in blocks:
        raise MarkerError(f"no page has the figures {measure.source!r}")
    header: list[str] = []
    for line in blocks[measure.source].splitlines():
        cells = [cell.strip() for cell in (line.strip("|").split("|") if "|" in line else re.split(r"\s{2,}", line))]
        titles = [cell.partition(" [")[0] for cell in cells]
        if measure.column in titles:
            header = titles
        elif header and tuple(cells[: len(measure.row)]) == measure.row:
            return cells[header.index(measure.column)].partition(" [")[0]
    raise MarkerError(f"the figures {measure.source!r} have no {measure.row} with {measure.column!r}")
