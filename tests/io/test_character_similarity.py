"""The published evaluation data, from archives that the tests make."""

import io
import tarfile
import threading

import fiftyone as fo
import pytest

from ccip_plugin.__main__ import main
from ccip_plugin.cli.work import DONE, NOT_DONE
from ccip_plugin.core.datasets.archives import ArchiveError
from ccip_plugin.core.datasets.character_similarity import REPO
from ccip_plugin.core.errors import DownloadError
from ccip_plugin.core.hub import Hub
from ccip_plugin.evaluation import evaluate_model
from ccip_plugin.io.character_similarity import ArchiveMissingError, load_character_similarity
from ccip_plugin.storage.targets import TargetError
from tests.support.tiny_hub import TinyHub

pytestmark = pytest.mark.mongo


@pytest.fixture
def archive(tmp_path, images):
    """An archive with three characters."""

    def make(characters="aaabbbcc", name="images_test_v1.tar.xz"):
        path = tmp_path / "データ" / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:xz") as tar:
            for number, file in enumerate(images(characters)):
                data = file.read_bytes()
                entry = tarfile.TarInfo(f"{ord(file.name[0]) - 90}/{number}.png")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return path

    return make


@pytest.fixture
def name(mongo):
    made = "character similarity of a test"
    yield made
    if fo.dataset_exists(made):
        fo.delete_dataset(made)


def test_images_with_their_characters(archive, name):
    dataset = load_character_similarity(archive(), name=name)
    assert dataset.persistent
    assert dataset.count_values("ground_truth.label") == {"7": 3, "8": 3, "9": 2}
    again = load_character_similarity(archive(), name=name)
    assert len(again) == 8, "nothing twice"


def test_a_subset_in_a_folder(archive, tmp_path, name):
    path = archive()
    dataset = load_character_similarity("images_test_v1", folder=path.parent, name=name)
    assert len(dataset) == 8
    assert dataset.first().filepath.startswith(str(path.parent / "images_test_v1"))


def test_the_row_of_the_card(archive, name, model_dir, monkeypatch):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    dataset = load_character_similarity(archive(), name=name)
    found = evaluate_model(dataset, "ground_truth", models=["ccip-caformer-24-randaug-pruned"])
    assert found.rows[0].scores["f1"] == 1 and found.rows[0].n_characters == 3


@pytest.mark.parametrize("path", ["nothing.tar.xz", "/tmp/nowhere/images_test_v1.tar.xz", "../images_test_v1"])
def test_an_archive_that_is_not_there(name, path):
    with pytest.raises(
        ArchiveMissingError, match="pass the path of an archive, or the name of a subset: images_test_v1"
    ):
        load_character_similarity(path, name=name)
    assert not fo.dataset_exists(name)


def test_a_damaged_archive_makes_no_dataset(archive, name):
    path = archive()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArchiveError):
        load_character_similarity(path, name=name)
    assert not fo.dataset_exists(name)


def test_a_subset_is_downloaded_and_its_images_need_no_archive_later(archive, name, tmp_path):
    published = archive().parent
    with TinyHub(published, repo=f"datasets/{REPO}") as server:
        hub = Hub(REPO, "dataset", endpoint=server.endpoint, cache=tmp_path / "cache")
        told = []
        dataset = load_character_similarity(
            "images_test_v1", name=name, folder=tmp_path / "画像", hub=hub, progress=told.append
        )
    assert dataset.count_values("ground_truth.label") == {"7": 3, "8": 3, "9": 2}
    assert dataset.first().filepath.startswith(str(tmp_path / "画像" / "images_test_v1" / "7"))
    stages = [now.stage for now in told]
    assert stages[0] == "downloading images_test_v1.tar.xz" and stages[-1] == "adding images"
    (hub.folder / "snapshots").rename(tmp_path / "gone")
    again = load_character_similarity("images_test_v1", name=name, folder=tmp_path / "画像", download=False)
    assert len(again) == 8


def test_without_network_the_error_says_what_to_do(name, tmp_path):
    hub = Hub(REPO, "dataset", endpoint="http://127.0.0.1:9", cache=tmp_path / "cache")
    with pytest.raises(DownloadError, match="pass the path of the file"):
        load_character_similarity("images_tiny_v0", name=name, folder=tmp_path, hub=hub)
    with pytest.raises(ArchiveMissingError, match="switched off"):
        load_character_similarity("images_tiny_v0", name=name, folder=tmp_path, hub=hub, download=False)
    assert not fo.dataset_exists(name)


def test_two_at_once_add_each_image_once(archive, name):
    path = archive()
    load_character_similarity(path, name=name).clear()
    threads = [threading.Thread(target=load_character_similarity, args=(path,), kwargs={"name": name}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fo.load_dataset(name)) == 8


def test_a_dataset_of_something_else_is_left_alone(archive, name):
    fo.Dataset(name).add_sample(fo.Sample("/a.mp4"))
    with pytest.raises(TargetError):
        load_character_similarity(archive(), name=name)
    assert len(fo.load_dataset(name)) == 1


def test_command(archive, name, capsys, tmp_path):
    command = ["character-similarity", str(archive()), "--dataset", name, "--folder", str(tmp_path / "out"), "--quiet"]
    assert main(command) == DONE
    assert capsys.readouterr().out == f"8 images of 3 characters in {name!r}, field 'ground_truth'\n"
    assert main(["character-similarity", "nothing.tar", "--dataset", name, "--quiet"]) == NOT_DONE
    assert "images_xtiny_v0" in capsys.readouterr().err
