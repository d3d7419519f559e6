"""Embeddings in the database: counted, found and written by id."""

import itertools

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId
from pymongo.errors import BulkWriteError

from ccip_plugin.core.encoder.reading import Extracted
from ccip_plugin.embeddings.store import Coverage, EmbeddingStore, Key, Keys
from ccip_plugin.storage import updates
from ccip_plugin.storage.fields import ERROR_FIELD, SOURCE_FIELD
from ccip_plugin.storage.internals import sample_documents
from ccip_plugin.storage.targets import TargetError, resolve
from ccip_plugin.storage.updates import NO_ROOM
from tests.support.full_samples import fill

pytestmark = pytest.mark.mongo

BOX = [0.1, 0.2, 0.3, 0.4]


def vector(number):
    return np.eye(768, dtype=np.float32)[number]


@pytest.fixture(params=["images", "detections"])
def store(request, dataset):
    """A store of three items, and of one more outside of its target."""
    samples = dataset(*(f"/絵/{n}.png" for n in range(4)))
    if request.param == "images":
        return EmbeddingStore(resolve(samples[:3]))
    samples.set_values("people", [fo.Detections(detections=[fo.Detection(bounding_box=BOX)]) for _ in range(4)])
    return EmbeddingStore(resolve(samples[:3], "people"))


@pytest.fixture
def keys(store):
    store.declare()
    return list(store.keys())


def test_paths(store):
    where = "people.detections." if store.target.is_patches else ""
    assert store.path == f"{where}ccip_embedding"
    store.declare()
    names = {name.rpartition(".")[2] for name in store.target.dataset.get_field_schema(flat=True)}
    assert {"ccip_embedding", ERROR_FIELD, SOURCE_FIELD} <= names


def test_a_name_that_no_field_can_have(store):
    with pytest.raises(TargetError, match="cannot be a field"):
        EmbeddingStore(store.target, "my embeddings")


def test_a_field_of_ones_own_has_its_own_sources(store):
    other = EmbeddingStore(store.target, "other")
    other.declare()
    assert store.target.path("other_source") in store.target.dataset.get_field_schema(flat=True)


def test_coverage_counts_vectors_and_failures(store, keys):
    assert store.coverage() == Coverage(3, 3, 0)
    store.write([Extracted(keys[0], vector(0), source="1"), Extracted(keys[1], error="broken", source="2")])
    assert store.coverage() == Coverage(3, 2, 1)
    assert store.coverage(everywhere=True) == Coverage(4, 3, 1)
    assert [key.item_id for key in store.missing()] == [key.item_id for key in keys[1:]]


def test_coverage_of_nothing(dataset):
    empty = EmbeddingStore(resolve(dataset()))
    assert (empty.coverage(), len(empty.keys())) == (Coverage(0, 0, 0), 0)


def test_scan_says_what_is_stored(store, keys):
    store.write([Extracted(keys[0], vector(0), source="file 1"), Extracted(keys[1], error="broken")])
    first, second, third = store.scan()
    assert (first.has_vector, first.error, first.source) == (True, None, "file 1")
    assert (second.has_vector, second.error, second.source) == (False, "broken", None)
    assert (third.has_vector, third.error) == (False, None)
    assert first.filepath.endswith("0.png")
    assert first.box == (BOX if store.target.is_patches else None)


def test_vectors_come_with_their_keys(store, keys):
    store.write([Extracted(keys[2], vector(2), source="x")])
    ((key, stored),) = store.vectors()
    assert key == keys[2]
    assert fo.VectorField().to_python(stored).tolist() == vector(2).tolist()


def test_vectors_outside_of_the_target_are_counted(store, keys):
    everywhere = EmbeddingStore(store.target.whole())
    everywhere.write([Extracted(key, vector(1), source="x") for key in list(Keys(everywhere.keys()))])
    assert (store.n_vectors_elsewhere(), everywhere.n_vectors_elsewhere()) == (1, 0)


def test_a_failure_of_a_file_that_was_opened_takes_the_vector_away(store, keys):
    store.write([Extracted(key, vector(1), source="x") for key in keys])
    store.write([Extracted(keys[0], error="broken", source="y"), Extracted(keys[1], error="no such file")])
    assert store.coverage() == Coverage(3, 1, 1)
    assert [stored.error for stored in store.scan()] == ["broken", "no such file", None]


def test_clear_takes_everything_everywhere(store, keys):
    everywhere = EmbeddingStore(store.target.whole())
    everywhere.write([Extracted(key, vector(1), source="x") for key in list(Keys(everywhere.keys()))])
    store.clear()
    assert everywhere.coverage() == Coverage(4, 4, 0)
    assert {stored.source for stored in everywhere.scan()} == {None}


def test_items_that_are_gone_are_left_out(store, keys):
    gone = Key(ObjectId(), ObjectId() if store.target.is_patches else None)
    items = list(store.items([keys[0], gone]))
    assert [item.filepath.rpartition("/")[2] for item in items] == ["0.png"]
    assert items[0].keys == (keys[0],)
    assert items[0].boxes == ({keys[0]: BOX} if store.target.is_patches else None)


@pytest.fixture
def full(store, keys):
    """The first sample has no room for a vector: 16 MB is the limit of MongoDB."""
    filler = b"x" * ((16 << 20) - 1500)
    sample_documents(store.target.dataset).update_one({"_id": keys[0].sample_id}, {"$set": {"filler": filler}})
    return store


def noise():
    return np.random.default_rng(0).normal(size=768).astype(np.float32)


def test_what_the_database_has_no_room_for_is_a_failure(full, keys):
    refused = full.write([Extracted(keys[0], noise(), source="x"), Extracted(keys[1], vector(1), source="x")])
    assert refused == {keys[0]: NO_ROOM}
    assert [stored.error for stored in full.scan()] == [NO_ROOM, None, None]
    assert full.coverage().n_missing == 2


def test_keys_take_twelve_bytes_for_an_id():
    keys = [Key(ObjectId(), ObjectId()) for _ in range(5)]
    kept = Keys(keys)
    assert (list(kept), len(kept)) == (keys, 5)
    assert len(kept._samples) == len(kept._labels) == 5 * 12
    assert list(Keys()) == []


def test_other_errors_of_the_database_are_not_swallowed(full, keys, monkeypatch):
    monkeypatch.setattr(updates, "_PERMANENT", frozenset())
    with pytest.raises(BulkWriteError):
        full.write([Extracted(keys[0], noise(), source="x")])


@pytest.fixture
def crowded(dataset):
    """A sample with 450 detections, another with 3, and their keys."""
    data = dataset("/crowd.png", "/few.png")
    for sample, n in zip(data, (450, 3), strict=True):
        sample["people"] = fo.Detections(detections=[fo.Detection(label="girl", bounding_box=BOX) for _ in range(n)])
        sample.save()
    store = EmbeddingStore(resolve(data, "people"))
    store.declare()
    return data, store, list(store.keys())


@pytest.mark.parametrize("n_together", [1, 10, 453])
def test_detections_of_a_sample_are_written_by_few_updates(crowded, n_together, monkeypatch):
    _, store, keys = crowded
    n_updates = []

    def counting(documents, operations):
        n_updates.append(len(operations))
        return bulk_write(documents, operations)

    bulk_write = updates.bulk_write
    monkeypatch.setattr(updates, "bulk_write", counting)
    for start in range(0, len(keys), n_together):
        results = [Extracted(key, noise(), source=key.item_id) for key in keys[start : start + n_together]]
        assert store.write(results) == {}
    assert sum(n_updates) == {1: 453, 10: 45 + 1, 453: 3 + 1}[n_together]
    assert {stored.key: stored.source for stored in store.scan()} == {key: key.item_id for key in keys}
    assert store.coverage() == Coverage(453, 0, 0)


def test_of_a_crowded_sample_what_fits_is_written(crowded):
    data, store, keys = crowded
    fill(data, data.first(), 400_000)
    refused = store.write([Extracted(key, noise(), source="x") for key in keys])
    n = sum(stored.has_vector for stored in store.scan()) - 3
    assert 100 <= n <= 400_000 // 3000
    assert len(refused) == 450 - n
    assert set(refused.values()) == {NO_ROOM}
    errors = [stored.error for stored in store.scan()]
    assert errors.count(NO_ROOM) <= 450 - n
    assert errors[450:] == [None] * 3


def test_vectors_in_a_full_sample_are_replaced(crowded):
    data, store, keys = crowded
    store.write([Extracted(key, noise(), source="x") for key in keys[:300]])
    fill(data, data.first(), 20_000)
    refused = store.write([Extracted(key, vector(1), source="y") for key in keys])
    assert sum(stored.source == "y" for stored in store.scan()) == 453 - len(refused)
    assert {stored.source for stored in store.scan() if keys.index(stored.key) < 300} == {"y"}


def test_a_detection_that_is_gone_takes_no_other_with_it(crowded):
    data, store, keys = crowded
    sample = data.first()
    del sample.people.detections[5]
    sample.save()
    assert store.write([Extracted(key, noise(), source="x") for key in keys[:10]]) == {}
    assert [key for key, _ in store.vectors()] == [*keys[:5], *keys[6:10]]


@pytest.mark.parametrize("n_detections", [0, 1, 3, 250])
def test_blocks_of_keys(n_detections):
    samples = [ObjectId() for _ in range(7 if n_detections > 3 else 450)]
    keys = [Key(s, ObjectId() if n_detections else None) for s in samples for _ in range(n_detections or 1)]
    compact = Keys(keys)
    parts = [compact.part(*block) for block in compact.blocks()]
    assert [key for part in parts for key in part] == keys
    assert all(0 < len(part) < max(101, 100 + n_detections) or len(part) == 250 for part in parts)
    owners = [{key.sample_id for key in part} for part in parts]
    assert not any(one & other for one, other in itertools.combinations(owners, 2))


@pytest.mark.parametrize(("n", "sizes"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1])])
def test_blocks_of_few_keys(n, sizes):
    assert [stop - start for start, stop in Keys(Key(ObjectId()) for _ in range(n)).blocks()] == sizes


def test_which_items_have_an_embedding_now(store, keys):
    store.write([Extracted(keys[0], vector(0), source="x")])
    assert store.embedded(keys) == {keys[0]}
    assert store.embedded(keys[1:]) == store.embedded([]) == set()
