import warnings
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation import group_metrics

NAN = float("nan")


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
