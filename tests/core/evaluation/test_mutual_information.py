import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix
from sklearn.metrics.cluster import expected_mutual_information as of_sklearn

from ccip_plugin.core.evaluation import mutual_information
from ccip_plugin.core.evaluation.mutual_information import expected_mutual_information


def sizes(labels):
    return np.unique(labels, return_counts=True)[1]


@settings(max_examples=80, deadline=None)
@given(n=st.integers(2, 400), k=st.integers(1, 60), m=st.integers(1, 60), seed=st.integers(0, 10_000))
def test_what_chance_gives_is_what_scikit_learn_expects(n, k, m, seed):
    random = np.random.default_rng(seed)
    one, other = random.integers(0, k, n), (m * random.random(n) ** 3).astype(int)
    expected = of_sklearn(contingency_matrix(one, other, sparse=True), n)
    assert expected_mutual_information(sizes(one), sizes(other)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_in_parts(monkeypatch):
    random = np.random.default_rng(0)
    one, other = sizes(random.integers(0, 30, 500)), sizes((40 * random.random(500) ** 3).astype(int))
    whole = expected_mutual_information(one, other)
    monkeypatch.setattr(mutual_information, "_TERMS", 7)
    assert expected_mutual_information(one, other) == pytest.approx(whole, rel=1e-12)
