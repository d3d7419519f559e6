"""The drawn world: the same every time, with a truth that holds."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from demo import make_images, world
from demo.canvas import Canvas, Style
from demo.character import BOY_BACKS, GIRL_BACKS, Character, make_character, make_twin
from demo.contact_sheet import contact_sheet, world_sheet
from demo.figure import Place, draw_figure
from demo.picture import make_group, make_nobody, make_single, render
from demo.pose import Pose, make_pose, make_style

pytestmark = pytest.mark.slow  # thousands of drawings

SMALL = (96, 120)


@pytest.fixture(scope="module")
def small_world(tmp_path_factory) -> world.World:
    folder = tmp_path_factory.mktemp("世界 world")
    return world.make_world(
        folder, n_characters=9, n_images=40, n_groups=4, n_nobody=2, n_broken=6, short_side=SMALL, workers=1
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_draws_the_same_files_with_any_number_of_processes(tmp_path):
    options = {"n_characters": 3, "n_images": 17, "seed": 5, "n_broken": 2, "short_side": SMALL}
    world.make_world(tmp_path / "one", **options, workers=1)
    world.make_world(tmp_path / "two", **options, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_is_another_world(tmp_path):
    for seed in (1, 2):
        world.make_world(tmp_path / str(seed), n_characters=2, n_images=3, seed=seed, short_side=SMALL, workers=1)
    assert not set(contents(tmp_path / "1").values()) & set(contents(tmp_path / "2").values())


def test_a_character_does_not_depend_on_how_many_there_are():
    assert world.make_cast(3, 40)[:11] == world.make_cast(3, 11)


@pytest.mark.parametrize("n_characters, n_images", [(0, 0), (0, 3), (1, 6), (2, 30), (400, 400)])
def test_any_number_of_characters_and_images_is_planned(n_characters, n_images):
    counts = {"once": 0, "group": min(n_images // 6, n_images), "nobody": 0, "broken": 0}
    counts["single"] = n_images - counts["group"] if n_characters else 0
    counts["group"] = counts["group"] if n_characters else 0
    jobs = world.plan(world.make_cast(0, n_characters), [], counts, 0, SMALL)
    assert len(jobs) == len({job.path for job in jobs}) == sum(counts.values())
    shown = {c.key for job in jobs for c in job.characters}
    assert len(shown) == (n_characters if n_images >= 2 * n_characters else len(shown))


def test_five_hundred_characters_have_names_of_their_own():
    names = [c.name for c in world.make_cast(0, 500)]
    assert len(set(names)) == 500
    assert any(name.isascii() for name in names) and any("ぁ" <= letter <= "ヿ" for name in names for letter in name)


def test_too_few_images_for_what_is_asked_are_refused(tmp_path):
    with pytest.raises(ValueError, match="too few"):
        world.make_world(tmp_path, n_images=3, n_groups=4)


def test_the_world_has_what_was_asked_for(small_world):
    kinds = [len(small_world.of_kind(kind)) for kind in world.KINDS]
    assert kinds == [28, 4, 2, 6]
    assert len(small_world.characters) == 9 + 1
    once = small_world.characters["c009"]
    assert [s.character for i in small_world.images for s in i.seen].count(once.key) == 1
    assert small_world.characters["c007"].twin_of == "c006"


def test_truth_can_be_read_back(small_world):
    assert world.read_truth(small_world.folder) == small_world.images
    truth = json.loads((small_world.folder / "truth.json").read_text(encoding="utf-8"))
    assert truth["format"] == 1
    assert truth["characters"]["c007"]["twin_of"] == "c006"
    assert sum(c["images"] for c in truth["characters"].values()) == sum(len(i.seen) for i in small_world.images)


def test_another_format_of_the_truth_is_refused(tmp_path):
    (tmp_path / "truth.json").write_text('{"format": 2, "images": {}}')
    with pytest.raises(ValueError, match="format 2"):
        world.read_truth(tmp_path)


def test_exactly_the_broken_files_are_broken(small_world):
    for image in small_world.images:
        path = small_world.folder / image.path
        if image.kind == "broken":
            with pytest.raises((UnidentifiedImageError, OSError, SyntaxError)), Image.open(path) as opened:
                opened.load()
        else:
            with Image.open(path) as opened:
                opened.load()


def test_every_file_of_the_folder_is_in_the_truth(small_world):
    assert set(contents(small_world.folder)) - {"truth.json"} == {image.path for image in small_world.images}


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("crop", ["face", "full", "aside"])
def test_a_box_holds_everything_that_was_drawn_and_nothing_more(number, crop):
    random = np.random.default_rng(number)
    paper = (10, 200, 30)  # a colour that nobody has
    image = Image.new("RGB", (300, 400), paper)
    canvas = Canvas(image, make_style(random), thinnest=1.5)
    place = {"face": Place(150, 200, 90), "full": Place(150, 90, 24, flip=True), "aside": Place(20, 380, 60)}[crop]
    box = draw_figure(canvas, make_character(50, number), make_pose(random), place)
    drawn = (np.asarray(image) != paper).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    true = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert np.abs(np.array(box) - true).max() <= 4, (box, true)


def test_boxes_of_a_group_are_relative_and_from_left_to_right():
    random = np.random.default_rng(0)
    picture = make_group(random, tuple(world.make_cast(1, 3)), short_side=SMALL)
    _, boxes = render(picture)
    middles = [figure.place.x / picture.size[0] for figure in picture.figures]
    assert len(boxes) == 3
    for (x, y, width, height), middle in zip(boxes, middles, strict=True):
        assert 0 <= x < middle < x + width <= 1 and 0 <= y < y + height <= 1


def test_a_twin_has_the_hair_but_not_the_eyes_and_not_the_pieces():
    for number in range(0, 60, 2):
        character = make_character(8, number)
        twin = make_twin(character, 8, number + 1)
        assert twin.hair == character.hair and twin.skin == character.skin
        assert twin.eyes.shape != character.eyes.shape and twin.eyes.colour != character.eyes.colour
        assert not {p.kind for p in twin.pieces} & {p.kind for p in character.pieces}
        assert (twin.key, twin.twin_of) == (f"c{number + 1:03d}", character.key)


def every_look() -> list:
    """Characters that between them have every cut of hair, every outfit and every piece."""
    return [make_character(77, number) for number in range(160)]


def test_a_hundred_and_sixty_characters_show_everything_there_is():
    cast = every_look()
    assert {c.hair.back for c in cast} == {*GIRL_BACKS, *BOY_BACKS}
    assert len({o.kind for c in cast for o in c.outfits}) == 14
    assert len({p.kind for c in cast for p in c.pieces}) >= 28


def test_everything_can_be_drawn():
    shadings = ("hard", "soft", "double", "flat")
    for number, character in enumerate(every_look()):
        random = np.random.default_rng(number)
        image = Image.new("RGB", (60, 90), "white")
        pose = replace(make_pose(random), outfit=number % 3)
        style = Style(shading=shadings[number // 3 % 4])
        box = draw_figure(Canvas(image, style), character, pose, Place(30, 20, 5))
        assert box[2] - box[0] > 10 and box[3] - box[1] > 50


def test_the_outfit_changes_and_the_face_stays():
    character = make_character(4, 2)
    images = []
    for outfit in (0, 1):
        image = Image.new("RGB", (200, 300), "white")
        draw_figure(Canvas(image, Style()), character, Pose(outfit=outfit), Place(100, 80, 30))
        images.append(np.asarray(image))
    assert (images[0] != images[1])[150:].any()
    assert (images[0] == images[1])[50:100, 80:120].all()


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_a_smaller_drawing_is_the_same_drawing(scale):
    picture = replace(
        make_single(np.random.default_rng(2), make_character(1, 1), short_side=(400, 401)), noise=0.0, floating=False
    )
    whole, boxes = render(picture)
    small, small_boxes = render(picture, scale=scale)
    expected = np.asarray(whole.resize(small.size, Image.Resampling.BOX)).astype(float)
    assert np.abs(np.asarray(small) - expected).mean() < 12
    assert np.abs(np.array(boxes) - small_boxes).max() < 0.03


def test_pictures_of_nobody_have_no_boxes():
    for number in range(12):
        image, boxes = render(make_nobody(np.random.default_rng(number), short_side=SMALL))
        assert boxes == [] and image.mode == "RGB"


def test_contact_sheets_show_the_files(small_world):
    paths = [small_world.folder / image.path for image in small_world.of_kind("single")[:5]]
    sheet = contact_sheet(paths, columns=3, tile=40, gap=2)
    assert sheet.size == (3 * 42 + 2, 2 * 42 + 2)
    assert world_sheet(small_world, per_character=2, tile=20).height > 20


def test_the_command_draws_a_folder(tmp_path, capsys):
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    arguments = [str(out), "--characters", "2", "--images", "3", "--seed", "4", "--contact-sheet", str(sheet)]
    assert make_images.main(arguments) == 0
    text = capsys.readouterr().out
    assert "3 files" in text
    assert re.search(
        r"^drawn in \d+ s: 3 images of one character, 0 of several, 0 without characters, and 0 broken files$",
        text,
        re.M,
    )
    assert (out / "truth.json").exists()
    with Image.open(sheet) as image:
        assert image.size[0] > 0


def test_a_character_is_a_plain_value():
    assert make_character(1, 1) == make_character(1, 1) != make_character(1, 2)
    assert isinstance(make_character(1, 1), Character)
