"""Differences to several images at once, against the obvious computation; the order of a matrix."""

import numpy as np
import pytest

from ccip_plugin.core.differences import difference, differences
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.ranking import COMBINE, combined_differences, similarity_order


def random_vectors(n, *, seed=0, dim=16):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("n_queries", [1, 2, 7])
@pytest.mark.parametrize("combine, by_hand", [("mean", np.mean), ("nearest", np.min)])
def test_is_the_mean_or_the_smallest_of_the_differences(combine, by_hand, n_queries):
    vectors, queries = random_vectors(40), 3 * random_vectors(n_queries, seed=1)
    expected = [by_hand([difference(vector, query) for query in queries]) for vector in vectors]
    np.testing.assert_allclose(combined_differences(vectors, queries, combine=combine), expected, atol=1e-6)


@pytest.mark.parametrize("combine", COMBINE)
def test_one_query_is_the_plain_difference(combine):
    vectors = random_vectors(30)
    found = combined_differences(vectors, vectors[4], combine=combine)
    np.testing.assert_allclose(found, differences(vectors[4], vectors)[0], atol=1e-6)
    assert found.argmin() == 4
    assert found[4] <= 1e-6


def test_one_odd_query_counts_for_little_in_the_mean_and_for_much_in_the_nearest():
    directions = np.eye(4, dtype=np.float32)
    queries = directions[[0, 0, 0, 1]]
    assert combined_differences(directions, queries).round(3).tolist() == [0.125, 0.375, 0.5, 0.5]
    assert combined_differences(directions, queries, combine="nearest").tolist() == [0, 0, 0.5, 0.5]


def test_blocks_change_nothing(monkeypatch):
    vectors, queries = random_vectors(50), random_vectors(6, seed=1)
    whole = combined_differences(vectors, queries, combine="nearest")
    monkeypatch.setattr("ccip_plugin.core.ranking._BLOCK_ENTRIES", 40)
    np.testing.assert_allclose(combined_differences(vectors, queries, combine="nearest"), whole, atol=1e-6)


def test_nothing_to_search():
    assert combined_differences(np.empty((0, 16)), random_vectors(2)).shape == (0,)


@pytest.mark.parametrize(
    "vectors, queries, options, error, text",
    [
        pytest.param(random_vectors(2), [], {}, VectorsError, "there is no query", id="no query"),
        pytest.param(
            random_vectors(2), random_vectors(1), {"combine": "max"}, ParameterError, "one of mean, nearest", id="how"
        ),
        pytest.param(random_vectors(2), np.ones(3), {}, VectorsError, "16 and 3 dimensions", id="another model"),
        pytest.param(random_vectors(2), np.zeros(16), {}, VectorsError, "the embedding is zero", id="zero"),
    ],
)
def test_says_why_not(vectors, queries, options, error, text):
    with pytest.raises(error, match=text):
        combined_differences(vectors, queries, **options)


class TestAlikeOrder:
    def test_puts_alike_ones_together(self):
        letters = np.array(list("abcabcab"))
        apart = np.where(letters[:, None] == letters, 0.05, 0.45).astype(np.float32)
        np.fill_diagonal(apart, 0)
        found = letters[similarity_order(apart)]
        assert sum(found[1:] != found[:-1]) == 2

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_leaves_few_as_they_are(self, n):
        assert similarity_order(np.zeros((n, n), np.float32)).tolist() == list(range(n))
