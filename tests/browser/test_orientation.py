"""Chromium shows files with the sides that we read, so that boxes drawn in the App fit."""

import base64

import pytest

from ccip_plugin.core.preprocessing import load_image
from tests.support.images import turned_images
from tests.support.images.odd_images import drawing

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

SHOW = """
async (content) => {
    const image = new Image();
    image.src = "data:application/octet-stream;base64," + content;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const corner = Array.from(context.getImageData(2, 2, 1, 1).data).slice(0, 3);
    return {size: [canvas.width, canvas.height], corner: corner};
}
"""


def test_files_are_turned_as_chromium_turns_them(page):
    files = turned_images.TURNED | turned_images.NOT_TURNED
    wrong = {}
    for case, make in files.items():
        content = make()
        shown, ours = page.evaluate(SHOW, base64.b64encode(content).decode()), load_image(content)
        is_near = max(abs(a - b) for a, b in zip(shown["corner"], ours.getpixel((2, 2)), strict=True)) < 60
        if tuple(shown["size"]) != ours.size or not is_near:
            wrong[case] = (shown, ours.size, ours.getpixel((2, 2)))
        assert (ours.size == drawing().size[::-1]) == (case in turned_images.TURNED)
    assert wrong == {}
