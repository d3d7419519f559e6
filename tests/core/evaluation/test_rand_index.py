import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.evaluation.jackknife import folds_of
from ccip_plugin.core.evaluation.rand_index import (
    adjusted_rand_index,
    count_pairs,
    rand_index_of,
    rand_index_without,
)

PARTITIONS = st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 4)), min_size=1, max_size=40)


def singletons(labels):
    return [100 + i if label < 0 else label for i, label in enumerate(labels)]


@settings(max_examples=100, deadline=None)
@given(PARTITIONS)
def test_is_that_of_scikit_learn_with_noise_as_singletons(pairs):
    labels, characters = (list(column) for column in zip(*pairs, strict=True))
    characters = np.unique(characters, return_inverse=True)[1]
    found = rand_index_of(np.array(labels), characters)
    assert found == pytest.approx(sklearn.metrics.adjusted_rand_score(characters, singletons(labels)))
    assert found == pytest.approx(group_metrics(labels, characters).ari)


@settings(max_examples=50, deadline=None)
@given(PARTITIONS)
def test_without_a_fold_is_that_of_the_other_images(pairs):
    labels, characters = (np.array(column) for column in zip(*pairs, strict=True))
    characters = np.unique(characters, return_inverse=True)[1]
    folds = folds_of(characters)
    found = rand_index_without(labels, characters, folds)
    assert len(found) == folds.max() + 1
    for fold, score in enumerate(found):
        rest = folds != fold
        if rest.any():
            assert score == pytest.approx(rand_index_of(labels[rest], characters[rest]))


@pytest.mark.parametrize(
    "both, grouped, same, total, expected",
    [
        pytest.param(2, 2, 2, 6, 1, id="the same groups"),
        pytest.param(0, 0, 0, 6, 1, id="all alone in both"),
        pytest.param(6, 6, 6, 6, 1, id="all together in both"),
        pytest.param(2, 6, 2, 6, 0, id="all in one"),
        pytest.param(0, 2, 2, 6, -0.5, id="crossed"),
        pytest.param(0, 0, 0, 0, 1, id="one image"),
    ],
)
def test_from_counts(both, grouped, same, total, expected):
    assert float(adjusted_rand_index(both, grouped, same, total)) == pytest.approx(expected)
    many = adjusted_rand_index(np.array([both, 2.0]), np.array([grouped, 2.0]), same, total)
    assert many[0] == pytest.approx(expected)


def test_counts_pairs():
    assert count_pairs(np.array([0, 1, 2, 5])).tolist() == [0, 0, 1, 10]
    assert float(count_pairs(100_000)) == 100_000 * 99_999 / 2
