"""Images that browsers show although a part of the file that holds no pixels is damaged, too large, or missing."""

import io
import random
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from ccip_plugin.core.errors import ImageTooLargeError, UnreadableImageError
from ccip_plugin.core.preprocessing import image_size, load_image
from ccip_plugin.core.preprocessing.repairs import spliced
from tests.support.images import odd_images
from tests.support.images.odd_images import png_chunk

MEBIBYTE = 1 << 20


def with_wrong_checksum(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def packed(n_bytes: int) -> bytes:
    return zlib.compress(bytes(n_bytes))


ICC = png_chunk(b"iCCP", b"display\0\0" + packed(3 * MEBIBYTE))
LONG_TEXT = png_chunk(b"zTXt", b"workflow\0\0" + packed(2 * MEBIBYTE))
INTERNATIONAL = png_chunk(b"iTXt", b"prompt\0\1\0\0\0" + packed(2 * MEBIBYTE))
MANY_TEXTS = b"".join(png_chunk(b"zTXt", b"%d\0\0" % n + packed(MEBIBYTE - 99)) for n in range(70))
BAD_TEXT = with_wrong_checksum(png_chunk(b"tEXt", b"parameters\x001girl"))
CHUNKS = {
    "color profile over 1 MiB": ICC,
    "text over 1 MiB": LONG_TEXT,
    "international text over 1 MiB": INTERNATIONAL,
    "70 MiB of texts": MANY_TEXTS,
    "wrong checksum of a text": BAD_TEXT,
    "wrong checksum of a private chunk": with_wrong_checksum(png_chunk(b"vpAg", bytes(9))),
    "wrong checksum of the resolution": with_wrong_checksum(png_chunk(b"pHYs", bytes(9))),
    "damaged color profile": png_chunk(b"iCCP", b"display\0\0nothing packed"),
    "several": ICC + BAD_TEXT + LONG_TEXT,
}


def png_with(chunks: bytes, *, is_at_end: bool = False, image: Image.Image | None = None, **options) -> bytes:
    content = odd_images.encode(image or odd_images.drawing(), "PNG", **options)
    place = content.index(b"IEND" if is_at_end else b"IDAT") - 4
    return content[:place] + chunks + content[place:]


@pytest.mark.parametrize("is_at_end", [False, True], ids=["before the pixels", "after them"])
@pytest.mark.parametrize("case", CHUNKS)
def test_metadata_never_costs_the_image(case, is_at_end, tmp_path):
    path = tmp_path / "絵.png"
    path.write_bytes(png_with(CHUNKS[case], is_at_end=is_at_end))
    np.testing.assert_array_equal(np.asarray(load_image(path)), np.asarray(odd_images.drawing()))
    assert image_size(path) == odd_images.drawing().size


def test_limits_of_the_process_stay_as_they_are():
    before = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, ImageFile.LOAD_TRUNCATED_IMAGES
    load_image(png_with(CHUNKS["several"]))
    after = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY, ImageFile.LOAD_TRUNCATED_IMAGES
    assert after == before


def test_transparency_and_orientation_are_kept():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = load_image(png_with(BAD_TEXT, transparency=odd_images.RED, exif=exif))
    want = load_image(odd_images.encode(odd_images.drawing(), "PNG", transparency=odd_images.RED, exif=exif))
    assert image.size == odd_images.drawing().size[::-1]
    np.testing.assert_array_equal(np.asarray(image), np.asarray(want))


def test_frames_of_an_animation_are_kept():
    content = odd_images.animated("PNG")
    place = content.index(b"IDAT") - 4
    np.testing.assert_array_equal(
        np.asarray(load_image(content[:place] + BAD_TEXT + content[place:])), np.asarray(load_image(content))
    )


def test_large_metadata_is_not_copied_into_memory(tmp_path):
    noise = random.Random(0).randbytes(MEBIBYTE)
    path = tmp_path / "node graph.png"
    path.write_bytes(png_with(b"".join(png_chunk(b"tEXt", b"graph\0" + noise) for _ in range(100))))
    assert path.stat().st_size > 100 * MEBIBYTE
    load_image(path)  # what is allocated once
    tracemalloc.start()
    load_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 70 * MEBIBYTE  # Pillow's own limit of 64 MiB before it gives up


def test_the_limit_of_pixels_holds_for_such_files():
    with pytest.raises(ImageTooLargeError):
        load_image(png_with(CHUNKS["several"]), max_pixels=10)


def test_damaged_pixels_are_still_an_error():
    content = bytearray(png_with(BAD_TEXT))
    middle = content.index(b"IDAT") + 2000
    content[middle : middle + 64] = bytes(64)
    with pytest.raises(UnreadableImageError):
        load_image(bytes(content))


def jpeg(**options) -> bytes:
    content = odd_images.encode(odd_images.drawing(), "JPEG", **options)
    assert content.endswith(b"\xff\xd9")
    return content


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "4:4:4": {"subsampling": 0, "quality": 97},
    "restart markers": {"restart_marker_rows": 1},
}


@pytest.mark.parametrize("n_lost", [1, 2])
@pytest.mark.parametrize("case", JPEGS)
def test_a_jpeg_without_its_end_marker_is_read(case, n_lost):
    content = jpeg(**JPEGS[case])
    np.testing.assert_array_equal(np.asarray(load_image(content[:-n_lost])), np.asarray(load_image(content)))


@pytest.mark.parametrize("case", JPEGS)
def test_a_jpeg_that_lacks_pixels_is_not_read(case):
    content = jpeg(**JPEGS[case])
    for n_lost in (20, 100, 700, len(content) // 2):
        with pytest.raises(UnreadableImageError, match="truncated"):
            load_image(content[:-n_lost])


def test_grey_and_cmyk_without_end_marker():
    for mode in ("L", "CMYK"):
        content = odd_images.encode(odd_images.drawing().convert(mode), "JPEG")
        np.testing.assert_array_equal(np.asarray(load_image(content[:-2])), np.asarray(load_image(content)))


def test_parts_of_a_file_are_read_as_one():
    file = spliced(io.BytesIO(b"0123456789"), [(2, 4), b"xy", (0, 0), (8, 10), b""])
    assert file.read() == b"23xy89"
    file.seek(3)
    assert (file.read(2), file.tell()) == (b"y8", 5)
    assert file.seek(-1, io.SEEK_END) == 5
    assert (file.read(), file.read()) == (b"9", b"")
