"""Reports as files: JSON and CSV."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import CCIPError, check_type, printable
from ..core.plain import plain

_FORMULA = ("=", "+", "-", "@")  # a text that begins with one of these is a formula for spreadsheets


class FileNotWrittenError(CCIPError, OSError):
    """A file cannot be written."""

    def __init__(self, path: str | Path, reason: object):
        super().__init__(printable(f"{str(path)!r} cannot be written: {reason}; choose another file"))
        self.path = path


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Writes a file inside; gives its path.

    Raises:
        FileNotWrittenError: it cannot be written
    """
    check_type("path", path, str | Path, "the path of a file")
    try:
        yield Path(path).expanduser()
    except (OSError, ValueError, RuntimeError) as error:  # of a path with a null byte, or a home that is not known
        raise FileNotWrittenError(path, getattr(error, "strerror", None) or error) from error


def write_json(path: str | Path, values: Mapping[str, Any]) -> Path:
    """Writes values into a file; gives its path."""
    text = json.dumps(plain(values), ensure_ascii=False, indent=1, allow_nan=False)
    with writing(path) as file:
        file.write_text(text, encoding="utf-8")
    return file


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Writes rows into a file that begins with a byte order mark, by which spreadsheets recognize UTF-8.

    A text that a spreadsheet would take for a formula, as a name from a stranger's file can be, gets a ' before it.
    """
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with writing(path) as place, place.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return place


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in _FORMULA and not _is_number(value):
        return f"'{value}"
    return "" if isinstance(value, float) and not math.isfinite(value) else value


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
