"""Reports as files: JSON and CSV."""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.plain import plain


def write_json(path: str | Path, values: Mapping[str, Any]) -> Path:
    """Writes values into a file; gives its path."""
    path = Path(path)
    text = json.dumps(plain(values), ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text, encoding="utf-8")
    return path


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Writes rows into a file that begins with a byte order mark, by which spreadsheets recognize UTF-8."""
    path, rows = Path(path), list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {key: "" if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()} for row in rows
        )
    return path
