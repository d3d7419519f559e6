"""Reports as files: JSON and CSV."""

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def finite_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: finite_values(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | Path, plain: Mapping[str, Any]) -> Path:
    """Writes plain values into a file; gives its path."""
    path = Path(path)
    path.write_text(json.dumps(plain, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8")
    return path


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Writes rows into a file, with a mark at its beginning by which spreadsheets know that it is UTF-8."""
    path, rows = Path(path), list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(
            {key: "" if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()} for row in rows
        )
    return path
