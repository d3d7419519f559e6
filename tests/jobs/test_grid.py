"""Thumbnails in the App's grid: made, shown, and taken away again."""

import os
from pathlib import Path

import fiftyone as fo
import pytest
from PIL import Image

from ccip_plugin import compute_embeddings, remove_ccip, use_thumbnails_in_grid
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.jobs.grid import THUMBNAIL_FIELD, FolderNotWritableError, folder_of
from ccip_plugin.storage.schema import DatasetGoneError, FieldReadOnlyError, ForeignFieldError
from ccip_plugin.storage.targets import TargetError

pytestmark = pytest.mark.mongo


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(tmp_path / "datasets"))


def shown(data):
    """What the App shows, as it is stored."""
    config = fo.load_dataset(data.name, reload=True).app_config
    return config.grid_media_field, config.media_fields, config.media_fallback, config.modal_media_field


PLAIN = ("filepath", ["filepath"], False, "filepath")


def test_the_grid_shows_thumbnails(dataset, images):
    data = dataset(*images("abc", size=(900, 600)))
    report = use_thumbnails_in_grid(data)
    assert (report.n_images, report.n_without, report.is_used) == (3, 0, True)
    assert shown(data) == (THUMBNAIL_FIELD, ["filepath", THUMBNAIL_FIELD], True, "filepath")
    for path in map(Path, data.values(THUMBNAIL_FIELD)):
        assert path.is_relative_to(folder_of(data)) and path.suffix == ".webp"
        with Image.open(path) as image:
            assert image.size == (240, 160)
    assert "reload the App's page" in str(report)


def test_and_the_images_again(dataset, images):
    data = dataset(*images("ab"))
    use_thumbnails_in_grid(data)
    report = use_thumbnails_in_grid(data, use=False)
    assert not report.is_used and shown(data) == PLAIN
    assert not data.has_field(THUMBNAIL_FIELD) and not folder_of(data).exists()
    assert shown(data) == PLAIN, "twice is no error"
    use_thumbnails_in_grid(data, use=False)


def test_unsaved_edits_in_memory_stay(dataset, images):
    data = dataset(*images("ab"))
    data.add_sample_field("note", fo.StringField)
    sample = data.first()
    sample["note"] = "not saved yet"
    use_thumbnails_in_grid(data)
    assert sample["note"] == "not saved yet" and sample[THUMBNAIL_FIELD]


def test_another_object_of_the_dataset_may_be_old(dataset, images, run_python):
    data = dataset(*images("a"), persistent=True)
    code = """
        import sys
        import fiftyone as fo
        data = fo.load_dataset(sys.argv[1])
        data.app_config.media_fields = ["filepath", "mine"]
        data.add_sample_field("mine", fo.StringField)
        data.save()
    """
    run_python(code, data.name)
    use_thumbnails_in_grid(data)
    assert shown(data)[1] == ["filepath", "mine", THUMBNAIL_FIELD], "as it is stored, not as it was loaded"


def test_what_a_user_had_in_the_grid_comes_back(dataset, images):
    data = dataset(*images("ab"))
    data.set_values("mine", data.values("filepath"))
    data.app_config.media_fields, data.app_config.grid_media_field = ["filepath", "mine"], "mine"
    data.app_config.media_fallback = True
    data.save()
    before = shown(data)
    use_thumbnails_in_grid(data)
    use_thumbnails_in_grid(data)
    assert shown(data)[:2] == (THUMBNAIL_FIELD, ["filepath", "mine", THUMBNAIL_FIELD])
    use_thumbnails_in_grid(data, use=False)
    assert shown(data) == before


def test_those_made_while_embedding_are_taken(dataset, images, model_dir):
    data = dataset(*images("ab"))
    compute_embeddings(data, model_dir=model_dir)
    made = sorted(Path(os.environ["CCIP_CACHE_DIR"]).rglob("*.webp"))
    for path in made:
        path.write_bytes(b"as it is there")
    use_thumbnails_in_grid(data)
    paths = list(map(Path, data.values(THUMBNAIL_FIELD)))
    assert {path.read_bytes() for path in paths} == {b"as it is there"}
    assert {path.name for path in paths} == {path.name for path in made}


def test_new_and_changed_images_get_theirs_by_another_call(dataset, images, tmp_path):
    data = dataset(*images("ab"))
    use_thumbnails_in_grid(data)
    before = data.values(THUMBNAIL_FIELD)
    modified = data.values("last_modified_at")
    assert use_thumbnails_in_grid(data).n_images == 2
    assert data.values("last_modified_at") == modified, "nothing is written that is there"
    data.add_samples([fo.Sample(filepath=str(path)) for path in images("c")])
    os.utime(data.first().filepath, ns=(0, 0))
    use_thumbnails_in_grid(data)
    after = data.values(THUMBNAIL_FIELD)
    assert after[0] != before[0] and after[1] == before[1] and after[2]


def test_what_cannot_be_read_shows_itself(dataset, images, tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"no image")
    data = dataset(*images("a"), tmp_path / "damaged.png", tmp_path / "missing.png")
    report = use_thumbnails_in_grid(data)
    assert (report.n_images, report.n_without) == (3, 2)
    assert [bool(path) for path in data.values(THUMBNAIL_FIELD)] == [True, False, False]


def test_a_view_gets_its_own(dataset, images):
    data = dataset(*images("abc"))
    assert use_thumbnails_in_grid(data[1:2]).n_images == 1
    assert [bool(path) for path in data.values(THUMBNAIL_FIELD)] == [False, True, False]
    assert use_thumbnails_in_grid(dataset()).n_images == 0


def test_detections_are_refused(with_faces):
    data = with_faces("a")
    with pytest.raises(TargetError, match="whole images"):
        use_thumbnails_in_grid(data.to_patches("faces"))
    assert not data.has_field(THUMBNAIL_FIELD)


@pytest.mark.parametrize("use", [1, "no", None])
def test_wrong_types(dataset, use):
    with pytest.raises(ParameterError, match="use"):
        use_thumbnails_in_grid(dataset(), use=use)


@pytest.mark.parametrize("use", [True, False])
def test_a_field_of_somebody_else_stays(dataset, images, use):
    data = dataset(*images("a"))
    data.set_values(THUMBNAIL_FIELD, ["mine"])
    with pytest.raises(ForeignFieldError, match="rename_sample_field"):
        use_thumbnails_in_grid(data, use=use)
    remove_ccip(data)
    assert data.values(THUMBNAIL_FIELD) == ["mine"]


def test_a_read_only_field_is_said(dataset, images):
    data = dataset(*images("a"))
    use_thumbnails_in_grid(data)
    field = data.get_field(THUMBNAIL_FIELD)
    field.read_only = True
    field.save()
    with pytest.raises(FieldReadOnlyError):
        use_thumbnails_in_grid(data)


def test_a_folder_that_cannot_be_written_is_said(dataset, images, monkeypatch, tmp_path):
    (tmp_path / "taken").touch()
    monkeypatch.setattr(fo.config, "default_dataset_dir", str(tmp_path / "taken"))
    data = dataset(*images("ab"))
    with pytest.raises(FolderNotWritableError, match="FIFTYONE_DEFAULT_DATASET_DIR"):
        use_thumbnails_in_grid(data)
    assert shown(data) == PLAIN


def test_it_can_be_cancelled_and_goes_on(dataset, images, monkeypatch):
    from ccip_plugin.storage import targets

    monkeypatch.setattr(targets, "CHUNK", 1)

    def cancel(progress):
        if progress.done == 2:
            raise Cancelled

    data = dataset(*images("abc"))
    with pytest.raises(Cancelled):
        use_thumbnails_in_grid(data, progress=cancel)
    assert shown(data) == PLAIN and sum(map(bool, data.values(THUMBNAIL_FIELD))) == 2
    use_thumbnails_in_grid(data)
    assert all(data.values(THUMBNAIL_FIELD)) and shown(data)[0] == THUMBNAIL_FIELD


def test_a_dataset_that_is_deleted_meanwhile_is_said(dataset, images):
    data = dataset(*images("ab"))
    with pytest.raises(DatasetGoneError):
        use_thumbnails_in_grid(data, progress=lambda progress: data.deleted or fo.delete_dataset(data.name))


def test_removing_everything_removes_them(dataset, images):
    data = dataset(*images("ab"))
    use_thumbnails_in_grid(data)
    assert THUMBNAIL_FIELD in remove_ccip(data, dry_run=True).ours.fields
    assert folder_of(data).exists()
    remove_ccip(data)
    assert shown(data) == PLAIN and not folder_of(data).exists() and not data.has_field(THUMBNAIL_FIELD)
