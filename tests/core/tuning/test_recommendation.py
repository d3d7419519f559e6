import itertools

import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core.clustering.dbscan import dbscan_of_embeddings
from ccip_plugin.core.clustering.linkage import linkage
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation import pair_metrics
from ccip_plugin.core.evaluation.jackknife import STEPS
from ccip_plugin.core.evaluation.pairs import f1_curve
from ccip_plugin.core.tuning import recommendation
from ccip_plugin.core.tuning.questions import Fit
from ccip_plugin.core.tuning.recommendation import recommend
from ccip_plugin.core.tuning.threshold import expected_f1

PUBLISHED = 0.178


def people(n=240, n_characters=12, seed=0, noise=0.9):
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, n_characters, n))
    centres = random.normal(size=(n_characters, 48)) + 0.6
    return (centres[labels] + noise * random.lognormal(0, 0.3, (n, 1)) * random.normal(size=(n, 48))), labels


def ari(labels, true) -> float:
    labels = labels.copy()
    labels[labels < 0] = 10_000 + np.arange((labels < 0).sum())
    return sklearn.metrics.adjusted_rand_score(true, labels)


@pytest.fixture(scope="module")
def found():
    return recommend(*people(), threshold=PUBLISHED)


def test_the_threshold_is_the_best_one(found):
    metrics = pair_metrics(*people())
    assert metrics.at(found.threshold).f1 == pytest.approx(metrics.f1)
    assert (found.f1, found.published_f1) == pytest.approx((metrics.f1, metrics.at(PUBLISHED).f1), abs=1e-4)
    assert found.interval.low <= found.threshold <= found.interval.high
    assert found.thin == ()


def test_parameters_give_the_score_that_is_told(found):
    vectors, labels = people()
    link, scan = found.methods["linkage"], found.methods["dbscan"]
    assert link.score == pytest.approx(ari(linkage(vectors, threshold=link.eps).labels, labels))
    groups = dbscan_of_embeddings(vectors, eps=scan.eps, min_samples=scan.min_samples)
    assert scan.score == pytest.approx(ari(groups, labels))
    for each in (link, scan):
        assert each.score >= each.published - 1e-9
        assert each.interval.low <= each.eps <= each.interval.high


def test_where_everybody_is_known_the_expected_f1_is_the_one_there_is():
    same, different = pair_metrics(*people(), bins=STEPS).coarse(STEPS)
    half = np.searchsorted(np.cumsum(same), same.sum() / 2)
    assert half > 0
    assert expected_f1(same + different, same, different) == pytest.approx(f1_curve(same, different))


def world(seed, n=900, n_characters=150):
    """Few characters with many images, many with few; a third have somebody who resembles them."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_characters + 1) ** 0.8
    labels = random.choice(n_characters, n, p=share / share.sum())
    centres = random.normal(size=(n_characters, 48)) + 0.6
    centres[1::3] = 0.8 * centres[::3] + 0.6 * centres[1::3]
    return centres[labels] + 0.6 * random.lognormal(0, 0.3, (n, 1)) * random.normal(size=(n, 48)), labels


def partly_known(labels, n_known, seed):
    """As people confirm: large groups more often."""
    random = np.random.default_rng(seed)
    sizes = np.bincount(labels)
    chosen = random.choice(len(sizes), n_known, replace=False, p=sizes / sizes.sum())
    return np.where(np.isin(labels, chosen), labels, -1)


def test_the_interval_holds_the_best_threshold_of_all_images_though_few_characters_are_known(monkeypatch):
    monkeypatch.setattr(recommendation, "tuned_linkage", lambda *_: None)  # slow, and of no interest here
    monkeypatch.setattr(recommendation, "tuned_dbscan", lambda *_: None)
    hits, lost, lost_by_counting, wrong = [], [], [], []
    for seed in range(8):
        vectors, labels = world(seed)
        truth = pair_metrics(vectors, labels)
        for draw in range(8):
            known = partly_known(labels, 20, draw)
            found = recommend(vectors, known, threshold=PUBLISHED)
            hits.append(found.interval.low <= truth.threshold <= found.interval.high)
            lost.append(truth.f1 - truth.at(found.threshold).f1)
            wrong.append(abs(found.f1 - truth.at(found.threshold).f1))
            counted = pair_metrics(vectors, known).threshold
            lost_by_counting.append(truth.f1 - truth.at(counted).f1)
    assert np.mean(hits) >= 0.9
    assert np.mean(lost) < 0.02 < np.mean(lost_by_counting)
    assert np.mean(wrong) < 0.06, "the F1 that is expected is close to the one there is"


def test_the_score_is_that_of_known_images_among_the_others():
    vectors, labels = world(1, n=300)
    known = partly_known(labels, 25, 0)
    found = recommend(vectors, known, threshold=PUBLISHED)
    there = known >= 0
    link, scan = found.methods["linkage"], found.methods["dbscan"]
    assert link.score == pytest.approx(ari(linkage(vectors, threshold=link.eps).labels[there], labels[there]))
    groups = dbscan_of_embeddings(vectors, eps=scan.eps, min_samples=scan.min_samples)
    assert scan.score == pytest.approx(ari(groups[there], labels[there]))
    assert found.n_images == there.sum()


def answers(low=0.2, high=0.24, n=80, is_enough=True):
    return Fit(0.22, low, high, 0.9, 0.8, n, is_enough)


def test_answers_alone_are_evidence():
    found = recommend(people()[0], np.full(240, -1), threshold=PUBLISHED, answers=answers())
    assert (found.threshold, found.f1, found.published_f1) == (0.22, 0.9, 0.8)
    assert found.is_from_answers and found.n_answers == 80 and found.thin == ()
    assert found.methods["linkage"].eps == 0.22 and "dbscan" not in found.methods


@pytest.mark.parametrize("given, counts", [
    pytest.param(answers(0.18, 0.26), False, id="known characters are surer"),
    pytest.param(answers(0.2199, 0.2201), True, id="answers are surer"),
    pytest.param(answers(0.2199, 0.2201, 3, is_enough=False), False, id="too few answers"),
])  # fmt: skip
def test_the_surer_evidence_counts(given, counts):
    vectors, labels = people(n=600, n_characters=40)
    assert recommend(vectors, labels, threshold=PUBLISHED, answers=given).is_from_answers == counts


def test_thin_answers_are_told_beside_thin_characters():
    known = np.full(240, -1)
    known[:6] = people()[1][:6]
    found = recommend(people()[0], known, threshold=PUBLISHED, answers=answers(n=3, is_enough=False))
    assert any("3 answers about pairs, 40 of both kinds are needed" in each for each in found.thin)
    wide = recommend(people()[0], known, threshold=PUBLISHED, answers=answers(0.05, 0.4))
    assert wide.thin and not wide.is_from_answers


def test_doubt_that_leaves_the_published_threshold_out_does_tell_something(monkeypatch):
    monkeypatch.setattr(recommendation, "MAX_LOSS", 0)
    interval = recommend(*people(), threshold=PUBLISHED).interval
    assert recommend(*people(), threshold=interval.low - 0.01).thin == ()
    assert "may be as good" in recommend(*people(), threshold=(interval.low + interval.high) / 2).thin[0]


def test_where_any_threshold_will_do_the_published_one_is_kept_and_that_is_sure():
    vectors, labels = people(noise=0.05)
    found = recommend(vectors, labels, threshold=PUBLISHED)
    assert (found.threshold, found.f1) == (pytest.approx(PUBLISHED, abs=1e-5), 1)
    assert found.interval.width > 0.2 and found.thin == ()


def test_rejections_count_as_different():
    vectors, labels = world(1, n=300)
    known = np.where(labels == 0, -1, labels)
    known[known > 20] = -1
    near = [(int(a), int(b)) for a, b in itertools.combinations(np.flatnonzero(labels == 0), 2)]
    plain, found = (recommend(vectors, known, threshold=PUBLISHED, rejected=each) for each in ((), near))
    assert (found.n_rejected, found.n_different - plain.n_different) == (len(near), len(near))
    assert found.f1 < plain.f1


@pytest.mark.parametrize("chosen, problem", [
    pytest.param(slice(0, 12), "characters with two images", id="few characters"),
    pytest.param(slice(0, 240, 30), "pairs of one character", id="few pairs"),
])  # fmt: skip
def test_thin_evidence_is_told(chosen, problem):
    vectors, labels = people()
    found = recommend(vectors[chosen], labels[chosen], threshold=PUBLISHED)
    assert any(problem in each for each in found.thin)


def test_of_many_images_whole_characters_are_drawn(monkeypatch):
    monkeypatch.setattr(recommendation, "MAX_TUNED", 100)
    labels = people()[1]
    chosen = recommendation._sample(labels)
    assert 50 < len(chosen) <= 100
    assert all(np.isin(np.flatnonzero(labels == name), chosen).all() for name in np.unique(labels[chosen]))
    partly = np.where(labels < 3, labels, -1)
    chosen = recommendation._sample(partly)
    assert len(chosen) == 100 and np.isin(np.flatnonzero(partly >= 0), chosen).all()


def test_nothing_known():
    with pytest.raises(ParameterError, match="nothing known"):
        recommend(people()[0], np.full(240, -1), threshold=PUBLISHED)


def test_rejections_alone():
    found = recommend(people()[0], np.full(240, -1), threshold=PUBLISHED, rejected=[(0, 1)])
    assert found.methods == {} and found.thin and np.isnan(found.threshold)
