"""What is said of files that are not read: what they are, why Pillow does not read them, what would."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.errors import UnreadableImageError
from ccip_plugin.core.preprocessing import collected_warnings, describe_format, load_image
from ccip_plugin.core.preprocessing.readers import reason_of
from tests.support.images import odd_images


def container(*brands: bytes) -> bytes:
    content = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 4 + len(content)) + content + bytes(100)


def psd_of_16_bits() -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 4, 16, 3) + bytes(200)


def tiff_of_floats() -> bytes:
    """Three channels of 32-bit floats, as programs for high dynamic range write."""
    pixels = np.zeros((2, 2, 3), np.float32).tobytes()
    entries = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 1, 32), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8)]
    entries += [(277, 3, 1, 3), (278, 3, 1, 2), (279, 4, 1, len(pixels)), (339, 3, 1, 3)]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory + bytes(4)


def png_with_a_damaged_chunk() -> bytes:
    content = bytearray(odd_images.encode(odd_images.drawing(), "PNG"))
    content[30] ^= 0xFF  # the checksum of the header
    return bytes(content)


@pytest.mark.parametrize(
    "content, told",
    [
        pytest.param(container(b"heic", b"mif1"), ["a HEIC image", "Pillow does not read it", "[heif]"], id="HEIC"),
        pytest.param(container(b"mif1", b"mif1", b"heix"), ["a HEIC image", "[heif]"], id="HEIC by its second brand"),
        pytest.param(b"\xff\x0a" + bytes(90), ["a JPEG XL image", "PNG or JPEG"], id="JPEG XL"),
        pytest.param(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), ["a JPEG XL image"], id="JPEG XL in a container"),
        pytest.param(psd_of_16_bits(), ["a Photoshop file", "(3, 16)", "8 bits per channel"], id="PSD of 16 bits"),
        pytest.param(tiff_of_floats(), ["a TIFF image", "pixel mode", "8 bits per channel"], id="TIFF of floats"),
        pytest.param(png_with_a_damaged_chunk(), ["a PNG image", "checksum", "IHDR"], id="PNG with a damaged chunk"),
        pytest.param(b"v/1\x01" + bytes(90), ["an OpenEXR image"], id="OpenEXR"),
        pytest.param(b'<?xml version="1.0"?><svg/>', ["not an image but an XML or SVG"], id="SVG"),
        pytest.param(container(b"isom", b"mp42"), ["not an image but an MP4", "extract frames"], id="video"),
        pytest.param(b"<!DOCTYPE html><html>404", ["not an image but a web page", "download"], id="web page"),
        pytest.param(b"PK\3\4" + bytes(90), ["not an image but a ZIP", "unpack"], id="archive"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n",
            ["not an image but a pointer of Git LFS", "git lfs pull"],
            id="pointer",
        ),
        pytest.param(b"no image at all", ["not an image, or damaged", "no image"], id="text"),
    ],
)
def test_says_what_a_file_is_why_it_is_not_read_and_what_would_read_it(content, told):
    with pytest.raises(UnreadableImageError) as caught:
        load_image(content)
    for part in told:
        assert part in caught.value.reason
    assert caught.value.reason.startswith(told[0])


def test_avif_is_known_whether_or_not_pillow_reads_it():
    from PIL import features

    from ccip_plugin.core.preprocessing import formats

    head = odd_images.encode(Image.new("RGB", (8, 8)), "AVIF")[:64] if features.check("avif") else container(b"avif")
    assert describe_format(head) == formats._AVIF
    assert describe_format(head).name == "an AVIF image"


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "JPEG2000"])
def test_knows_the_formats_that_pillow_writes(file_format):
    head = odd_images.encode(odd_images.drawing(), file_format)[:64]
    assert file_format.replace("JPEG2000", "JPEG 2000").lower() in describe_format(head).name.lower()


@pytest.mark.parametrize("seed", range(3))
def test_any_damage_is_told_in_one_line_or_read(seed, record_property):
    """Bytes changed at random in files of each format: an image, or an error of ours."""
    record_property("seed", seed)
    random = np.random.default_rng(seed)
    n_refused = 0
    for file_format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        content = np.frombuffer(odd_images.encode(odd_images.drawing(40, 30), file_format), np.uint8)
        for _ in range(20):
            changed = content.copy()
            places = random.integers(0, min(len(content), random.choice([20, 200, len(content)])), 3)
            changed[places] = random.integers(0, 256, 3)
            try:
                assert load_image(io.BytesIO(changed.tobytes())).mode == "RGB"
            except UnreadableImageError as error:
                n_refused += 1
                assert error.reason and "\n" not in error.reason
    assert n_refused


@pytest.mark.install
@pytest.mark.slow
def test_heic_is_read_with_the_extra(pip, run_python, tmp_path):
    """As HEIC and, as phones send it, named JPEG; upright; found in a folder."""
    site = tmp_path / "site"
    pip("install", "--no-deps", "--target", site, "pillow-heif>=0.18")
    done = run_python(
        """
        import sys
        from pathlib import Path
        sys.path.append(sys.argv[1])
        from ccip_plugin.core.preprocessing import load_image, register_optional_readers
        from PIL import Image
        import pillow_heif
        exif = Image.Exif()
        exif[0x0112] = 6
        folder = Path("pictures")
        folder.mkdir()
        heif = pillow_heif.from_pillow(Image.new("RGB", (80, 40), "red"))
        heif.save(folder / "a.heic", exif=exif.tobytes(), quality=90)
        (folder / "b.jpg").write_bytes((folder / "a.heic").read_bytes())
        print([load_image(path).size for path in sorted(folder.iterdir())])
        """,
        site,
    )
    assert done.stdout.split("\n")[0] == "[(40, 80), (40, 80)]"


def png_of_no_size() -> bytes:
    header = odd_images.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + odd_images.png_chunk(b"IEND", b"")


def jpeg_of_no_size() -> bytes:
    content = odd_images.encode(odd_images.drawing(), "JPEG")
    frame = content.index(b"\xff\xc0")
    return content[: frame + 5] + bytes(4) + content[frame + 9 :]


def tiff_without(tag: int) -> bytes:
    """A TIFF in which another entry stands in the place of one."""
    content = odd_images.encode(odd_images.drawing(), "TIFF")
    (start,) = struct.unpack_from("<I", content, 4)
    at = next(at for at in range(start + 2, len(content), 12) if struct.unpack_from("<H", content, at) == (tag,))
    return content[:at] + struct.pack("<H", 254) + content[at + 2 :]


@pytest.mark.parametrize(
    "content, told",
    [
        pytest.param(
            odd_images.encode(odd_images.drawing(), "GIF")[:9], "a GIF image, damaged: it ends too soon", id="GIF"
        ),
        pytest.param(
            odd_images.encode(odd_images.drawing(), "BMP")[:17], "a BMP image, damaged: it ends too soon", id="BMP"
        ),
        pytest.param(
            odd_images.encode(odd_images.drawing(), "QOI")[:9], "a QOI image, damaged: it ends too soon", id="QOI"
        ),
        pytest.param(png_of_no_size(), "a PNG image, damaged: its header has no size", id="PNG of no size"),
        pytest.param(jpeg_of_no_size(), "a JPEG image, damaged: its header has no size", id="JPEG of no size"),
        pytest.param(tiff_without(256), "a TIFF image, damaged: its parts do not fit together", id="no width"),
        pytest.param(
            odd_images.encode(odd_images.drawing(), "TIFF", compression="tiff_lzw")[:200],
            "a TIFF image, damaged: ",
            id="TIFF",
        ),
    ],
)
def test_errors_of_python_in_a_reader_are_said_as_damage(content, told):
    """Readers of Pillow that are given damaged files stumble: their words are of no help to people."""
    with collected_warnings(), pytest.raises(UnreadableImageError) as caught:
        load_image(content)
    assert caught.value.reason.startswith(told)
    for word in ("unpack", "index out of range", "driver", "export it"):
        assert word not in caught.value.reason


@pytest.mark.parametrize(
    "error, told",
    [
        (MemoryError(), "there is not enough memory to decode it"),
        (SyntaxError(struct.error("unpack requires a buffer of 2 bytes")), "damaged: it ends too soon"),
        (OSError("decoder error -2"), "damaged: its pixels cannot be decoded (decoder error -2)"),
        (ValueError("two\n  lines"), "two lines"),
    ],
)
def test_reasons_are_a_line_of_text(error, told):
    assert reason_of(error) == told


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "ICO", "DDS"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_image_is_called_by_its_format(file_format, share):
    content = io.BytesIO()
    Image.effect_noise((64, 64), 99).convert("RGB").save(content, file_format)
    cut = content.getvalue()[: int(len(content.getvalue()) * share)]
    with pytest.raises(UnreadableImageError) as raised:
        load_image(cut)
    assert f": {describe_format(cut).name}" in str(raised.value)
    assert "not an image" not in str(raised.value)
