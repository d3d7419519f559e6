import io
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from ccip_plugin.core.errors import CCIPError, EmptyCropError, ImageTooLargeError, UnreadableImageError
from ccip_plugin.core.preprocessing import INPUT_SIZE, MEAN, STD, crop, image_size, load_image, preprocess
from tests.support.images import odd_images

MODES = (
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "CMYK",
    "YCbCr",
    "HSV",
    "LAB",
    "I",
    "I;16",
    "F",
)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return {image.case: image for image in odd_images.write_odd_images(tmp_path_factory.mktemp("変な画像 😀"))}


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


# what the reference does, written out plainly -------------------------------------------------------------------------


def resized_slowly(image: np.ndarray, size: int) -> np.ndarray:
    """A triangle filter, stretched by the factor of reduction, in 22-bit fixed point; first along x, then along y."""
    return resized_rows(resized_rows(image, size).swapaxes(0, 1), size).swapaxes(0, 1)


def resized_rows(image: np.ndarray, size: int) -> np.ndarray:
    width = image.shape[1]
    scale = width / size
    reach = max(scale, 1.0)
    out = np.empty((image.shape[0], size, 3), np.uint8)
    for column in range(size):
        center = (column + 0.5) * scale
        first, last = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), width)
        weights = []
        for source in range(first, last):
            weights.append(max(0.0, 1.0 - abs((source - center + 0.5) * (1.0 / reach))))
        total = np.full((image.shape[0], 3), 1 << 21, np.int64)
        for source, weight in zip(range(first, last), weights, strict=True):
            total += image[:, source].astype(np.int64) * int(0.5 + weight / sum(weights) * (1 << 22))
        out[:, column] = (total >> 22).clip(0, 255)
    return out


def preprocessed_slowly(image: Image.Image) -> np.ndarray:
    small = resized_slowly(np.asarray(image), INPUT_SIZE)
    out = np.empty((3, INPUT_SIZE, INPUT_SIZE), np.float32)
    for channel in range(3):
        scaled = small[..., channel].astype(np.float32) / np.float32(255)
        out[channel] = (scaled.astype(np.float64) - MEAN[channel]) / STD[channel]
    return out


@pytest.mark.parametrize(
    "width, height",
    [
        pytest.param(384, 384, id="already that size"),
        pytest.param(1000, 700, id="smaller"),
        pytest.param(60, 90, id="larger"),
        pytest.param(1, 1, id="one pixel"),
        pytest.param(1, 1500, id="a line"),
        pytest.param(401, 383, id="nearly that size"),
    ],
)
def test_tensors_are_those_of_the_reference_to_the_last_bit(width, height):
    image = odd_images.drawing(width, height)
    tensor = preprocess(image)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, preprocessed_slowly(image))


@settings(max_examples=15, deadline=None)
@given(width=st.integers(1, 900), height=st.integers(1, 60), seed=st.integers(0, 9))
def test_tensors_of_any_size_are_those_of_the_reference(width, height, seed):
    image = odd_images.drawing(width, height, seed)
    np.testing.assert_array_equal(preprocess(image), preprocessed_slowly(image))


def test_every_value_is_normalized_as_the_reference_does():
    ramp = np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    ramp[0, :256] = np.arange(256)[:, None]
    tensor = preprocess(Image.fromarray(ramp))
    for channel in range(3):
        for value in range(256):
            want = np.float32((float(np.float32(value) / np.float32(255)) - MEAN[channel]) / STD[channel])
            assert tensor[channel, 0, value] == want


def test_writes_into_a_row_of_a_batch():
    batch = np.zeros((2, 3, INPUT_SIZE, INPUT_SIZE), np.float32)
    image = odd_images.drawing()
    assert preprocess(image, out=batch[1]).base is batch
    np.testing.assert_array_equal(batch[1], preprocess(image))
    assert not batch[0].any()


def test_channels_are_red_green_blue():
    tensor = preprocess(Image.new("RGB", (10, 10), (255, 0, 0)))
    assert tensor[0].min() > 1 and tensor[1:].max() < -1


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", odd_images.READABLE)
def test_reads(case, odd):
    image = load_image(odd[case].path)
    assert image.mode == "RGB"
    assert np.isfinite(preprocess(image)).all()


@pytest.mark.parametrize("case", odd_images.UNREADABLE)
def test_says_which_file_cannot_be_read_and_why(case, odd):
    path = odd[case].path
    with pytest.raises(UnreadableImageError) as caught:
        load_image(path)
    assert isinstance(caught.value, CCIPError)
    assert caught.value.path == str(path) and str(path) in str(caught.value)
    assert len(caught.value.reason) > 10


@pytest.mark.parametrize("case", [case for case in odd_images.UNREADABLE if "short" in case])
def test_files_cut_short_fail_also_where_the_process_wants_them_filled_with_grey(case, odd, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(UnreadableImageError):
        load_image(odd[case].path)


@pytest.mark.parametrize("case", odd_images.READABLE)
def test_whole_files_are_read_where_the_process_wants_truncated_ones(case, odd, monkeypatch):
    want = pixels(load_image(odd[case].path))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    np.testing.assert_array_equal(pixels(load_image(odd[case].path)), want)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("name", ["plain.jpg", "progressive.jpg", "plain.png", "plain.webp", "plain.bmp", "moving.gif"])
def test_no_file_cut_short_is_read(name, share):
    make = next(make for file_name, make in odd_images.READABLE.values() if file_name == name)
    content = make() if name != "moving.gif" else odd_images.encode(odd_images.drawing(), "GIF")
    with pytest.raises(UnreadableImageError):
        load_image(odd_images.cut_short(content, share))


@pytest.mark.parametrize(
    "path, reason",
    [
        pytest.param("nobody's 画像.png", "No such file", id="missing"),
        pytest.param(".", "Is a directory", id="a folder"),
    ],
)
def test_says_what_is_wrong_with_a_path(path, reason, tmp_path):
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        load_image(tmp_path / path)
    assert caught.value.path == str(tmp_path / path)


def test_a_file_name_that_is_no_text_gives_a_message_that_is():
    with pytest.raises(UnreadableImageError) as caught:
        load_image("\udce3\udc81 絵.png")
    assert "絵.png" in str(caught.value).encode("utf-8").decode("utf-8")


def test_drawings_that_other_programs_would_run_are_refused():
    with pytest.raises(UnreadableImageError):
        load_image(odd_images.encode(odd_images.drawing(), "EPS"))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_exif_data_cut_short_spoils_no_image():
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40
    content = odd_images.encode(odd_images.drawing(), "JPEG", exif=exif)
    assert load_image(content).size == odd_images.drawing().size


@pytest.mark.parametrize(
    "give",
    [
        pytest.param(lambda path: path, id="path"),
        pytest.param(lambda path: str(path), id="text"),
        pytest.param(lambda path: path.read_bytes(), id="bytes"),
        pytest.param(lambda path: memoryview(path.read_bytes()), id="memoryview"),
        pytest.param(lambda path: io.BytesIO(path.read_bytes()), id="file object"),
        pytest.param(lambda path: Image.open(io.BytesIO(path.read_bytes())), id="unread PIL image"),
    ],
)
def test_takes_an_image_in_any_form(give, odd):
    image = odd["EXIF orientation 6"]
    np.testing.assert_array_equal(pixels(load_image(give(image.path))), pixels(load_image(image.path)))


def test_an_open_file_is_rewound_and_stays_open(odd):
    with odd["RGB PNG"].path.open("rb") as file:
        file.seek(50)
        np.testing.assert_array_equal(pixels(load_image(file)), pixels(odd_images.drawing()))
        assert not file.closed


class Pipe:
    """A file that can only be read once, from front to back."""

    def __init__(self, content: bytes):
        self.content = content

    def read(self, size: int = -1) -> bytes:
        content, self.content = self.content, b""
        return content


def test_takes_a_file_that_cannot_be_rewound(odd):
    image = load_image(Pipe(odd["RGB PNG"].path.read_bytes()))
    np.testing.assert_array_equal(pixels(image), pixels(odd_images.drawing()))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(3, id="number"),
        pytest.param(None, id="nothing"),
        pytest.param(io.StringIO("text"), id="file of text"),
        pytest.param(b"", id="no bytes"),
        pytest.param(np.zeros((0, 5, 3), np.uint8), id="array without pixels"),
        pytest.param(np.zeros((5, 5, 7), np.uint8), id="array of 7 channels"),
        pytest.param(np.zeros((5, 5, 3)), id="array of floats"),
        pytest.param(Image.new("RGB", (0, 5)), id="image without pixels"),
    ],
)
def test_refuses_what_is_no_image(source):
    with pytest.raises(UnreadableImageError):
        load_image(source)


# size -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pillows_limit", [None, 10, 10**12])
@pytest.mark.parametrize(
    "max_pixels, is_read",
    [
        pytest.param(12287, False, id="one too many"),
        pytest.param(12288, True, id="just right"),
        pytest.param(None, True, id="no limit"),
    ],
)
def test_our_limit_of_pixels_holds_whatever_that_of_pillow_is(max_pixels, is_read, pillows_limit, odd, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows_limit)
    for case in ("RGB JPEG", "RGB PNG", "animated GIF", "RGB BMP"):
        if is_read:
            assert load_image(odd[case].path, max_pixels=max_pixels).size == (96, 128)
        else:
            with pytest.raises(ImageTooLargeError, match="96 x 128"):
                load_image(odd[case].path, max_pixels=max_pixels)


@pytest.mark.parametrize(
    "side, is_refused", [pytest.param(13_345, True, id="over"), pytest.param(13_341, False, id="under")]
)
def test_the_limit_is_178_million_pixels(side, is_refused):
    """The file ends after a few pixels: an image under the limit is decoded and found cut short, one over it is not."""
    with pytest.raises(UnreadableImageError) as caught:
        load_image(odd_images.bomb(side, side))
    assert isinstance(caught.value, ImageTooLargeError) == is_refused
    if is_refused:
        assert (caught.value.pixels, caught.value.limit) == (side * side, 178_000_000)


@pytest.mark.parametrize("case", ["RGB WebP", "RGB TIFF"])
def test_says_so_where_pillow_insists_on_its_own_limit(case, odd, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnreadableImageError, match="MAX_IMAGE_PIXELS"):
        load_image(odd[case].path)


def test_a_large_image_is_read():
    content = odd_images.encode(Image.new("L", (8000, 8000), 77), "PNG", compress_level=1)
    image = load_image(content)
    assert image.size == (8000, 8000)
    np.testing.assert_array_equal(preprocess(image), preprocess(Image.new("RGB", (5, 5), (77, 77, 77))))


def test_the_size_is_read_without_decoding(odd):
    assert image_size(odd["bomb"].path) == (60_000, 60_000)
    assert image_size(odd["JPEG cut short"].path.read_bytes()) == (96, 128)
    with pytest.raises(UnreadableImageError, match="empty"):
        image_size(odd["empty"].path)


# modes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, file_format):
    options = {"JPEG": {"quality": 95, "subsampling": 0}}.get(file_format, {})
    image = load_image(odd_images.turned(orientation, file_format, **options))
    assert image.size == odd_images.drawing().size
    assert abs(pixels(image) - pixels(odd_images.drawing())).mean() < {"JPEG": 3, "AVIF": 12}.get(file_format, 1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_loading_again_changes_nothing(orientation):
    once = load_image(odd_images.turned(orientation))
    np.testing.assert_array_equal(pixels(load_image(once)), pixels(once))


def composited_slowly(image: Image.Image) -> np.ndarray:
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


@pytest.mark.parametrize(
    "case, tolerance",
    [
        ("RGBA PNG", 0.51),
        ("RGBA WebP", 0.51),
        ("LA PNG", 0.51),
        ("palette PNG with transparency", 0.51),
        ("palette PNG with one transparent color", 0),
        ("RGB PNG with a transparent color", 0),
    ],
)
def test_transparency_is_put_on_white(case, tolerance, odd):
    path = odd[case].path
    with Image.open(path) as image:
        want = composited_slowly(image)
    assert (want == 255).any() and not (want == 255).all()
    assert abs(pixels(load_image(path)) - want).max() <= tolerance


@pytest.mark.parametrize("mode", ["RGBa", "La", "PA", "LA", "RGBA"])
def test_images_in_memory_with_transparency_are_put_on_white(mode):
    image = odd_images.cut_out().convert("LA" if mode == "La" else "RGBA").convert(mode)
    back = {"La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    assert abs(pixels(load_image(image)) - composited_slowly(image.convert(back))).max() <= 0.51


def test_a_palette_with_alpha_of_its_own_is_put_on_white():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 0, 255, 255], "RGBA")
    image.putdata([0, 1])
    assert pixels(load_image(image)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


@pytest.mark.parametrize("case", ["16-bit grey PNG", "16-bit grey TIFF"])
def test_16_bit_grey_is_scaled(case, odd):
    want = np.repeat(odd_images.sixteen_bit()[..., None] // 256, 3, axis=2)
    np.testing.assert_array_equal(pixels(load_image(odd[case].path)), want)


def test_a_transparent_grey_of_16_bits_is_white():
    values = np.array([[0, 257 * 40, 257 * 40 + 1]], np.uint16)
    header = b"\0\0\0\x03\0\0\0\x01\x10\0\0\0\0"
    content = b"\x89PNG\r\n\x1a\n" + odd_images.png_chunk(b"IHDR", header)
    content += odd_images.png_chunk(b"tRNS", int(values[0, 1]).to_bytes(2, "big"))
    rows = odd_images.zlib.compress(b"\0" + values.astype(">u2").tobytes())
    content += odd_images.png_chunk(b"IDAT", rows) + odd_images.png_chunk(b"IEND", b"")
    assert pixels(load_image(content))[0, :, 0].tolist() == [0, 255, 40]


@pytest.mark.parametrize(
    "values, want",
    [
        pytest.param(np.array([[0, 256, 65535]], np.int32), [0, 1, 255], id="32 bits that hold 16"),
        pytest.param(np.array([[0, 7, 255]], np.int32), [0, 7, 255], id="32 bits that hold 8"),
        pytest.param(np.array([[-5, 2**30, 2**31 - 1]], np.int32), [0, 127, 255], id="all 32 bits"),
        pytest.param(np.array([[0, 0.5, 1]], np.float32), [0, 127, 255], id="floats up to 1"),
        pytest.param(np.array([[0, 99.5, 255]], np.float32), [0, 99, 255], id="floats up to 255"),
        pytest.param(np.array([[np.nan, np.inf, 200]], np.float32), [0, 0, 200], id="no numbers"),
    ],
)
def test_wide_grey_is_scaled_by_its_range(values, want):
    assert pixels(load_image(Image.fromarray(values)))[0, :, 0].tolist() == want


@pytest.mark.parametrize("case", ["animated GIF", "animated WebP", "animated PNG"])
def test_the_first_frame_of_an_animation_is_taken(case, odd):
    tolerance = 12 if case == "animated GIF" else 0  # a palette
    assert abs(pixels(load_image(odd[case].path)) - pixels(odd_images.drawing())).mean() <= tolerance


def test_cmyk_of_a_jpeg_is_not_inverted():
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[:, :32] = odd_images.RED
    content = odd_images.encode(Image.fromarray(colors).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in content
    image = pixels(load_image(content))
    assert abs(image[32, 10] - odd_images.RED).max() < 25
    assert abs(image[32, 55]).max() < 25


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "CMYK", "RGBX"])
def test_other_color_spaces_come_back_as_they_were(mode):
    image = odd_images.drawing()
    assert abs(pixels(load_image(image.convert(mode))) - pixels(image)).mean() < 4


@pytest.mark.parametrize(
    "shape, dtype",
    [
        pytest.param((4, 5), np.uint8, id="grey"),
        pytest.param((4, 5, 1), np.uint8, id="grey with a channel"),
        pytest.param((4, 5, 2), np.uint8, id="grey and alpha"),
        pytest.param((4, 5, 3), np.uint8, id="RGB"),
        pytest.param((4, 5, 4), np.uint8, id="RGBA"),
        pytest.param((4, 5), np.uint16, id="16-bit grey"),
        pytest.param((4, 5, 3), np.uint16, id="16-bit RGB"),
    ],
)
def test_takes_arrays(shape, dtype):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    before = array.copy()
    image = pixels(load_image(array))
    narrow = array.astype(float) // (256 if dtype == np.uint16 else 1)
    colors = narrow.reshape(4, 5, -1)
    if colors.shape[2] in (2, 4):
        alpha = colors[..., -1:] / 255
        colors = colors[..., :-1] * alpha + 255 * (1 - alpha)
    assert abs(image - np.broadcast_to(colors, (4, 5, 3))).max() <= 0.51
    np.testing.assert_array_equal(array, before)


def test_arrays_need_not_be_contiguous():
    array = np.asarray(odd_images.drawing())
    np.testing.assert_array_equal(pixels(load_image(array[::2, ::-3, ::-1])), array[::2, ::-3, ::-1])


@settings(max_examples=60, deadline=None)
@given(mode=st.sampled_from(MODES), width=st.integers(1, 40), height=st.integers(1, 40), orientation=st.integers(0, 9))
def test_every_mode_and_size_becomes_rgb_and_the_input_stays(mode, width, height, orientation):
    image = in_mode(odd_images.drawing(width, height), mode)
    image.getexif()[0x0112] = orientation
    before = image.tobytes()
    loaded = load_image(image)
    assert loaded.mode == "RGB"
    assert loaded.size == ((height, width) if orientation in (5, 6, 7, 8) else (width, height))
    assert preprocess(loaded).shape == (3, INPUT_SIZE, INPUT_SIZE)
    assert image.mode == mode and image.tobytes() == before


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode.startswith("I") or mode == "F":
        grey = np.asarray(image.convert("L"))
        return Image.fromarray(grey.astype({"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]))
    through = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode)
    return image.convert(through).convert(mode) if through else image.convert(mode)


def test_rgb_images_are_not_copied():
    image = odd_images.drawing()
    assert load_image(image) is image


def test_threads_read_alike(odd):
    paths = [image.path for image in odd.values() if image.is_readable] * 3
    want = {path: load_image(path).tobytes() for path in paths}
    wrong: list[Path] = []

    def work() -> None:
        wrong.extend(path for path in paths if load_image(path).tobytes() != want[path])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# crops ----------------------------------------------------------------------------------------------------------------


def cropped_by_fiftyone(image: np.ndarray, box, alpha, square) -> np.ndarray:
    """FiftyOne's crops are made by ETA, which can be imported without it."""
    geometry = pytest.importorskip("eta.core.geometry")
    x, y, width, height = box
    region = geometry.BoundingBox.from_coords(x, y, x + width, y + height).pad_relative(alpha)
    return region.extract_from(image, force_square=square)


@settings(max_examples=300, deadline=None)
@given(
    box=st.tuples(*[st.floats(-0.3, 1.2)] * 2, *[st.floats(0, 1.3)] * 2),
    alpha=st.floats(-1.2, 3),
    square=st.booleans(),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_crops_have_the_pixels_that_fiftyone_cuts_out(box, alpha, square, size):
    image = odd_images.drawing(*size)
    has_pixels = cropped_by_fiftyone(np.asarray(image), box, alpha, False).size
    want = cropped_by_fiftyone(np.asarray(image), box, alpha, square)
    if has_pixels:
        np.testing.assert_array_equal(np.asarray(crop(image, box, alpha=alpha, square=square)), want)
    else:
        with pytest.raises(EmptyCropError):
            crop(image, box, alpha=alpha, square=square)


@pytest.mark.parametrize(
    "box, options, want",
    [
        pytest.param([0, 0, 1, 1], {}, (0, 0, 100, 60), id="everything"),
        pytest.param([0.1, 0.5, 0.2, 0.25], {}, (10, 30, 30, 45), id="inside"),
        pytest.param([-0.5, -0.5, 1, 1], {}, (0, 0, 50, 30), id="clipped"),
        pytest.param([0.25, 0.25, 0.5, 0.5], {"alpha": 0.5}, (12, 7, 87, 52), id="wider"),
        pytest.param([0.25, 0.25, 0.5, 0.5], {"alpha": -0.5}, (37, 22, 62, 37), id="narrower"),
        pytest.param([0.4, 0.2, 0.1, 0.5], {"square": True}, (30, 12, 60, 42), id="square"),
        pytest.param([0, 0, 0.1, 0.5], {"square": True}, (0, 0, 30, 30), id="square at the edge"),
        pytest.param([0.1, 0.1, 0.9, 0.5], {"square": True}, (25, 0, 85, 60), id="square of all there is"),
    ],
)
def test_crops(box, options, want):
    image = odd_images.drawing(100, 60)
    np.testing.assert_array_equal(pixels(crop(image, box, **options)), pixels(image.crop(want)))


def test_a_crop_of_everything_is_not_copied():
    image = odd_images.drawing()
    assert crop(image, [0, 0, 1, 1]) is image


@pytest.mark.parametrize("square", [False, True], ids=["as it is", "square"])
@pytest.mark.parametrize(
    "box, alpha",
    [
        pytest.param([0.5, 0.5, 0, 0.2], 0, id="no width"),
        pytest.param([0.2, 0, 0, 1], 0, id="a line from top to bottom"),
        pytest.param([1.5, 0, 0.5, 1], 0, id="a strip beside the image"),
        pytest.param([0.5, 0.5, 0.2, -0.2], 0, id="negative height"),
        pytest.param([0.5, 0.5, 0.001, 0.001], 0, id="less than a pixel"),
        pytest.param([1.5, 0.5, 0.2, 0.2], 0, id="outside"),
        pytest.param([0.1, 0.1, 0.5, 0.5], -1, id="shrunk to nothing"),
        pytest.param([float("nan"), 0.5, 0.2, 0.2], 0, id="not a number"),
        pytest.param([0.1, 0.5, float("inf"), 0.2], 0, id="infinite"),
        pytest.param([0.1, 0.5, 0.2], 0, id="three numbers"),
        pytest.param([0.1, 0.1, 0.5, 0.5], float("nan"), id="alpha not a number"),
    ],
)
def test_says_when_nothing_is_left_to_crop(box, alpha, square):
    with pytest.raises(EmptyCropError, match="100 x 60") as caught:
        crop(odd_images.drawing(100, 60), box, alpha=alpha, square=square)
    assert len(caught.value.box) == len(box)


@pytest.mark.parametrize("content", [b"n", b"no", b"\xff\xd8\xff"], ids=["1 byte", "2 bytes", "a JPEG's first 3"])
def test_a_file_of_a_few_bytes_is_said_to_be_no_image(content):
    with pytest.raises(UnreadableImageError, match=f"ends after {len(content)} bytes"):
        load_image(content)


@pytest.mark.parametrize("is_animated", [False, True], ids=["still", "animated"])
def test_webp_lets_go_of_its_canvases_before_the_image_gets_one(is_animated, monkeypatch):
    file = io.BytesIO()
    frames = [odd_images.drawing(40, 30)] * (2 if is_animated else 1)
    frames[0].save(file, "WEBP", lossless=True, save_all=is_animated, append_images=frames[1:])
    held = []
    prepare = ImageFile.ImageFile.load_prepare
    monkeypatch.setattr(
        ImageFile.ImageFile, "load_prepare", lambda image: (held.append(image._decoder), prepare(image))[1]
    )
    image = load_image(file.getvalue())
    np.testing.assert_array_equal(pixels(image), pixels(frames[0]))
    assert held == [None]
    gone = weakref.ref(image)
    del image
    assert gone() is None
