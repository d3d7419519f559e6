"""One image that shows many."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from .colours import WHITE
from .world import World


def contact_sheet(
    paths: Iterable[str | Path], *, columns: int = 8, tile: int = 220, gap: int = 8, crop: bool = True
) -> Image.Image:
    """Tiles of the images at ``paths``, row by row.

    Args:
        paths: readable image files
        columns (8): tiles in a row
        tile (220): side of a tile in pixels
        gap (8): pixels between tiles
        crop (True): fill each tile and cut off what is outside; otherwise the whole image is shown
    """
    tiles = [_tile(Path(path), tile, crop) for path in paths]
    rows = -(-len(tiles) // columns)
    step = tile + gap
    sheet = Image.new("RGB", (columns * step + gap, max(rows, 1) * step + gap), WHITE)
    for i, image in enumerate(tiles):
        sheet.paste(image, (gap + i % columns * step, gap + i // columns * step))
    return sheet


def world_sheet(world: World, *, per_character: int = 8, characters: int = 12, tile: int = 200) -> Image.Image:
    """A row for each of the first characters that appear at least twice."""
    rows: list[Path] = []
    shown = 0
    for key in world.characters:
        paths = [world.folder / i.path for i in world.of_kind("single") if i.seen[0].character == key]
        if len(paths) >= per_character and shown < characters:
            rows += paths[:per_character]
            shown += 1
    if not rows:
        rows = [world.folder / image.path for image in world.of_kind("single")]
    return contact_sheet(rows, columns=per_character, tile=tile)


def _tile(path: Path, side: int, crop: bool) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        whole = image.convert("RGB")
    if crop:
        return ImageOps.fit(whole, (side, side), Image.Resampling.LANCZOS, centering=(0.5, 0.3))
    return ImageOps.pad(whole, (side, side), Image.Resampling.LANCZOS, color=WHITE)
