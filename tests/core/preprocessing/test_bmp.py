"""BMP files of depths that browsers show and Pillow refuses. The colors are those that Chromium showed."""

import struct

import numpy as np
import pytest

from ccip_plugin.core.errors import ImageTooLargeError, UnreadableImageError
from ccip_plugin.core.preprocessing import image_size, load_image

RED, GREEN, BLUE, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
BITFIELDS = 3


def bmp(bits, compression, extra, rows, width, height, *, header=40, n_colors=0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(rows), 0, 0, n_colors, 0)
    start = 14 + len(info) + len(extra)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + extra + rows


PALETTE = b"".join(bytes([*color[::-1], 0]) for color in (BLACK, RED, GREEN, BLUE))
TWO_BITS = bmp(2, 0, PALETTE, bytes([0b00011011, 0, 0, 0, 0b11100100, 0, 0, 0]), 4, 2, n_colors=4)
FOUR_OF_EACH = bmp(
    16, BITFIELDS, struct.pack("<3I", 0xF00, 0xF0, 0xF), struct.pack("<4H", 0xF00, 0xF0, 0xF, 0xFFF), 2, 2
)
TEN_OF_EACH = bmp(
    32, BITFIELDS, struct.pack("<3I", 0x3FF << 20, 0x3FF << 10, 0x3FF), struct.pack("<2I", 0x3FF << 20, 0x3FF), 2, 1
)
FIRST_AT_TOP = bmp(16, BITFIELDS, struct.pack("<3I", 0xF00, 0xF0, 0xF), struct.pack("<HHHH", 0xF00, 0, 0xF0, 0), 1, -2)
MASKS = struct.pack("<4I", 0xF00, 0xF0, 0xF, 0xF000)
WITH_ALPHA = bmp(16, BITFIELDS, MASKS, struct.pack("<2H", 0xFF00, 0x0F00), 2, 1, header=56)
ALPHA_UNUSED = bmp(16, BITFIELDS, MASKS, struct.pack("<2H", 0x0F00, 0x00F0), 2, 1, header=56)


@pytest.mark.parametrize(
    "content, colors",
    [
        pytest.param(TWO_BITS, [[BLUE, GREEN, RED, BLACK], [BLACK, RED, GREEN, BLUE]], id="2 bits"),
        pytest.param(FOUR_OF_EACH, [[BLUE, WHITE], [RED, GREEN]], id="4 bits of each color"),
        pytest.param(TEN_OF_EACH, [[RED, BLUE]], id="10 bits of each color"),
        pytest.param(FIRST_AT_TOP, [[RED], [GREEN]], id="top row first"),
        pytest.param(WITH_ALPHA, [[RED, WHITE]], id="with alpha"),
        pytest.param(ALPHA_UNUSED, [[RED, GREEN]], id="with a mask of alpha that is not used"),
    ],
)
def test_rare_depths_are_read(content, colors):
    assert np.asarray(load_image(content)).tolist() == [[list(color) for color in row] for row in colors]
    assert image_size(content) == (len(colors[0]), len(colors))


def test_limit_and_damage():
    with pytest.raises(ImageTooLargeError):
        load_image(bmp(2, 0, PALETTE, b"", 1 << 20, 1 << 20, n_colors=4))
    with pytest.raises(UnreadableImageError, match="truncated"):
        load_image(TWO_BITS[:-5])


@pytest.mark.parametrize("bits", [3, 64, 5, 0], ids=lambda bits: f"{bits} bits")
def test_what_nobody_shows_is_refused_by_pillows_reason(bits):
    with pytest.raises(UnreadableImageError, match=rf"Unsupported BMP pixel depth \({bits}\)"):
        load_image(bmp(bits, 0, PALETTE, bytes(64), 4, 2, n_colors=4))
