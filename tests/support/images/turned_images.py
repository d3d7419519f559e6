"""Files whose metadata turn them by a quarter, in every place where such metadata is found; browsers ignore most."""

import io
import struct
import zlib
from collections.abc import Callable

from .odd_images import drawing, encode, png_chunk

ORIENTATION, RESOLUTION_UNIT = 0x0112, 0x0128
QUARTER = 6
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def exif(order: str = ">", kind: int = 3, tag: int = ORIENTATION, value: int = QUARTER) -> bytes:
    """An EXIF block with one entry; ``kind`` 3 is a 16-bit number, 4 one of 32 bits."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    number = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
    return mark + struct.pack(f"{order}IHHHI", 8, 1, tag, kind, 1) + number + bytes(4)


def _jpeg(block: bytes) -> bytes:
    return encode(drawing(), "JPEG", exif=b"Exif\0\0" + block)


def _png(chunk: bytes, *, is_at_end: bool = False) -> bytes:
    content = encode(drawing(), "PNG")
    place = content.index(b"IEND" if is_at_end else b"IDAT") - 4
    return content[:place] + chunk + content[place:]


def _raw_profile() -> bytes:
    block = b"Exif\0\0" + exif()
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    return png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


def _avif_with_exif_alone() -> bytes:
    """Pillow writes the turn as a property of AVIF; this file has it in the EXIF block instead."""
    other = exif("<", tag=RESOLUTION_UNIT)
    content = encode(drawing(), "AVIF", exif=b"Exif\0\0" + other)
    assert other in content
    return content.replace(other, exif("<"))


def _mpo() -> bytes:
    file = io.BytesIO()
    drawing().save(file, "MPO", save_all=True, append_images=[drawing(seed=1)], exif=b"Exif\0\0" + exif())
    return file.getvalue()


_XMP_CHUNK = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)

TURNED: dict[str, Callable[[], bytes]] = {
    "JPEG with EXIF": lambda: _jpeg(exif()),
    "JPEG with EXIF of the other byte order": lambda: _jpeg(exif("<")),
    "JPEG of several pictures": _mpo,
    "PNG with EXIF": lambda: _png(png_chunk(b"eXIf", exif())),
    "AVIF with a turn": lambda: encode(drawing(), "AVIF", exif=b"Exif\0\0" + exif()),
}
"""Files that browsers turn."""

NOT_TURNED: dict[str, Callable[[], bytes]] = {
    "JPEG with a long number": lambda: _jpeg(exif("<", kind=4)),
    "JPEG with XMP": lambda: encode(drawing(), "JPEG", xmp=XMP),
    "JPEG with orientation 9": lambda: _jpeg(exif(value=9)),
    "PNG with a JPEG's EXIF": lambda: _png(png_chunk(b"eXIf", b"Exif\0\0" + exif())),
    "PNG with a raw profile": lambda: _png(_raw_profile()),
    "PNG with EXIF after the pixels": lambda: _png(png_chunk(b"eXIf", exif()), is_at_end=True),
    "PNG with XMP": lambda: _png(_XMP_CHUNK),
    "PNG with XMP after the pixels": lambda: _png(_XMP_CHUNK, is_at_end=True),
    "WebP with EXIF": lambda: encode(drawing(), "WEBP", exif=b"Exif\0\0" + exif()),
    "WebP with XMP": lambda: encode(drawing(), "WEBP", xmp=XMP),
    "AVIF with EXIF alone": _avif_with_exif_alone,
    "AVIF with XMP": lambda: encode(drawing(), "AVIF", xmp=XMP),
    "GIF with XMP": lambda: encode(drawing(), "GIF", xmp=XMP),
}
"""Files that browsers show as their pixels are."""
