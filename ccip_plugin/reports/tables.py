"""Tables as aligned text."""

import re
from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from .words import columns, printable

_FILLER = "x"


def table_text(rows: Iterable[Sequence[str]], headers: Sequence[str] = (), *, right: Iterable[int] = ()) -> str:
    """Rows as lines of aligned cells. Names in Japanese or Chinese stay aligned, and no cell breaks its line.

    Args:
        rows: the cells of each row
        headers (()): the titles of the columns, none by default
        right (()): the columns that are aligned to the right
    """
    cells: list[str] = []
    # tabulate knows the width of Japanese only where the package wcwidth happens to be installed. So it aligns runs of
    # a narrow letter, each as wide as a cell; the cells then take their places.
    runs = [[_run(text, cells) for text in row] for row in [headers, *rows] if row]
    if not runs:
        return ""
    places = set(right)
    alignment = ["right" if place in places else "left" for place in range(max(map(len, runs)))]
    aligned = tabulate(runs, tablefmt="plain", colalign=alignment, disable_numparse=True)
    texts = iter(cells)
    return "\n".join(re.sub(f"{_FILLER}+", lambda _: next(texts), line).rstrip() for line in aligned.splitlines())


def records_text(records: Sequence[Mapping[str, str]], *, right: Iterable[int] = ()) -> str:
    """Rows with the same keys as a table under a line of these keys.

    Args:
        records: the rows
        right (()): the columns that are aligned to the right
    """
    return table_text([list(record.values()) for record in records], list(records[0]) if records else (), right=right)


def _run(text: str, cells: list[str]) -> str:
    text = printable(text)
    if not text:
        return ""
    cells.append(text)
    return _FILLER * max(columns(text), 1)
