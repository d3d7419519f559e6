"""Pictures of items: found without opening images, missing ones made in the background."""

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from ccip_plugin.core.thumbnails import Thumbnails
from ccip_plugin.storage.targets import resolve
from tests.support.images import odd_images

SECONDS = 60
NOBODY = "0" * 24


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "thumbnails"
    from ccip_plugin.review.thumbnails import MISSING

    assert MISSING.join(SECONDS)


@pytest.fixture
def shown():
    """``shown(target)`` gives the pictures of all its items as soon as all are made that are coming."""
    from ccip_plugin.review.thumbnails import MISSING, pictures

    def show(target):
        ids, _, _ = target.values()
        pictures(target, ids)
        assert MISSING.join(SECONDS)
        return pictures(target, ids)

    return show


@pytest.fixture
def faces(dataset, images):
    """A target of two images with two detections each, one of which has no box."""
    import fiftyone as fo

    data = dataset(*images("ab"))
    for sample in data:
        boxes = [[0, 0, 0.5, 1], [0.5, 0, 0.5, 1]]
        sample["faces"] = fo.Detections(detections=[fo.Detection(bounding_box=box) for box in boxes])
        sample.save()
    return resolve(data, "faces")


def test_missing_ones_are_made_in_the_background(dataset, images, cache):
    from ccip_plugin.review.thumbnails import MISSING, pictures

    data = dataset(*images("abc"))
    data.compute_metadata()
    target, ids = resolve(data), data.values("id")
    first = pictures(target, ids)
    assert list(first) == ids and [each.original for each in first.values()] == data.values("filepath")
    assert all(each.thumbnail is None and each.is_coming for each in first.values())
    assert {(each.width, each.height, each.box) for each in first.values()} == {(64, 48, None)}
    assert MISSING.join(SECONDS)
    for each in pictures(target, ids).values():
        assert not each.is_coming and Path(each.thumbnail).is_relative_to(cache)
        with Image.open(each.thumbnail) as image:
            assert image.size == (64, 48)


def test_no_image_is_opened(dataset, tmp_path):
    """A pipe would block whoever opens it; damaged files are none of the caller's business."""
    from ccip_plugin.review.thumbnails import pictures

    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "damaged.png").write_bytes(odd_images.damaged_png())
    data = dataset(tmp_path / "pipe.png", tmp_path / "damaged.png", tmp_path / "missing.png")
    found = list(pictures(resolve(data), data.values("id")).values())
    assert [each.is_coming for each in found] == [False, True, False]


def test_what_cannot_be_made_is_not_promised_again(dataset, tmp_path, shown):
    (tmp_path / "damaged.png").write_bytes(odd_images.UNREADABLE[next(iter(odd_images.UNREADABLE))][1]())
    data = dataset(tmp_path / "damaged.png")
    (picture,) = shown(resolve(data)).values()
    assert picture.thumbnail is None and not picture.is_coming
    odd_images.drawing().save(tmp_path / "damaged.png")
    (picture,) = shown(resolve(data)).values()
    assert picture.thumbnail is not None, "the file is another one now"


def test_detections_show_what_is_in_their_box(faces, shown):
    found = shown(faces)
    assert len(found) == 4 and len({each.thumbnail for each in found.values()}) == 4
    for each in found.values():
        assert each.box in ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0))
        with Image.open(each.thumbnail) as image:
            assert image.size == (32, 48)


@pytest.mark.parametrize("box", [None, [], [0, 0, 1], ["a"] * 4, [float("nan")] * 4, [0, 0, 0, 0], [2**62, 0, 1, 1]])
def test_a_box_without_pixels_has_none(faces, shown, box):
    from ccip_plugin.storage.internals import sample_documents

    sample_documents(faces.dataset).update_one({}, {"$set": {"faces.detections.0.bounding_box": box}})
    found = list(shown(faces).values())
    assert [each.thumbnail is None for each in found] == [True, False, False, False]
    assert not any(each.is_coming for each in found)


def test_samples_of_detections_are_found_by_their_ids_too(faces):
    from ccip_plugin.review.thumbnails import pictures

    ids, sample_ids, _ = faces.values()
    assert pictures(faces, ids, sample_ids=sample_ids, make=False) == pictures(faces, ids, make=False)
    assert list(pictures(faces, ids[1:2], sample_ids=sample_ids[1:2])) == ids[1:2]
    assert pictures(faces, ids, sample_ids=[NOBODY]) == {}


def test_items_that_are_gone_are_left_out(dataset, images):
    from ccip_plugin.review.thumbnails import pictures

    data = dataset(*images("a"))
    (item_id,) = data.values("id")
    assert list(pictures(resolve(data), [NOBODY, item_id, "猫", "", item_id])) == [item_id]
    assert pictures(resolve(data), []) == {}


def test_nothing_is_made_unasked(dataset, images, cache):
    from ccip_plugin.review.thumbnails import pictures

    data = dataset(*images("a"))
    pictures(resolve(data), data.values("id"), make=False)
    assert not list(cache.rglob("*.webp"))


@pytest.mark.parametrize("setting", ["a file in its place", "no thumbnails wanted"])
def test_without_a_folder_originals_are_shown(dataset, images, monkeypatch, tmp_path, setting, shown):
    (tmp_path / "taken").touch()
    if setting == "a file in its place":
        monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "taken"))
    else:
        monkeypatch.setenv("CCIP_THUMBNAILS_MB", "0")
    data = dataset(*images("a"))
    (picture,) = shown(resolve(data)).values()
    assert picture.thumbnail is None and not picture.is_coming


def test_a_folder_that_becomes_full_is_left_alone_for_a_while(dataset, images, monkeypatch, shown):
    from ccip_plugin.core import thumbnails
    from ccip_plugin.review.thumbnails import pictures

    monkeypatch.setattr(thumbnails, "_MIN_FREE", 1 << 60)
    data = dataset(*images("ab"))
    assert not any(each.is_coming for each in shown(resolve(data)).values())
    assert not any(each.is_coming for each in pictures(resolve(data), data.values("id")).values())


# --- the thread


class Slow(Thumbnails):
    """A folder in which nothing is made before ``go``."""

    def __init__(self, folder):
        super().__init__(folder, 1 << 30)
        self.began, self.go, self.order = threading.Event(), threading.Event(), []

    def make(self, filepath, boxes=(None,), **options):
        self.began.set()
        assert self.go.wait(SECONDS)
        self.order.append((Path(filepath).name[0], len(boxes)))
        return super().make(filepath, boxes, **options)


def test_the_newest_are_made_first(tmp_path, images):
    from ccip_plugin.review.thumbnails import Missing

    missing, slow = Missing(), Slow(tmp_path / "thumbnails")
    a, b, c, d, e = map(str, images("abcde"))
    missing.ask(slow, {a: [None]})
    assert slow.began.wait(SECONDS)
    missing.ask(slow, {b: [None], c: [None]})
    missing.ask(slow, {d: [None], e: [None]})
    missing.ask(slow, {b: [(0.0, 0.0, 0.5, 1.0)]})
    slow.go.set()
    assert missing.join(SECONDS)
    assert slow.order == [("a", 1), ("b", 2), ("d", 1), ("e", 1), ("c", 1)]


def test_the_queue_is_bounded(tmp_path, images, monkeypatch):
    from ccip_plugin.review import thumbnails

    monkeypatch.setattr(thumbnails, "MAX_WAITING", 3)
    missing, slow = thumbnails.Missing(), Slow(tmp_path / "thumbnails")
    for path in images("abcdefgh"):
        missing.ask(slow, {str(path): [None]})
        assert slow.began.wait(SECONDS)
    slow.go.set()
    assert missing.join(SECONDS)
    assert [name for name, _ in slow.order] == ["a", "h", "g", "f"]


def test_there_is_one_thread_and_it_ends(tmp_path, images):
    from ccip_plugin.review.thumbnails import Missing

    missing, slow = Missing(), Slow(tmp_path / "thumbnails")
    askers = [threading.Thread(target=missing.ask, args=(slow, {str(path): [None]})) for path in images("abcdefgh")]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sum(thread.name == "ccip thumbnails" for thread in threading.enumerate()) == 1
    slow.go.set()
    assert missing.join(SECONDS) and sorted(name for name, _ in slow.order) == list("abcdefgh")
    assert slow.usage().n_files == 8
