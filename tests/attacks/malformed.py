"""Malformed image files: valid files of every format that is read, damaged at random."""

import contextlib
import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from tests.support.images import odd_images
from tests.support.images.odd_images import animated, cut_out, drawing, encode, png_chunk, turned

Mutation = Callable[[random.Random, bytes, str], bytes]


@dataclass(frozen=True)
class Malformed:
    """A file to attack with.

    Attributes:
        name: its name, with what was done to it
        content: its bytes
    """

    name: str
    content: bytes


def exif_of(content: bytes) -> bytes:
    """A JPEG with a block of EXIF."""
    return encode(drawing(), "JPEG", exif=b"Exif\0\0" + content)


def animated_with_blank_first(file_format: str) -> bytes:
    """An animation whose first frame shows nothing, so that others are read as well."""
    frames = [drawing(64, 64, seed) for seed in range(3)]
    blank = Image.new("RGB", (64, 64), "white")
    return encode(blank, file_format, save_all=True, append_images=[blank, *frames], duration=50, loop=0)


def tiled_tiff() -> bytes:
    """A TIFF with several pages."""
    return encode(drawing(), "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=[drawing(32, 32)])


def with_text(content: bytes) -> bytes:
    """A PNG with texts and a colour profile."""
    texts = png_chunk(b"tEXt", b"Comment\0" + b"a" * 500) + png_chunk(
        b"zTXt", b"prompt\0\0" + zlib.compress(b"b" * 5000)
    )
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>"
    return (
        content[:33]
        + texts
        + png_chunk(b"iTXt", xmp)
        + png_chunk(b"iCCP", b"x\0\0" + zlib.compress(b"c" * 3000))
        + content[33:]
    )


BASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png": ("png", lambda: encode(drawing(), "PNG")),
    "png-alpha": ("png", lambda: encode(cut_out(), "PNG")),
    "png-palette": ("png", odd_images.palette_with_transparency),
    "png-16": ("png", lambda: encode(Image.fromarray(odd_images.sixteen_bit()), "PNG")),
    "png-text": ("png", lambda: with_text(encode(drawing(), "PNG"))),
    "png-moving": ("png", lambda: animated("PNG")),
    "png-blank-moving": ("png", lambda: animated_with_blank_first("PNG")),
    "jpeg": ("jpg", lambda: encode(drawing(), "JPEG")),
    "jpeg-progressive": ("jpg", lambda: encode(drawing(), "JPEG", progressive=True)),
    "jpeg-cmyk": ("jpg", lambda: encode(drawing().convert("CMYK"), "JPEG")),
    "jpeg-turned": ("jpg", lambda: turned(6)),
    "jpeg-mpo": ("jpg", lambda: encode(drawing(), "MPO", save_all=True, append_images=[drawing(seed=1)])),
    "webp": ("webp", lambda: encode(drawing(), "WEBP")),
    "webp-lossless": ("webp", lambda: encode(cut_out(), "WEBP", lossless=True)),
    "webp-moving": ("webp", lambda: animated("WEBP")),
    "webp-blank-moving": ("webp", lambda: animated_with_blank_first("WEBP")),
    "webp-turned": ("webp", lambda: turned(3, "WEBP")),
    "gif": ("gif", lambda: encode(drawing(), "GIF")),
    "gif-moving": ("gif", lambda: animated("GIF")),
    "gif-blank-moving": ("gif", lambda: animated_with_blank_first("GIF")),
    "bmp": ("bmp", lambda: encode(drawing(), "BMP")),
    "bmp-palette": ("bmp", lambda: encode(drawing().quantize(16), "BMP")),
    "tiff": ("tif", lambda: encode(drawing(), "TIFF")),
    "tiff-lzw": ("tiff", lambda: encode(drawing(), "TIFF", compression="tiff_lzw")),
    "tiff-jpeg": ("tiff", lambda: encode(drawing(), "TIFF", compression="jpeg")),
    "tiff-pages": ("tiff", tiled_tiff),
    "tiff-16": ("tif", lambda: encode(Image.fromarray(odd_images.sixteen_bit()), "TIFF")),
    "avif": ("avif", lambda: encode(drawing(), "AVIF")),
    "avif-moving": ("avif", lambda: animated("AVIF")),
    "jpeg2000": ("jp2", lambda: encode(drawing(), "JPEG2000")),
    "ico": ("ico", lambda: encode(drawing(), "ICO", sizes=[(16, 16), (48, 64)])),
    "icns": ("icns", lambda: encode(drawing(128, 128), "ICNS")),
    "tga": ("tga", lambda: encode(drawing(), "TGA", compression="tga_rle")),
    "ppm": ("ppm", lambda: encode(drawing(), "PPM")),
    "pcx": ("pcx", lambda: encode(drawing(), "PCX")),
    "sgi": ("sgi", lambda: encode(drawing(), "SGI")),
    "dds": ("dds", lambda: encode(drawing(), "DDS")),
    "qoi": ("qoi", lambda: encode(drawing(), "QOI")),
    "msp": ("msp", lambda: encode(drawing().convert("1"), "MSP")),
    "xbm": ("xbm", lambda: encode(drawing().convert("1"), "XBM")),
    "blp": ("blp", lambda: encode(drawing().quantize(256), "BLP")),
}
"""The valid files: the ending of their name, and how they are made."""


def cut_short(rng: random.Random, content: bytes, name: str) -> bytes:
    """Ends anywhere, more often near the beginning or the end."""
    at = rng.choice(
        [rng.randrange(len(content)), rng.randrange(min(64, len(content))), len(content) - rng.randrange(1, 16)]
    )
    return content[:at]


def flipped(rng: random.Random, content: bytes, name: str) -> bytes:
    """Some bits are others, anywhere."""
    return _flipped(rng, content, len(content))


def flipped_head(rng: random.Random, content: bytes, name: str) -> bytes:
    """Some bits of the first bytes are others."""
    return _flipped(rng, content, min(128, len(content)))


def _flipped(rng: random.Random, content: bytes, end: int) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 40])):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def extreme_numbers(rng: random.Random, content: bytes, name: str) -> bytes:
    """A number of the first bytes is the largest, the smallest, or one that sizes overflow with."""
    changed, at = bytearray(content), rng.randrange(min(128, len(content) - 4))
    size, order = rng.choice([1, 2, 4]), rng.choice("<>")
    limit = 1 << 8 * size
    value = rng.choice([0, 1, limit - 1, limit // 2, limit // 2 - 1, min(limit - 1, 70_000), min(limit - 1, 20_000)])
    changed[at : at + size] = struct.pack(f"{order}{'xBHxI'[size]}", value)
    return bytes(changed)


def overwritten(rng: random.Random, content: bytes, name: str) -> bytes:
    """A piece is zeros, ones or noise, as of a broken disk."""
    start = rng.randrange(len(content))
    length = min(rng.choice([1, 16, 512, 4096]), len(content) - start)
    filler = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
    return content[:start] + filler + content[start + length :]


def moved(rng: random.Random, content: bytes, name: str) -> bytes:
    """A piece is missing, there twice, or elsewhere."""
    start, to = rng.randrange(len(content)), rng.randrange(len(content))
    piece = content[start : start + rng.choice([1, 7, 64, 1000])]
    without = content[:start] + content[start + len(piece) :]
    return rng.choice([without, content[:to] + piece + content[to:], without[:to] + piece + without[to:]])


def joined(rng: random.Random, content: bytes, name: str) -> bytes:
    """The beginning of one file and the end of another."""
    _, make = BASES[rng.choice(sorted(BASES))]
    other = make()
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other)) :]


def with_more(rng: random.Random, content: bytes, name: str) -> bytes:
    """Something before or after the file."""
    extra = rng.choice(
        [rng.randbytes(300), b"\0" * 5000, b"<!DOCTYPE html><html>", b"PK\3\4", b"\xef\xbb\xbf", content]
    )
    return rng.choice([content + extra, extra + content])


def other_kind(rng: random.Random, content: bytes, name: str) -> bytes:
    """No image at all, or one that its name does not say."""
    texts = [
        b"",
        b"\0",
        b"\n",
        b"404 Not Found",
        "お探しのページ".encode(),
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
    ]
    texts += [
        rng.randbytes(2000),
        b"{}",
        b"%PDF-1.4\n",
        b"%!PS-Adobe-3.0 EPSF\n",
        b"II*\0\x08\0\0\0",
        odd_images.bomb(),
    ]
    return rng.choice([*texts, BASES[rng.choice(sorted(BASES))][1]()])


# -- surgery that knows the format


def parts(rng: random.Random, content: bytes, name: str) -> bytes:
    """Chunks of a PNG, segments of a JPEG, chunks of a WebP or entries of a TIFF: lost, doubled, in another order."""
    surgeries = {b"\x89PNG": _png, b"\xff\xd8": _jpeg, b"RIFF": _webp, b"II*\0": _tiff, b"MM\0*": _tiff}
    surgery = next((each for head, each in surgeries.items() if content.startswith(head)), None)
    surgery = _boxes if content[4:8] in (b"ftyp", b"jP  ") else surgery
    if surgery is not None:
        with contextlib.suppress(struct.error, IndexError, ValueError):  # it was damaged before
            return surgery(rng, content)
    return extreme_numbers(rng, content, name)


def _shuffled(rng: random.Random, pieces: list[bytes]) -> list[bytes]:
    pieces = list(pieces)
    for _ in range(rng.choice([1, 1, 2, 4])):
        if not pieces:
            break
        at = rng.randrange(len(pieces))
        action = rng.choice(["lose", "double", "swap", "many"])
        if action == "lose":
            del pieces[at]
        elif action == "double":
            pieces.insert(rng.randrange(len(pieces) + 1), pieces[at])
        elif action == "swap":
            to = rng.randrange(len(pieces))
            pieces[at], pieces[to] = pieces[to], pieces[at]
        else:
            pieces[at:at] = [pieces[at]] * rng.choice([10, 300])
    return pieces


def _png(rng: random.Random, content: bytes) -> bytes:
    """Chunks with right checksums, so that what is in them is believed."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    number = rng.randrange(len(chunks))
    kind, data = chunks[number]
    changed = bytearray(data)
    for _ in range(rng.choice([0, 1, 3])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice([0, 1, 127, 128, 255])
    if kind == b"IHDR" and rng.random() < 0.5:
        size = [rng.choice([0, 1, 96, 20_000, 100_000, 2**31 - 1, 2**31, 2**32 - 1]) for _ in range(2)]
        changed[:8] = struct.pack(">II", *size)
    noise = [b"gAMA", b"cHRM", b"pHYs", b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"iTXt", b"acTL", b"fcTL", b"fdAT", b"xxxx"]
    if rng.random() < 0.4:
        chunks.insert(rng.randrange(len(chunks) + 1), (rng.choice(noise), rng.randbytes(rng.choice([0, 3, 26, 300]))))
    chunks[number if number < len(chunks) else -1] = (kind, bytes(changed))
    pieces = [png_chunk(kind, data) for kind, data in chunks]
    return content[:8] + b"".join(_shuffled(rng, pieces) if rng.random() < 0.5 else pieces)


def _jpeg(rng: random.Random, content: bytes) -> bytes:
    segments, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != 0xDA:
        length = 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        segments.append(content[at : at + length])
        at += length
    scan = content[at:]
    if rng.random() < 0.5:
        kind = rng.choice([0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xDB, 0xC4, 0xDD, 0xFE, 0xC0, 0xC2])
        data = rng.choice(
            [
                b"Exif\0\0",
                b"http://ns.adobe.com/xap/1.0/\0",
                b"ICC_PROFILE\0\1\1",
                b"MPF\0",
                b"Adobe",
                b"Photoshop 3.0\0",
                b"",
            ]
        )
        data += rng.randbytes(rng.choice([0, 2, 40, 3000]))
        length = rng.choice([len(data) + 2, 0, 1, 2, 65_535])
        segments.insert(rng.randrange(len(segments) + 1), bytes([0xFF, kind]) + struct.pack(">H", length) + data)
    if rng.random() < 0.4:
        segments = [
            each[:5] + struct.pack(">HH", *(rng.choice([0, 1, 128, 20_000, 65_500]) for _ in range(2))) + each[9:]
            if each[1:2] in (b"\xc0", b"\xc2")
            else each
            for each in segments
        ]
    segments = _shuffled(rng, segments) if rng.random() < 0.6 else segments
    return content[:2] + b"".join(segments) + scan


def _webp(rng: random.Random, content: bytes) -> bytes:
    chunks, at = [], 12
    while at + 8 <= len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        chunks.append(content[at : at + 8 + length + length % 2])
        at += 8 + length + length % 2
    if rng.random() < 0.5:
        kind, data = (
            rng.choice([b"EXIF", b"XMP ", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8X"]),
            rng.randbytes(rng.choice([0, 6, 16, 500])),
        )
        chunks.insert(
            rng.randrange(len(chunks) + 1), kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        )
    body = b"WEBP" + b"".join(_shuffled(rng, chunks))
    size = rng.choice([len(body), len(body), 0, 4, 2**32 - 10, len(body) // 2])
    return b"RIFF" + struct.pack("<I", size) + body


def _tiff(rng: random.Random, content: bytes) -> bytes:
    """Other numbers in the entries of the first directory."""
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    changed = bytearray(content)
    (n_entries,) = struct.unpack_from(f"{order}H", content, start)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = start + 2 + 12 * rng.randrange(n_entries)
        tag, kind, count, value = struct.unpack_from(f"{order}HHII", changed, at)
        numbers = [0, 1, 3, 8, 20_000, 100_000, 2**31 - 1, 2**32 - 1]
        what = rng.randrange(4)
        tag = (
            rng.choice([254, 256, 257, 258, 259, 262, 273, 277, 279, 317, 320, 322, 330, 338, 34675, 34665])
            if what == 0
            else tag
        )
        kind = rng.randrange(1, 14) if what == 1 else kind
        count = rng.choice(numbers) if what == 2 else count
        value = rng.choice(numbers) if what == 3 else value
        struct.pack_into(f"{order}HHII", changed, at, tag, kind, count, value)
    return bytes(changed)


def _boxes(rng: random.Random, content: bytes) -> bytes:
    """Boxes of an AVIF or JPEG 2000."""
    boxes, at = [], 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        if length < 8:
            break
        boxes.append(content[at : at + length])
        at += length
    return b"".join(_shuffled(rng, [*boxes, content[at:]]))


def metadata(rng: random.Random, content: bytes, name: str) -> bytes:
    """Metadata without sense, in a JPEG, a PNG or a WebP that is right otherwise."""
    entries = b"".join(
        struct.pack(
            ">HHII",
            rng.choice([0x0112, 0x8769, 0x8825, 0x011A, 0x0201, 0xA005, rng.randrange(65_536)]),
            rng.randrange(14),
            rng.choice([0, 1, 9, 2**31]),
            rng.choice([0, 6, 8, 200, 2**32 - 1]),
        )
        for _ in range(rng.randrange(6))
    )
    exif = (
        rng.choice([b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0", b""])
        + struct.pack(">H", rng.choice([0, 1, 5, 65_535]))
        + entries
    )
    xmp = rng.choice(
        [b"<x:xmpmeta" + b"<a>" * 3000, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", rng.randbytes(900), b""]
    )
    if name.startswith("png"):
        image = encode(drawing(), "PNG")
        extra = [
            png_chunk(b"eXIf", exif),
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + xmp),
            png_chunk(b"zTXt", b"a\0\0" + xmp),
            png_chunk(b"iCCP", exif),
        ]
        return image[:33] + rng.choice(extra) + image[33:]
    if name.startswith("webp"):
        return encode(drawing(), "WEBP", exif=b"Exif\0\0" + exif, xmp=xmp, icc_profile=rng.randbytes(100))
    return encode(
        drawing(),
        "JPEG",
        exif=b"Exif\0\0" + exif,
        xmp=xmp,
        icc_profile=rng.randbytes(rng.choice([10, 100_000])),
        comment=xmp,
    )


def large(rng: random.Random, content: bytes, name: str) -> bytes:
    """A valid file of many pixels in few bytes, or a very long one."""
    size = rng.choice([(1, 60_000), (60_000, 1), (5000, 4000), (9000, 9000), (16_000, 16_000), (3, 1)])
    kinds = [("PNG", "1"), ("PNG", "L"), ("GIF", "L"), ("TIFF", "1"), ("BMP", "1"), ("WEBP", "RGB"), ("JPEG", "L")]
    kind, mode = rng.choice([each for each in kinds if max(size) < 16_000 or each[0] not in ("WEBP",)])
    image = Image.new(mode, size)
    ImageDraw.Draw(image).rectangle([0, 0, size[0] // 2, size[1] // 2], fill="white")
    options = {"compression": "group4"} if kind == "TIFF" else {}
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


MUTATIONS: list[tuple[Mutation, int]] = [
    (cut_short, 14),
    (flipped, 12),
    (flipped_head, 12),
    (extreme_numbers, 12),
    (overwritten, 10),
    (moved, 8),
    (joined, 5),
    (with_more, 4),
    (other_kind, 4),
    (parts, 16),
    (metadata, 6),
    (large, 1),
]
"""What is done to the files, and how often."""


def malformed_files(seed: int, n: int) -> list[Malformed]:
    """Files to attack with: each format in turn, damaged once or twice."""
    made = {name: make() for name, (_, make) in BASES.items()}
    endings = [ending for ending, _ in BASES.values()]
    mutations, weights = zip(*MUTATIONS, strict=True)
    files = []
    for number in range(n):
        rng = random.Random(f"{seed} malformed {number}")
        name = sorted(made)[number % len(made)]
        content, done = made[name], []
        for mutation in rng.choices(mutations, weights, k=rng.choice([1, 1, 1, 2])):
            if len(content) > 8:
                content = mutation(rng, content, name)
                done.append(mutation.__name__)
        ending = rng.choice(endings) if rng.random() < 0.1 else BASES[name][0]
        files.append(Malformed(f"{number:04d} {name} {' '.join(done)}.{ending}", content))
    return files
