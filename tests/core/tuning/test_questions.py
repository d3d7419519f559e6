import math

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation import pair_metrics
from ccip_plugin.core.tuning.questions import Answer, Fit, PairPool, choose_pairs, fit

PUBLISHED = 0.178


def people(n=700, n_characters=40, seed=0):
    """Hard ones: characters lean towards each other, images are of many qualities."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, n_characters, n)
    centres = random.normal(size=(n_characters, 64)) + 0.3
    centres[1::3] = 0.8 * centres[::3][: len(centres[1::3])] + 0.6 * centres[1::3]
    return centres[labels] + 0.75 * random.lognormal(0, 0.4, (n, 1)) * random.normal(size=(n, 64)), labels


def ask(pool, vectors, labels, n, slips=0.0, seed=0):
    """A reviewer who knows, and errs now and then."""
    random = np.random.default_rng(seed)
    answers = []
    while len(answers) < n:
        for a, b in choose_pairs(pool, vectors, answers, n=min(10, n - len(answers)), seed=seed):
            answers.append(Answer(a, b, bool((labels[a] == labels[b]) != (random.random() < slips))))
    return answers


def at_random(labels, n, seed):
    random = np.random.default_rng(seed)
    pairs = [random.choice(len(labels), 2, replace=False) for _ in range(n)]
    return [Answer(int(a), int(b), bool(labels[a] == labels[b])) for a, b in pairs]


@pytest.mark.parametrize("slips", [0.0, 0.03])
def test_a_hundred_chosen_answers_find_the_threshold_and_twice_as_many_random_ones_do_not(slips):
    lost, lost_at_random = [], []
    for seed in range(6):
        vectors, labels = people(seed=seed)
        metrics = pair_metrics(vectors, labels)
        pool = PairPool(vectors, 0.30)  # published for quite other images
        found = fit(pool, vectors, ask(pool, vectors, labels, 100, slips, seed))
        lost.append(metrics.f1 - metrics.at(found.threshold).f1)
        guess = fit(pool, vectors, at_random(labels, 200, seed))
        lost_at_random.append(metrics.f1 - metrics.at(guess.threshold).f1)
        assert found.is_enough and found.low <= found.threshold <= found.high
    assert np.mean(lost) <= 0.01 < np.mean(lost_at_random)


def test_more_answers_make_it_surer():
    vectors, labels = people()
    pool = PairPool(vectors, PUBLISHED)
    answers = ask(pool, vectors, labels, 90)
    widths = [found.high - found.low for found in (fit(pool, vectors, answers[:n]) for n in (0, 20, 90))]
    assert widths[0] > widths[1] > widths[2]


def test_without_answers_the_published_threshold_is_the_guess():
    vectors, _ = people()
    found = fit(PairPool(vectors, PUBLISHED), vectors, [])
    assert found.threshold == pytest.approx(PUBLISHED, abs=0.05) and not found.is_enough


@pytest.mark.parametrize(
    "values, text",
    [
        pytest.param(
            (0.2, 0.1, 0.3, 0.9, 0.8, 40, True),
            "threshold 0.2000, 95% interval 0.1000 to 0.3000; expected F1 0.9000, 0.8000 at the published threshold; "
            "40 answers about pairs, enough evidence",
            id="enough",
        ),
        pytest.param(
            (math.nan, math.nan, math.nan, math.nan, math.nan, 0, False),
            "no threshold; 0 answers about pairs, not enough evidence yet",
            id="nothing",
        ),
    ],
)
def test_a_fit_is_printed_as_text(values, text):
    assert str(Fit(*values)) == text


@pytest.mark.parametrize("is_same", [True, False])
def test_answers_of_one_kind_are_not_enough(is_same):
    vectors, _ = people()
    pool = PairPool(vectors, PUBLISHED)
    answers = [Answer(a, b, is_same) for a, b in choose_pairs(pool, vectors, n=60)]
    assert not fit(pool, vectors, answers).is_enough


def test_questions_are_new_pairs_and_always_the_same_ones():
    vectors, labels = people()
    pool = PairPool(vectors, PUBLISHED)
    answers = ask(pool, vectors, labels, 40)
    pairs = {frozenset((answer.first, answer.second)) for answer in answers}
    assert len(pairs) == 40 and all(len(pair) == 2 for pair in pairs)
    assert ask(PairPool(vectors, PUBLISHED), vectors, labels, 40) == answers
    assert choose_pairs(pool, vectors, answers, seed=1) != choose_pairs(pool, vectors, answers)


def test_those_who_cannot_tell_are_asked_no_more_and_teach_nothing():
    vectors, _ = people()
    pool = PairPool(vectors, PUBLISHED)
    first = choose_pairs(pool, vectors, n=5)
    answers = [Answer(a, b, None) for a, b in first]
    assert not {frozenset(pair) for pair in first} & {frozenset(p) for p in choose_pairs(pool, vectors, answers, n=50)}
    assert fit(pool, vectors, answers) == fit(pool, vectors, [])


def test_pairs_have_the_difference_of_their_bin():
    vectors, _ = people(200)
    pool, random = PairPool(vectors, PUBLISHED), np.random.default_rng(0)
    for bin_number in np.flatnonzero(pool.counts)[::20]:
        a, b = pool.draw(int(bin_number), random)
        assert a != b
        assert abs(int(pool.bins([Answer(a, b, None)], vectors)[0]) - bin_number) <= 1


def test_of_many_images_some_are_drawn(monkeypatch):
    from ccip_plugin.core.tuning import questions

    monkeypatch.setattr(questions, "MAX_IMAGES", 100)
    vectors, _ = people(400)
    assert PairPool(vectors, PUBLISHED).counts.sum() == 100 * 99 // 2


def test_as_many_pairs_as_are_asked_for_while_there_are_any():
    vectors = people(10)[0]
    pool = PairPool(vectors, PUBLISHED)
    assert len({frozenset(pair) for pair in choose_pairs(pool, vectors, n=45)}) == 45


@pytest.mark.parametrize("n, expected", [(2, 1), (3, 3)])
def test_few_images(n, expected):
    vectors = people(10)[0][:n]
    pool = PairPool(vectors, PUBLISHED)
    assert len({frozenset(pair) for pair in choose_pairs(pool, vectors, n=100)}) == expected
    assert 0 <= fit(pool, vectors, []).threshold <= 1


def test_one_image_has_no_pairs():
    with pytest.raises(ParameterError, match="at least 2"):
        PairPool(np.ones((1, 4)), PUBLISHED)
