"""Embedding keeps thumbnails of what it reads, and nothing depends on them."""

import os
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.encoder.pipeline import extract
from ccip_plugin.core.encoder.reading import Item
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.thumbnails import Thumbnails
from ccip_plugin.storage.targets import resolve
from tests.core.encoder.test_pipeline import Wrapped
from tests.support import tiny_models
from tests.support.images import odd_images, turned_images


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "thumbnails"


@pytest.fixture
def embed(model_dir):
    """``compute_embeddings`` with a tiny model."""
    from ccip_plugin.embeddings import compute_embeddings

    return lambda samples, **options: compute_embeddings(samples, model_dir=model_dir, **options)


@pytest.fixture
def faces(dataset, images):
    def make(boxes):
        data = dataset(*images("a", size=(900, 700)))
        sample = data.first()
        sample["faces"] = fo.Detections(detections=[fo.Detection(bounding_box=box) for box in boxes])
        sample.save()
        return data

    return make


def shown(data, patches_field=None):
    from ccip_plugin.review.thumbnails import pictures

    target = resolve(data, patches_field)
    return list(pictures(target, target.values()[0], make=False).values())


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_have_thumbnails_after_embedding(dataset, images, embed, cache, tmp_path):
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(next(iter(turned_images.TURNED.values()))())
    data = dataset(*images("ab", size=(500, 400)), *images("c"), turned)
    embed(data)
    assert all(picture.thumbnail for picture in shown(data))
    made = files(cache)
    assert len(made) == 4
    with Image.open(shown(data)[0].thumbnail) as image:
        assert (image.format, image.size) == ("WEBP", (200, 160))
    again = Thumbnails(tmp_path / "again", 1 << 30)
    for path in data.values("filepath"):
        again.make(path)
    assert files(again.folder) == made, "as they are made later"


@pytest.mark.parametrize("options", [{}, {"alpha": 0.2}, {"force_square": True}])
def test_detections_show_their_box_whatever_the_model_gets(faces, embed, cache, tmp_path, options):
    boxes = [[0, 0, 0.5, 1], [0.1, 0.2, 0.6, 0.7], [0.5, 0.5, 0.1, 0.2]]
    data = faces(boxes)
    embed(data, patches_field="faces", **options)
    assert all(picture.thumbnail for picture in shown(data, "faces"))
    again = Thumbnails(tmp_path / "again", 1 << 30)
    again.make(data.first().filepath, boxes)
    assert files(again.folder) == files(cache)


def test_what_is_not_embedded_has_none(dataset, images, faces, embed, cache, tmp_path):
    Image.new("RGB", (400, 400), "white").save(tmp_path / "blank.png")
    (tmp_path / "damaged.png").write_bytes(odd_images.damaged_png())
    embed(dataset(tmp_path / "blank.png", tmp_path / "damaged.png", tmp_path / "missing.png"))
    embed(faces([[2, 2, 1, 1], [0, 0, 0, 0]]), patches_field="faces")
    assert not files(cache)


def test_an_image_that_is_embedded_again_keeps_its_thumbnail(dataset, images, embed, cache):
    data = dataset(*images("ab"))
    embed(data)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.webp")}
    embed(data, overwrite=True)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.webp")} == before


@pytest.mark.parametrize("how", ["option", "environment"])
def test_none_are_made_where_none_are_wanted(dataset, images, embed, cache, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("CCIP_THUMBNAILS_MB", "0")
    report = embed(dataset(*images("ab")), **({"thumbnails": False} if how == "option" else {}))
    assert report.n_computed == 2 and not cache.exists()


def test_a_limit_that_is_no_number_is_said_before_the_work(dataset, images, embed, monkeypatch):
    monkeypatch.setenv("CCIP_THUMBNAILS_MB", "two")
    data = dataset(*images("a"))
    with pytest.raises(ParameterError, match="CCIP_THUMBNAILS_MB"):
        embed(data)
    assert not data.has_field("ccip_embedding")


def test_a_folder_that_cannot_be_written_costs_only_thumbnails(dataset, images, embed, monkeypatch, tmp_path):
    paths = images("abcabc")
    expected, data = dataset(*paths), dataset(*paths)
    embed(expected, thumbnails=False)
    (tmp_path / "taken").touch()
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "taken"))
    report = embed(data)
    assert report.n_computed == 6 and not report.n_failed
    assert np.array_equal(data.values("ccip_embedding"), expected.values("ccip_embedding"))


@pytest.mark.parametrize("is_cpu", [True, False], ids=["cpu", "batches"])
def test_both_lines_keep_them(images, tmp_path, is_cpu, model_dir):
    thumbnails = Thumbnails(tmp_path / "thumbnails", 1 << 30)
    paths = images("ab" * 10, size=(450, 400))
    with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
        items = [Item(number, str(path)) for number, path in enumerate(paths)]
        found = list(extract(items, Wrapped(encoder, is_cpu=is_cpu), thumbnails=thumbnails))
    assert len(found) == thumbnails.usage().n_files == 20


def test_processes_embed_into_one_folder(dataset, images, start_python, model_dir, cache):
    code = """
        import sys
        import fiftyone as fo
        from ccip_plugin.embeddings import compute_embeddings
        print(compute_embeddings(fo.load_dataset(sys.argv[1]), model_dir=sys.argv[2], overwrite=True).n_failed)
    """
    paths = images("abcd" * 5)
    running = [start_python(code, dataset(*paths, persistent=True).name, model_dir) for _ in range(3)]
    outputs = [process.communicate(timeout=240) for process in running]
    assert [out.strip() for out, _ in outputs] == ["0"] * 3, outputs
    made = [path for path in cache.rglob("*") if path.is_file()]
    assert len(made) == 20 and {path.suffix for path in made} == {".webp"}


def test_a_moved_file_has_no_thumbnail_and_a_touched_one_neither(dataset, images, embed):
    data = dataset(*images("ab"))
    embed(data)
    first, second = data
    first.filepath = str(Path(first.filepath).rename(Path(first.filepath).with_name("moved.png")))
    first.save()
    os.utime(second.filepath, ns=(0, 0))
    assert [picture.thumbnail for picture in shown(data)] == [None, None]
    embed(data, verify=True)
    assert [bool(picture.thumbnail) for picture in shown(data)] == [False, True], "the moved file is embedded already"
