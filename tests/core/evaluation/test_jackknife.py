import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core.evaluation import pair_metrics, pairs
from ccip_plugin.core.evaluation.jackknife import MAX_FOLDS, STEPS, folds_of, interval
from ccip_plugin.core.evaluation.labels import encode_labels
from ccip_plugin.core.evaluation.rand_index import rand_index_without


def vectors_of(labels, seed=0, noise=0.7) -> np.ndarray:
    random = np.random.default_rng(seed)
    labels = np.asarray(labels)
    return (random.normal(size=(labels.max() + 1, 24))[labels] + noise * random.normal(size=(len(labels), 24))).astype(
        "f4"
    )


def test_each_character_is_a_fold_of_its_own():
    assert folds_of(np.array([2, 0, 0, 1])).tolist() == [1, 0, 0, 2] or len(set(folds_of(np.array([2, 0, 0, 1])))) == 3


def test_many_characters_share_folds():
    characters = np.repeat(np.arange(600), np.arange(600) % 5 + 1)
    folds = folds_of(characters)
    assert folds.max() + 1 == MAX_FOLDS
    assert all(len(set(folds[characters == k])) == 1 for k in range(600)), "a character is left out as a whole"
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 5


@pytest.mark.parametrize("block", [2048, 37])
def test_leaving_out_a_character_is_as_if_it_were_not_there(block, monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK", block)
    labels = np.random.default_rng(1).integers(0, 7, 120)
    vectors = vectors_of(labels)
    metrics = pair_metrics(vectors, labels, bins=STEPS, by_character=True)
    folds = folds_of(encode_labels(labels)[0])
    for fold in range(7):
        kept = folds != fold
        want = pair_metrics(vectors[kept], labels[kept], bins=STEPS)
        same, different = metrics.folds.without(fold, *metrics.coarse(STEPS))
        assert same.sum() == want.n_same and different.sum() == want.n_different
        assert abs(same - want.same).sum() <= 2 and abs(different - want.different).sum() <= 2  # rounding


def test_fold_counts_change_no_score():
    labels = np.random.default_rng(1).integers(0, 7, 120)
    one, other = (pair_metrics(vectors_of(labels), labels, by_character=each) for each in (False, True))
    assert (one.threshold, one.f1, one.n_same) == (other.threshold, other.f1, other.n_same)


def test_the_interval_is_that_of_the_definition():
    labels = np.random.default_rng(2).integers(0, 9, 150)
    vectors = vectors_of(labels, noise=1.2)
    found = pair_metrics(vectors, labels, by_character=True)
    aucs = [pair_metrics(vectors[labels != k], labels[labels != k]).roc_auc for k in range(9)]
    error = np.sqrt(8 / 9 * np.square(np.array(aucs) - np.mean(aucs)).sum())
    got = found.intervals()["roc_auc"]
    assert got.low == pytest.approx(found.roc_auc - 2.306 * error, abs=1e-3)  # t of 8 degrees of freedom
    assert got.high == pytest.approx(min(1, found.roc_auc + 2.306 * error), abs=1e-3)


def test_the_interval_holds_the_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        values = random.normal(0.5, 0.1, 12)
        without = [(values.sum() - value) / 11 for value in values]
        found = interval(values.mean(), without)
        hits += found.low <= 0.5 <= found.high
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize("estimate, without", [
    pytest.param(0.5, [], id="nothing left out"),
    pytest.param(0.5, [0.4], id="one character"),
    pytest.param(0.5, [0.4, float("nan")], id="nothing left without it"),
    pytest.param(float("nan"), [0.4, 0.5], id="no score"),
])  # fmt: skip
def test_no_interval_without_evidence(estimate, without):
    assert np.isnan(interval(estimate, without).width)


def test_intervals_stay_within_what_a_score_can_be():
    found = interval(0.99, [0.2, 1.0, 0.9])
    assert (found.low, found.high) == (0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_rand_index_without_a_character(seed):
    random = np.random.default_rng(seed)
    true = np.sort(random.integers(0, 8, 90))
    pred = np.where(random.random(90) < 0.7, true, random.integers(0, 12, 90))
    folds = folds_of(true)
    found = rand_index_without(pred, true, folds)
    want = [sklearn.metrics.adjusted_rand_score(true[folds != k], pred[folds != k]) for k in range(folds.max() + 1)]
    assert found == pytest.approx(want)


def test_pairs_with_oneself_are_those_of_the_full_matrix():
    labels = np.random.default_rng(3).integers(0, 5, 60)
    vectors = vectors_of(labels, noise=1.5)
    metrics = pair_metrics(vectors, labels)
    apart = pairs.normalize(vectors)
    apart = (1 - apart @ apart.T) / 2
    np.fill_diagonal(apart, 0)
    is_same = labels[:, None] == labels
    found = metrics.counting_selves()
    near = apart <= found.threshold + 1e-7
    assert found.precision == pytest.approx(sklearn.metrics.precision_score(is_same.ravel(), near.ravel()), abs=1e-3)
    assert found.recall == pytest.approx(sklearn.metrics.recall_score(is_same.ravel(), near.ravel()), abs=1e-3)
    assert found.f1 > metrics.f1
