import numpy as np
import pytest

from ccip_plugin.core.evaluation import pair_metrics
from ccip_plugin.core.evaluation.jackknife import STEPS
from ccip_plugin.core.neighbors.vectors import unit_array
from ccip_plugin.core.tuning import threshold
from ccip_plugin.core.tuning.threshold import best_threshold, expected_f1

PUBLISHED = 0.178


def people(n=240, n_characters=12, seed=0):
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, n_characters, n))
    centres = random.normal(size=(n_characters, 48)) + 0.6
    return unit_array(centres[labels] + 0.9 * random.normal(size=(n, 48))), labels


def found(unit, labels, published=PUBLISHED):
    return best_threshold(unit, labels, pair_metrics(unit, labels, by_character=True), published)


def test_counts_where_all_are_known():
    unit, labels = people()
    pairs, best = pair_metrics(unit, labels), found(unit, labels)
    assert (best.f1, best.published_f1) == (pairs.f1, pairs.at(PUBLISHED).f1)
    assert pairs.at(best.threshold).f1 == pytest.approx(pairs.f1)
    assert best.interval.low <= best.threshold <= best.interval.high
    assert 0 <= best.possible_loss < 1 - best.f1 + 1e-9


def test_estimates_where_some_are_known():
    unit, labels = people()
    best = found(unit, np.where(labels < 6, labels, -1))
    pairs = pair_metrics(unit, labels)
    assert pairs.at(best.threshold).f1 == pytest.approx(pairs.f1, abs=0.05)
    assert best.f1 == pytest.approx(pairs.at(best.threshold).f1, abs=0.1)


def test_no_score_is_reported_above_1_and_none_is_limited_when_thresholds_are_compared():
    """Where few are known, more pairs may be expected to be of one character than there are up to a threshold."""
    random = np.random.default_rng(0)
    labels = np.sort(random.integers(0, 12, 240))
    unit = unit_array(random.normal(size=(12, 48))[labels] + 0.1 * random.normal(size=(240, 48)))
    known = np.where(random.random(240) < 0.15, labels, -1)
    pairs = pair_metrics(unit, known, by_character=True)
    every = pair_metrics(unit, np.zeros(240, np.int64), bins=STEPS).same.astype(np.float64)
    scores = expected_f1(every, *pairs.coarse(STEPS))
    best = best_threshold(unit, known, pairs, PUBLISHED)
    assert scores.max() > 1.001
    assert best.threshold == np.argmax(scores) / STEPS
    assert best.f1 == 1 and best.published_f1 <= 1


def test_of_equal_thresholds_the_nearest_to_the_published_is_taken():
    unit, labels = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])  # differences are 0 and 0.5
    for published in (0.1, 0.3):
        assert found(unit, labels, published).threshold == pytest.approx(published, abs=1e-5)


def test_without_a_pair_of_one_character_there_is_none():
    unit, _ = people(6)
    best = found(unit, np.arange(6))
    assert np.isnan(best.threshold) and np.isnan(best.interval.low) and np.isnan(best.possible_loss)


def test_many_images_are_estimated_from_a_sample(monkeypatch):
    unit, labels = people(400)
    known = np.where(labels < 6, labels, -1)
    whole = found(unit, known)
    monkeypatch.setattr(threshold, "MAX_COMPARED", 150)
    assert found(unit, known).threshold == pytest.approx(whole.threshold, abs=0.03)


@pytest.mark.parametrize(
    "every, same, different, expected",
    [
        pytest.param([4, 2, 4], [4, 0, 0], [0, 2, 4], [1, 4 / 5, 4 / 7], id="all known"),
        pytest.param([8, 4, 8], [4, 0, 0], [0, 2, 4], [1, 4 / 5, 4 / 7], id="half of each known"),
        pytest.param([5, 5], [0, 0], [1, 1], [np.nan, np.nan], id="no pair of one character"),
    ],
)
def test_expected_f1(every, same, different, expected):
    arrays = (np.array(counts, np.float64) for counts in (every, same, different))
    np.testing.assert_allclose(expected_f1(*arrays), expected)


def test_expected_f1_is_f1_where_all_are_known():
    same, different = pair_metrics(*people(), bins=STEPS).coarse(STEPS)
    scores = expected_f1((same + different).astype(np.float64), same, different)
    k = int(np.argmax(scores))
    tp = same[: k + 1].sum()
    assert scores[k] == pytest.approx(2 * tp / (tp + different[: k + 1].sum() + same.sum()))
