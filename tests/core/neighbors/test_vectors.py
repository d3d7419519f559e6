"""Unit vectors: in memory, as float16, mapped from a file; the same rows, one digest."""

import numpy as np
import pytest

from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import VectorsError
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.neighbors.vectors import (
    StoredVectors,
    UnitVectors,
    is_source,
    open_vectors,
    stored_vectors,
    unit_array,
    unit_vectors,
)

N, DIM = 20, 16
EMBEDDINGS = np.random.default_rng(3).normal(size=(N, DIM)).astype(np.float32) * 5


@pytest.fixture
def sources(tmp_path):
    """The same embeddings in memory, as float16, and mapped from files of both kinds."""
    for name, kind in (("half", np.float16), ("whole", np.float32)):
        np.save(tmp_path / f"{name}.npy", EMBEDDINGS.astype(kind))
    return {
        "memory": UnitVectors(EMBEDDINGS),
        "float16": StoredVectors(EMBEDDINGS.astype(np.float16)),
        "mapped float16": open_vectors(tmp_path / "half.npy"),
        "mapped float32": open_vectors(tmp_path / "whole.npy"),
    }


@pytest.mark.parametrize("name", ["memory", "float16", "mapped float16", "mapped float32"])
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(slice(3, 9), id="a slice"),
        pytest.param(np.array([5, 0, 5]), id="numbers"),
        pytest.param(np.arange(N) % 3 == 0, id="a mask"),
        pytest.param(slice(0, 0), id="none"),
    ],
)
def test_rows_have_unit_length(sources, name, rows):
    source = sources[name]
    assert (len(source), source.shape, is_source(source)) == (N, (N, DIM), True)
    given = source[rows]
    assert given.dtype == np.float32
    expected = normalize(EMBEDDINGS)[rows]
    np.testing.assert_allclose(given, expected, atol=1e-3 if "16" in name else 1e-6)
    np.testing.assert_allclose(np.linalg.norm(given, axis=1), np.ones(len(expected)), atol=1e-6)


def test_a_digest_is_of_the_vectors_wherever_they_are(sources):
    digests = {name: source.digest for name, source in sources.items()}
    assert digests["float16"] == digests["mapped float16"]
    assert len(set(digests.values())) >= 2
    assert UnitVectors(EMBEDDINGS).digest == digests["memory"] != UnitVectors(EMBEDDINGS[::-1]).digest
    assert UnitVectors(2 * EMBEDDINGS).digest == digests["memory"]  # powers of two change no bit of a direction


def test_a_digest_is_computed_once(sources, monkeypatch):
    source = sources["memory"]
    first = source.digest
    monkeypatch.setattr(UnitVectors, "__getitem__", None)  # so that hashing again would fail
    assert source.digest == first


def test_input_is_kept_as_it_is():
    before = EMBEDDINGS.copy()
    UnitVectors(EMBEDDINGS)
    unit_array(EMBEDDINGS)
    np.testing.assert_array_equal(before, EMBEDDINGS)


def test_a_source_is_taken_as_it_is(sources):
    for source in sources.values():
        assert unit_vectors(source) is source
        assert stored_vectors(source) is source


@pytest.mark.parametrize(
    "embeddings, kind",
    [
        pytest.param(EMBEDDINGS, UnitVectors, id="float32"),
        pytest.param(EMBEDDINGS.astype(np.float64), UnitVectors, id="float64"),
        pytest.param(EMBEDDINGS.astype(np.float16), StoredVectors, id="float16"),
        pytest.param(EMBEDDINGS.tolist(), UnitVectors, id="lists"),
        pytest.param(np.empty((0, DIM), np.float16), UnitVectors, id="none"),
    ],
)
def test_float16_stays_where_memory_matters(embeddings, kind):
    assert type(stored_vectors(embeddings)) is kind
    assert type(unit_vectors(embeddings)) is UnitVectors


@pytest.mark.parametrize("make", [UnitVectors, StoredVectors])
@pytest.mark.parametrize(
    "value, text", [pytest.param(0, "zero", id="zero"), pytest.param(np.nan, "NaN", id="not a number")]
)
def test_a_bad_row_is_named(make, value, text):
    embeddings = EMBEDDINGS.copy()
    embeddings[7] = value
    with pytest.raises(VectorsError, match=text) as caught:
        make(embeddings)
    assert caught.value.row == 7


@pytest.mark.parametrize(
    "stored",
    [pytest.param(EMBEDDINGS[0], id="one vector"), pytest.param(EMBEDDINGS.astype(np.float64), id="float64")],
)
def test_what_cannot_be_stored_vectors(stored):
    with pytest.raises(VectorsError, match=r"shape \(n, dim\)"):
        StoredVectors(stored)


def test_a_graph_of_a_source_is_that_of_its_array(sources):
    graph, same = radius_graph(EMBEDDINGS, 0.4), radius_graph(sources["mapped float32"], 0.4)
    assert len(graph.rows) > 3
    np.testing.assert_array_equal(graph.rows, same.rows)
    np.testing.assert_array_equal(graph.cols, same.cols)
