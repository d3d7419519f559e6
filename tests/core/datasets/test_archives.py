import errno
import io
import tarfile
import threading

import pytest

from ccip_plugin.core.datasets import archives
from ccip_plugin.core.datasets.archives import ArchiveError, extract_images
from ccip_plugin.core.progress import Cancelled

IMAGES = {"12/345.jpg": b"one", "12/346.jpg": b"two", "7/9.png": b"three"}


@pytest.fixture
def archive(tmp_path):
    """``archive({"12/345.jpg": b"..."})`` writes an archive; a value may be a ``TarInfo`` as it is."""

    def write(files, mode="w:xz", name="画像.tar.xz"):
        path = tmp_path / name
        with tarfile.open(path, mode) as tar:
            for place, content in files.items():
                entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(place)
                data = b"" if isinstance(content, tarfile.TarInfo) else content
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return path

    return write


def special(name, kind, target=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def left_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(folder).as_posix() for path in files)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_images_with_their_characters(archive, tmp_path, mode):
    found = extract_images(archive(IMAGES, mode), tmp_path / "out")
    assert [(image.character, image.path.read_bytes()) for image in found] == [
        ("12", b"one"),
        ("12", b"two"),
        ("7", b"three"),
    ]


@pytest.mark.parametrize("prefix", ["./", "images_test_v1/", "./a/b/"])
def test_folders_above_are_passed_over(archive, tmp_path, prefix):
    folder = special(prefix.rstrip("/"), tarfile.DIRTYPE)
    path = archive({"dir": folder, **{prefix + name: data for name, data in IMAGES.items()}})
    assert len(extract_images(path, tmp_path / "out")) == 3


def test_other_files_are_passed_over(archive, tmp_path):
    found = extract_images(archive({**IMAGES, "README.md": b"x", "12/a.exe": b"x", "x/1.jpg": b"x"}), tmp_path / "out")
    assert len(found) == 3
    assert len(left_in(tmp_path / "out")) == 4  # and the mark that all is there


@pytest.mark.parametrize("files", [
    pytest.param({"../1/2.jpg": b"x"}, id="up"),
    pytest.param({"a/../../1/2.jpg": b"x"}, id="up further on"),
    pytest.param({"/1/2.jpg": b"x"}, id="absolute"),
    pytest.param({"1\\..\\..\\2.jpg": b"x"}, id="up, for Windows"),
    pytest.param({"C:/1/2.jpg": b"x"}, id="a drive"),
    pytest.param({"1/2.jpg": special("1/2.jpg", tarfile.SYMTYPE, "/etc/passwd")}, id="a symbolic link"),
    pytest.param({"1/2.jpg": special("1/2.jpg", tarfile.LNKTYPE, "../x")}, id="a hard link"),
    pytest.param({"1": special("1", tarfile.SYMTYPE, "/tmp"), "1/2.jpg": b"x"}, id="a folder that is a link"),
    pytest.param({"1/2.jpg": special("1/2.jpg", tarfile.FIFOTYPE)}, id="a pipe"),
    pytest.param({"1/2.jpg": special("1/2.jpg", tarfile.CHRTYPE)}, id="a device"),
    pytest.param({"1/2.jpg": b"x", "a/01/2.jpg": b"y"}, id="the same place twice"),
    pytest.param({"1/a.jpg": b"x", "1/A.jpg": b"y"}, id="the same place where case means nothing"),
    pytest.param({"1/con.jpg": b"x"}, id="a name that Windows keeps"),
    pytest.param({"readme": b"x"}, id="no images"),
    pytest.param({}, id="nothing"),
])  # fmt: skip
def test_odd_archives_leave_nothing(archive, tmp_path, files):
    path = archive({**files})
    with pytest.raises(ArchiveError):
        extract_images(path, tmp_path / "deep" / "out")
    assert left_in(tmp_path) == [path.name]


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="Python 3.11.0 to 3.11.3 have no filter")
def test_a_link_that_appears_beside_the_images_is_not_followed(archive, tmp_path):
    """Such as one that another process puts there: the archive itself can have none."""
    (tmp_path / "outside").mkdir()

    def plant(step):
        link = tmp_path / "out.incomplete" / "9"
        if not link.is_symlink():
            link.symlink_to(tmp_path / "outside", target_is_directory=True)

    path = archive({"1/2.jpg": b"x", "9/1.jpg": b"y"})
    with pytest.raises(ArchiveError, match=r"'9/1.jpg' is a path outside the folder"):
        extract_images(path, tmp_path / "out", progress=lambda step: step.done and plant(step))
    assert left_in(tmp_path) == [path.name]


def test_images_are_extracted_without_the_filter_of_newer_pythons(archive, tmp_path, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    assert len(extract_images(archive(IMAGES), tmp_path / "out")) == 3
    with pytest.raises(ArchiveError):
        extract_images(archive({"../1/2.jpg": b"x"}), tmp_path / "other")


@pytest.mark.parametrize("limits", [{"image_bytes": 4}, {"total_bytes": 10}, {"most_images": 2}])
def test_limits(archive, tmp_path, limits):
    with pytest.raises(ArchiveError, match="too large"):
        extract_images(archive(IMAGES), tmp_path / "out", **limits)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_cut_archives_leave_nothing(archive, tmp_path, mode):
    path = archive({f"1/{n}.jpg": bytes(range(256)) * 40 for n in range(20)}, mode)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError):
        extract_images(path, tmp_path / "out")
    assert left_in(tmp_path) == [path.name]


def test_no_archive(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"this is no archive at all" * 50)
    with pytest.raises(ArchiveError, match="cannot be read"):
        extract_images(tmp_path / "a.tar", tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        extract_images(tmp_path / "b.tar", tmp_path / "out")


def test_what_is_there_is_not_taken_out_again(archive, tmp_path):
    path = archive(IMAGES)
    first = extract_images(path, tmp_path / "out")
    path.unlink()
    assert extract_images(path, tmp_path / "out") == first


def test_can_be_stopped_and_begins_anew(archive, tmp_path):
    def stop(_):
        raise Cancelled("enough")

    path = archive(IMAGES)
    with pytest.raises(Cancelled):
        extract_images(path, tmp_path / "out", progress=stop)
    assert left_in(tmp_path) == [path.name]
    assert len(extract_images(path, tmp_path / "out")) == 3


def test_what_unpacks_to_many_times_its_size_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SLACK_BYTES", 1 << 16)
    path = archive({"1/2.jpg": b"x", "notes.txt": bytes(1 << 22)})
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        extract_images(path, tmp_path / "out")
    assert left_in(tmp_path) == [path.name]


def test_headers_that_never_end_are_refused_and_not_held_in_memory(tmp_path):
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    path = tmp_path / "a.tar"
    path.write_bytes(name.tobuf(tarfile.GNU_FORMAT) + b"a" * (8 << 20))
    with pytest.raises(ArchiveError, match="between two files"):
        extract_images(path, tmp_path / "out")


def test_a_full_disk_is_said(archive, tmp_path, monkeypatch):
    def copy(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = archive(IMAGES)
    monkeypatch.setattr(archives, "_copy", copy)
    with pytest.raises(ArchiveError, match="not enough space on the disk"):
        extract_images(path, tmp_path / "out")
    assert left_in(tmp_path) == [path.name]


def test_two_at_once_take_the_images_out_once(archive, tmp_path):
    path = archive({f"{n % 7}/{n}.jpg": bytes([n]) * 5000 for n in range(120)})
    found, taken = [], []
    wait = threading.Barrier(3)

    def work():
        wait.wait()
        found.append(extract_images(path, tmp_path / "out", progress=lambda now: taken.append(now.done)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(each) for each in found] == [120] * 3
    assert len([n for n in taken if n]) == 120
