"""Counts the files that are not read because of the endings of their names."""
# paths are strings, as in the database
# ruff: noqa: PTH122, PTH123

import os
from collections import Counter
from collections.abc import Mapping

from ..core.preprocessing import describe_format
from ..reports.facts import counted

NO_ENDING = "no ending"
N_SHOWN = 8

_HEAD_BYTES = 64
_NOTES = frozenset({".txt", ".caption", ".captions", ".tags", ".md", ".html", ".htm", ".nfo", ".log", ".url"})
_RECORDS = frozenset(
    {".json", ".jsonl", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".xmp", ".db"}
)
_CACHES = frozenset({".npz", ".npy", ".pt", ".safetensors", ".sqlite", ".part", ".crdownload", ".tmp", ".lnk", ".py"})
_BESIDE_IMAGES = _NOTES | _RECORDS | _CACHES
"""Endings of captions, records and caches, which lie beside images and hold none."""


class PassedOver:
    """A count of files by ending; captions, caches and notes are not counted."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, path: str) -> None:
        """Counts a file that is not read. A file without ending counts if its first bytes are those of an image."""
        ending = os.path.splitext(path)[1].lower()
        ending = ending.encode(errors="backslashreplace").decode()
        if not ending:
            if _holds_an_image(path):
                self._counts[NO_ENDING] += 1
        elif ending not in _BESIDE_IMAGES:
            self._counts[ending] += 1

    def counts(self) -> dict[str, int]:
        """Number of files by ending, most first."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))


def counts_text(counts: Mapping[str, int]) -> str:
    """The counts as text: ``12 .heic, 3 .zip``; empty without any."""
    shown = [f"{n:,} {ending}" for ending, n in list(counts.items())[:N_SHOWN]]
    if n_others := sum(list(counts.values())[N_SHOWN:]):
        shown.append(counted(n_others, "other"))
    return ", ".join(shown)


def _holds_an_image(path: str) -> bool:
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return False
        with open(path, "rb") as file:
            file_format = describe_format(file.read(_HEAD_BYTES))
    except OSError:
        return False
    return file_format is not None and file_format.is_image
