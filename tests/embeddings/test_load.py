"""Stored embeddings are loaded with the ids of their items."""

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ccip_plugin.embeddings.load import BadVectorsError, count_missing, load_embeddings
from ccip_plugin.embeddings.provenance import OtherOriginError, read_provenance
from ccip_plugin.embeddings.store import Key, Keys
from tests.support.embeddings import BAD_VECTORS, FIELD, OTHER_MODEL, stored


def test_reads_ids_and_vectors(dataset, images, embed, vectors_of):
    paths = images("abc")
    paths[1].write_bytes(b"")
    samples = dataset(*paths)
    embed(samples)
    loaded = load_embeddings(samples)
    ids = samples.values("id")
    assert loaded.ids == loaded.sample_ids == [ids[0], ids[2]]
    assert loaded.vectors.dtype == np.float32
    assert np.array_equal(loaded.vectors, vectors_of([paths[0], paths[2]]))
    assert loaded.n_missing == 1
    assert loaded.provenance == read_provenance(samples, FIELD)
    assert count_missing(samples) == (3, 1, 1)


def test_reading_where_there_is_nothing(dataset, images):
    samples = dataset(*images("ab"))
    loaded = load_embeddings(samples)
    assert (loaded.ids, loaded.vectors.shape, loaded.n_missing, loaded.provenance) == ([], (0, 768), 2, None)
    assert count_missing(samples) == (2, 2, 0)
    assert count_missing(dataset()) == (0, 0, 0)


def test_vectors_stored_in_another_precision_are_read(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples)
    samples.set_values(FIELD, [stored(samples)[0].astype(np.float64), stored(samples)[1].astype(np.float16)])
    loaded = load_embeddings(samples)
    assert loaded.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(loaded.vectors, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("bad, says", BAD_VECTORS)
def test_names_vectors_that_cannot_be_compared(bad, says, dataset, images, embed):
    samples = dataset(*images("abc"))
    embed(samples)
    values = samples.values(FIELD)
    samples.set_values(FIELD, [values[0], bad, values[2]])
    with pytest.raises(BadVectorsError, match=says) as raised:
        load_embeddings(samples)
    assert raised.value.ids == (samples.values("id")[1],)


def test_names_vectors_that_have_no_unit_length(dataset, images, embed):
    samples = dataset(*images("a" * 9))
    embed(samples)
    samples.set_values(FIELD, [1.1 * vector for vector in samples.values(FIELD)])
    with pytest.raises(BadVectorsError, match=r"9 vectors that do not have unit length.* and 4 more"):
        load_embeddings(samples)


def test_parts_of_embeddings_can_be_taken_and_joined(dataset, images, embed):
    samples = dataset(*images("abcd"))
    embed(samples)
    loaded = load_embeddings(samples)
    again = loaded.select([3, 1]).joined(loaded.select([0]))
    assert again.ids == [loaded.ids[i] for i in (3, 1, 0)]
    assert np.array_equal(again.vectors, loaded.vectors[[3, 1, 0]])
    assert loaded.select([]).vectors.shape == (0, 768)


def test_keys_take_little_memory_and_come_back():
    pairs = [Key(ObjectId(), ObjectId()) for _ in range(5)]
    singles = [Key(ObjectId()) for _ in range(5)]
    assert list(Keys(pairs)) == pairs
    assert list(Keys(singles)) == singles
    assert (len(Keys(pairs)), len(Keys())) == (5, 0)


def test_slices_of_a_grouped_dataset(dataset, images, embed):
    samples = dataset()
    samples.add_group_field("group", default="front")
    for front, back in zip(images("ab"), images("cd"), strict=True):
        group = fo.Group()
        samples.add_samples(
            [
                fo.Sample(str(front), group=group.element("front")),
                fo.Sample(str(back), group=group.element("back")),
            ]
        )
    fronts, backs = (samples.select_group_slices(name) for name in ("front", "back"))
    assert embed(backs).n_computed == 2
    with pytest.raises(OtherOriginError):
        embed(fronts, model_name=OTHER_MODEL)
    assert embed(fronts).n_computed == 2
    assert len(load_embeddings(backs).ids) == 2
