"""Recognizes types of files by their first bytes, and knows what reads those that Pillow does not."""

from typing import NamedTuple

from PIL import features

HEAD_BYTES = 64
"""Number of bytes that :func:`describe_format` needs."""

_EXPORT = "export it as PNG or JPEG"
_EXTRA = 'pip install "fiftyone-ccip[heif]"'


class FileFormat(NamedTuple):
    """A type of files.

    Attributes:
        name: what it is called, with an article
        remedy: how to get an image that is read, empty if Pillow reads the type
        is_image: whether such files are pictures
    """

    name: str
    remedy: str = ""
    is_image: bool = True


_HEIC = FileFormat("a HEIC image", f"install pillow-heif: {_EXTRA}")
_AVIF = FileFormat("an AVIF image", "" if features.check("avif") else "install Pillow 11.3 or newer")
_VIDEO = "extract frames as images"
_SIGNATURES: tuple[tuple[bytes, FileFormat], ...] = (
    (b"\x89PNG\r\n\x1a\n", FileFormat("a PNG image")),
    (b"\xff\xd8\xff", FileFormat("a JPEG image")),
    (b"GIF8", FileFormat("a GIF image")),
    (b"BM", FileFormat("a BMP image")),
    (b"8BPS\0\1", FileFormat("a Photoshop file (PSD)", f"{_EXPORT}, or save it with 8 bits per channel")),
    (b"8BPS\0\2", FileFormat("a large Photoshop file (PSB)", _EXPORT)),
    (b"\xff\x0a", FileFormat("a JPEG XL image", f"{_EXPORT} (djxl)")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", FileFormat("a JPEG XL image", f"{_EXPORT} (djxl)")),
    (b"II\xbc\1", FileFormat("a JPEG XR image", _EXPORT)),
    (b"II*\0", FileFormat("a TIFF image", f"{_EXPORT}, or save it with 8 bits per channel")),
    (b"MM\0*", FileFormat("a TIFF image", f"{_EXPORT}, or save it with 8 bits per channel")),
    (b"II+\0", FileFormat("a BigTIFF image", _EXPORT)),
    (b"MM\0+", FileFormat("a BigTIFF image", _EXPORT)),
    (b"\0\0\0\x0cjP  \r\n\x87\n", FileFormat("a JPEG 2000 image")),
    (b"v/1\1", FileFormat("an OpenEXR image", _EXPORT)),
    (b"#?RADIANCE", FileFormat("a Radiance HDR image", _EXPORT)),
    (b"\0\0\1\0", FileFormat("an icon (ICO)")),
    (b"DDS ", FileFormat("a DDS texture")),
    (b"qoif", FileFormat("a QOI image")),
    (b"gimp xcf", FileFormat("a GIMP file", _EXPORT)),
    (b"CSFCHUNK", FileFormat("a Clip Studio file", _EXPORT)),
    (b"\x8aMNG\r\n\x1a\n", FileFormat("an MNG animation", _EXPORT)),
    (b"%PDF", FileFormat("a PDF document", "extract its images", is_image=False)),
    (b"%!PS", FileFormat("a PostScript program", _EXPORT)),
    (b"PK\3\4", FileFormat("a ZIP archive (or Krita, OpenRaster)", "unpack it", is_image=False)),
    (b"Rar!", FileFormat("a RAR archive", "unpack it", is_image=False)),
    (b"7z\xbc\xaf\x27\x1c", FileFormat("a 7z archive", "unpack it", is_image=False)),
    (b"\x1f\x8b", FileFormat("a gzip file", "unpack it", is_image=False)),
    (b"\x1a\x45\xdf\xa3", FileFormat("a Matroska or WebM video", _VIDEO, is_image=False)),
    (b"version https://git-lfs", FileFormat("a pointer of Git LFS", "git lfs pull", is_image=False)),
)
_TEXT_SIGNATURES = (
    (b"<svg", FileFormat("an SVG drawing", _EXPORT)),
    (b"<!doctype html", FileFormat("a web page", "download the image itself", is_image=False)),
    (b"<html", FileFormat("a web page", "download the image itself", is_image=False)),
    (b"<?xml", FileFormat("an XML or SVG file", _EXPORT, is_image=False)),
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")


def describe_format(head: bytes) -> FileFormat | None:
    """The type of a file, None for an unknown one.

    Args:
        head: the first :data:`HEAD_BYTES` bytes
    """
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:4] == b"RIFF":
        return (
            FileFormat("a WebP image") if head[8:12] == b"WEBP" else FileFormat("a RIFF video or sound", _VIDEO, False)
        )
    for signature, file_format in _SIGNATURES:
        if head.startswith(signature):
            return file_format
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((file_format for start, file_format in _TEXT_SIGNATURES if text.startswith(start)), None)


def _of_brands(head: bytes) -> FileFormat:
    """The type of a file in the container format of HEIC, AVIF and MP4."""
    size = min(max(int.from_bytes(head[:4], "big"), 16), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, size - 3, 4))]
    if b"avif" in brands or b"avis" in brands:
        return _AVIF
    if any(brand in _HEIC_BRANDS for brand in brands):
        return _HEIC
    if head[8:12] == b"crx ":
        return FileFormat("a raw photograph (CR3)", _EXPORT)
    return FileFormat("an MP4 or QuickTime video", _VIDEO, is_image=False)
