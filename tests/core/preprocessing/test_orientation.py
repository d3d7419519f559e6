"""Files are turned as browsers turn them; the browser tests show that these are the same."""

import io

import pytest

from ccip_plugin.core.preprocessing import is_read_otherwise, load_image
from tests.support.images import odd_images, turned_images

UPRIGHT, TURNED = odd_images.drawing().size, odd_images.drawing().size[::-1]


@pytest.mark.parametrize("case", turned_images.TURNED)
def test_turned(case):
    assert load_image(turned_images.TURNED[case]()).size == TURNED


@pytest.mark.parametrize("case", turned_images.NOT_TURNED)
def test_not_turned(case):
    assert load_image(turned_images.NOT_TURNED[case]()).size == UPRIGHT


OTHERWISE = {
    "JPEG with a long number",
    "JPEG with XMP",
    "PNG with a JPEG's EXIF",
    "PNG with a raw profile",
    "PNG with XMP",
    "PNG with EXIF after the pixels",
    "PNG with XMP after the pixels",
    "WebP with EXIF",
    "WebP with XMP",
    "AVIF with XMP",
}
"""The files that policy 1 turned and policy 2 does not."""


@pytest.mark.parametrize("case", [*turned_images.TURNED, *turned_images.NOT_TURNED])
def test_files_that_the_first_policy_turned_are_known_by_their_head(case):
    content = (turned_images.TURNED | turned_images.NOT_TURNED)[case]()
    by_pillow = pillow_turns(content)
    assert is_read_otherwise(io.BytesIO(content)) == (by_pillow != (load_image(content).size == TURNED))
    assert is_read_otherwise(io.BytesIO(content)) or case not in OTHERWISE


def pillow_turns(content):
    from PIL import Image

    image = Image.open(io.BytesIO(content))
    image.load()
    return image.getexif().get(turned_images.ORIENTATION) in (5, 6, 7, 8)


@pytest.mark.parametrize("case", [case for case in odd_images.READABLE if "orientation" not in case])
def test_ordinary_files_are_read_as_before(case):
    is_animation = "animated" in case
    assert is_read_otherwise(io.BytesIO(odd_images.READABLE[case][1]())) == is_animation


@pytest.mark.parametrize("content", [b"", b"no image", odd_images.damaged_png()[:60]])
def test_what_is_no_image_is_not_read_otherwise(content):
    assert not is_read_otherwise(io.BytesIO(content))
