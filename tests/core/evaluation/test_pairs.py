import warnings
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.differences import differences
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.evaluation import pair_metrics, pairs
from ccip_plugin.core.evaluation.groups import group_metrics
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


# pairs ----------------------------------------------------------------------------------------------------------------


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


# groups ---------------------------------------------------------------------------------------------------------------


def scores_slowly(pred: list[int], true: list[int]) -> dict[str, float]:
    n = len(pred)
    pairs = list(combinations(range(n), 2))
    together = {(i, j) for i, j in pairs if pred[i] == pred[j]}
    alike = {(i, j) for i, j in pairs if true[i] == true[j]}
    precision, recall = [], []
    for i in range(n):
        group = {j for j in range(n) if pred[j] == pred[i]}
        character = {j for j in range(n) if true[j] == true[i]}
        precision.append(len(group & character) / len(group))
        recall.append(len(group & character) / len(character))
    members = [[true[i] for i in range(n) if pred[i] == group] for group in set(pred)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "pair_precision": len(together & alike) / len(together) if together else NAN,
            "pair_recall": len(together & alike) / len(alike) if alike else NAN,
            "bcubed_precision": float(np.mean(precision)),
            "bcubed_recall": float(np.mean(recall)),
            "purity": sum(Counter(group).most_common(1)[0][1] for group in members) / n,
            "ari": sklearn.metrics.adjusted_rand_score(true, pred),
            "ami": sklearn.metrics.adjusted_mutual_info_score(true, pred),
            "homogeneity": sklearn.metrics.homogeneity_score(true, pred),
            "completeness": sklearn.metrics.completeness_score(true, pred),
            "v_measure": sklearn.metrics.v_measure_score(true, pred),
        }


def assert_scores(metrics, pred, true):
    for name, want in scores_slowly(pred, true).items():
        assert getattr(metrics, name) == pytest.approx(want, abs=1e-9, nan_ok=True), name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=25))
def test_scores_of_groups(pairs):
    pred, true = (list(column) for column in zip(*pairs, strict=True))
    metrics = group_metrics(pred, true)
    assert_scores(metrics, pred, true)
    assert (metrics.n_images, metrics.n_groups, metrics.n_characters) == (len(pred), len(set(pred)), len(set(true)))
    assert (metrics.n_noise, metrics.coverage, metrics.grouped) == (0, 1, None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=25))
def test_noise_counts_as_groups_of_its_own_and_is_left_out_beside(pairs):
    pred, true = (list(column) for column in zip(*pairs, strict=True))
    metrics = group_metrics(pred, true)
    assert_scores(metrics, [100 + i if group < 0 else group for i, group in enumerate(pred)], true)
    n_noise = pred.count(-1)
    assert metrics.n_noise == n_noise and metrics.coverage == pytest.approx(1 - n_noise / len(pred))
    kept = [(group, character) for group, character in pairs if group >= 0]
    if 0 < n_noise < len(pred):
        assert_scores(metrics.grouped, *(list(column) for column in zip(*kept, strict=True)))
        assert metrics.grouped.n_images == len(kept) and metrics.grouped.coverage == 1
    else:
        assert metrics.grouped is None


@pytest.mark.parametrize(
    "pred, true, f1, bcubed, ari",
    [
        pytest.param("aabb", "xxyy", 1, 1, 1, id="perfect"),
        pytest.param("aaaa", "xxyy", 0.5, 2 / 3, 0, id="all in one"),
        pytest.param("abcd", "xxyy", NAN, 2 / 3, 0, id="each alone"),
        pytest.param("aabb", "xyxy", 0, 0.5, -0.5, id="crossed"),
        pytest.param("", "", NAN, NAN, NAN, id="nothing"),
    ],
)
def test_group_scores_by_hand(pred, true, f1, bcubed, ari):
    metrics = group_metrics(list(pred), list(true))
    assert metrics.pair_f1 == pytest.approx(f1, nan_ok=True)
    assert metrics.bcubed_f1 == pytest.approx(bcubed, nan_ok=True)
    assert metrics.ari == pytest.approx(ari, nan_ok=True)


def test_names_and_unknown_characters():
    metrics = group_metrics(["ミク", "ミク", None, "リン"], ["miku", "miku", "rin", None])
    assert (metrics.n_images, metrics.n_noise, metrics.n_left_out, metrics.n_groups) == (3, 1, 1, 2)
    assert metrics.pair_f1 == 1 and metrics.coverage == pytest.approx(2 / 3)


def test_groups_of_different_lengths_are_refused():
    with pytest.raises(ParameterError, match="labels_true"):
        group_metrics([0, 1], [0])


def test_input_is_not_changed():
    pred, true = np.array([0, 0, -1, 1]), np.array([0, 0, 1, -1])
    group_metrics(pred, true)
    assert (pred.tolist(), true.tolist()) == ([0, 0, -1, 1], [0, 0, 1, -1])
