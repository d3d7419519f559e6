"""Purity of the groups, its interval, and whether the review is done."""

import numpy as np
import pytest

from ccip_plugin.core.review.answers import apply, effects_of, learn, record
from ccip_plugin.core.review.kinds import HALVES, IN, OUT, SAME
from ccip_plugin.core.review.memory import Memory
from ccip_plugin.core.review.probabilities import Probabilities
from ccip_plugin.core.review.progress import estimate, purity
from ccip_plugin.core.review.questions import Ranking
from tests.core.review.worlds import THRESHOLD, Board, vectors_of

CHARACTERS = "".join(letter * 12 for letter in "abcdefghijklmnop")


class Reviewer:
    """Answers every question right, and the review with it."""

    def __init__(self, groups):
        self.truth = np.array([ord(each) for each in CHARACTERS])
        self.board = Board(vectors_of(CHARACTERS, spread=0.6), groups, threshold=THRESHOLD)
        self.memory, self.probabilities, self.ranking = Memory(), Probabilities(), Ranking()
        self.n_answers = 0

    def state(self):
        """Estimates."""
        return estimate(self.board, self.memory, self.probabilities, self.ranking)

    def purity(self):
        """The true purity."""
        groups = [self.board.members(each) for each in self.board.ids.tolist() if self.board.size(each) > 1]
        return sum(np.bincount(self.truth[rows]).max() for rows in groups) / sum(map(len, groups))

    def step(self):
        """Asks and answers the best question; False if there is none."""
        questions = self.ranking.rank(self.board, self.memory, self.probabilities, n=1)
        for question in questions:
            said, marked = self.answer(question)
            new_id = 1000 + self.n_answers
            learn(self.probabilities, question, said, marked)
            effects = effects_of(question, said, marked, new_id=new_id)
            record(self.memory, question, said, marked, new_id=new_id)
            apply(self.board, effects)
            self.n_answers += 1
            assert self.n_answers < 500, "it comes to an end"
        return bool(questions)

    def answer(self, question):
        """The right answer."""
        shown = [np.bincount(self.truth[rows]).argmax() for rows in question.images]
        if question.kind in (SAME, HALVES):
            return "same" if shown[0] == shown[1] else "different", ()
        if question.kind == OUT:
            return "done", tuple(np.flatnonzero(self.truth[question.rows] != shown[0]).tolist())
        if question.kind == IN:
            return "done", tuple(i for i, each in enumerate(shown[1:]) if each == shown[0])
        right = [i for i, each in enumerate(shown) if each == self.truth[question.rows[0]]]
        return ("pick", tuple(right[:1])) if right else ("new", ())


def groups_with_errors(n_errors, seed=0):
    """The right groups, with some images in a wrong one."""
    groups = np.repeat(np.arange(1, 17), 12)
    moved = np.random.default_rng(seed).choice(len(groups), n_errors, replace=False)
    groups[moved] = groups[(moved + 12) % len(groups)]
    return groups


def test_nothing_is_estimated_before_there_are_answers():
    reviewer = Reviewer(groups_with_errors(6))
    state = reviewer.state()
    assert state.purity is None and state.n_left > 0 and not state.is_done


@pytest.mark.parametrize("n_errors", [0, 6, 20])
def test_a_review_ends_with_pure_groups_and_says_so(n_errors):
    reviewer = Reviewer(groups_with_errors(n_errors))
    while reviewer.step():
        pass
    state = reviewer.state()
    assert state.is_done and state.n_left == 0
    assert reviewer.purity() == 1.0
    if state.purity is not None:
        assert 0.95 < state.purity.low <= state.purity.estimate <= state.purity.high <= 1.0


def test_the_interval_narrows_with_the_answers():
    reviewer = Reviewer(groups_with_errors(24))
    widths = []
    while reviewer.step():
        each = purity(reviewer.board, reviewer.memory, reviewer.probabilities, reviewer.ranking)
        if each is not None:
            widths.append(each.high - each.low)
    assert len(widths) > 3 and widths[-1] < widths[0]


def test_no_group_of_two_has_no_purity():
    reviewer = Reviewer(groups_with_errors(24))
    while reviewer.step():
        pass
    reviewer.board.ignore(np.arange(len(CHARACTERS)))
    assert reviewer.state().purity is None
