"""Image files as people really have them: every mode and format, turned, cut short, empty, enormous, oddly named."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

RED, BLUE = (220, 30, 40), (30, 60, 220)


@dataclass(frozen=True)
class OddImage:
    """One file of :func:`write_odd_images`.

    Attributes:
        case: what is odd about it
        path: where it is
        is_readable: whether it holds an image
    """

    case: str
    path: Path
    is_readable: bool


def write_odd_images(folder: Path) -> list[OddImage]:
    """Writes every case of :data:`READABLE` and :data:`UNREADABLE` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for cases, is_readable in ((READABLE, True), (UNREADABLE, False)):
        for number, (case, (name, make)) in enumerate(cases.items()):
            path = folder / f"{'good' if is_readable else 'bad'}_{number:02d}_{name}"
            path.write_bytes(make())
            images.append(OddImage(case, path, is_readable))
    return images


def drawing(width: int = 96, height: int = 128, seed: int = 0) -> Image.Image:
    """An RGB drawing without any symmetry: a background that changes, shapes, and a little noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([200 * x / width, 200 * y / height, 90 + 0 * x], axis=-1)
    image = Image.fromarray((pixels + random.integers(0, 30, pixels.shape)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse([width // 8, height // 8, width // 2, height // 2], fill=RED)
    draw.rectangle([width // 2, 3 * height // 5, 7 * width // 8, 3 * height // 4], fill=BLUE)
    return image


def cut_out(width: int = 96, height: int = 128) -> Image.Image:
    """The drawing as RGBA: gone on the left, solid on the right, with colors kept under the alpha."""
    image = drawing(width, height).convert("RGBA")
    ramp = np.linspace(-60, 320, width).clip(0, 255).astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(ramp, (height, 1))))
    return image


def sixteen_bit(width: int = 96, height: int = 128) -> NDArray[np.uint16]:
    """A grey ramp over all of 16 bits, ``(height, width)``."""
    return np.linspace(0, 65535, width * height).astype(np.uint16).reshape(height, width)


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    """The bytes of a file that holds ``image``."""
    file = io.BytesIO()
    image.save(file, file_format, **options)  # type: ignore[arg-type]
    return file.getvalue()


def turned(orientation: int, file_format: str = "JPEG", **options: object) -> bytes:
    """A file whose EXIF orientation turns it into the upright :func:`drawing`."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = drawing()
    if orientation in undo:
        image = image.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, file_format, exif=exif, **options)


def animated(file_format: str, **options: object) -> bytes:
    """Three frames: the drawing, red, blue."""
    frames = [Image.new("RGB", drawing().size, color) for color in (RED, BLUE)]
    return encode(drawing(), file_format, save_all=True, append_images=frames, duration=100, loop=0, **options)


def palette_with_transparency() -> bytes:
    """A PNG with one alpha value for each color of its palette."""
    image = drawing().quantize(16)
    return encode(image, "PNG", transparency=bytes(range(0, 256, 16)))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file, with length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of about a hundred bytes that claims to be enormous."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def cut_short(content: bytes, share: float = 0.6) -> bytes:
    """The first part of a file."""
    return content[: int(len(content) * share)]


def damaged_png() -> bytes:
    """A PNG with a few bytes of its pixels changed."""
    content = bytearray(encode(drawing(), "PNG"))
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    return bytes(content)


def damaged_exif() -> bytes:
    """A JPEG whose EXIF block is noise."""
    return encode(drawing(), "JPEG", exif=b"Exif\0\0" + b"?!" * 20)


Cases = dict[str, tuple[str, Callable[[], bytes]]]

READABLE: Cases = {
    "RGB JPEG": ("plain.jpg", lambda: encode(drawing(), "JPEG")),
    "progressive JPEG": ("progressive.jpg", lambda: encode(drawing(), "JPEG", progressive=True)),
    "RGB PNG": ("plain.png", lambda: encode(drawing(), "PNG")),
    "RGB WebP": ("plain.webp", lambda: encode(drawing(), "WEBP")),
    "RGB BMP": ("plain.bmp", lambda: encode(drawing(), "BMP")),
    "RGB TIFF": ("plain.tiff", lambda: encode(drawing(), "TIFF", compression="tiff_lzw")),
    "grey JPEG": ("grey.jpg", lambda: encode(drawing().convert("L"), "JPEG")),
    "grey PNG": ("grey.png", lambda: encode(drawing().convert("L"), "PNG")),
    "1-bit PNG": ("bits.png", lambda: encode(drawing().convert("1"), "PNG")),
    "palette PNG": ("palette.png", lambda: encode(drawing().quantize(64), "PNG")),
    "palette PNG with transparency": ("palette_alpha.png", palette_with_transparency),
    "palette PNG with one transparent color": (
        "palette_hole.png",
        lambda: encode(drawing().quantize(16), "PNG", transparency=3),
    ),
    "RGB PNG with a transparent color": ("hole.png", lambda: encode(drawing(), "PNG", transparency=RED)),
    "RGBA PNG": ("cut_out.png", lambda: encode(cut_out(), "PNG")),
    "RGBA WebP": ("cut_out.webp", lambda: encode(cut_out(), "WEBP", lossless=True)),
    "LA PNG": ("grey_alpha.png", lambda: encode(cut_out().convert("LA"), "PNG")),
    "16-bit grey PNG": ("deep.png", lambda: encode(Image.fromarray(sixteen_bit()), "PNG")),
    "16-bit grey TIFF": ("deep.tiff", lambda: encode(Image.fromarray(sixteen_bit()), "TIFF")),
    "CMYK JPEG": ("cmyk.jpg", lambda: encode(drawing().convert("CMYK"), "JPEG")),
    "LAB TIFF": ("lab.tiff", lambda: encode(drawing().convert("LAB"), "TIFF")),
    "animated GIF": ("moving.gif", lambda: animated("GIF")),
    "animated WebP": ("moving.webp", lambda: animated("WEBP", lossless=True)),
    "animated PNG": ("moving.png", lambda: animated("PNG")),
    "one pixel": ("dot.png", lambda: encode(drawing(1, 1), "PNG")),
    "a line": ("line.png", lambda: encode(drawing(1, 5000), "PNG")),
    "damaged EXIF": ("exif.jpg", damaged_exif),
    "JPEG named PNG": ("wrong_name.png", lambda: encode(drawing(), "JPEG")),
    "a name in Japanese": ("初音ミク.png", lambda: encode(drawing(), "PNG")),
    "a name in emoji": ("🎀 リボン 👧🏽.jpg", lambda: encode(drawing(), "JPEG")),
    "a name with spaces and signs": ("it's a girl & 100%.png", lambda: encode(drawing(), "PNG")),
    "a decomposed name": ("が é.png", lambda: encode(drawing(), "PNG")),
    **{f"EXIF orientation {n}": (f"turned_{n}.jpg", lambda n=n: turned(n)) for n in range(1, 9)},  # type: ignore[misc]
}

UNREADABLE: Cases = {
    "empty": ("empty.png", lambda: b""),
    "text": ("text.jpg", lambda: "<html>お探しのページは見つかりません</html>".encode()),
    "noise": ("noise.webp", lambda: np.random.default_rng(1).bytes(2000)),
    "JPEG cut short": ("short.jpg", lambda: cut_short(encode(drawing(), "JPEG"))),
    "progressive JPEG cut short": (
        "short_progressive.jpg",
        lambda: cut_short(encode(drawing(), "JPEG", progressive=True)),
    ),
    "PNG cut short": ("short.png", lambda: cut_short(encode(drawing(), "PNG"))),
    "WebP cut short": ("short.webp", lambda: cut_short(encode(drawing(), "WEBP"))),
    "GIF cut short": ("short.gif", lambda: cut_short(encode(drawing(), "GIF"))),
    "BMP cut short": ("short.bmp", lambda: cut_short(encode(drawing(), "BMP"))),
    "TIFF cut short": ("short.tiff", lambda: cut_short(encode(drawing(), "TIFF"))),
    "only a header": ("header.jpg", lambda: encode(drawing(), "JPEG")[:20]),
    "damaged PNG": ("damaged.png", damaged_png),
    "bomb": ("bomb 爆弾.png", bomb),
}
