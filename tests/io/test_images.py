"""Finding image files and adding them to a dataset: names of every kind, links, twice, two at once."""

import os
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import fiftyone as fo
import fiftyone.core.dataset as fod
import fiftyone.core.utils as fou
import pytest
from PIL import Image

from ccip_plugin.core.progress import Cancelled
from ccip_plugin.io.images import LEASE, IngestError, _create, add_images, find_images, image_extensions, open_dataset
from ccip_plugin.storage.lease import lease
from ccip_plugin.storage.targets import TargetError

pytestmark = pytest.mark.mongo

NFC, NFD = (unicodedata.normalize(form, "プリキュア é") for form in ("NFC", "NFD"))


@pytest.fixture
def files(tmp_path):
    """``files("a.png", "in/b.jpg")`` makes empty files in a folder and gives it."""
    folder = tmp_path / "絵 📁"

    def make(*names):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return folder

    return make


def names(paths, folder):
    return [os.path.relpath(path, folder) for path in paths]


@pytest.mark.parametrize(
    "made, expected",
    [
        pytest.param(["a.png", "B.JPG", "c.WebP", "d.avif"], ["B.JPG", "a.png", "c.WebP", "d.avif"], id="image types"),
        pytest.param(["a.png", "notes.txt", "a.mp4", "a.eps", "a.mpg", "png", "a.png.part"], ["a.png"], id="others"),
        pytest.param([".a.png", "._b.png", ".git/c.png", "d.png"], ["d.png"], id="hidden"),
        pytest.param(["__MACOSX/a.png", "@eaDir/b.png/SYNO_THUMB.jpg", "c.png"], ["c.png"], id="folders of systems"),
        pytest.param(["b.png", "in/c.png", "in/deep/d.png", "z/a.png"], None, id="folders in folders"),
        pytest.param(
            ["初音ミク.png", "😀.jpg", "a b  c.png", "'quoted\".png", "-r.png", "new\nline.png"], None, id="any name"
        ),
        pytest.param([f"{NFC}.png", f"{NFD}.png"], None, id="names of which a system may think that they are one"),
    ],
)
def test_finds_images_by_their_names(files, made, expected):
    folder = files(*made)
    found = find_images(folder)
    assert sorted(names(found.paths, folder)) == sorted(made if expected is None else expected)
    assert found.skipped == []
    assert all(path.startswith(str(folder)) for path in found.paths)


def test_finds_in_the_order_of_folders_and_names(files):
    folder = files("b.png", "a.png", "z/1.png", "y/2.png", "y/1.png", "y/deep/0.png")
    found = [*names(find_images(folder).paths, folder)]
    assert found == ["a.png", "b.png", "y/1.png", "y/2.png", "y/deep/0.png", "z/1.png"]


def test_stays_in_the_folder_when_told_so(files):
    folder = files("a.png", "in/b.png")
    assert names(find_images(folder, recursive=False).paths, folder) == ["a.png"]


def test_takes_files_and_folders_each_image_once(files, monkeypatch):
    folder = files("a.png", "in/b.png", "in/c.txt")
    monkeypatch.chdir(folder)
    found = find_images("in/b.png", "in/c.txt", folder, "in")
    assert names(found.paths, folder) == ["in/b.png", "a.png"]


def test_every_type_that_pillow_decodes_is_an_image():
    assert {".png", ".jpg", ".webp", ".gif", ".tif", ".bmp", ".avif", ".psd", ".tga"} <= image_extensions()
    assert image_extensions().isdisjoint({".pdf", ".eps", ".ps", ".wmf", ".mpg", ".h5"})
    assert image_extensions() <= Image.registered_extensions().keys()


class TestLinks:
    def test_are_followed_and_keep_their_names(self, files, tmp_path):
        folder, elsewhere = files("a.png"), tmp_path / "elsewhere"
        (elsewhere / "deep").mkdir(parents=True)
        (elsewhere / "deep" / "b.png").touch()
        (elsewhere / "blob").touch()
        (folder / "link").symlink_to(elsewhere)
        (folder / "c.png").symlink_to(elsewhere / "blob")
        assert names(find_images(folder).paths, folder) == ["a.png", "c.png", "link/deep/b.png"]

    def test_to_what_was_found_are_the_same_image(self, files):
        folder = files("a.png", "in/b.png")
        (folder / "again").symlink_to(folder / "in")
        (folder / "in" / "z.png").symlink_to(folder / "a.png")
        assert names(find_images(folder).paths, folder) == ["a.png", "again/b.png"]

    def test_in_a_circle_come_to_an_end(self, files):
        folder, looks = files("in/a.png"), []

        def count(progress):
            looks.append(progress)
            assert len(looks) < 10  # the ways through two circles are without number

        (folder / "in" / "up").symlink_to(folder)
        (folder / "in" / "again").symlink_to(folder)
        (folder / "self.png").symlink_to(folder / "self.png")
        assert names(find_images(folder, progress=count).paths, folder) == ["self.png", "in/a.png"]

    def test_that_lead_nowhere_are_broken_images(self, files):
        folder = files("a.png")
        (folder / "gone.png").symlink_to(folder / "was here.png")
        assert names(find_images(folder).paths, folder) == ["a.png", "gone.png"]


def test_pipes_are_no_images(files):
    folder = files("a.png")
    os.mkfifo(folder / "pipe.png")
    assert names(find_images(folder).paths, folder) == ["a.png"]


def test_names_that_no_database_can_hold_are_skipped_and_named(files):
    folder = files("a.png")
    (folder / os.fsdecode(b"latin \xe9.png")).touch()
    found = find_images(folder)
    assert names(found.paths, folder) == ["a.png"]
    ((path, reason),) = found.skipped
    assert path.endswith("latin \\udce9.png")
    assert "UTF-8" in reason


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def test_files_of_types_that_are_not_read_are_counted_by_ending(files, dataset, monkeypatch):
    monkeypatch.setattr("ccip_plugin.io.images.image_extensions", lambda: frozenset({".png"}))  # an old Pillow
    folder = files("a.png", *(f"in/{n}.HEIC" for n in range(3)), "b.jxl", "c.jpg_large", "d.avif", "e.zip", "f.mp4")
    files("a.txt", "a.npz", "a.json", "a.caption", "README", "LICENSE", ".hidden.heic")
    (folder / "IMG_0001").write_bytes(HEIC)
    counts = {".heic": 3, ".avif": 1, ".jpg_large": 1, ".jxl": 1, ".mp4": 1, ".zip": 1, "no ending": 1}
    assert find_images(folder).passed_over == counts
    report = add_images(dataset(), folder)
    assert report.passed_over == counts
    said = "3 .heic, 1 .avif, 1 .jpg_large, 1 .jxl, 1 .mp4, 1 .zip, 1 no ending"
    assert report.facts()["Of types that are not read"] == said


def test_counts_of_many_endings_stay_one_line(files, dataset):
    folder = files("a.png", *(f"{n}.kind{n:02d}" for n in range(20)), "x.kind07")
    said = add_images(dataset(), folder).facts()["Of types that are not read"]
    assert said.startswith("2 .kind07, 1 .kind00, 1 .kind01") and said.endswith("1 .kind06, 12 others")


def test_nothing_is_said_where_all_files_are_read(files, dataset):
    report = add_images(dataset(), files("a.png", "a.txt"))
    assert report.passed_over == {} and "Of types that are not read" not in report.facts()


def test_a_folder_of_other_types_says_which(files):
    with pytest.raises(IngestError, match=r"no images in .*; of types that are not read: 2 \.heic, 1 \.zip\. Image"):
        find_images(files("a.heic", "b.heic", "c.zip", "c.txt"))


@pytest.mark.parametrize(
    "path, reason",
    [
        pytest.param("s3://bucket/anime", "s3://... is not on this machine: only local paths are read", id="S3"),
        pytest.param("https://example.org/a.png", "https://... is not on this machine", id="web"),
        pytest.param("gs://bucket", "gs://... is not on this machine", id="Google Cloud"),
        pytest.param("C:\\Users\\me\\絵", "a Windows path, but this machine is not Windows", id="Windows"),
        pytest.param("D:/anime", "a Windows path", id="Windows with slashes"),
        pytest.param("\\\\nas\\anime", "a Windows path", id="Windows share"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="local paths there")
def test_says_that_only_local_paths_are_read(path, reason):
    with pytest.raises(IngestError) as caught:
        find_images(path)
    assert path in str(caught.value) and reason in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_closed_folders_are_skipped_and_named(files):
    folder = files("a.png", "closed/b.png")
    (folder / "closed").chmod(0)
    try:
        assert find_images(folder).skipped == [(str(folder / "closed"), "Permission denied")]
    finally:
        (folder / "closed").chmod(0o700)


def test_says_what_is_missing(files):
    folder = files("notes.txt")
    with pytest.raises(IngestError, match="gone does not exist"):
        find_images(folder / "gone")
    with pytest.raises(IngestError, match=r"no images in .*絵 📁\. Images are found by .*\.png"):
        find_images(folder)


class TestAdding:
    def test_adds_what_is_new(self, files, dataset):
        data = dataset()
        first = add_images(data, files("a.png", "初音ミク.jpg"))
        assert (first.n_found, first.n_added, first.n_known) == (2, 2, 0)
        again = add_images(data, files("in/b.png"))
        assert (again.n_found, again.n_added, again.n_known) == (3, 1, 2)
        folder = files()
        assert data.values("filepath") == [str(folder / name) for name in ("a.png", "初音ミク.jpg", "in/b.png")]
        assert data.media_type == "image"

    def test_adds_images_that_fiftyone_takes_for_something_else(self, files, dataset):
        data = dataset()
        assert add_images(data, files("a.png", "b.tga", "c.qoi", "d.fli")).n_added == 4
        assert {sample.media_type for sample in data} == {"image"}

    def test_makes_the_dataset(self, files, dataset):
        name = dataset().name
        fo.delete_dataset(name)
        add_images(name, files("a.png"))
        assert fo.load_dataset(name).persistent

    def test_leaves_no_dataset_behind_when_there_is_nothing_to_add(self, files):
        with pytest.raises(IngestError):
            add_images("ccip never made", files("notes.txt"))
        assert not fo.dataset_exists("ccip never made")

    def test_knows_images_that_came_by_another_way(self, files, dataset, tmp_path):
        folder = files("a.png", "in/b.png")
        (tmp_path / "link").symlink_to(folder)
        data = dataset(folder / "a.png", tmp_path / "link" / "in" / "b.png")
        assert add_images(data, folder).n_added == 0
        assert add_images(data, tmp_path / "link").n_added == 0

    def test_knows_a_file_by_a_name_in_another_unicode_form_where_the_system_does(self, files, dataset):
        folder = files(f"{NFD}.png")
        os.link(folder / f"{NFD}.png", folder / f"{NFC}.png")  # as a file system that makes no difference
        assert add_images(dataset(folder / f"{NFC}.png"), folder / f"{NFD}.png").n_added == 0

    def test_keeps_names_in_two_unicode_forms_apart_where_the_system_does(self, files, dataset):
        folder = files(f"{NFD}.png", f"{NFC}.png")
        assert add_images(dataset(folder / f"{NFC}.png"), folder).n_added == 1

    def test_refuses_a_dataset_of_videos(self, files, dataset):
        with pytest.raises(TargetError, match="video"):
            add_images(dataset("/films/a.mp4"), files("a.png"))

    def test_reports_progress_and_stops_when_told_so(self, files, dataset):
        data, seen = dataset(), []

        def stop(progress):
            seen.append(progress)
            if progress.done == 1000:
                raise Cancelled

        folder = files(*(f"{n}.png" for n in range(1500)))
        with pytest.raises(Cancelled):
            add_images(data, folder, progress=stop)
        assert len(data) == 1000
        assert add_images(data, folder).n_added == 500
        assert {progress.stage for progress in seen} == {
            "finding images",
            "comparing with the dataset",
            "adding images",
        }


def test_two_at_once_add_each_image_once(files, dataset):
    """The second one waits for the first, and then knows what the first has added."""
    data, folder, begun = dataset(), files("a.png", "b.png"), threading.Event()

    def note(progress):
        if progress.stage == "comparing with the dataset":
            begun.set()

    with ThreadPoolExecutor() as pool:
        with lease(data, LEASE):
            second = pool.submit(add_images, data, folder, progress=note)
            assert begun.wait(60)
            time.sleep(0.3)
            data.add_samples([fo.Sample(path) for path in find_images(folder).paths])
        report = second.result()
    assert (report.n_added, report.n_known) == (0, 2)
    assert len(data) == 2


class TestDatasets:
    def test_opens_one_that_is_there_as_it_is(self, dataset):
        data = dataset()
        assert open_dataset(data.name) is data
        assert not data.persistent

    def test_names_those_that_are_there(self, dataset):
        data = dataset()
        with pytest.raises(IngestError, match=f"no dataset 'ccip nowhere'.*{data.name}"):
            open_dataset("ccip nowhere", create=False)

    @pytest.mark.parametrize(
        "name", ["イラスト", "", "!?", "x" * 2000], ids=["japanese only", "empty", "marks", "long"]
    )
    def test_says_which_names_none_can_have(self, name):
        with pytest.raises(IngestError, match="a dataset cannot be called"):
            open_dataset(name)

    @pytest.mark.parametrize("is_noticed", [True, False], ids=["before it looks", "after it looked"])
    def test_another_process_may_be_faster(self, dataset, monkeypatch, is_noticed):
        """It makes the dataset after this one has found none, and before this one makes it."""
        data = dataset()
        if not is_noticed:
            monkeypatch.setattr(fod, "_validate_dataset_name", fou.to_slug)
        assert _create(data.name).name == data.name
        assert fo.list_datasets().count(data.name) == 1
