"""A few images, each with each: exact differences, verdicts at the threshold, a plot that the App can show."""

import base64
import io

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.differences import difference
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.search.comparison import MAX_ITEMS, ComparisonError, compare_images
from ccip_plugin.search.heatmap import THUMBNAIL
from ccip_plugin.storage.targets import TargetError
from tests.support import tiny_models

pytestmark = pytest.mark.mongo


@pytest.fixture
def boxed(with_faces):
    """A dataset of two images with two embedded detections each, in ``faces``."""
    return with_faces("ab", [(0, 0, 0.5, 1), (0.5, 0, 0.5, 0.5)])


def assert_exact(found, stored):
    vectors = dict(zip(stored.ids, stored.vectors, strict=True))
    expected = [[difference(vectors[a], vectors[b]) for b in found.ids] for a in found.ids]
    np.testing.assert_allclose(found.differences, expected, atol=1e-6)
    assert [(pair.a, pair.b) for pair in sorted(found.pairs)] == [
        (a, b) for a in range(len(found.ids)) for b in range(a + 1, len(found.ids))
    ]
    for pair in found.pairs:
        assert pair.difference == pytest.approx(expected[pair.a][pair.b], abs=1e-6)
        assert pair.is_same == (pair.difference <= found.threshold) == found.same[pair.a, pair.b]
    assert [pair.difference for pair in found.pairs] == sorted(pair.difference for pair in found.pairs)


def test_compares_each_with_each(embedded):
    data = embedded("abab")
    found = compare_images(data)
    assert_exact(found, load_embeddings(data))
    assert (found.ids, found.threshold, found.missing) == (data.values("id"), tiny_models.THRESHOLD, [])
    assert found.model_name == tiny_models.NAME
    assert {(pair.a, pair.b) for pair in found.pairs if pair.is_same} == {(0, 2), (1, 3)}
    assert str(found).splitlines()[0] == "4 images: 2 of 6 pairs show the same character"
    assert sorted(found.order[:2]) in ([0, 2], [1, 3])


def test_some_of_them_in_the_order_given(embedded):
    data = embedded("abcab")
    ids = data.values("id")
    found = compare_images(data, ids=[ids[4], ids[0], ids[4]])
    assert found.ids == [ids[4], ids[0]]
    assert found.filepaths == [data[ids[4]].filepath, data[ids[0]].filepath]
    assert_exact(found, load_embeddings(data))


def test_detections(boxed):
    stored = load_embeddings(boxed, patches_field="faces")
    by_field = compare_images(boxed, patches_field="faces", ids=stored.ids[:3])
    by_patches = compare_images(boxed.to_patches("faces").select(stored.ids[:3]))
    for found in (by_field, by_patches):
        assert found.ids == stored.ids[:3]
        assert_exact(found, stored)
        assert found.boxes == [[0, 0, 0.5, 1], [0.5, 0, 0.5, 0.5], [0, 0, 0.5, 1]]
        first, second = boxed.values("filepath")
        assert found.filepaths == [first, first, second]
        assert found.names[:2] == [f"{found.names[0][:-3]} #1", f"{found.names[0][:-3]} #2"]


def test_those_without_embedding_are_named(embedded):
    data = embedded("ab")
    absent = data.add_sample(fo.Sample("/no/such/image.png"))
    found = compare_images(data)
    assert (len(found.ids), found.missing) == (2, [absent])


def test_another_threshold(embedded):
    data = embedded("ab")
    assert [pair.is_same for pair in compare_images(data, threshold=1).pairs] == [True]


@pytest.mark.parametrize(
    "letters, options, error, text",
    [
        pytest.param("a", {}, ComparisonError, "1 images cannot be compared, only 2 to 50", id="one"),
        pytest.param("", {}, ComparisonError, "0 images cannot be compared", id="none"),
        pytest.param("ab", {"ids": []}, ComparisonError, "0 images cannot be compared", id="no id"),
        pytest.param("ab", {"embeddings_field": "other"}, ComparisonError, "0 of the 2 images have", id="no field"),
        pytest.param("ab", {"patches_field": "faces"}, TargetError, "no field 'faces'", id="no detections"),
    ],
)
def test_says_why_not(embedded, dataset, letters, options, error, text):
    with pytest.raises(error, match=text):
        compare_images(embedded(letters) if letters else dataset(), **options)


def test_more_than_can_be_looked_at(embedded):
    data = embedded("a")
    data.add_samples([fo.Sample(f"/no/{number}.png") for number in range(MAX_ITEMS)])
    with pytest.raises(ComparisonError, match="51 images cannot be compared, only 2 to 50"):
        compare_images(data)


def test_ids_that_are_not_there(embedded):
    data = embedded("abc")
    with pytest.raises(ComparisonError, match=f"no images with the ids {'0' * 24}"):
        compare_images(data, ids=[*data.values("id"), "0" * 24])


class TestPlot:
    def test_shows_every_pair_with_its_verdict(self, embedded):
        found = compare_images(embedded("abab"))
        chart, order = found.chart(), found.order
        np.testing.assert_allclose(chart.values, found.differences[order][:, order], atol=1e-4)
        assert chart.texts[0][1].endswith("same character")
        assert chart.texts[0][2].endswith("different characters")
        assert (chart.limit, chart.maximum) == (tiny_models.THRESHOLD, 0.5)
        assert [row["verdict"] for row in found.table()] == ["same character"] * 2 + ["different"] * 4

    def test_has_the_crops_of_detections_beside_it(self, boxed):
        found = compare_images(boxed, patches_field="faces")
        for picture, place in zip(found.chart().pictures, found.order, strict=True):
            head, _, content = picture.partition(",")
            assert head == "data:image/jpeg;base64"
            with Image.open(io.BytesIO(base64.b64decode(content))) as image:
                width, height = 64 * found.boxes[place][2], 48 * found.boxes[place][3]
                assert max(image.size) <= THUMBNAIL
                assert image.width / image.height == pytest.approx(width / height, rel=0.05)

    def test_a_file_that_is_gone_has_a_name_only(self, embedded, tmp_path):
        data = embedded("abc")
        found = compare_images(data)
        for path in found.filepaths[:2]:
            (tmp_path / "images" / path.rpartition("/")[2]).unlink()
        assert sorted(picture is None for picture in found.chart().pictures) == [False, True, True]
        assert len(found.chart().labels) == 3
        assert found.chart(with_thumbnails=False).pictures == []

    def test_long_names_are_shortened(self, embedded, tmp_path):
        data = embedded("ab")
        sample = data.first()
        sample.filepath = str(tmp_path / "<b>絵 & a very long name that fits nowhere.png")
        sample.save()
        assert "<b>絵 & a ve… nowhere.png" in compare_images(data).chart().labels
