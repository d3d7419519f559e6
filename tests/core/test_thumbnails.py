"""Thumbnails of files and boxes: what they show, when they are found, and a folder that never grows too large."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core import thumbnails as module
from ccip_plugin.core.errors import ParameterError, UnreadableImageError
from ccip_plugin.core.preprocessing import load_image, resized
from ccip_plugin.core.thumbnails import Thumbnails, Usage, draw, name_of, thumbnails_folder, thumbnails_limit
from tests.support.images import odd_images, turned_images

LEFT = (0.0, 0.0, 0.5, 1.0)
DAY = 86_400


@pytest.fixture
def folder(tmp_path):
    return Thumbnails(tmp_path / "thumbnails", 1 << 30)


def opened(path) -> Image.Image:
    with Image.open(path) as image:
        assert image.format == "WEBP" and not image.getexif() and "icc_profile" not in image.info
        return image.convert("RGB")


def name(text: str) -> str:
    """The name of a thumbnail in the folder ``00``."""
    return f"00{text:0>38}"


# --- what a thumbnail shows


@pytest.mark.parametrize(
    "size, expected",
    [
        pytest.param((3000, 4500), (107, 160), id="a large drawing"),
        pytest.param((800, 400), (320, 160), id="a screenshot"),
        pytest.param((4000, 400), (320, 32), id="wide"),
        pytest.param((50, 5000), (2, 160), id="high"),
        pytest.param((1, 5000), (1, 160), id="a line"),
        pytest.param((96, 128), (96, 128), id="small, not enlarged"),
        pytest.param((1, 1), (1, 1), id="one pixel"),
    ],
)
def test_size(size, expected):
    assert opened(io.BytesIO(draw(Image.new("RGB", size, "tan")))).size == expected


@pytest.mark.parametrize("size", [(96, 128), (960, 1280), (2000, 500)])
def test_it_shows_the_image(size):
    image = odd_images.drawing(*size)
    small = opened(io.BytesIO(draw(image)))
    plain = image.resize(small.size, Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(small, np.int16) - np.asarray(plain, np.int16))
    assert difference.mean() < 8


def test_the_picture_that_the_model_gets_gives_the_same_thumbnail():
    image = odd_images.drawing(960, 1280)
    assert draw(image, resized(image)) == draw(image)


def test_a_limit_of_bytes_costs_quality():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (160, 300, 3), np.uint8))
    assert len(draw(image, max_bytes=30_000)) < 30_000 < len(draw(image))


@pytest.mark.parametrize("case", [*turned_images.TURNED, *turned_images.NOT_TURNED])
def test_turned_as_the_app_shows_it(folder, tmp_path, case):
    """So that the box of a detection cuts out what it was drawn around."""
    path = tmp_path / "image"
    path.write_bytes((turned_images.TURNED | turned_images.NOT_TURNED)[case]())
    whole, left = folder.make(str(path), [None, LEFT])
    width, height = opened(whole).size
    assert (width > height) == (case in turned_images.TURNED)
    expected = load_image(path).crop((0, 0, width // 2, height)) if max(width, height) <= 160 else None
    if expected is not None:
        difference = np.abs(np.asarray(opened(left), np.int16) - np.asarray(expected, np.int16))
        assert difference.mean() < 12


@pytest.mark.parametrize("case", odd_images.READABLE)
def test_odd_images_have_thumbnails(folder, tmp_path, case):
    suffix, content = odd_images.READABLE[case]
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content())
    (made,) = folder.make(str(path))
    size = load_image(path).size
    assert opened(made).size == size or max(size) > 160


@pytest.mark.filterwarnings("error")
def test_damaged_metadata_costs_no_thumbnail(folder, tmp_path, recwarn):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40  # Pillow warns
    (tmp_path / "image.jpg").write_bytes(odd_images.encode(odd_images.drawing(), "JPEG", exif=exif))
    assert folder.make(str(tmp_path / "image.jpg"))[0].exists()
    assert not recwarn.list


@pytest.mark.parametrize("case", odd_images.UNREADABLE)
def test_unreadable_images_have_none(folder, tmp_path, case):
    suffix, content = odd_images.UNREADABLE[case]
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content())
    with pytest.raises(UnreadableImageError):
        folder.make(str(path))
    assert folder.usage() == Usage()


@pytest.mark.parametrize("path", ["none.png", "", "\0", "\ud800", "/dev/null", "https://a.b/c.png"])
def test_what_is_no_file_is_an_error_of_ours(folder, path):
    with pytest.raises(UnreadableImageError):
        folder.make(path)


def test_a_pipe_is_not_opened(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableImageError, match="not a file"):
        folder.make(str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    "box", [(), (0.5,), (0, 0, 0, 0), (2, 2, 1, 1), (0, 0, float("nan"), 1), "abcd", (0, 0, 9e9, 1)]
)
def test_a_box_without_pixels_has_none(folder, images, box):
    (path,) = images("a")
    whole, of_box = folder.make(str(path), [None, box])
    assert whole is not None and of_box is None


def test_too_large_an_image_is_refused(folder, images):
    (path,) = images("a", size=(300, 200))
    with pytest.raises(UnreadableImageError, match="max_pixels"):
        folder.make(str(path), max_pixels=50_000)


# --- when it is found


def test_made_once_and_found_again(folder, images):
    (path,) = images("a")
    (first,) = folder.make(str(path))
    content, modified = first.read_bytes(), first.stat().st_mtime_ns
    assert folder.make(str(path)) == [first]
    assert (first.read_bytes(), first.stat().st_mtime_ns) == (content, modified)
    assert folder.find(name_of(str(path), path.stat())) == first


def test_a_changed_or_moved_file_has_another(folder, images):
    path, other = images("ab")
    (before,) = folder.make(str(path))
    path.write_bytes(other.read_bytes())
    (changed,) = folder.make(str(path))
    os.utime(path, ns=(0, 0))
    (touched,) = folder.make(str(path))
    (moved,) = folder.make(str(path.rename(path.with_name("moved 猫.png"))))
    assert len({before, changed, touched, moved}) == 4
    assert opened(before).getpixel((20, 20)) != opened(changed).getpixel((20, 20))


def test_each_box_has_its_own(folder, images):
    (path,) = images("a")
    boxes = [None, LEFT, (0.0, 0.0, 0.5, 0.9)]
    assert len(set(folder.make(str(path), boxes))) == 3
    assert folder.make(str(path), [list(LEFT)]) == folder.make(str(path), [LEFT])
    assert folder.make(str(path), [(0, 0, 0.5, 1)]) == folder.make(str(path), [LEFT]), "numbers of another type"


def test_another_rule_makes_others(folder, images, monkeypatch):
    (path,) = images("a")
    (before,) = folder.make(str(path))
    monkeypatch.setattr(module, "_RULE", module._RULE + 1)
    assert folder.make(str(path)) != [before]


def test_an_empty_file_counts_as_missing(folder, images):
    """As a power failure leaves it."""
    (path,) = images("a")
    (made,) = folder.make(str(path))
    made.write_bytes(b"")
    assert folder.make(str(path)) == [made] and made.stat().st_size


# --- the folder


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ"))
    assert thumbnails_folder() == tmp_path / "キャッシュ" / "thumbnails"
    assert Thumbnails().limit == 2_000_000_000
    Thumbnails().add(name("1"), b"x")
    assert thumbnails_folder().stat().st_mode & 0o77 == 0, "the images may be private"


@pytest.mark.parametrize("value, expected", [("", 2_000_000_000), ("0", 0), ("5", 5_000_000)])
def test_the_limit(monkeypatch, value, expected):
    monkeypatch.setenv("CCIP_THUMBNAILS_MB", value)
    assert thumbnails_limit() == expected


@pytest.mark.parametrize("value", ["-1", "2 GB", "1.5", "nan"])
def test_an_invalid_limit_is_said(monkeypatch, value):
    monkeypatch.setenv("CCIP_THUMBNAILS_MB", value)
    with pytest.raises(ParameterError, match="megabytes"):
        thumbnails_limit()


def test_the_least_recently_used_go_first(tmp_path):
    thumbnails = Thumbnails(tmp_path, 256 * 10_000)
    for n in range(9):
        path = thumbnails.add(name(str(n)), bytes(1000))
        os.utime(path, (time.time() - (20 - n) * DAY,) * 2)
    assert thumbnails.find(name("0")), "this marks it as used"
    for n in range(9, 14):
        thumbnails.add(name(str(n)), bytes(1000))
    left = {path.stem.lstrip("0") for path in tmp_path.rglob("*.webp")}
    assert left == {"", *map(str, range(5, 14))}, "two at a time are deleted, down to nine tenths"


def test_the_folder_never_grows_beyond_the_limit(tmp_path):
    rng, limit = np.random.default_rng(3), 2_000_000
    for _ in range(3):  # as often as the process is started
        thumbnails = Thumbnails(tmp_path, limit)
        for number in rng.integers(0, 2**62, 1500):
            thumbnails.add(f"{int(number):040x}"[::-1], bytes(int(rng.integers(500, 2500))))
        assert thumbnails.usage().n_bytes <= limit
    assert thumbnails.usage().n_bytes > 0.7 * limit


def test_what_a_killed_process_left_is_deleted_later(tmp_path):
    thumbnails = Thumbnails(tmp_path, 1 << 20)
    path = thumbnails.add(name("1"), b"x")
    old, new = path.with_name(".1.webp.ab.part"), path.with_name(".2.webp.ab.part")
    for part, age in ((old, 2 * DAY), (new, 60)):
        part.write_bytes(b"x")
        os.utime(part, (time.time() - age,) * 2)
    Thumbnails(tmp_path, 1 << 20).add(name("3"), b"x")
    assert not old.exists() and new.exists()


def test_cleaning(folder, images):
    made = [folder.make(str(path))[0] for path in images("abc")]
    os.utime(made[0], (time.time() - 40 * DAY,) * 2)
    size = made[0].stat().st_size
    (folder.folder / "readme.txt").write_text("of somebody else", encoding="utf-8")
    assert folder.usage().n_files == 3
    assert folder.clean(unused_seconds=30 * DAY) == Usage(1, size)
    assert [path.exists() for path in made] == [False, True, True]
    assert folder.clean().n_files == 2 and folder.usage() == Usage()
    assert (folder.folder / "readme.txt").exists()
    assert folder.clean() == Usage() == Thumbnails(Path("/none/of this"), 1).usage()


# --- images that are in memory


def offer(thumbnails, path, box=None):
    image = load_image(path)
    thumbnails.offer(str(path), path.stat(), box, lambda: image)


def test_offered_images_are_kept(folder, images):
    (path,) = images("a", size=(500, 400))
    offer(folder, path)
    (kept,) = folder.folder.rglob("*.webp")
    content = kept.read_bytes()
    kept.unlink()
    assert folder.make(str(path)) == [kept] and kept.read_bytes() == content


@pytest.mark.parametrize("place", ["a file", "/proc/none", "/dev/null/x"])
def test_a_folder_that_cannot_be_written_costs_nothing_but_thumbnails(tmp_path, images, caplog, place):
    (tmp_path / "a file").touch()
    thumbnails = Thumbnails(tmp_path / place, 1 << 20)
    for path in images("abc"):
        offer(thumbnails, path)
    assert thumbnails.problem is not None and not thumbnails.is_writable()
    assert len(caplog.records) == 1, "it is said once"


def test_a_full_disk_costs_nothing_but_thumbnails(run_python, images, tmp_path):
    code = """
        import resource, sys
        from pathlib import Path
        from ccip_plugin.core.preprocessing import load_image
        from ccip_plugin.core.thumbnails import Thumbnails
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        thumbnails = Thumbnails(Path(sys.argv[1]), 1 << 20)
        for path in map(Path, sys.argv[2:]):
            thumbnails.offer(str(path), path.stat(), None, lambda: load_image(path))
        print(thumbnails.problem, [path.name for path in thumbnails.folder.rglob("*") if path.is_file()])
    """
    done = run_python(code, tmp_path / "thumbnails", *images("ab"))
    assert done.stdout == "File too large []\n"


def test_too_little_space_is_not_filled(tmp_path, images, monkeypatch):
    monkeypatch.setattr(module, "_MIN_FREE", 1 << 60)
    thumbnails = Thumbnails(tmp_path / "thumbnails", 1 << 20)
    for path in images("ab"):
        offer(thumbnails, path)
    assert "of the disk are free" in str(thumbnails.problem) and thumbnails.usage() == Usage()


def test_without_limit_there_are_none(tmp_path, images):
    thumbnails = Thumbnails(tmp_path / "thumbnails", 0)
    offer(thumbnails, *images("a"))
    assert not thumbnails.is_writable() and not thumbnails.folder.exists()


def test_one_run_does_not_replace_its_own(tmp_path, images):
    thumbnails = Thumbnails(tmp_path / "thumbnails", 1)
    for path in images("abc"):
        offer(thumbnails, path)
    assert thumbnails.usage().n_files == 1


@pytest.mark.parametrize("box", [(2, 2, 1, 1), "abcd"])
def test_a_box_that_fails_is_passed_over(folder, images, box):
    def fails():
        raise MemoryError

    (path,) = images("a")
    folder.offer(str(path), path.stat(), box, fails)
    offer(folder, path)
    assert folder.problem is None and folder.usage().n_files == 1


def test_processes_make_the_same_files_at_the_same_time(start_python, images, tmp_path):
    code = """
        import sys
        from pathlib import Path
        from ccip_plugin.core.thumbnails import Thumbnails
        thumbnails = Thumbnails(Path(sys.argv[1]), 1 << 20)
        print(*(thumbnails.make(path, [None, (0, 0, 0.5, 1)]) for path in sys.argv[2:]))
        assert thumbnails.problem is None
    """
    paths = images("abcdefgh" * 3)
    running = [start_python(code, tmp_path / "thumbnails", *paths) for _ in range(4)]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    assert len({out for out, _ in outputs}) == 1
    files = [path for path in (tmp_path / "thumbnails").rglob("*") if path.is_file()]
    assert len(files) == 2 * len(paths) and all(opened(path).size for path in files)


def test_a_folder_that_is_deleted_meanwhile_is_made_again(folder, images):
    import shutil

    first, second = images("ab")
    folder.make(str(first))
    shutil.rmtree(folder.folder)
    assert folder.make(str(second))[0].exists()
