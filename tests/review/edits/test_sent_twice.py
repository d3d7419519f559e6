"""An answer that comes twice, as when the server was killed before the page heard that it is kept."""

import numpy as np
import pytest

from tests.review.tabs import restart, state
from tests.support.groups import vector

pytestmark = pytest.mark.mongo


@pytest.fixture
def alike(grouped):
    """Two groups that may be one character, a third one, and an image in no group."""
    from ccip_plugin import group_characters

    letters = "aaaaAAAAbbbb"
    data = grouped(letters, persistent=True)
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    data.set_values("ccip_embedding", [each / np.linalg.norm(each) for each in vectors])
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    return data


def pair(tab):
    return next(each for each in tab.ask(12, kinds=["same"]) if set(each["shown"]["groups"]) == {1, 2})


def n_answers(tab):
    return sum(tab.read("groups")["progress"]["answers"].values())


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same server", "a new server"])
@pytest.mark.parametrize("said", ["same", "different", "unsure"])
def test_it_is_kept_once(panel, alike, said, is_restarted):
    tab = panel(alike)
    question = pair(tab)
    first = tab.answer(question, said)
    after, rows = state(alike), tab.read("history")["n"]
    if is_restarted:
        restart()
    again = tab.answer(question, said)
    assert "problem" not in again, again
    assert (again["number"], again["text"]) == (first["number"], "it was kept already")
    assert state(alike) == after and tab.read("history")["n"] == rows and n_answers(tab) == 1


def test_the_only_question_is_put_off_twice_and_no_more(panel, alike):
    tab, seen = panel(alike), []
    for question in tab.ask(12):
        if set(question["shown"]["groups"]) != {1, 2}:
            tab.answer(question, "unsure")
    while len(seen) < 5 and (questions := tab.ask(1)):
        seen.append(questions[0]["id"])
        tab.answer(questions[0], "later")
    assert seen == 2 * seen[:1], seen


def test_a_strip_is_kept_once(panel, alike):
    tab, ids = panel(alike), alike.values("id")
    shown = {"kind": "out", "groups": [1], "sizes": {"1": 4}, "items": [ids[:2]], "difference": 0.1}
    question = {"id": "x", "kind": "out", "shown": shown}
    number = tab.answer(question, "done", ids[:1])["number"]
    assert tab.answer(question, "done", ids[:1])["number"] == number
    assert tab.answer(question, "done", ids[1:2])["problem"]["code"] == "stale"


def test_another_answer_is_refused(panel, alike):
    tab, other = panel(alike), panel(alike, "other")
    question = pair(tab)
    tab.answer(question, "same")
    for who, said in ((tab, "different"), (tab, "unsure"), (other, "same")):
        assert who.answer(question, said)["problem"]["code"] == "stale"


def test_an_answer_that_was_undone_is_not_kept(panel, alike):
    tab = panel(alike)
    question = pair(tab)
    for said in ("same", "different", "unsure"):
        tab.answer(question, said)
        assert "problem" not in tab.write("undo")
        assert tab.answer(question, said)["text"] != "it was kept already" and n_answers(tab) == 1
        assert "problem" not in tab.write("undo")


def test_what_is_said_again_after_other_changes_counts_again(panel, alike):
    tab = panel(alike)
    question = pair(tab)
    tab.answer(question, "different")
    tab.write("rename", group=3, name="Rei")
    assert tab.answer(question, "different")["text"] != "it was kept already" and n_answers(tab) == 2


def test_a_batch_that_comes_twice(panel, alike):
    tab = panel(alike)
    question = pair(tab)
    batch = [{"question": question["id"], "kind": "same", "shown": question["shown"], "said": "same"}]
    (first,) = tab.write("answers", answers=batch)["results"]
    (again,) = tab.write("answers", answers=batch)["results"]
    assert first["number"] == again["number"] and "problem" not in again
