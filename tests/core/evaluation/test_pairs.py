import numpy as np
import pytest
import sklearn.metrics

from ccip_plugin.core.differences import differences
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.evaluation import pair_metrics, pairs
from ccip_plugin.core.progress import Cancelled

NAN = float("nan")


def embeddings(labels: list[int], noise: float = 0.8, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(max(labels, default=0) + 1, 32))
    rows = characters[labels] + noise * random.lognormal(0, 0.4, (len(labels), 1)) * random.normal(
        size=(len(labels), 32)
    )
    return (rows * random.uniform(1, 9, (len(labels), 1))).astype(np.float32)


def people(n: int, n_characters: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, n_characters, n).tolist()


def pairs_of(vectors: np.ndarray, labels: list) -> tuple[np.ndarray, np.ndarray]:
    upper = np.triu_indices(len(labels), 1)
    return differences(vectors)[upper].astype(float), np.array(
        [labels[i] == labels[j] for i, j in zip(*upper, strict=True)]
    )


@pytest.mark.parametrize("bins", [2**18, 2**8, 2**4])
@pytest.mark.parametrize("n, n_characters", [(60, 5), (150, 3), (40, 30)])
def test_scores_of_pairs_are_those_of_scikit_learn(n, n_characters, bins):
    labels = people(n, n_characters)
    vectors = embeddings(labels)
    apart, is_same = pairs_of(vectors, labels)
    metrics = pair_metrics(vectors, labels, bins=bins)
    assert (metrics.n_same, metrics.n_different) == (is_same.sum(), (~is_same).sum())
    auc = sklearn.metrics.roc_auc_score(is_same, -apart)
    average = sklearn.metrics.average_precision_score(is_same, -apart)
    assert metrics.roc_auc == pytest.approx(auc, abs=metrics.roc_auc_error + 1e-9)
    assert metrics.average_precision == pytest.approx(average, abs=metrics.average_precision_error + 1e-9)
    if bins == 2**18:
        assert max(metrics.roc_auc_error, metrics.average_precision_error) < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_best_one_to_the_bin(seed):
    labels = people(50, 4, seed)
    vectors = embeddings(labels, seed=seed)
    apart, is_same = pairs_of(vectors, labels)
    bins = 2**8
    metrics = pair_metrics(vectors, labels, bins=bins)
    scores = [sklearn.metrics.f1_score(is_same, apart <= k / bins, zero_division=0.0) for k in range(bins + 1)]
    assert metrics.f1 == pytest.approx(max(scores))
    assert metrics.threshold == np.argmax(scores) / bins


@pytest.mark.parametrize("threshold", [0, 0.1, 0.178, 0.25, 0.5, 1])
def test_scores_at_a_threshold(threshold):
    labels = people(80, 6)
    vectors = embeddings(labels)
    apart, is_same = pairs_of(vectors, labels)
    chosen = apart <= threshold
    scores = pair_metrics(vectors, labels).at(threshold)
    assert scores.recall == pytest.approx(sklearn.metrics.recall_score(is_same, chosen), abs=1e-9)
    if chosen.any():
        assert scores.precision == pytest.approx(sklearn.metrics.precision_score(is_same, chosen))
        assert scores.f1 == pytest.approx(sklearn.metrics.f1_score(is_same, chosen))
    else:
        assert np.isnan(scores.precision) and scores.f1 == 0


def test_a_threshold_is_inclusive():
    """The two images of character 0 are at 0.5, exactly; the others are at 0 and at 1."""
    metrics = pair_metrics([[1.0, 0], [0, 1.0], [-1.0, 0]], [0, 0, 1])
    assert metrics.at(0.5).recall == 1 and metrics.at(np.nextafter(0.5, 0)).recall == 0
    assert (metrics.threshold, metrics.f1, metrics.precision, metrics.recall) == (0.5, pytest.approx(2 / 3), 0.5, 1)


@pytest.mark.parametrize("block", [7, 64, 99, 100])
def test_blocks_do_not_matter(block, monkeypatch):
    labels = people(100, 7)
    whole = pair_metrics(embeddings(labels), labels, bins=2**12)
    monkeypatch.setattr(pairs, "_BLOCK", block)
    parts = pair_metrics(embeddings(labels), labels, bins=2**12)
    assert abs(parts.same - whole.same).sum() <= 2 and abs(parts.different - whole.different).sum() <= 2  # rounding
    assert (parts.n_same, parts.n_different) == (whole.n_same, whole.n_different)


@pytest.mark.parametrize("unknown", [None, "", NAN])
def test_images_of_nobody_known_are_left_out(unknown):
    labels = people(30, 3)
    vectors = embeddings([*labels, 0, 1])
    names = [*(f"キャラ{label}" for label in labels), unknown, unknown]
    found, want = pair_metrics(vectors, names), pair_metrics(vectors[:30], labels)
    assert (found.n_left_out, want.n_left_out) == (2, 0)
    assert (found.threshold, found.f1, found.roc_auc) == (want.threshold, want.f1, want.roc_auc)


def test_negative_numbers_are_nobody_known():
    assert pair_metrics(embeddings([0, 0, 1]), [0, 0, -1]).n_left_out == 1


@pytest.mark.parametrize(
    "labels, n_same, n_different",
    [
        pytest.param([], 0, 0, id="nothing"),
        pytest.param([0], 0, 0, id="one image"),
        pytest.param([0, 1], 0, 1, id="no pair of one character"),
        pytest.param([0, 0], 1, 0, id="no pair of two"),
        pytest.param([-1, -1], 0, 0, id="nobody known"),
    ],
)
def test_scores_of_nothing_are_no_numbers(labels, n_same, n_different):
    metrics = pair_metrics(embeddings([max(label, 0) for label in labels]), labels)
    assert (metrics.n_same, metrics.n_different) == (n_same, n_different)
    assert np.isnan(metrics.roc_auc)
    assert np.isnan(metrics.f1) == np.isnan(metrics.threshold) == np.isnan(metrics.average_precision) == (n_same == 0)


@pytest.mark.parametrize("bins", [0, 1, 3, 1000, 2**25])
def test_bins_are_a_power_of_two(bins):
    with pytest.raises(ParameterError, match="bins"):
        pair_metrics(np.eye(3), [0, 1, 2], bins=bins)


def test_a_label_for_each_embedding():
    with pytest.raises(VectorsError, match="one label for each"):
        pair_metrics(np.eye(3), [0, 1])


def test_progress_counts_pairs_and_can_stop_the_work(monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK", 10)
    steps = []
    pair_metrics(np.eye(32), range(32), progress=steps.append)
    assert (steps[-1].done, steps[-1].total, len(steps)) == (496, 496, 10)

    def stop(step):
        raise Cancelled

    with pytest.raises(Cancelled):
        pair_metrics(np.eye(32), range(32), progress=stop)
