"""Embeddings in memory: read once, never out of date, never more than allowed."""

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.embeddings import cache, compute_embeddings
from ccip_plugin.embeddings.cache import VectorCache
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import resolve

pytestmark = pytest.mark.mongo
VECTOR_BYTES = 768 * 4


@pytest.fixture
def reads(monkeypatch):
    """How many vectors each reading of the database gave."""
    counts = []

    def counted(*args, **options):
        found = load_embeddings(*args, **options)
        counts.append(len(found.ids))
        return found

    monkeypatch.setattr(cache, "load_embeddings", counted)
    return counts


def assert_current(cache, data, patches_field=None):
    found = cache.load(resolve(data, patches_field).whole(), EMBEDDINGS_FIELD)
    stored = load_embeddings(data, patches_field=patches_field)
    assert (sorted(found.ids), found.n_missing) == (sorted(stored.ids), stored.n_missing)
    vectors = dict(zip(stored.ids, stored.vectors, strict=True))
    np.testing.assert_array_equal(found.vectors, np.stack([vectors[key] for key in found.ids]))
    assert found.sample_ids == sorted(found.sample_ids)
    assert found.provenance == stored.provenance


def test_is_read_once(embedded, reads):
    data, cache = embedded("abcd"), VectorCache()
    for _ in range(3):
        assert_current(cache, data)
    assert reads == [4]


def test_reads_only_what_has_changed(embedded, reads, images, model_dir):
    data, cache = embedded("abcd" * 5), VectorCache()
    assert_current(cache, data)
    sample = data.skip(3).first()
    sample[EMBEDDINGS_FIELD] = data.first()[EMBEDDINGS_FIELD]
    sample.save()
    assert_current(cache, data)
    data.delete_samples([data.skip(1).first().id])
    data.add_sample(fo.Sample(str(images("e")[0])))
    assert_current(cache, data)
    compute_embeddings(data, model_dir=model_dir)
    assert_current(cache, data)
    data.limit(2).set_field(EMBEDDINGS_FIELD, None).save()
    assert_current(cache, data)
    assert reads[0] == 20
    assert max(reads[1:]) <= 2


def test_reads_all_when_much_has_changed(embedded, reads):
    data, cache = embedded("abcd"), VectorCache()
    assert_current(cache, data)
    data.set_values("score", [1.0, 2.0, 3.0, 4.0])
    assert_current(cache, data)
    assert reads == [4, 4]


def test_another_model_is_another_origin(embedded, reads):
    data, cache = embedded("abcd"), VectorCache()
    assert_current(cache, data)
    field = data.get_field(EMBEDDINGS_FIELD)
    field.info = {**field.info, "sha256": "0" * 64}
    field.save()
    assert_current(cache, data)
    assert reads == [4, 4]


def test_detections(embedded, reads, model_dir):
    data, cache = embedded("abcd" * 3), VectorCache()
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    compute_embeddings(data, patches_field="faces", model_dir=model_dir)
    assert_current(cache, data, "faces")
    sample = data.first()
    sample.faces.detections = [*sample.faces.detections[1:], fo.Detection(label="face", bounding_box=[0, 0, 1, 1])]
    sample.save()
    assert_current(cache, data, "faces")
    assert reads == [24, 1]


def test_holds_no_more_than_allowed(embedded, reads):
    one, other, large = embedded("ab"), embedded("ba"), embedded("abcde")
    cache = VectorCache(4 * VECTOR_BYTES)
    for data in (one, other, one, other):
        assert_current(cache, data)
    assert reads == [2, 2]
    assert_current(cache, large)
    assert_current(cache, large)
    assert reads == [2, 2, 5, 5]
    cache.clear()
    assert_current(cache, one)
    assert reads[-1] == 2


def test_vectors_of_unknown_origin_are_refused(dataset):
    data = dataset("/a.png")
    data.set_values(EMBEDDINGS_FIELD, [np.ones(768)])
    with pytest.raises(Exception, match="without recorded provenance"):
        VectorCache().load(resolve(data), EMBEDDINGS_FIELD)
