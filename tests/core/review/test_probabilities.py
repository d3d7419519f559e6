"""Probabilities before any answer, and what they learn from answers."""

import numpy as np
import pytest

from ccip_plugin.core.review.probabilities import BELONGS, HALVES, SAME, START, STAYS, Probabilities


def pairs(differences, inside=0.12):
    """Features of two groups."""
    return np.array([[difference, inside] for difference in differences])


def taught(answers, repeats=1):
    """Probabilities that learned from ``(difference, is_same)``."""
    probabilities = Probabilities()
    for difference, is_same in answers * repeats:
        probabilities.add(SAME, pairs([difference])[0], is_same)
    probabilities.fit()
    return probabilities


@pytest.mark.parametrize(
    "kind, alike, unlike",
    [
        pytest.param(SAME, (0.12, 0.1), (0.25, 0.1), id="two groups"),
        pytest.param(HALVES, (0.12, 0.1), (0.25, 0.1), id="two halves"),
        pytest.param(BELONGS, (0.15, 0.1, 2.0), (0.25, -0.1, 2.0), id="an image and another group"),
        pytest.param(STAYS, (0.10, 0.1, 0.1, 2.0), (0.25, -0.1, 0.1, 2.0), id="an image and its group"),
    ],
)
def test_start_values_tell_alike_from_unlike(kind, alike, unlike):
    p = Probabilities().same(kind, np.array([alike, unlike]))
    assert p[0] > 0.6 and p[1] < 0.1


def test_every_kind_has_start_values():
    assert set(START) == {SAME, HALVES, BELONGS, STAYS}
    assert Probabilities().same(SAME, np.empty((0, 2))).shape == (0,)


def test_learns_where_one_character_ends():
    random = np.random.default_rng(3)
    differences = random.uniform(0.1, 0.3, 400)
    before, after = Probabilities(), taught([(each, bool(each < 0.2)) for each in differences.tolist()])
    x = pairs([0.19, 0.21])
    assert before.same(SAME, x)[0] < 0.5, "the start values say other characters"
    assert after.same(SAME, x)[0] > 0.6 and after.same(SAME, x)[1] < 0.4


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([], id="none"),
        pytest.param([(0.16, True)], id="one"),
        pytest.param([(0.12, True)] * 300, id="only yes"),
        pytest.param([(0.25, False)] * 300, id="only no"),
        pytest.param([(0.16, True), (0.16, False)] * 100, id="contradictory"),
        pytest.param([(0.10, False)] * 300, id="all against the start values"),
    ],
)
def test_few_one_sided_and_contradictory_answers_leave_sensible_probabilities(answers):
    p = taught(answers).same(SAME, pairs([0.05, 0.15, 0.25, 0.4]))
    assert np.isfinite(p).all() and (np.diff(p) <= 1e-9).all(), "falls with the difference"
    assert p[-1] < 0.05


def test_a_slip_far_from_the_limit_moves_nothing():
    honest = [(0.12, True), (0.22, False)] * 40
    x = pairs([0.14, 0.16, 0.18, 0.2])
    clean, with_slips = taught(honest).same(SAME, x), taught([*honest, (0.05, False), (0.35, True)]).same(SAME, x)
    assert np.abs(clean - with_slips).max() < 0.05


def test_a_fit_is_the_same_whatever_was_fitted_before():
    answers = [(each, bool(each < 0.18)) for each in np.linspace(0.1, 0.26, 60).tolist()]
    once, twice = taught(answers), taught(answers)
    twice.fit()
    x = pairs([0.15, 0.17, 0.19])
    assert twice.same(SAME, x) == pytest.approx(once.same(SAME, x), abs=1e-3)
    assert once.n_answers(SAME) == 60
