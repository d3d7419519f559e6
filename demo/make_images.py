"""Draws a folder of images with known characters: ``python -m demo.make_images OUT``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from .contact_sheet import contact_sheet, world_sheet
from .world import KINDS, TRUTH_FILE, make_world


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done} of {total} images", end="\n" if done == total else "", file=sys.stderr, flush=True)

    world = make_world(
        options.out,
        n_characters=options.characters,
        n_images=options.images,
        seed=options.seed,
        workers=options.workers,
        progress=show,
    )
    kinds = Counter(image.kind for image in world.images)
    print(f"{len(world.images)} files in {options.out}, {len(world.characters)} characters, seed {options.seed}")
    single, several, empty, broken = (kinds[kind] for kind in KINDS)
    print(
        f"drawn in {time.monotonic() - started:.0f} s: {single} images of one character, {several} of several, {empty} "
        f"without characters, and {broken} broken files"
    )
    print(f"the truth about them: {Path(options.out) / TRUTH_FILE}")
    if options.contact_sheet is not None:
        if options.by_character:
            sheet = world_sheet(world)
        else:
            sheet = contact_sheet([world.folder / i.path for i in world.images if i.kind != "broken"][:96])
        sheet.save(options.contact_sheet)
        print(f"contact sheet: {options.contact_sheet}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.make_images",
        description="Draw anime-like characters into a folder, with truth.json saying who is on which image.",
    )
    parser.add_argument("out", metavar="OUT", help="folder for the images; made when it is not there")
    parser.add_argument("--characters", type=int, default=24, help="characters that appear again and again (24)")
    parser.add_argument("--images", type=int, default=300, help="files in all (300)")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another world (0)")
    parser.add_argument("--workers", type=int, default=None, help="processes (one per core)")
    parser.add_argument("--contact-sheet", metavar="FILE", help="also write one image that shows the first 96")
    parser.add_argument("--by-character", action="store_true", help="the contact sheet has a row for each character")
    return parser


if __name__ == "__main__":
    sys.exit(main())
