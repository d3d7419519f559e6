"""The published evaluation data, from archives that the tests make."""

import io
import tarfile

import fiftyone as fo
import pytest

from ccip_plugin.character_similarity import ArchiveMissingError, load_character_similarity
from ccip_plugin.core.archives import ArchiveError
from ccip_plugin.evaluation import evaluate_model

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


def test_an_archive_that_is_not_there(name):
    with pytest.raises(ArchiveMissingError, match=r"resolve/main/images_tiny_v0\.tar\.xz"):
        load_character_similarity("images_tiny_v0", name=name)
    assert not fo.dataset_exists(name)


def test_a_damaged_archive_makes_no_dataset(archive, name):
    path = archive()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArchiveError):
        load_character_similarity(path, name=name)
    assert not fo.dataset_exists(name)
