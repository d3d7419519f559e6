"""Makes the pictures and the figures of the README again: ``python docs/readme.py [pictures | figures]``.

Pictures are taken of the real App, in Chromium, on the demo in a database of its own. Figures are what ``make demo``
and ``make bench`` printed last; they go between markers::

    <!-- figures: extraction-caformer_s18 columns: 0 1 3 -->
    <!-- /figures -->
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "docs"), str(ROOT / "scripts")]

import figures  # noqa: E402 - found now
import pictures  # noqa: E402

WORK = ROOT / ".work" / "readme"
README = ROOT / "README.md"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("pictures", "figures", "all"), default="all", help="all by default")
    what = parser.parse_args().what
    if what != "figures":
        for path in pictures.take(WORK, ROOT / "docs" / "images"):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    if what != "pictures":
        text = README.read_text(encoding="utf-8")
        filled, said = figures.fill(text, figures.sources(ROOT / ".work"))
        print("\n".join(said))
        if filled != text:
            README.write_text(filled, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
