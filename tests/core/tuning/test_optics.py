import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core.clustering.optics import optics
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors.vectors import unit_array
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.core.tuning.optics import OpticsSearch, TooManyToTuneError, tune_optics


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


@pytest.mark.parametrize("eps, min_samples", [(0.1, 2), (0.17, 3), (0.25, 5), (0.5, 4)])
def test_the_fast_optics_is_optics(eps, min_samples):
    vectors, true = people(180, 10, 5)
    vectors[9] = vectors[100]
    search = OpticsSearch(unit_array(vectors), true, None)
    assert search.labels(eps, min_samples).tolist() == optics(vectors, eps=eps, min_samples=min_samples).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_hardly_any_setting_of_optics_is_better(seed):
    vectors, true = people(150, 12, seed)
    best = tune_optics(vectors, true)
    search = OpticsSearch(unit_array(vectors), true, None)
    random = np.random.default_rng(seed)
    tries = [(random.uniform(0, 0.5), int(random.integers(2, 6))) for _ in range(200)]
    assert best.score >= max(ari(search.labels(*each), true) for each in tries) - 0.005
    assert best.score == pytest.approx(ari(optics(vectors, eps=best.eps, min_samples=best.min_samples), true))
    assert tune_optics(vectors, true).eps == best.eps


def test_published_settings_are_compared():
    vectors, true = people(60, 5)
    search = tune_optics(vectors, true)
    with_published = tune_optics(vectors, true, also=((0.2001, 5), (0.3, 1000)))
    assert with_published.n_tried > search.n_tried and with_published.score >= search.score


def test_large_sets_are_refused():
    with pytest.raises(TooManyToTuneError, match="5,000"):
        tune_optics(np.ones((5001, 2), np.float32), np.zeros(5001, np.int64))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images(n):
    with pytest.raises(ParameterError, match="at least 2"):
        tune_optics(np.ones((n, 4), np.float32), np.zeros(n, np.int64))


def test_can_be_stopped():
    def stop(_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        tune_optics(*people(40, 4), progress=stop)
