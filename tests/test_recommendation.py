import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core import recommendation
from ccip_plugin.core.clustering import dbscan_of_embeddings, linkage
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation import pair_metrics
from ccip_plugin.core.recommendation import recommend

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
    assert found.threshold == pytest.approx(metrics.threshold, abs=1e-4)
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


def test_unknown_images_do_not_count(found):
    vectors, labels = people()
    more = np.concatenate([vectors, people(seed=9)[0][:20]])
    assert recommend(more, np.append(labels, np.full(20, -1)), threshold=PUBLISHED) == found


def test_rejections_count_as_different():
    vectors, labels = people()
    near = [(0, i) for i in range(1, 15)]
    known = np.full(len(labels), -1)
    known[40:] = labels[40:]
    plain, found = (recommend(vectors, known, threshold=PUBLISHED, rejected=each) for each in ((), near))
    assert (found.n_rejected, found.n_different - plain.n_different) == (14, 14)
    assert found.f1 < plain.f1


@pytest.mark.parametrize("chosen, problem", [
    pytest.param(slice(0, 12), "characters with two images", id="few characters"),
    pytest.param(slice(0, 240, 30), "pairs of one character", id="few pairs"),
])  # fmt: skip
def test_thin_evidence_is_told(chosen, problem):
    vectors, labels = people()
    found = recommend(vectors[chosen], labels[chosen], threshold=PUBLISHED)
    assert any(problem in each for each in found.thin)


def test_evidence_that_tells_little_is_thin(monkeypatch):
    monkeypatch.setattr(recommendation, "WIDEST", 1e-6)
    assert "may be anywhere" in recommend(*people(), threshold=PUBLISHED).thin[0]


def test_of_many_images_whole_characters_are_drawn(monkeypatch):
    monkeypatch.setattr(recommendation, "MOST_IMAGES", 100)
    labels = people()[1]
    chosen = recommendation._drawn(labels)
    assert 50 < len(chosen) <= 100
    assert all(np.isin(np.flatnonzero(labels == name), chosen).all() for name in np.unique(labels[chosen]))


def test_nothing_known():
    with pytest.raises(ParameterError, match="nothing known"):
        recommend(people()[0], np.full(240, -1), threshold=PUBLISHED)


def test_rejections_alone():
    found = recommend(people()[0], np.full(240, -1), threshold=PUBLISHED, rejected=[(0, 1)])
    assert found.methods == {} and found.thin and np.isnan(found.threshold)
