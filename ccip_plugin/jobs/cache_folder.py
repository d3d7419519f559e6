"""The cache folder: what is in it, and deleting it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ParameterError
from ..core.neighbors.files import delete_unused_graphs, graphs_folder
from ..core.system import cache_dir
from ..core.thumbnails import Thumbnails, thumbnails_folder
from ..reports.facts import Facts, counted

THUMBNAILS, GRAPHS = "thumbnails", "graphs"
PARTS = {THUMBNAILS: "Thumbnails", GRAPHS: "Neighbor graphs"}
"""The parts that can be deleted, which are large; the rest is some kilobytes."""

_DAY = 86_400


@dataclass(frozen=True)
class CacheReport:
    """What is in the cache folder.

    Attributes:
        folder: the folder
        n_files: number of files by part; the rest is in the part ``other``
        n_bytes: their bytes by part
        limit: the limit of the thumbnails in bytes
        n_freed: number of bytes that were deleted, or would be; None if nothing was asked to be deleted
        is_done: False for a dry run
    """

    folder: Path
    n_files: dict[str, int]
    n_bytes: dict[str, int]
    limit: int
    n_freed: int | None = None
    is_done: bool = False

    def facts(self) -> Facts:
        """The report as text."""
        verb = "freed" if self.is_done else "would be freed"
        headline = str(self.folder) if self.n_freed is None else f"{size_of(self.n_freed)} {verb} in {self.folder}"
        limit = f", of at most {size_of(self.limit)}" if self.limit else "; none are made (CCIP_THUMBNAILS_MB=0)"
        rows = [
            (label, f"{size_of(self.n_bytes[part])} in {counted(self.n_files[part], 'file')}")
            for part, label in {**PARTS, "other": "Other"}.items()
        ]
        return Facts.of(headline, [(label, text + limit * (label == PARTS[THUMBNAILS])) for label, text in rows])

    def __str__(self) -> str:
        return str(self.facts())


def cache_report() -> CacheReport:
    """Measures the cache folder.

    Raises:
        ParameterError: ``CCIP_THUMBNAILS_MB`` is not a number
    """
    folders = {THUMBNAILS: thumbnails_folder(), GRAPHS: graphs_folder()}
    sizes = {part: _sizes(folder) for part, folder in folders.items()}
    sizes["other"] = _sizes(cache_dir(), without=folders.values())
    n_files, n_bytes = ({part: total(each) for part, each in sizes.items()} for total in (len, sum))
    return CacheReport(cache_dir(), n_files, n_bytes, Thumbnails().limit)


def clean_cache(*parts: str, unused_days: float = 0, dry_run: bool = False) -> CacheReport:
    """Deletes parts of the cache folder. They are made again when they are needed.

    Args:
        parts: ``"thumbnails"``, ``"graphs"``; both by default
        unused_days (0): delete only what was not used for this number of days
        dry_run (False): delete nothing

    Returns:
        a :class:`CacheReport` of the folder as it is afterwards

    Raises:
        ParameterError: there is no such part, or the number of days is below 0
    """
    for part in parts:
        if part not in PARTS:
            raise ParameterError("parts", part, f"one of {', '.join(PARTS)}")
    is_number = isinstance(unused_days, int | float) and not isinstance(unused_days, bool)
    if not is_number or not 0 <= unused_days <= 1e6:
        raise ParameterError("unused_days", unused_days, "a number of days from 0 to 1,000,000")
    report = cache_report()
    wanted, seconds = parts or tuple(PARTS), unused_days * _DAY
    n_freed = 0
    if THUMBNAILS in wanted:
        n_freed += Thumbnails().clean(unused_seconds=seconds, dry_run=dry_run).n_bytes
    if GRAPHS in wanted:
        n_freed += delete_unused_graphs(graphs_folder(), seconds, dry_run=dry_run)
    left = report if dry_run else cache_report()
    return CacheReport(left.folder, left.n_files, left.n_bytes, left.limit, n_freed, not dry_run)


def size_of(n_bytes: int) -> str:
    """A number of bytes as people read it, such as ``12.3 MB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return counted(n_bytes, "byte")


def _sizes(folder: Path, without: Iterable[Path] = ()) -> Sequence[int]:
    """The sizes of the files in a folder; what cannot be read counts nothing."""
    skipped, sizes = set(map(str, without)), []
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(path, name) not in skipped]  # noqa: PTH118 - as walk has it
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(path, name)).st_size)  # noqa: PTH118
            except OSError:  # deleted at this moment
                continue
    return sizes
