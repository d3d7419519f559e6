import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core.clustering.dbscan import dbscan_of_embeddings
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.core.tuning.dbscan import dendrogram_of, tune_dbscan_2


def people(n, n_characters, seed=0, noise=0.9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, n_characters, n))
    centres = random.normal(size=(n_characters, 32)) + 0.8
    spread = noise * random.lognormal(0, 0.4, (n, 1))
    labels = np.unique(labels, return_inverse=True)[1]
    return (centres[labels] + spread * random.normal(size=(n, 32))).astype(np.float32), labels


def ari(labels, true) -> float:
    labels = np.array(labels)
    labels[labels < 0] = 10_000 + np.arange((labels < 0).sum())
    return sklearn.metrics.adjusted_rand_score(true, labels)


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_the_tree_are_those_of_dbscan(seed):
    vectors, _ = people(130, 9, seed)
    vectors[5] = vectors[77]  # a pair with no difference at all
    dendrogram = dendrogram_of(vectors, 0.6)
    for eps in (0.0, 0.05, 0.1, 0.17, 0.25, 0.6):
        eps = (round(eps / 2**-14) + 0.5) * 2**-14  # between two values of the grid
        labels, want = dendrogram.labels(min(eps, 1)), dbscan_of_embeddings(vectors, eps=min(eps, 1), min_samples=2)
        assert ((labels < 0) == (want < 0)).all()
        grouped = want >= 0
        assert sklearn.metrics.adjusted_rand_score(labels[grouped], want[grouped]) == 1


@pytest.mark.parametrize("seed", range(4))
def test_no_eps_is_better(seed):
    vectors, true = people(160, 12, seed)
    best = tune_dbscan_2(dendrogram_of(vectors, 1.0), true)
    random = np.random.default_rng(seed).uniform(0, 0.5, 200)
    others = [ari(dbscan_of_embeddings(vectors, eps=eps, min_samples=2), true) for eps in random]
    assert best.score >= max(others) - 1e-9
    assert best.score == pytest.approx(ari(dbscan_of_embeddings(vectors, eps=best.eps, min_samples=2), true))
    assert best.score == pytest.approx(ari(best.labels, true))


def test_the_curve_is_the_score_at_each_eps():
    vectors, true = people(90, 7)
    best = tune_dbscan_2(dendrogram_of(vectors, 0.5), true, also=(0.1234, 0.9))
    eps, scores = best.curve.T
    assert 0.1234 in eps and 0.9 not in eps and (np.diff(eps) > 0).all()
    for place in range(0, len(eps), 17):
        want = ari(dbscan_of_embeddings(vectors, eps=eps[place], min_samples=2), true)
        assert scores[place] == pytest.approx(want, abs=0.02)  # where groups meet, to the grid


def test_the_middle_of_equally_good_values_is_taken():
    vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]  # differences are 0 and 0.5
    best = tune_dbscan_2(dendrogram_of(vectors, 1.0), np.array([0, 0, 1, 1]))
    assert best.score == 1 and best.eps == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images(n):
    vectors = np.ones((n, 4), np.float32)
    assert tune_dbscan_2(dendrogram_of(vectors, 1.0), np.zeros(n, np.int64)).labels.tolist() == [-1] * n


def test_can_be_stopped():
    def stop(_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        dendrogram_of(people(40, 4)[0], 1.0, progress=stop)
