"""The questions that are asked, in which order, and what is never asked again."""

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.review.answers import SAID, apply, effects_of, forget, record
from ccip_plugin.core.review.board import Board
from ccip_plugin.core.review.kinds import HALVES, IN, KINDS, OUT, SAME, WHO, WHOLE, Question
from ccip_plugin.core.review.memory import LATER, Memory
from ccip_plugin.core.review.pairs import MOST_WHOLE, HalvesOfGroups
from ccip_plugin.core.review.probabilities import Probabilities
from ccip_plugin.core.review.questions import Ranking, rank
from tests.core.review.worlds import THRESHOLD, board_of, vectors_of

NEW_ID = 90


class Review:
    """A board, a memory, and answers."""

    def __init__(self, characters, groups, **options):
        self.board = board_of(characters, groups, **options)
        self.memory, self.probabilities, self.ranking = Memory(), Probabilities(), Ranking()

    def ask(self, *kinds, n=5):
        """The best questions of some kinds."""
        return self.ranking.rank(self.board, self.memory, self.probabilities, n=n, kinds=kinds or None)

    def answer(self, question, said, *marked):
        """Gives an answer and applies it."""
        new_id = max(NEW_ID, int(self.board.group_of.max()) + 1)
        effects = effects_of(question, said, marked, new_id=new_id)
        record(self.memory, question, said, marked, new_id=new_id)
        apply(self.board, effects)
        return effects

    def wait(self):
        """Lets many answers pass."""
        self.memory.number += LATER + 1


def test_two_groups_of_one_character_are_asked_about_first():
    review = Review("aaaaaaaabbbb", "111122223333")
    (question,) = review.ask(SAME)
    assert set(question.groups) == {1, 2} and question.probability > 0.9
    assert review.ask()[0].key == question.key
    review.answer(question, "same")
    assert sorted(review.board.sizes.tolist()) == [4, 8]
    assert review.ask(SAME) == []


def test_what_was_said_to_be_different_is_not_asked_again_at_once():
    review = Review("aaaaaaaabbbb", "111122223333")
    review.answer(review.ask(SAME)[0], "different")
    assert review.board.is_apart(1, 2)
    assert review.ask(SAME) == [] and review.ask(IN) == []


def test_a_surprising_answer_is_checked_once_later():
    review = Review("aaaaaaaabbbb", "111122223333")
    review.answer(review.ask(SAME)[0], "different")
    review.wait()
    (again,) = review.ask(SAME)
    assert set(again.groups) == {1, 2}
    review.answer(again, "different")
    review.wait()
    assert review.ask(SAME) == []


def test_the_later_answer_wins_and_the_earlier_one_counts_as_a_slip():
    review = Review("aaaaaaaabbbb", "111122223333")
    review.answer(review.ask(SAME)[0], "different")
    review.wait()
    review.answer(review.ask(SAME)[0], "same")
    assert not review.board.is_apart(1, 2) and len(review.board.ids) == 2
    assert review.memory.n_slips == 1
    ((matter, evidence),) = review.memory.contradictions()
    assert matter == {1, 2} and (evidence.same, evidence.different) == (1, 1)
    assert [is_same for _, is_same in evidence.answers] == [False, True]
    review.ask()  # the two groups are one now
    assert [each for each, _ in review.memory.contradictions()] == [{1, 2}]


def test_a_division_with_answers_of_both_kinds_is_a_contradiction_too():
    review = Review("aaaaabbbb", "111111111")
    (question,) = review.ask(HALVES)
    review.answer(question, "same")
    review.answer(question, "different")
    (((group_id, _), evidence),) = review.memory.contradicted()
    assert group_id == 1 and evidence.answers == [(1, True), (2, False)]


def test_halves_are_found_some_groups_at_a_time():
    board = Review("aaaabbbbccccddddeeeeffff", "111111112222222233333333").board
    some, together = HalvesOfGroups(), HalvesOfGroups().of(board)
    assert [some.divide(board, 1) for _ in range(3)] == [True, True, False] and set(together) == {1, 2, 3}
    for group_id, halves in some.of(board).items():
        assert halves.first.tolist() == together[group_id].first.tolist()
    board.assign([0, 1, 2, 3], 2)
    assert some.divide(board, 0) and not some.divide(board, 1)
    assert set(some.of(board)) == {2, 3}


def test_kept_apart_pairs_of_earlier_decisions_are_never_asked_about():
    review = Review("aaaaaaaabbbb", "111122223333", apart=[(1, 2)])
    assert review.ask(SAME) == [] and review.ask(IN) == []


def test_a_mixed_group_is_asked_about_by_its_halves():
    review = Review("aaaaabbbb" + "c" * 6, "111111111" + "2" * 6)
    (question,) = review.ask(HALVES)
    assert question.groups == (1,) and question.probability < 0.1
    assert [sorted(rows.tolist()) for rows in question.items] == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]
    review.answer(question, "different")
    assert review.board.members(NEW_ID).tolist() == [5, 6, 7, 8] and review.board.is_apart(1, NEW_ID)
    assert review.ask() == []


def test_a_group_that_is_one_character_is_not_halved_again():
    review = Review("aaaaabbbb", "111111111")
    review.answer(review.ask(HALVES)[0], "same")
    assert review.ask(HALVES) == []


def test_a_wrong_image_is_shown_in_a_strip():
    review = Review("aaaaaab", "1111111")
    (question,) = review.ask(OUT)
    assert question.groups == (1,) and 6 in question.rows
    place = question.rows.tolist().index(6)
    review.answer(question, "done", place)
    assert review.board.group_of[6] == 0 and review.board.is_rejected(6, 1)
    assert review.ask(OUT) == []


def test_confirmed_images_are_not_doubted():
    review = Review("aaaaaab", "1111111", confirmed=[True] * 7)
    assert review.ask(OUT) == []


def test_small_groups_and_single_images_are_offered_to_a_larger_group():
    review = Review("aaaaaaaabbbbbbb", "111111223333330")
    questions = {question.groups[0]: question for question in review.ask(IN)}
    assert questions[1].groups == (1, 2) and questions[1].items[0].tolist() == [6, 7]
    assert questions[3].groups == (3, 0) and questions[3].items[0].tolist() == [14]
    for question in questions.values():
        review.answer(question, "done", 0)
    assert review.board.sizes.tolist() == [8, 7] and review.ask(IN) == []


def test_a_tile_that_was_not_marked_is_kept_apart():
    review = Review("aaaaaaaabbbbbbb", "111111223333330")
    for question in review.ask(IN):
        review.answer(question, "done")
    assert review.board.is_apart(1, 2) and review.board.is_rejected(14, 3)
    assert review.ask(IN) == [] and review.ask(WHO) == []


@pytest.mark.parametrize(
    "said, group, is_ignored",
    [("pick", 1, False), ("new", NEW_ID, False), ("none", 0, True), ("two", 0, True)],
)
def test_who_is_this(said, group, is_ignored):
    review = Review("aaaabbbba", "111122220")
    (question,) = review.ask(WHO)
    assert question.rows.tolist() == [8] and question.groups[0] == 1
    review.answer(question, said, *([0] if said == "pick" else []))
    assert review.board.group_of[8] == group and review.board.ignored[8] == is_ignored
    assert review.ask(WHO) == []


def test_the_whole_group_is_asked_about_only_when_told_so():
    review = Review("aaaaaa", "111111", confirmed=[True] * 2 + [False] * 4)
    assert review.ask(WHOLE) == []
    review.memory.whole.add(1)
    (question,) = review.ask(WHOLE)
    assert [rows.tolist() for rows in question.items] == [[0, 1], [2, 3, 4, 5]]
    review.answer(question, "same")
    assert review.board.confirmed.all() and review.ask(WHOLE) == []


def test_later_comes_back_and_cannot_tell_does_not():
    review = Review("aaaaaaaabbbb", "111122223333")
    review.answer(review.ask(SAME)[0], "later")
    assert review.ask(SAME) == []
    review.wait()
    (question,) = review.ask(SAME)
    review.answer(question, "unsure")
    review.wait()
    assert review.ask(SAME) == []


@pytest.mark.parametrize(
    "characters, groups, kind, said, marked",
    [
        pytest.param("aaaaaaaabbbb", "111122223333", SAME, "different", (), id="same"),
        pytest.param("aaaaabbbb", "111111111", HALVES, "same", (), id="halves"),
        pytest.param("aaaaaab", "1111111", OUT, "done", (), id="out"),
        pytest.param("aaaaaaaabbbbbb", "11111122333333", IN, "done", (), id="in"),
        pytest.param("aaaabbbba", "111122220", WHO, "unsure", (), id="who"),
        pytest.param("aaaaabbbb", "111111111", HALVES, "later", (), id="later"),
    ],
)
def test_an_answer_that_is_undone_is_asked_again(characters, groups, kind, said, marked):
    review = Review(characters, groups)
    (question,) = review.ask(kind)
    record(review.memory, question, said, marked, new_id=NEW_ID)
    assert review.ask(kind) == []
    forget(review.memory, question, said, marked, new_id=NEW_ID)
    assert [each.key for each in review.ask(kind)] == [question.key]
    assert review.memory.n_facts == 0


def test_a_stored_answer_without_images_is_about_no_division():
    review = Review("aaaaabbbb", "111111111")
    (question,) = review.ask(HALVES)
    review.answer(question, "same")
    stored = Question(SAME, (1, 2), (np.empty(0, np.int64),) * 2, 0.0, 0.1, 0.5, images=())
    record(review.memory, stored, "same", new_id=NEW_ID)
    assert review.memory.about_cut(1, question.items[0], question.items[1]).n == 1


def test_questions_of_one_queue_are_about_different_groups():
    review = Review("aaaaaabbbbbbccccccdddd", "1112233334455556678889")
    questions = review.ask(n=12)
    groups = [group for question in questions for group in set(question.groups) - {0}]
    assert len(questions) > 1 and len(groups) == len(set(groups))


def test_nothing_is_asked_about_nothing():
    review = Review("ab", "00")
    assert review.ask() == []
    assert rank(review.board, review.memory, review.probabilities, n=3) == []


def test_refuses_unknown_kinds_and_answers():
    review = Review("aaaaaaaabbbb", "111122223333")
    with pytest.raises(ParameterError, match="kinds"):
        review.ask("why")
    (question,) = review.ask(SAME)
    with pytest.raises(ParameterError, match="said"):
        effects_of(question, "perhaps", new_id=NEW_ID)
    assert set(SAID) == set(KINDS)
    (question,) = Review("aaaaaab", "1111111").ask(OUT)
    with pytest.raises(ParameterError, match="marked"):
        effects_of(question, "done", (99,), new_id=NEW_ID)
    assert np.isfinite(question.gain)


def test_whole_groups_are_ranked_by_what_they_put_right_as_others_are():
    """Labels were edited by hand in many groups, most of which are one character."""
    letters = "".join(letter * 8 for letter in "abcdefghij")
    groups = "".join(digit * 8 for digit in "1234567899")  # i and j are in one group
    confirmed = np.array([place % 8 == 0 and place < 80 for place in range(82)])
    confirmed[64:72] = True
    board = board_of(letters + "ab", groups + "77", confirmed=confirmed)  # and one image of each of two in another
    memory, sane = Memory(), Probabilities()
    memory.whole = set(range(1, 10))
    asked = Ranking().rank(board, memory, sane, n=100, kinds=[WHOLE])
    assert asked[0].groups == (9,) and asked[0].gain > 4 and sorted(each.groups[0] for each in asked) == [*range(1, 10)]
    assert all(each.gain < 0.5 for each in asked if each.groups[0] not in (7, 9))
    mixed = Ranking().rank(board, memory, sane, n=100)
    kinds = [each.kind for each in mixed]
    assert kinds[0] != "whole" and kinds[-1] == "whole", kinds
    assert [each.gain for each in mixed] == sorted((each.gain for each in mixed), reverse=True)


def test_no_more_whole_groups_at_once_than_a_few():
    n = 3 * MOST_WHOLE
    vectors = np.repeat(vectors_of("".join(chr(0x4E00 + each) for each in range(n))), 3, axis=0)
    board = Board(vectors, np.repeat(np.arange(n), 3) + 1, confirmed=[True, False, False] * n, threshold=THRESHOLD)
    memory, ranking = Memory(), Ranking()
    memory.whole = set(range(1, n + 1))
    first = ranking.rank(board, memory, Probabilities(), n=1000, kinds=[WHOLE])
    assert len(first) == MOST_WHOLE
    board.confirm(np.concatenate([each.items[1] for each in first]))
    second = ranking.rank(board, memory, Probabilities(), n=1000, kinds=[WHOLE])
    assert {each.groups for each in first}.isdisjoint(each.groups for each in second) and len(second) == MOST_WHOLE
