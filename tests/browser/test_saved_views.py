"""Saved views in the App: each shows its tiles, in its order, with the images drawn on them; of detections, patches."""

import io
import os

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.core.utils import to_slug
from PIL import Image

from ccip_plugin import confirm, group_characters, ignore, save_views
from ccip_plugin.labels.views import VIEWS
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

LETTERS = "aaaaabbbbcccef"
TILES, TOLERANCE, TRIES = 8, 40, 40
"""Tiles that are looked at, how much the color of one may differ from that of its image, and tries."""


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset with groups on samples and detections; some are confirmed, ignored or rescued."""
    data = dataset(*images(LETTERS, size=(320, 240)), name=f"views-{os.getpid()}-{tmp_path.name}", persistent=True)
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["people"] = fo.Detections(detections=[fo.Detection(label="person", bounding_box=box) for box in boxes])
        sample.save()
    embed(data, LETTERS)
    embed(data, "".join({"e": "eg", "f": "fh"}.get(letter, letter * 2) for letter in LETTERS), "people")
    for field in (None, "people"):
        group_characters(data, patches_field=field)
        confirm(data.limit(1), patches_field=field)
        ignore(data.skip(len(LETTERS) - 1), patches_field=field)
    sample = data.skip(5).first()
    sample.character_group.rescued = True
    sample.people.detections[0].character_rescued = True
    sample.save()
    for field in (None, "people"):
        save_views(data, patches_field=field)
    return data


def color_of(path):
    """The color of an image of one color."""
    return np.median(np.asarray(Image.open(path).convert("RGB"), int), (0, 1))


def colors_of_tiles(app):
    """The color in the middle of each of the first tiles, row by row."""
    boxes = [tile.bounding_box() for tile in app.cy("looker").all()]
    boxes = sorted((box for box in boxes if box), key=lambda box: (round(box["y"] / 40), box["x"]))
    screen = np.asarray(Image.open(io.BytesIO(app.page.screenshot())).convert("RGB"), int)
    middles = [(int(box["x"] + box["width"] / 2), int(box["y"] + box["height"] / 2)) for box in boxes[:TILES]]
    height, width = screen.shape[:2]
    return [np.median(screen[y - 8 : y + 8, x - 8 : x + 8], (0, 1)) for x, y in middles if y < height and x < width]


def wait_for_colors(app, wanted):
    """Waits until the tiles show these colors."""
    for _ in range(TRIES):
        found = colors_of_tiles(app)
        is_drawn = len(found) >= min(len(wanted), 4)
        pairs = zip(found, wanted, strict=False)
        if is_drawn and all(np.abs(color - other).max() <= TOLERANCE for color, other in pairs):
            return
        app.page.wait_for_timeout(500)
    raise AssertionError((found, wanted))


def counted(n, noun):
    """As the App counts."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}es" if noun == "patch" else f"{n} {noun}s"


@pytest.mark.parametrize("suffix", ["", " (people)"], ids=["samples", "patches"])
def test_saved_views_have_their_tiles(app, gallery, suffix):
    noun = "patch" if suffix else "sample"
    with app.shot_on_failure(f"views-{noun}"):
        app.open(gallery.name)
        for number, name in enumerate(VIEWS):
            saved = f"CCIP: {name}{suffix}"
            view = gallery.load_saved_view(saved)
            paths = view.values("filepath")
            app.page.goto(f"{app.url}/datasets/{gallery.name}?view={to_slug(saved)}")
            app.page.get_by_text(saved, exact=True).first.wait_for()
            assert paths, saved
            app.count(counted(len(paths), noun))
            wait_for_colors(app, [color_of(path) for path in paths[:TILES]])
            app.page.wait_for_timeout(500)
            app.shot(f"saved-{noun}-{number}")
