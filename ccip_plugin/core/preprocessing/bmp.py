"""BMP files of depths that browsers show and Pillow refuses: 2 bits, and unusual masks of 16 or 32 bits."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_PALETTE, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6
_FILE_HEADER = 14
_INFO_HEADER = 40
_HEADER_WITH_ALPHA = 56
_MAX_SIDE = 1 << 24


class RareBMP(ImageFile.ImageFile):
    """The reader; decodes row by row, so that it needs no more memory than the image."""

    format = "BMP"
    format_description = "Windows Bitmap of a rare depth"

    def _open(self) -> None:
        fp = self.fp
        assert fp is not None
        head = fp.read(_FILE_HEADER + 4)
        self._pixels_at, header_size = struct.unpack_from("<II", head, 10)
        if header_size < _INFO_HEADER:
            raise SyntaxError("no BMP of a rare depth")
        info = head[-4:] + fp.read(header_size - 4)
        width, height, _, self._bits, compression, _, _, _, n_colors = struct.unpack_from("<iiHHIIiiI", info, 4)
        self._is_top_down, height = height < 0, abs(height)
        if not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
            raise SyntaxError("no BMP of a rare depth")
        self._size = width, height
        self._masks: tuple[int, ...] = ()
        if self._bits == 2 and compression == _PALETTE:
            self._mode = "RGB"
            self._palette = _palette(fp.read(4 * min(n_colors or 4, 4)))
        elif self._bits in (16, 32) and compression in (_BITFIELDS, _ALPHA_BITFIELDS):
            has_alpha = header_size >= _HEADER_WITH_ALPHA or compression == _ALPHA_BITFIELDS
            masks = info[_INFO_HEADER:] if header_size > _INFO_HEADER else fp.read(16 if has_alpha else 12)
            self._masks = struct.unpack_from("<4I" if has_alpha else "<3I", masks)
            self._mode = "RGBA" if has_alpha and self._masks[3] else "RGB"
        else:
            raise SyntaxError("no BMP of a rare depth")

    def load(self) -> Any:
        """Decodes the pixels."""
        if self._pixels_at is not None:
            image = self._decoded()
            self.im, self._mode = image.im, image.mode
            self._pixels_at = None
        return Image.Image.load(self)

    def _decoded(self) -> Image.Image:
        fp = self.fp
        assert fp is not None and self._pixels_at is not None
        fp.seek(self._pixels_at)
        width, height = self.size
        stride = (width * self._bits + 31) // 32 * 4
        pixels = np.empty((height, width, len(self.mode)), np.uint8)
        for row in range(height):
            line = fp.read(stride)
            if len(line) < stride:
                raise OSError("image file is truncated")
            place = row if self._is_top_down else height - 1 - row
            pixels[place] = self._row(line, width)
        if self.mode == "RGBA" and not pixels[..., 3].any():  # written by programs that leave the mask unused
            pixels = pixels[..., :3]
        return Image.fromarray(np.ascontiguousarray(pixels))

    def _row(self, line: bytes, width: int) -> NDArray[np.uint8]:
        if not self._masks:
            packed = np.frombuffer(line, np.uint8)
            indices = (packed[:, None] >> np.array([6, 4, 2, 0], np.uint8)) & 3
            colors: NDArray[np.uint8] = self._palette[indices.reshape(-1)[:width]]
            return colors
        values = np.frombuffer(line, f"<u{self._bits // 8}")[:width].astype(np.uint64)
        return np.stack([_scaled(values, mask) for mask in self._masks[: len(self.mode)]], axis=-1)


def _palette(content: bytes) -> NDArray[np.uint8]:
    """The four colors of a palette, black where there are fewer."""
    colors = np.zeros((4, 4), np.uint8)
    given = np.frombuffer(content[: len(content) // 4 * 4], np.uint8).reshape(-1, 4)
    colors[: len(given)] = given
    return colors[:, 2::-1]


def _scaled(values: NDArray[np.uint64], mask: int) -> NDArray[np.uint8]:
    """The bits of a mask as numbers from 0 to 255."""
    if mask == 0:
        return np.zeros(len(values), np.uint8)
    lowest = (mask & -mask).bit_length() - 1
    top = mask >> lowest
    scaled: NDArray[np.uint8] = (
        ((values & np.uint64(mask)) >> np.uint64(lowest)) * np.uint64(255) // np.uint64(top)
    ).astype(np.uint8)
    return scaled
