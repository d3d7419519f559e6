"""Similarity search: exact differences, every kind of query, nothing written unless requested."""

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.differences import differences
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.errors import ImageTooLargeError, UnreadableImageError
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.search import find_similar
from ccip_plugin.search.difference_field import MARK
from ccip_plugin.search.similar import QueryError
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import TargetError
from ccip_plugin.storage.updates import NO_ROOM
from tests.support import tiny_models
from tests.support.full_samples import fill

pytestmark = pytest.mark.mongo


@pytest.fixture
def boxed(with_faces):
    """A dataset of four images with two embedded detections each, in ``faces``."""
    return with_faces("abca")


def embed(model_dir, *sources):
    with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
        return encoder.embed(sources)


def letters(found):
    return "".join(path.rpartition("/")[2][0] for path in found.view.values("filepath"))


def assert_exact(found, stored, queries, by_hand=np.mean):
    """What was found are the images with the smallest differences, in their order, with these differences."""
    exact = dict(zip(stored.ids, by_hand(differences(queries, stored.vectors), axis=0), strict=True))
    expected = sorted(exact.values())[: len(found.ids)]
    np.testing.assert_allclose(found.differences, expected, atol=1e-6)
    np.testing.assert_allclose([exact[key] for key in found.ids], expected, atol=1e-6)
    assert found.view.values("id") == found.ids


def test_orders_by_the_difference_to_an_image(embedded):
    data = embedded("abcabcdd")
    stored = load_embeddings(data)
    found = find_similar(data, ids=stored.ids[1])
    assert_exact(found, stored, stored.vectors[1:2])
    assert (len(found.ids), found.n_searched, found.n_missing, found.n_queries) == (8, 8, 0, 1)
    assert letters(found)[:2] == "bb"
    assert found.differences[0] <= 1e-6
    assert (found.n_within, found.threshold) == (2, tiny_models.THRESHOLD)
    assert str(found).splitlines()[0] == "8 of 8 images, 2 within the threshold of 0.1785"


def test_orders_as_sort_by_similarity_does(embedded):
    data = embedded("abcdefghaabbcc")
    fob.compute_similarity(data, embeddings=EMBEDDINGS_FIELD, brain_key="s", backend="sklearn", metric="euclidean")
    first = data.first().id
    view = data.sort_by_similarity(first, brain_key="s", dist_field="distance")
    found = find_similar(data, ids=first)
    by_id = dict(zip(found.ids, found.differences, strict=True))
    np.testing.assert_allclose([by_id[key] for key in view.values("id")], found.differences, atol=1e-6)


@pytest.mark.parametrize("combine, by_hand", [("mean", np.mean), ("nearest", np.min)])
def test_several_queries_become_one(embedded, combine, by_hand):
    data = embedded("abcabcdd")
    stored = load_embeddings(data)
    samples = list(data.select(stored.ids[:3], ordered=True))
    found = find_similar(data, ids=samples, combine=combine)
    assert found.n_queries == 3
    assert_exact(found, stored, stored.vectors[:3], by_hand)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "array", "image", "file"])
def test_looks_for_an_image_that_is_not_in_the_dataset(embedded, images, model_dir, kind):
    data = embedded("abcabc")
    (path,) = images("b")
    with path.open("rb") as file, Image.open(path) as image:
        query = {
            "path": path,
            "text": str(path),
            "bytes": path.read_bytes(),
            "array": np.asarray(image),
            "image": image,
            "file": file,
        }[kind]
        found = find_similar(data, images=query, model_dir=model_dir)
    assert_exact(found, load_embeddings(data), embed(model_dir, path))
    assert letters(found)[:2] == "bb"


def test_ids_groups_and_images_go_together(embedded, images, model_dir):
    data = embedded("abcabcdd")
    names = ["Asuka", "綾波レイ", None, "Asuka", None, None, "Asuka", None]
    data.set_values("character_group", [fo.Classification(label=name) if name else None for name in names])
    stored, paths = load_embeddings(data), images("cd")
    found = find_similar(data, ids=stored.ids[2], group="綾波レイ", images=paths, model_dir=model_dir)
    assert found.n_queries == 4
    assert_exact(found, stored, np.concatenate([stored.vectors[[2, 1]], embed(model_dir, *paths)]))


class TestGroup:
    def test_is_all_of_it_but_what_is_ignored_or_has_no_embedding(self, embedded):
        data = embedded("aabbc")
        data.add_sample(fo.Sample("/no/such/image.png"))
        statuses = ["auto", "ignored", "confirmed", None, "auto", "auto"]
        labels = [fo.Classification(label="Rei", status=status) for status in statuses]
        data.set_values("character_group", labels, dynamic=True)
        found = find_similar(data.limit(4), group="Rei")
        assert (found.n_queries, found.n_searched) == (4, 4)
        stored = load_embeddings(data)
        assert_exact(found, load_embeddings(data.limit(4)), stored.vectors[[0, 2, 3, 4]])

    def test_of_detections(self, boxed):
        stored = load_embeddings(boxed, patches_field="faces")
        names = [["Rei", None], [None, None], ["Asuka", None], ["Rei", None]]
        boxed.add_sample_field("faces.detections.character_group", fo.StringField)
        boxed.set_values("faces.detections.character_group", names)
        found = find_similar(boxed, group="Rei", patches_field="faces")
        assert_exact(found, stored, stored.vectors[[0, 6]])

    def test_that_is_not_there(self, embedded):
        data = embedded("ab")
        with pytest.raises(QueryError, match="there are no character groups in 'character_group'"):
            find_similar(data, group="Rei")
        data.set_values("character_group", [fo.Classification(label="Ayanami"), None])
        with pytest.raises(QueryError, match=r"no character group 'Ayanamy'.*did you mean 'Ayanami'\?"):
            find_similar(data, group="Ayanamy")


class TestDetections:
    def test_are_searched_by_a_detection(self, boxed):
        stored = load_embeddings(boxed, patches_field="faces")
        for samples in (boxed, boxed.to_patches("faces")):
            found = find_similar(samples, ids=stored.ids[0], patches_field="faces", limit=3)
            assert_exact(found, stored, stored.vectors[:1])
            assert found.view.values("sample_id") == found.sample_ids

    def test_are_searched_by_an_object_or_an_image(self, boxed, images, model_dir):
        stored = load_embeddings(boxed, patches_field="faces")
        found = find_similar(boxed, ids=boxed.first().faces.detections[1], patches_field="faces")
        assert_exact(found, stored, stored.vectors[1:2])
        (path,) = images("c")
        found = find_similar(boxed, images=path, patches_field="faces", model_dir=model_dir)
        assert_exact(found, stored, embed(model_dir, path))

    def test_only_those_of_a_view(self, boxed):
        ids = boxed.values("faces.detections.id", unwind=True)
        patches = boxed.to_patches("faces").select(ids[2:5])
        found = find_similar(patches, ids=ids[0])
        assert sorted(found.ids) == sorted(ids[2:5])
        assert found.view.values("id") == found.ids
        shown = find_similar(boxed.to_patches("faces"), ids=ids[0], limit=1).view
        assert ids[5] not in str(shown._serialize()), "a view of a few patches does not name all of them"

    def test_are_not_meant_by_ids_of_samples(self, boxed):
        with pytest.raises(QueryError, match=rf"of {boxed.first().id}\. Queries are detections"):
            find_similar(boxed, ids=boxed.first().id, patches_field="faces")


def test_searches_a_view_by_what_is_outside_of_it(embedded):
    data = embedded("abcabc")
    view = data.skip(1)
    found = find_similar(view, ids=data.first().id)
    assert (letters(found)[0], found.n_searched) == ("a", 5)
    assert data.first().id not in found.ids
    assert_exact(found, load_embeddings(view), load_embeddings(data.limit(1)).vectors)


def test_searches_one_slice_of_a_grouped_dataset(dataset, images, model_dir):
    data = dataset()
    data.add_group_field("shot", default="front")
    samples = []
    for front, back in zip(images("abab"), images("cccc"), strict=True):
        group = fo.Group()
        samples += [
            fo.Sample(str(front), shot=group.element("front")),
            fo.Sample(str(back), shot=group.element("back")),
        ]
    data.add_samples(samples)
    view = data.select_group_slices("front")
    compute_embeddings(view, model_dir=model_dir)
    found = find_similar(view, ids=view.first().id)
    assert letters(found) == "aabb"
    assert_exact(found, load_embeddings(view), load_embeddings(view).vectors[:1])


@pytest.mark.parametrize(
    "options, expected",
    [
        pytest.param({"limit": 3}, "aab", id="so many"),
        pytest.param({"limit": None}, "aabbcc", id="all"),
        pytest.param({"only_same": True}, "aa", id="within the threshold"),
        pytest.param({"only_same": True, "limit": 1}, "a", id="both"),
        pytest.param({"only_same": True, "threshold": 1.0}, "aabbcc", id="within another threshold"),
    ],
)
def test_is_cut(embedded, options, expected):
    data = embedded("abcabc")
    found = find_similar(data, ids=data.first().id, **options)
    assert sorted(letters(found)) == sorted(expected)
    assert letters(found)[:2] == expected[:2]


def test_the_threshold_counts_as_within(embedded):
    data = embedded("abc")
    apart = np.sort(find_similar(data, ids=data.first().id).differences)
    for threshold, n in ((float(apart[1]), 2), (float(np.nextafter(apart[1], np.float32(0))), 1)):
        found = find_similar(data, ids=data.first().id, only_same=True, threshold=threshold)
        assert (len(found.ids), found.n_within) == (n, n)


class TestDifferenceField:
    def test_nothing_is_written_without_it(self, embedded):
        data = embedded("abc")
        before = (data.get_field_schema(flat=True).keys(), data.values("last_modified_at"), data.list_brain_runs())
        find_similar(data, ids=data.first().id)
        data.reload()
        assert before == (data.get_field_schema(flat=True).keys(), data.values("last_modified_at"), [])

    def test_holds_the_differences_of_the_last_call(self, embedded):
        data = embedded("abcabc")
        first, last = data.first().id, data.last().id
        find_similar(data, ids=first, difference_field="difference")
        found = find_similar(data, ids=last, difference_field="difference", limit=2)
        values = dict(zip(*data.values(["id", "difference"]), strict=True))
        assert {key: value for key, value in values.items() if value is not None} == {
            key: pytest.approx(value) for key, value in zip(found.ids, found.differences, strict=True)
        }
        assert found.difference_field == "difference"
        assert data.get_field("difference").info == {MARK: True}

    def test_on_detections(self, boxed):
        ids = boxed.values("faces.detections.id", unwind=True)
        find_similar(boxed, ids=ids[0], patches_field="faces", difference_field="alike")
        found = find_similar(boxed, ids=ids[-1], patches_field="faces", difference_field="alike", limit=3)
        assert found.difference_field == "faces.detections.alike"
        assert boxed.get_field("faces.detections.alike").info == {MARK: True}
        values = dict(zip(ids, boxed.values("faces.detections.alike", unwind=True), strict=True))
        assert {key for key, value in values.items() if value is not None} == set(found.ids)
        np.testing.assert_allclose([values[key] for key in found.ids], found.differences)
        assert found.view.values("faces.alike") == pytest.approx(found.differences.tolist())

    def test_a_full_sample_is_refused_alone(self, embedded):
        data = embedded("abcabc")
        full = data.skip(2).first()
        data.set_values("number", range(6))
        fill(data, full, 10)
        found = find_similar(data, ids=data.first().id, difference_field="difference")
        assert dict(found.refused) == {full.id: NO_ROOM}
        assert NO_ROOM in str(found)
        assert [value is None for value in data.values("difference")] == [number == 2 for number in range(6)]

    def test_in_a_crowded_sample_what_fits_is_written(self, boxed):
        first, *others = boxed.values("id")
        fill(boxed, boxed.first(), 10)
        ids = boxed.values("faces.detections.id")
        found = find_similar(boxed, ids=ids[1][0], patches_field="faces", difference_field="alike")
        assert set(found.refused) == set(ids[0])
        assert [[value is None for value in values] for values in boxed.values("faces.detections.alike")] == [
            [True, True],
            *[[False, False]] * len(others),
        ]
        assert boxed[first].faces.detections[0][EMBEDDINGS_FIELD] is not None

    def test_unsaved_values_stay(self, embedded):
        data = embedded("abc")
        sample = data.first()
        sample.tags = ["unsaved"]
        find_similar(data, ids=sample.id, difference_field="difference")
        assert (sample.tags, sample["difference"]) == (["unsaved"], pytest.approx(0, abs=1e-6))

    @pytest.mark.parametrize("name", ["score", "filepath", "a b", "faces.x"])
    def test_is_nobody_elses(self, embedded, name):
        data = embedded("ab")
        data.set_values("score", [1.0, 2.0])
        with pytest.raises(QueryError, match="cannot hold the differences"):
            find_similar(data, ids=data.first().id, difference_field=name)
        assert data.values("score") == [1.0, 2.0]


@pytest.mark.parametrize(
    "options, error, text",
    [
        pytest.param({}, QueryError, "there is no query", id="nothing"),
        pytest.param({"ids": []}, QueryError, "there is no query", id="no id"),
        pytest.param({"ids": "0" * 24}, QueryError, "no embedding in 'ccip_embedding' of 0000", id="unknown id"),
        pytest.param({"ids": ["x"], "combine": "max"}, QueryError, "available: mean, nearest", id="combine"),
        pytest.param({"ids": ["x"], "limit": 0}, QueryError, "limit is 0", id="limit"),
        pytest.param({"images": "/no/such/絵.png"}, UnreadableImageError, "絵.png", id="no file"),
        pytest.param({"images": b"no image"}, UnreadableImageError, "not an image", id="no image"),
        pytest.param(
            {"images": np.zeros((100, 100, 3), np.uint8), "max_pixels": 9999},
            ImageTooLargeError,
            "over",
            id="too large",
        ),
        pytest.param({"ids": "x", "embeddings_field": "other"}, QueryError, "compute embeddings first", id="no field"),
        pytest.param({"ids": "x", "patches_field": "faces"}, TargetError, "no field 'faces'", id="no detections"),
    ],
)
def test_says_why_not(embedded, model_dir, options, error, text):
    with pytest.raises(error, match=text):
        find_similar(embedded("ab"), model_dir=model_dir, **options)


@pytest.mark.slow
def test_the_limit_of_pixels_can_be_raised(embedded, model_dir):
    """The picture has a few pixels more than the limit of embedding."""
    picture = Image.new("L", (13_345, 13_345), 90)
    found = find_similar(embedded("ab"), images=picture, max_pixels=None, model_dir=model_dir)
    assert found.n_searched == 2


def test_an_empty_dataset(dataset):
    with pytest.raises(QueryError, match="compute embeddings first"):
        find_similar(dataset(), ids="0" * 24)


def test_images_are_not_compared_by_another_model(embedded, images, model_dir):
    data = embedded("ab")
    tiny_models.write_model_dir(model_dir, variant="other_weights")
    with pytest.raises(QueryError, match=r"cannot be compared with the embeddings.*model file \(SHA-256\)"):
        find_similar(data, images=images("a"), model_dir=model_dir)
