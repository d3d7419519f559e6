import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ccip_plugin.core.differences import difference, differences, merge, normalize, same, verify_closed_form
from ccip_plugin.core.errors import CCIPError, MatrixTooLargeError, VectorsError


def vectors(n: int, dim: int = 768, seed: int = 0) -> np.ndarray:
    """Raw embeddings of a few characters: some pairs alike, most not, lengths as a model gives them."""
    random = np.random.default_rng(seed)
    characters = random.normal(size=(max(1, n // 4), dim))
    rows = characters[random.integers(0, len(characters), n)] + 0.7 * random.normal(size=(n, dim))
    return (rows * random.uniform(0.3, 0.6, (n, 1))).astype(np.float32)


def differences_slowly(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result = np.empty((len(a), len(b)))
    for i, first in enumerate(a.astype(np.float64)):
        for j, second in enumerate(b.astype(np.float64)):
            cosine = sum(first * second) / (sum(first**2) ** 0.5 * sum(second**2) ** 0.5)
            result[i, j] = min(max((1 - cosine) / 2, 0), 1)
    return result


@pytest.mark.parametrize(
    "a, b, want",
    [
        pytest.param([3, 0], [5, 0], 0, id="same direction"),
        pytest.param([1, 0], [0, 9], 0.5, id="right angle"),
        pytest.param([1, 0], [-2, 0], 1, id="opposite"),
        pytest.param([1, 0], [1, 1], 0.1464466, id="45 degrees"),
        pytest.param([1e30, 0], [1e30, 1e30], 0.1464466, id="enormous"),
        pytest.param([1e-30, 0], [1e-30, 1e-30], 0.1464466, id="tiny"),
    ],
)
def test_difference_is_half_of_one_minus_cosine(a, b, want):
    assert difference(a, b) == pytest.approx(want, abs=1e-6)
    assert isinstance(difference(a, b), float)


@pytest.mark.parametrize("is_unit", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 7, 768, 1000])
def test_a_pair_gets_what_all_pairs_get_to_the_last_bit(dim, is_unit):
    a = vectors(60, dim)
    a = normalize(a) if is_unit else a
    for first, second in itertools.pairwise(a):
        found = difference(first, second)
        assert found == differences(first, second)[0, 0]
        assert same(first, second, found)


@pytest.mark.parametrize("n, m", [(1, 1), (7, 5), (1030, 3), (3, 1030)])
def test_all_pairs_of_two_lists(n, m):
    a, b = vectors(n, 64), vectors(m, 64, seed=1)
    found = differences(a, b)
    assert found.dtype == np.float32 and found.shape == (n, m)
    np.testing.assert_allclose(found, differences_slowly(a, b), atol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 50, 1024, 1025])
def test_all_pairs_of_one_list(n):
    a = vectors(n, 32)
    found = differences(a)
    assert found.shape == (n, n)
    np.testing.assert_array_equal(found, found.T)
    assert abs(np.diag(found)).max(initial=0) <= 1e-6
    assert found.min(initial=0) >= 0 and found.max(initial=0) <= 1
    np.testing.assert_allclose(found, differences(a, a), atol=1e-6)


def test_published_dimension():
    a = vectors(40)
    np.testing.assert_allclose(differences(a), differences_slowly(a, a), atol=1e-6)


def test_one_vector_against_many():
    a = vectors(6, 16)
    np.testing.assert_allclose(differences(a[0], a)[0], differences(a)[0], atol=1e-6)


def test_a_matrix_over_the_budget_is_refused_before_it_is_made():
    a = vectors(100, 8)
    assert differences(a, memory=40_000).shape == (100, 100)
    with pytest.raises(MatrixTooLargeError, match="radius_graph") as caught:
        differences(a, memory=39_999)
    assert (caught.value.shape, caught.value.n_bytes, caught.value.limit) == ((100, 100), 40_000, 39_999)
    assert isinstance(caught.value, CCIPError)


def test_input_is_not_changed():
    a = vectors(9, 8)
    before = a.copy()
    differences(a), merge(a), normalize(a), same(a, a, 0.2)
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize(
    "threshold, want",
    [
        pytest.param(0.5, True, id="at the threshold"),
        pytest.param(np.nextafter(0.5, 0), False, id="just under it"),
        pytest.param(0.6, True, id="over it"),
        pytest.param(0, False, id="zero"),
    ],
)
def test_same_includes_the_threshold(threshold, want):
    assert same([1.0, 0.0], [0.0, 1.0], threshold) == want


def test_same_has_the_shape_of_its_arguments():
    a = vectors(4, 8)
    assert same(a, a[:3], 0.2).shape == (4, 3)
    assert same(a[0], a, 0.2).shape == (4,)
    assert same(a, a[0], 0.2).shape == (4,)
    assert same(a[0], a[0], 0.2).shape == ()
    assert same(a, a, 0.2).diagonal().all()


def merged_slowly(embeddings: np.ndarray) -> np.ndarray:
    """The steps of the reference, one after the other."""
    lengths = [float(np.sqrt((row**2).sum())) for row in embeddings.astype(np.float64)]
    total = np.zeros(embeddings.shape[1])
    for row, length in zip(embeddings.astype(np.float64), lengths, strict=True):
        total += row / length
    mean = total / len(embeddings)
    return mean / np.sqrt((mean**2).sum()) * (sum(lengths) / len(lengths))


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_merge(n):
    embeddings = vectors(n)
    merged = merge(embeddings)
    assert merged.shape == (768,) and merged.dtype == np.float32
    np.testing.assert_allclose(merged, merged_slowly(embeddings), atol=1e-6)


def test_every_embedding_counts_alike_in_a_merge():
    merged = merge([[100.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(merged, [50.5 / np.sqrt(2)] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    "embeddings, reason",
    [
        pytest.param(np.zeros((0, 3)), "no embeddings", id="none"),
        pytest.param([[1, 0], [-1, 0]], "cancel", id="opposite"),
        pytest.param([[1, 0], [0, 0]], "row 1", id="zero"),
    ],
)
def test_merge_says_why_it_cannot(embeddings, reason):
    with pytest.raises(VectorsError, match=reason):
        merge(embeddings)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (3, 8), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_normalized_vectors_have_unit_length_and_stay_as_they_are(rows):
    rows = rows[(rows != 0).any(axis=1)]
    unit = normalize(rows)
    assert unit.dtype == np.float32 and unit.shape == rows.shape
    np.testing.assert_allclose(np.linalg.norm(unit.astype(np.float64), axis=1), 1, atol=2e-7)
    assert normalize(unit) is unit
    for row, alone in zip(unit, rows, strict=True):
        np.testing.assert_array_equal(row, normalize(alone))


def test_unit_vectors_of_the_published_dimension_keep_every_bit():
    unit = normalize(vectors(500))
    assert normalize(unit) is unit
    mixed = np.concatenate([unit[:5], 3 * unit[:1]])
    np.testing.assert_array_equal(normalize(mixed)[:5], unit[:5])


def test_normalizing_does_not_depend_on_how_the_array_lies_in_memory():
    rows = vectors(33)
    np.testing.assert_array_equal(normalize(np.asfortranarray(rows)), normalize(rows))


@pytest.mark.parametrize(
    "bad, reason",
    [
        pytest.param(np.nan, "NaN", id="NaN"),
        pytest.param(np.inf, "infinite", id="infinite"),
        pytest.param(0, "zero", id="zero"),
    ],
)
@pytest.mark.parametrize("function", [normalize, differences, merge])
def test_names_the_row_that_is_no_embedding(function, bad, reason):
    rows = vectors(4, 8)
    rows[2] = bad
    with pytest.raises(VectorsError, match=reason) as caught:
        function(rows)
    assert caught.value.row == 2


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: differences(np.ones((2, 3)), np.ones((2, 4))), id="other dimension"),
        pytest.param(lambda: difference([1, 2], [1, 2, 3]), id="pair of other dimension"),
        pytest.param(lambda: difference([[1, 2]], [[1, 2]]), id="matrices instead of vectors"),
        pytest.param(lambda: normalize(np.ones((2, 2, 2))), id="three axes"),
        pytest.param(lambda: normalize(3.0), id="a number"),
    ],
)
def test_refuses_other_shapes(call):
    with pytest.raises(VectorsError):
        call()


def test_the_closed_form_is_verified_against_a_metric():
    def metric(x):
        return differences_slowly(x, x)

    assert verify_closed_form(metric, 16) < 1e-6
    assert verify_closed_form(lambda x: metric(x) + 1e-3 * (metric(x) > 0.9), 16) == pytest.approx(1e-3, rel=1e-2)
    assert verify_closed_form(lambda x: metric(x) ** 2, 16) > 0.2
    assert verify_closed_form(lambda x: metric(x) * np.nan, 16) == float("inf")
    assert verify_closed_form(lambda x: np.linalg.norm(x, axis=1) * metric(x), 16) > 1
