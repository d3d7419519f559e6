"""Makes the pictures, figures and reference parts of the documentation: ``python docs/readme.py [WHAT]``.

Pictures are taken of the real App, in Chromium, on the demo in a database of its own. Figures are what ``make demo``
and ``make bench`` printed last; they go between markers::

    <!-- figures: extraction-caformer_s18 columns: 0 1 3 -->
    <!-- /figures -->

Reference parts (options, functions, operators, models, ``--help``) are made from the code; see ``docs/generated.py``.
So is ``manifest.json``, which lists the models.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "scripts")]

from docs import figures  # noqa: E402 - found now

WORK = ROOT / ".work" / "readme"
DOCS = ROOT / "docs"
SHORT = ROOT / "README.md"
WHAT = ("pictures", "figures", "reference", "all")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=WHAT, default="all", help="all by default")
    what = parser.parse_args().what
    if what in ("pictures", "all"):
        take_pictures()
    if what in ("figures", "all"):
        fill_figures()
    if what in ("reference", "all"):
        make_reference()
    return 0


def take_pictures() -> None:
    """Pictures of the App into ``docs/images``."""
    from docs import pictures

    for path in pictures.take(WORK, DOCS / "images"):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def fill_figures() -> None:
    """What was printed last into the pages of ``docs``, and from there into the README."""
    sources = figures.sources(ROOT / ".work")
    for path in sorted(DOCS.rglob("*.md")):
        _fill(path, sources)
    pages = [path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))]
    _fill(SHORT, {figures.GLANCE: figures.glance(*pages)})


def make_reference() -> None:
    """The parts that are made from the code."""
    with _database():
        from ccip_plugin.zoo.source import manifest_text
        from docs import generated

        manifest = ROOT / "manifest.json"
        _write(manifest, manifest.read_text(encoding="utf-8"), manifest_text())
        for path in (SHORT, *sorted(DOCS.rglob("*.md"))):
            text = path.read_text(encoding="utf-8")
            _write(path, text, generated.fill(text))


def _fill(path: Path, sources: dict) -> None:
    text = path.read_text(encoding="utf-8")
    filled, notes = figures.fill(text, sources)
    for note in notes:
        print(f"{path.relative_to(ROOT)}: {note}")
    _write(path, text, filled)


def _write(path: Path, before: str, after: str) -> None:
    if after != before:
        path.write_text(after, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: written")


@contextlib.contextmanager
def _database() -> Iterator[None]:
    """A database of our own: importing FiftyOne connects to one."""
    from tests.support import services

    database = services.TestDatabase()
    try:
        if not database.start():
            raise SystemExit(database.problem)
        yield
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
