"""Pictures that show nothing, and the frame that stands for an animation."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ccip_plugin.core.preprocessing import is_blank, load_image, resized
from ccip_plugin.core.preprocessing.animation import MAX_FRAMES
from tests.support.images import odd_images


def noise(low, high, size=(300, 200), seed=0):
    values = np.random.default_rng(seed).integers(low, high + 1, (*size[::-1], 3))
    return Image.fromarray(values.astype(np.uint8))


def recompressed(image, quality=30):
    return Image.open(io.BytesIO(odd_images.encode(image, "JPEG", quality=quality))).convert("RGB")


def page_with_drawing(size=(1000, 1400), radius=40):
    page = Image.new("RGB", size, "white")
    x, y = size[0] // 2, size[1] // 3
    ImageDraw.Draw(page).ellipse([x - radius, y - radius, x + radius, y + radius], outline="black", width=3)
    return page


def gradient(top):
    return Image.fromarray(np.tile(np.linspace(0, top, 400).astype(np.uint8)[:, None, None], (1, 300, 3)))


def spot(share):
    """A white picture with a black part of a share of it."""
    values = np.full(384 * 384, 255, np.uint8)
    values[: round(share * len(values))] = 0
    return Image.fromarray(np.repeat(values.reshape(384, 384, 1), 3, axis=2))


@pytest.mark.parametrize(
    "image, expected",
    [
        pytest.param(Image.new("RGB", (64, 48)), True, id="black"),
        pytest.param(Image.new("RGB", (1, 1), "white"), True, id="one white pixel"),
        pytest.param(noise(0, 2), True, id="black with noise 0-2"),
        pytest.param(noise(250, 255), True, id="white with noise"),
        pytest.param(recompressed(Image.new("RGB", (500, 300), (90, 20, 200))), True, id="one color as JPEG"),
        pytest.param(recompressed(noise(0, 2)), True, id="black noise as JPEG"),
        pytest.param(gradient(6), True, id="a shade that nobody sees"),
        pytest.param(spot(0.0005), True, id="a speck of dust"),
        pytest.param(gradient(30), False, id="a gradient"),
        pytest.param(page_with_drawing(), False, id="a white page with a small line drawing"),
        pytest.param(spot(0.0015), False, id="a small drawing"),
        pytest.param(odd_images.drawing(), False, id="a drawing"),
        pytest.param(
            Image.merge("RGB", [gradient(60).getchannel(0), *[Image.new("L", (300, 400))] * 2]), False, id="red"
        ),
    ],
)
def test_blank(image, expected):
    assert is_blank(resized(image)) == expected


def animation(file_format, frames):
    options = {"WEBP": {"lossless": True}, "GIF": {"disposal": 2}}.get(file_format, {})
    return odd_images.encode(frames[0], file_format, save_all=True, append_images=frames[1:], duration=90, **options)


FORMATS = ["GIF", "WEBP", "PNG", "AVIF"]


def different_blanks(n):
    """Frames that a writer does not join to one."""
    return [Image.new("RGB", odd_images.drawing().size, (number % 2 * 4, 0, 0)) for number in range(n)]


@pytest.mark.parametrize("n_blank", [0, 1, 3])
@pytest.mark.parametrize("file_format", FORMATS)
def test_the_first_frame_that_shows_something_stands_for_an_animation(file_format, n_blank, tmp_path):
    frames = [*different_blanks(n_blank), odd_images.drawing(), Image.new("RGB", odd_images.drawing().size, "red")]
    content = animation(file_format, frames)
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    for source in (content, path, io.BytesIO(content)):
        difference = np.asarray(load_image(source)).astype(int) - np.asarray(odd_images.drawing())
        assert abs(difference).mean() < (5 if file_format in ("WEBP", "PNG") else 12)


def test_a_transparent_first_frame_shows_nothing():
    size = odd_images.drawing().size
    content = animation("WEBP", [Image.new("RGBA", size, (9, 9, 9, 0)), odd_images.drawing().convert("RGBA")])
    assert not is_blank(resized(load_image(content)))


def test_an_animation_of_blank_frames_gives_its_first():
    assert np.asarray(load_image(animation("GIF", different_blanks(5))))[0, 0].tolist() == [0, 0, 0]


def test_frames_are_tried_up_to_a_limit():
    for n_blank, is_shown in ((MAX_FRAMES - 1, True), (MAX_FRAMES, False)):
        content = animation("GIF", [*different_blanks(n_blank), odd_images.drawing()])
        assert is_blank(resized(load_image(content))) != is_shown


def test_a_damaged_later_frame_ends_the_search():
    content = animation("WEBP", [*different_blanks(1), odd_images.drawing()])
    damaged = bytearray(content)
    damaged[-200:-100] = bytes(100)
    assert load_image(bytes(damaged)).size == odd_images.drawing().size


@pytest.mark.parametrize("file_format", ["TIFF", "MPO"])
def test_pages_and_other_views_are_no_frames(file_format):
    content = odd_images.encode(
        different_blanks(1)[0], file_format, save_all=True, append_images=[odd_images.drawing()]
    )
    assert is_blank(resized(load_image(content)))


def test_an_opened_image_gives_its_current_frame():
    image = Image.open(io.BytesIO(animation("GIF", [*different_blanks(1), odd_images.drawing()])))
    assert is_blank(resized(load_image(image)))
