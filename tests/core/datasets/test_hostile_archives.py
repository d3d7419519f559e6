"""Whatever is wrong with an archive or its target is an ArchiveError, and nothing else on the disk changes."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ccip_plugin.core.datasets.archives import ArchiveError, extract_images
from ccip_plugin.core.errors import CCIPError

BLOCK, SIZE, CHECKSUM = 512, slice(124, 136), slice(148, 156)


def tar(path: Path, names=("1/2.jpg",), headers: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.pax_headers = 3, headers or {}
            archive.addfile(entry, io.BytesIO(b"abc"))
    return path


def patched(path: Path, place: slice, value: bytes) -> Path:
    """An archive with other bytes in its first header, whose checksum fits."""
    data = bytearray(tar(path).read_bytes())
    data[place] = value
    data[CHECKSUM] = b" " * 8
    data[CHECKSUM] = b"%06o\0 " % sum(data[:BLOCK])
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["画像" * 75, "é" * 150, "\U0002070e" * 64, "한" * 100], ids=len)
def test_names_that_are_too_long_in_bytes(tmp_path, name):
    with pytest.raises(ArchiveError, match="more than 255 bytes"):
        extract_images(tar(tmp_path / "a.tar", [f"1/{name}.jpg"]), tmp_path / "out")
    assert len(extract_images(tar(tmp_path / "a.tar", [f"1/{'画' * 80}.jpg"]), tmp_path / "out")) == 1


@pytest.mark.parametrize("size", [b"-0000000003\0", b"\xff" * 12, b"\xff" * 11 + b"\xfd", b"\x80" + b"\xff" * 11])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ArchiveError):
        extract_images(patched(tmp_path / "a.tar", SIZE, size), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["a.tar"]


@pytest.mark.parametrize("headers", [
    {"size": "-3"}, {"size": "-1"}, {"size": "9" * 60},
    {"GNU.sparse.map": "a,b"}, {"GNU.sparse.map": "0,x"}, {"GNU.sparse.map": "1,2,3"}, {"GNU.sparse.map": ""},
    {"GNU.sparse.map": "-5,3"},
    {"GNU.sparse.size": "many"}, {"GNU.sparse.size": "-3", "GNU.sparse.map": "0,3"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"},
    {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "a"},
    {"path": "1/\0.jpg"}, {"path": "../1/2.jpg"}, {"path": "1/" + "x" * 300 + ".jpg"},
    {"comment": "x" * 2_000_000},
], ids=str)  # fmt: skip
def test_headers_of_nonsense(tmp_path, headers):
    with pytest.raises(ArchiveError):
        extract_images(tar(tmp_path / "a.tar", headers=headers), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"BZh9", b"BZh91AY&SY", b""])
@pytest.mark.parametrize("seed", range(3))
def test_noise(tmp_path, magic, seed):
    import random

    (tmp_path / "a.tar").write_bytes(magic + random.Random(seed).randbytes(5000))
    with pytest.raises(ArchiveError):
        extract_images(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("seed", range(10))
def test_damaged_archives_have_no_other_exception(tmp_path, seed):
    import random

    dice = random.Random(seed)
    whole = tar(tmp_path / "a.tar", ["1/2.jpg", "3/4.png"], {"GNU.sparse.name": "x"}).read_bytes()
    for number in range(40):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 5)):
            data[dice.randrange(len(data))] = dice.choice((0, 45, 48, 128, 255, dice.randrange(256)))
        for start in range(0, len(data) - BLOCK, BLOCK):  # the checksum of each header fits
            if data[start + 257 : start + 262] == b"ustar":
                data[start + 148 : start + 156] = b" " * 8
                data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + BLOCK])
        (tmp_path / "a.tar").write_bytes(data)
        try:
            extract_images(tmp_path / "a.tar", tmp_path / f"out{number}")
        except CCIPError:
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}, number {number}: {error!r}")


# --- what is in the place of what is written


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or (path.is_file() and path.suffix not in (".lock", ".tar"))
    }


def link_to_folder(path: Path) -> None:
    path.symlink_to("others")


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def file(path: Path) -> None:
    path.write_text("mine")


def full_folder(path: Path) -> None:
    path.mkdir()
    (path / "photo.jpg").write_text("mine")


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "kept.txt").write_text("kept")
    return tmp_path


@pytest.mark.parametrize("put", [link_to_folder, link_to_nothing, link_to_itself, file, full_folder])
def test_what_is_in_the_place_of_a_partial_folder_is_replaced(place, put):
    put(place / "out.incomplete")
    assert len(extract_images(tar(place / "a.tar"), place / "out")) == 1
    assert contents(place) == {"others/kept.txt": "kept", "out/.complete": "", "out/1/2.jpg": "abc"}


@pytest.mark.parametrize("put", [link_to_folder, link_to_nothing, link_to_itself, file, full_folder])
def test_what_is_in_the_place_of_the_folder_is_kept(place, put):
    put(place / "out")
    before = contents(place)
    with pytest.raises(ArchiveError, match="out"):
        extract_images(tar(place / "a.tar"), place / "out")
    assert contents(place) == before


def test_an_empty_folder_is_used(place):
    (place / "out").mkdir()
    assert len(extract_images(tar(place / "a.tar"), place / "out")) == 1


def folder_as_lock(place: Path) -> Path:
    (place / ".out.incomplete.lock").mkdir()
    return place / "out"


def file_above(place: Path) -> Path:
    (place / "file").write_text("mine")
    return place / "file" / "out"


TARGETS: list[Callable[[Path], Path]] = [
    folder_as_lock,
    file_above,
    lambda place: place / ("x" * 300),
    lambda place: Path("/proc/ccip/out"),
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_cannot_be_written(place, target):
    with pytest.raises(ArchiveError):
        extract_images(tar(place / "a.tar"), target(place))


@pytest.mark.parametrize("name", ["missing.tar", ".", "x" * 5000, "a\0b"])
def test_an_archive_that_is_none(place, name):
    with pytest.raises(ArchiveError):
        extract_images(place / name, place / "out")
